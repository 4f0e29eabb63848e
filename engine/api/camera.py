"""Pinhole camera: OpenCV axes, camera-to-world pose, pixel centres at +0.5."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


def _frozen(a: ArrayLike, shape: tuple[int, ...]) -> Float64:
    out = np.array(a, dtype=np.float64)
    if out.shape != shape:
        raise ValueError(f"expected an array of shape {shape}, got {out.shape}")
    out.setflags(write=False)
    return out


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole view.

    Attributes:
        intrinsics: (3, 3) K, pixels.
        c2w: (4, 4) camera-to-world, rigid; columns x right, y down, z forward.
        width, height: size in pixels.
    """

    intrinsics: Float64
    c2w: Float64
    width: int
    height: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "intrinsics", _frozen(self.intrinsics, (3, 3)))
        object.__setattr__(self, "c2w", _frozen(self.c2w, (4, 4)))

    @property
    def centre_w(self) -> Float64:
        """(3,) the optical centre in the world."""
        return self.c2w[:3, 3]

    @property
    def forward_w(self) -> Float64:
        """(3,) unit viewing direction in the world."""
        return self.c2w[:3, 2]

    def scaled(self, width: int, height: int) -> Camera:
        """The same view at another size; with centres at +0.5 the intrinsics scale without a shift."""
        s = np.diag([width / self.width, height / self.height, 1.0])
        return replace(self, intrinsics=s @ self.intrinsics, width=width, height=height)

    def fitted(self, max_side: int) -> Camera:
        """The same view with its long side at most ``max_side`` pixels (never enlarged)."""
        f = min(1.0, max_side / max(self.width, self.height))
        return self.scaled(max(1, round(self.width * f)), max(1, round(self.height * f)))

    def to_camera(self, pos_w: ArrayLike) -> Float64:
        """(N, 3) world points to (N, 3) camera points."""
        p = np.asarray(pos_w, dtype=np.float64)
        return (p - self.centre_w) @ self.c2w[:3, :3]

    def project(self, pos_w: ArrayLike) -> tuple[Float64, Float64]:
        """(N, 3) world points to ((N, 2) pixels, (N,) depth along z). Behind the camera: depth <= 0, pixels NaN."""
        c = self.to_camera(pos_w)
        z = c[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            uv = (c / z[:, None]) @ self.intrinsics.T
        px = np.where(z[:, None] > 0, uv[:, :2], np.nan)
        return px, z

    def contains(self, pos_px: ArrayLike) -> NDArray[np.bool_]:
        """(N, 2) pixels to (N,) whether each lies inside the image. NaN is outside."""
        p = np.asarray(pos_px, dtype=np.float64)
        return (p[:, 0] >= 0) & (p[:, 0] < self.width) & (p[:, 1] >= 0) & (p[:, 1] < self.height)

    def unproject(self, pos_px: ArrayLike, depth_z: ArrayLike) -> Float64:
        """(N, 2) pixels and (N,) depth along z to (N, 3) world points."""
        return self.centre_w + self.ray_z(pos_px) * np.asarray(depth_z, dtype=np.float64)[:, None]

    def ray_z(self, pos_px: ArrayLike) -> Float64:
        """(N, 2) pixels to (N, 3) world directions of unit depth (camera z = 1, not unit length)."""
        p = np.asarray(pos_px, dtype=np.float64)
        h = np.concatenate([p, np.ones((len(p), 1))], axis=1)
        d_c = np.linalg.solve(self.intrinsics, h.T).T
        return (d_c @ self.c2w[:3, :3].T).astype(np.float64, copy=False)

    def rays(self, pos_px: ArrayLike) -> tuple[Float64, Float64]:
        """(N, 2) pixels to ((N, 3) origins, (N, 3) unit directions) in the world."""
        d = self.ray_z(pos_px)
        d = d / np.linalg.norm(d, axis=1, keepdims=True)
        return np.broadcast_to(self.centre_w, d.shape), d

    def pixel_grid(self) -> Float64:
        """(height * width, 2) all pixel centres, row by row."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64, copy=False)


def look_at(eye_w: ArrayLike, target_w: ArrayLike, up_w: ArrayLike, *, fov_y: float, width: int, height: int) -> Camera:
    """A camera at ``eye_w`` looking at ``target_w``; ``fov_y`` in degrees. Falls back to another up if parallel."""
    eye, target, up = (np.asarray(a, dtype=np.float64) for a in (eye_w, target_w, up_w))
    z = target - eye
    z = z / np.linalg.norm(z)
    x = np.cross(z, up)
    if np.linalg.norm(x) < 1e-6:
        x = np.cross(z, np.eye(3)[np.argmin(np.abs(z))])
    x = x / np.linalg.norm(x)
    y = np.cross(z, x)
    c2w = np.eye(4)
    c2w[:3, :3] = np.stack([x, y, z], axis=1)
    c2w[:3, 3] = eye
    f = height / 2 / np.tan(np.deg2rad(fov_y) / 2)
    k = np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])
    return Camera(k, c2w, width, height)
