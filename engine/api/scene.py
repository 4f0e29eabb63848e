"""What is open: views, points, voxels. Plain data, arrays are read-only once sent."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Bare points: ``pos_w`` (N, 3) float32, ``rgb`` (N, 3) uint8."""

    pos_w: Float32
    rgb: UInt8


@dataclass(frozen=True, eq=False)
class ViewInfo:
    """One posed photo. ``camera`` is the undistorted pinhole at the photo's full size; ``held_out`` from the fit."""

    index: int
    name: str
    camera: Camera
    held_out: bool
    has_depth: bool


@dataclass(frozen=True, eq=False)
class SceneInfo:
    """An opened capture.

    Attributes:
        name: short name for titles.
        path: where it was opened from.
        format: which reader took it (``nerfstudio``, ``colmap``, …).
        views: the posed photos; empty for bare geometry.
        points: sparse or bare points, if any.
        bounds_w: (2, 3) float64, the region worth looking at (lowest corner, highest corner).
        up_w: (3,) float64, unit, the estimated upward direction.
        warnings: counted, human-readable (skipped frames and the like).
    """

    name: str
    path: str
    format: str
    views: tuple[ViewInfo, ...]
    points: PointCloud | None
    bounds_w: NDArray[np.float64]
    up_w: NDArray[np.float64]
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, eq=False)
class Volume:
    """The active voxels of a radiance grid, as the canvas shows them.

    Attributes:
        lo_w: (3,) float64, lowest corner of voxel (0, 0, 0); its centre is at ``lo_w + 0.5 * voxel``.
        voxel: edge length of a voxel, world units.
        dims: voxels along x, y, z.
        index: (V, 3) int32, which voxels are active.
        rgba: (V, 4) uint8; alpha = 1 - exp(-sigma * voxel), the opacity of one voxel crossed straight.
        version: grows with each update; arrays over voxels (features, heat) name the version they belong to.
    """

    lo_w: NDArray[np.float64]
    voxel: float
    dims: tuple[int, int, int]
    index: Int32
    rgba: UInt8
    version: int

    def centres_w(self) -> Float32:
        """(V, 3) float32 centres of the active voxels."""
        return (self.lo_w + (self.index + 0.5) * self.voxel).astype(np.float32)
