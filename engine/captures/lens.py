"""Lens distortion in normalised image coordinates, and the sampling maps that undo it.

A lens takes ideal coordinates n = ((x - cx) / fx, (y - cy) / fy) of the undistorted pinhole to the coordinates at
which the photo really shows them. Both images share K, so nothing here depends on the photo's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

ROWS = 64
NEGLIGIBLE, ABSURD = 1e-12, 100.0


class Lens(Protocol):
    """Ideal to real normalised image coordinates. Lenses are hashable values."""

    def distort(self, pos_n: Float64) -> Float64:
        """(N, 2) ideal coordinates to (N, 2) in the photo; NaN where the lens shows nothing."""
        ...


def _check(*coefficients: float) -> None:
    if not all(abs(c) < ABSURD for c in coefficients):
        raise ValueError("the distortion is not that of a lens")


def _first_turning_point(derivative: list[float]) -> float:
    """The smallest positive root of a polynomial (coefficients from the constant up), or infinity."""
    c = np.where(np.abs(derivative) < NEGLIGIBLE, 0.0, derivative)
    c = np.trim_zeros(c, "b")
    if len(c) < 2:
        return np.inf
    roots = np.roots(c[::-1])
    real = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
    return float(real.min()) if len(real) else np.inf


@dataclass(frozen=True)
class BrownLens:
    """Brown–Conrady: OpenCV's k1, k2, p1, p2 with k3, k4 as nerfstudio's higher radial terms.

    n' = n (1 + k1 r² + k2 r⁴ + k3 r⁶ + k4 r⁸) + (2 p1 xy + p2 (r² + 2x²), p1 (r² + 2y²) + 2 p2 xy), r² = x² + y²
    (D. C. Brown, Close-range camera calibration, 1971). Beyond the radius where the radial term turns back, the
    polynomial folds the image over itself: NaN there. Raises ValueError for coefficients that no lens has.
    """

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def __post_init__(self) -> None:
        _check(self.k1, self.k2, self.k3, self.k4, self.p1, self.p2)

    @cached_property
    def max_radius2(self) -> float:
        """r² at which d(r (1 + k1 r² + …))/dr first vanishes."""
        return _first_turning_point([1.0, 3 * self.k1, 5 * self.k2, 7 * self.k3, 9 * self.k4])

    def distort(self, pos_n: Float64) -> Float64:
        x, y = pos_n[:, 0], pos_n[:, 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * (self.k3 + r2 * self.k4)))
        xy2 = 2 * x * y
        out = np.stack(
            [
                x * radial + self.p1 * xy2 + self.p2 * (r2 + 2 * x * x),
                y * radial + self.p1 * (r2 + 2 * y * y) + self.p2 * xy2,
            ],
            axis=1,
        )
        out[r2 >= self.max_radius2] = np.nan
        return out


@dataclass(frozen=True)
class FisheyeLens:
    """Equidistant fisheye with OpenCV's polynomial: θ' = θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸), θ = atan |n|.

    (Kannala and Brandt, A generic camera model and calibration method, 2006.) Raises ValueError as ``BrownLens``.
    """

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0

    def __post_init__(self) -> None:
        _check(self.k1, self.k2, self.k3, self.k4)

    @cached_property
    def max_theta2(self) -> float:
        """θ² at which θ' first turns back."""
        return _first_turning_point([1.0, 3 * self.k1, 5 * self.k2, 7 * self.k3, 9 * self.k4])

    def distort(self, pos_n: Float64) -> Float64:
        r = np.linalg.norm(pos_n, axis=1)
        theta = np.arctan(r)
        t2 = theta * theta
        theta_d = theta * (1 + t2 * (self.k1 + t2 * (self.k2 + t2 * (self.k3 + t2 * self.k4))))
        scale = np.divide(theta_d, r, out=np.ones_like(r), where=r > 1e-12)
        out = pos_n * scale[:, None]
        out[t2 >= self.max_theta2] = np.nan
        return out


