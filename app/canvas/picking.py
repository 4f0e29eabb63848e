"""What lies under the pointer, on the CPU: the same march as the shader for one ray, and projected points.

GPU picking through a 16-bit depth buffer was wrong more often than right; one ray in numpy takes a fraction of a
millisecond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.canvas.dense import CELL, Box
from app.clip import Box as Clip3
from engine.api.camera import Camera

Float64 = NDArray[np.float64]
FACING_HIDDEN, FACING_SHOWN = -0.22, -0.04  # as in volume.frag


class VolumePicker:
    """Finds the surface along a ray in what the canvas shows.

    Args:
        box: where the voxels are.
        alpha: (V,) uint8 opacity per voxel, in ``box.flat`` order.
        facing: (cx, cy, cz, 3) mean directions towards the cameras per coarse cell.
    """

    def __init__(self, box: Box, alpha: NDArray[np.uint8], facing: NDArray[np.float32]) -> None:
        self._box = box
        self._alpha = alpha
        self._facing = facing

    def surface(
        self, camera: Camera, pos_px: tuple[float, float], *, cutaway: bool, clip: Clip3 | None = None
    ) -> Float64 | None:
        """(3,) world point where half the light of the ray through ``pos_px`` is gone, or None."""
        box = self._box
        dims = np.array(box.dims)
        low, high = clipped(clip, box.lo_w, box.voxel, box.dims)
        d = camera.ray_z(np.array([pos_px]))[0] / box.voxel
        o = (camera.centre_w - box.lo_w) / box.voxel
        d = np.where(np.abs(d) < 1e-12, 1e-12, d)
        bounds = np.sort(np.stack([(low - o) / d, (high - o) / d]), axis=0)
        near, far = max(float(bounds[0].max()), 0.0), float(bounds[1].min())
        if near >= far or len(box.flat) == 0:
            return None
        step = 0.5 / float(np.linalg.norm(d))
        t = np.arange(near + step / 2, far, step)
        p = o + t[:, None] * d
        i = np.clip(np.floor(p).astype(np.int64), 0, dims - 1)
        flat = (i[:, 0] * box.dims[1] + i[:, 1]) * box.dims[2] + i[:, 2]
        at = np.minimum(np.searchsorted(box.flat, flat), len(box.flat) - 1)
        hit = box.flat[at] == flat
        a = np.where(hit, self._alpha[at] / 255.0, 0.0)
        a = 1 - np.sqrt(np.maximum(1 - a, 0))
        if cutaway:
            c = i // CELL
            facing = self._facing[c[:, 0], c[:, 1], c[:, 2]]
            toward = facing @ (-d / np.linalg.norm(d))
            a *= _smoothstep(FACING_HIDDEN, FACING_SHOWN, toward)
        light = np.cumprod(1 - a)
        gone = np.flatnonzero(light < 0.5)
        if len(gone) == 0:
            return None
        pos_w: Float64 = camera.centre_w + camera.ray_z(np.array([pos_px]))[0] * t[gone[0]]
        return pos_w


def clipped(
    clip: Clip3 | None, lo_w: Float64, voxel: float, dims: tuple[int, int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest corner (3,), in voxels, of what is shown of a volume; the highest is not below the lowest."""
    size = np.array(dims, np.float64)
    if clip is None:
        return np.zeros(3, np.float32), size.astype(np.float32)
    low = np.clip((np.array(clip.lo_w) - lo_w) / voxel, 0, size)
    high = np.clip((np.array(clip.hi_w) - lo_w) / voxel, low, size)
    return low.astype(np.float32), high.astype(np.float32)


def nearest_point(camera: Camera, pos_w: ArrayLike, pos_px: tuple[float, float], radius_px: float) -> int | None:
    """Index of the frontmost of (N, 3) points that projects within ``radius_px`` of the pointer, or None."""
    points = np.asarray(pos_w, dtype=np.float64)
    if len(points) == 0:
        return None
    px, depth = camera.project(points)
    with np.errstate(invalid="ignore"):
        off = np.hypot(px[:, 0] - pos_px[0], px[:, 1] - pos_px[1])
        near = np.flatnonzero((depth > 0) & (off <= radius_px))
    if len(near) == 0:
        return None
    # among those under the pointer the frontmost layer counts, and in it the best centred
    front = near[depth[near] <= depth[near].min() * 1.02]
    return int(front[np.argmin(off[front])])


def inside_quad(quad_px: Float64, pos_px: tuple[float, float]) -> bool:
    """Whether a point lies in a convex quadrilateral (4, 2) of either winding; False if a corner is NaN."""
    if not np.isfinite(quad_px).all():
        return False
    edge = np.roll(quad_px, -1, axis=0) - quad_px
    to = np.array(pos_px) - quad_px
    side = edge[:, 0] * to[:, 1] - edge[:, 1] * to[:, 0]
    return bool((side >= 0).all() or (side <= 0).all())


def _smoothstep(lo: float, hi: float, x: Float64) -> Float64:
    s = np.clip((x - lo) / (hi - lo), 0, 1)
    return s * s * (3 - 2 * s)
