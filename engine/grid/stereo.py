"""Depth where none was measured: multi-view stereo between posed photos, kept only where several of them agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.grid.photos import PhotoLike, over_white
from engine.grid.sweep import aggregate, agreeing, match, moments, pick

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

SIDE = 240
"""Long side at which photos are compared, pixels."""

PLANES = 96
PHOTOS = 6
"""With so many others a photo is compared."""

ANGLE, NARROWER, WIDER = 12.0, 5.0, 15.0
"""Degrees between two photos' rays that are best, and by how much less and more is still good."""

LEAST_ANGLE = 1.5
"""Degrees; two photos from one place say nothing of depth."""

LEAST_SHARED = 0.05
"""How well two photos must go together, see ``partners``."""

NEAREST = 0.1
"""The nearest depth that is looked for, as a share of the bounds' diagonal, where a camera is among what it shows."""

FARTHEST = 1000.0
"""In an unbounded scene, times the nearest."""

PROBED = 8.0
"""In an unbounded scene photos are chosen by what they share up to so many times the nearest depth."""

LEAST_ZNCC = 0.5
AGREE = 2
"""So many other photos must find the same depth, or all if there are fewer."""

WITHIN_PIXELS, WITHIN_SHARE = 1.5, 0.02
SLICE_PLANES = 8


class Stereo:
    """Photos that are compared with one another.

    Args:
        bounds_w: (2, 3) box around the scene.
        bounded: whether depths end with the box.

    Attributes:
        cameras: of the photos at the size at which they are compared.
        rgba: (h, w, 4) uint8 colour of each, and 1 where its depth may be known.
        found: of the photos that were estimated: camera, (h, w) depth along z in world units, 0 where it is not known,
            and colour. Known is what correlates and what others find as well (``AGREE``).
    """

    def __init__(self, bounds_w: ArrayLike, bounded: bool) -> None:
        self._bounds_w, self._bounded = np.asarray(bounds_w, np.float64), bounded
        self.cameras: list[Camera] = []
        self.rgba: list[UInt8] = []
        self._grey: list[Float32] = []
        self.found: list[tuple[Camera, Float32, UInt8]] = []
        self._inverse_z: dict[int, Float32] = {}

    def add(self, photo: PhotoLike) -> None:
        """Take in one photo; where it is transparent or not valid it has no depth."""
        camera = photo.camera.fitted(SIDE)
        size = (camera.width, camera.height)
        small = cv2.resize(over_white(photo), size, interpolation=cv2.INTER_AREA)
        known = np.ones(photo.rgb.shape[:2], np.bool_) if photo.valid is None else photo.valid
        if photo.alpha is not None:
            known = known & (photo.alpha >= 128)
        mask = cv2.resize(known.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        self.cameras.append(camera)
        self.rgba.append(np.dstack([small, mask]))
        self._grey.append(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32))

    def estimate(self, more: Callable[[], bool]) -> Iterator[None]:
        """Find depths, in slices, of the photos in the order in which they came, while ``more`` says so."""
        for n in range(len(self.cameras)):
            if not more():
                break
            yield from self._sweep(n)
        among = sorted(self._inverse_z)
        for n in among:
            depth_z = self._agreed(n, among)
            self.found.append((self.cameras[n], depth_z, self.rgba[n]))
            yield
        self._inverse_z.clear()

    @property
    def known(self) -> float:
        """Share of the pixels of ``found`` that have depth."""
        return float(np.mean([np.mean(depth_z > 0) for _, depth_z, _ in self.found])) if self.found else 0.0

    def _agreed(self, n: int, among: list[int]) -> Float32:
        """(h, w) depth of a photo where others of ``among`` find the same, 0 elsewhere."""
        inverse_z = self._inverse_z[n]
        count = np.zeros(inverse_z.shape, np.int32)
        others = self._partners(n, among)
        limits = np.float32(WITHIN_PIXELS), np.float32(WITHIN_SHARE)
        for s in others:
            there, back = _between(self.cameras[n], self.cameras[s]), _between(self.cameras[s], self.cameras[n])
            agreeing(inverse_z, there, back, self._inverse_z[s], *limits, count)
        known = (count >= max(1, min(AGREE, len(others)))) & (inverse_z > 0) & (self.rgba[n][..., 3] > 0)
        depth_z = np.zeros(inverse_z.shape, np.float32)
        depth_z[known] = 1 / inverse_z[known]
        return depth_z

    def _range(self, camera: Camera) -> tuple[float, float] | None:
        """The least and the greatest depth that is looked for; None where the box is behind the camera."""
        z = camera.to_camera(np.stack(np.meshgrid(*self._bounds_w.T), axis=-1).reshape(-1, 3))[:, 2]
        near = max(float(z.min()), NEAREST * float(np.linalg.norm(np.ptp(self._bounds_w, axis=0))))
        far = float(z.max()) if self._bounded else FARTHEST * near
        return (near, far) if far > near > 0 else None

    def _partners(self, n: int, among: list[int]) -> list[int]:
        """The photos of ``among`` that photo ``n`` is best compared with, the best first."""
        limits = self._range(self.cameras[n])
        if limits is None:
            return []
        near, far = limits
        probed = 1 / np.linspace(1 / min(far, PROBED * near), 1 / near, 4)
        others = [s for s in among if s != n]
        shared = affinity(self.cameras[n], [self.cameras[s] for s in others], probed)
        order = np.argsort(-shared, kind="stable")[:PHOTOS]
        return [others[i] for i in order if shared[i] >= LEAST_SHARED]

    def _sweep(self, n: int) -> Iterator[None]:
        """Estimate the inverse depth of one photo, 0 where nothing correlates; none if it has no partner."""
        camera, grey = self.cameras[n], self._grey[n]
        limits, others = self._range(camera), self._partners(n, list(range(len(self.cameras))))
        yield
        if limits is None or not others:
            return
        lowest = 1 / limits[1]
        spacing = (1 / limits[0] - lowest) / (PLANES - 1)
        warps = np.stack([_between(camera, self.cameras[s]) for s in others])
        planes = (lowest + spacing * np.arange(PLANES, dtype=np.float32))[:, None, None, None]
        homographies = np.repeat(warps[None, :, :, :3], PLANES, axis=0)
        homographies[..., 2:] += planes * warps[None, :, :, 3:]
        begins = np.cumsum([0, *(self._grey[s].size for s in others)])
        shapes = np.array([[b, *self._grey[s].shape] for b, s in zip(begins[:-1], others, strict=True)], np.int64)
        pixels = np.concatenate([self._grey[s].ravel() for s in others])
        mean, inverse = np.empty_like(grey), np.empty_like(grey)
        moments(grey, mean, inverse)
        by_plane = np.empty((PLANES, *grey.shape), np.float32)
        for d in range(0, PLANES, SLICE_PLANES):
            match(grey, mean, inverse, pixels, shapes, homographies, d, min(d + SLICE_PLANES, PLANES), by_plane)
            yield
        cost = np.ascontiguousarray(by_plane.transpose(1, 2, 0))
        total = np.zeros_like(cost)
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            yield
            aggregate(cost, grey, down, right, total)
        inverse_z, score = np.empty_like(grey), np.empty_like(grey)
        pick(total, cost, np.float32(lowest), np.float32(spacing), inverse_z, score)
        inverse_z[score < LEAST_ZNCC] = 0
        self._inverse_z[n] = inverse_z
        yield