def undistort(lens: Lens, pos_n: Float64) -> Float64:
    """(N, 2) photo coordinates to (N, 2) ideal ones, by Newton's method on ``lens.distort``; NaN where it fails."""
    with np.errstate(all="ignore"):  # wild steps are expected, and caught by being not finite
        return _newton(lens, pos_n)


def _newton(lens: Lens, pos_n: Float64) -> Float64:
    x = pos_n.copy()
    along_x, along_y = np.array([1e-6, 0]), np.array([0, 1e-6])
    for _ in range(20):
        f = lens.distort(x) - pos_n
        # A point outside the lens's domain is drawn back towards the axis, where every lens is defined.
        lost = ~np.isfinite(f).all(axis=1)
        dx = (lens.distort(x + along_x) - lens.distort(x - along_x)) / 2e-6
        dy = (lens.distort(x + along_y) - lens.distort(x - along_y)) / 2e-6
        det = dx[:, 0] * dy[:, 1] - dy[:, 0] * dx[:, 1]
        delta = (
            np.stack([dy[:, 1] * f[:, 0] - dy[:, 0] * f[:, 1], dx[:, 0] * f[:, 1] - dx[:, 1] * f[:, 0]], axis=1)
            / det[:, None]
        )
        lost |= ~np.isfinite(delta).all(axis=1)
        x = np.where(lost[:, None], 0.7 * x, x - np.where(lost[:, None], 0.0, delta))
        if not lost.any() and np.abs(delta).max(initial=0.0) < 1e-12:
            break
    failed = ~(np.abs(lens.distort(x) - pos_n).max(axis=1) < 1e-6)
    x[failed] = np.nan
    return x


def normalised(camera: Camera, pos_px: Float64) -> Float64:
    """(N, 2) pixels to (N, 2) coordinates on the plane z = 1 of a camera without skew."""
    k = camera.intrinsics
    return (pos_px - [k[0, 2], k[1, 2]]) / [k[0, 0], k[1, 1]]


def pixels(camera: Camera, pos_n: Float64) -> Float64:
    """Inverse of ``normalised``."""
    k = camera.intrinsics
    return pos_n * [k[0, 0], k[1, 1]] + [k[0, 2], k[1, 2]]


def photo_positions(lens: Lens | None, camera: Camera) -> Float32:
    """(h, w, 2) float32: where each pixel centre of the undistorted ``camera`` lies in the photo, as fractions of the
    photo's width and height; NaN where the photo shows nothing."""
    out = np.empty((camera.height, camera.width, 2), np.float32)
    x = np.arange(camera.width) + 0.5
    for top in range(0, camera.height, ROWS):  # blocks, so that a large photo needs no large temporaries
        y = np.arange(top, min(top + ROWS, camera.height)) + 0.5
        pos_px = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        if lens is not None:
            pos_px = pixels(camera, lens.distort(normalised(camera, pos_px)))
        part = pos_px / [camera.width, camera.height]
        with np.errstate(invalid="ignore"):
            part[~((part >= 0) & (part < 1)).all(axis=1)] = np.nan
        out[top : top + ROWS] = part.reshape(len(y), camera.width, 2)
    return out


@lru_cache(maxsize=16)
def _cached_positions(lens: Lens, key: tuple[float, float, float, float, int, int]) -> Float32:
    fx, fy, cx, cy, width, height = key
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
    out = photo_positions(lens, Camera(k, np.eye(4), width, height))
    out.setflags(write=False)
    return out


def sampling_map(lens: Lens, camera: Camera) -> Float32:
    """``photo_positions``, kept for the next photo of the same lens and size unless it is very large (> 4 Mpx)."""
    if camera.width * camera.height > 4_000_000:
        return photo_positions(lens, camera)
    k = camera.intrinsics
    return _cached_positions(lens, (k[0, 0], k[1, 1], k[0, 2], k[1, 2], camera.width, camera.height))