def affinity(camera: Camera, others: list[Camera], depths_z: Float64) -> Float64:
    """How well a photo goes with each of N others for stereo, (N,) in [0, 1].

    The mean over points of its frustum of how good the angle between the two photos' rays is, by the piecewise Gaussian
    of MVSNet (Yao et al., 2018), times the ratio of the sizes at which they see the point; 0 where one does not see it.

    Args:
        camera: of the photo.
        others: cameras of the others.
        depths_z: (D,) depths of the points, world units.
    """
    if not others:
        return np.zeros(0)
    steps = np.linspace(0.1, 0.9, 5)
    px = np.stack(np.meshgrid(steps * camera.width, steps * camera.height), axis=-1).reshape(-1, 2)
    points = np.concatenate([camera.unproject(px, np.full(len(px), z)) for z in depths_z])
    z = np.repeat(depths_z, len(px))
    own = points - camera.centre_w
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    out = np.empty(len(others))
    for n, other in enumerate(others):
        there, other_z = other.project(points)
        theirs = points - other.centre_w
        cosine = np.sum(own * theirs, axis=1) / np.maximum(np.linalg.norm(theirs, axis=1), 1e-12)
        angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
        good = np.exp(-((angle - ANGLE) ** 2) / (2 * np.where(angle < ANGLE, NARROWER, WIDER) ** 2))
        good[(angle < LEAST_ANGLE) | ~other.contains(there)] = 0
        size = camera.intrinsics[0, 0] / z * np.maximum(other_z, 1e-12) / other.intrinsics[0, 0]
        out[n] = np.mean(good * np.minimum(size, 1 / size))
    return out


def _between(camera: Camera, other: Camera) -> Float32:
    """(3, 4) [A | b]: pixels (u, v, 1) of one photo and their inverse depth to pixels of the other, up to scale."""
    turn = other.c2w[:3, :3].T
    a = other.intrinsics @ turn @ camera.c2w[:3, :3] @ np.linalg.inv(camera.intrinsics)
    b = other.intrinsics @ turn @ (camera.centre_w - other.centre_w)
    return np.concatenate([a, b[:, None]], axis=1).astype(np.float32)
