"""Where a grid of cubic voxels lies in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera

Float32 = NDArray[np.float32]

MAX_CELLS = 1 << 26
"""More dense cells than this (256 MB of look-up table) are refused."""


@dataclass(frozen=True, eq=False)
class GridSpec:
    """An axis-aligned box of cubic voxels.

    Voxel (i, j, k) spans ``lo_w + voxel * [i, i + 1) x [j, j + 1) x [k, k + 1)``; its value sits at its centre.
    *Grid coordinates* ``pos_g = (pos_w - lo_w) / voxel`` count voxels, so a centre is at (i + 0.5, j + 0.5, k + 0.5).

    Attributes:
        lo_w: (3,) float64, lowest corner, world units.
        voxel: edge of a voxel, world units.
        dims: voxels along x, y, z, at least 2 each.
    """

    lo_w: NDArray[np.float64]
    voxel: float
    dims: tuple[int, int, int]

    def __post_init__(self) -> None:
        lo = np.array(self.lo_w, dtype=np.float64)
        if lo.shape != (3,) or not np.isfinite(lo).all():
            raise ValueError(f"lo_w must be 3 finite numbers, got {lo}")
        if not (np.isfinite(self.voxel) and self.voxel > 0):
            raise ValueError(f"voxel must be positive, got {self.voxel}")
        dims = tuple(int(n) for n in self.dims)
        if len(dims) != 3 or min(dims) < 2 or max(dims) > 0xFFFF or np.prod(dims, dtype=np.float64) > MAX_CELLS:
            raise ValueError(f"dims must be 3 numbers >= 2 with at most {MAX_CELLS} cells, got {self.dims}")
        lo.setflags(write=False)
        object.__setattr__(self, "lo_w", lo)
        object.__setattr__(self, "voxel", float(self.voxel))
        object.__setattr__(self, "dims", dims)

    @staticmethod
    def over(bounds_w: ArrayLike, cells: float) -> GridSpec:
        """The grid of about ``cells`` voxels (never more) that covers a (2, 3) box, centred on it.

        Raises:
            ValueError: the box is empty or not finite.
        """
        lo, hi = np.asarray(bounds_w, dtype=np.float64)
        if not (np.isfinite(hi - lo).all() and (hi >= lo).all() and (hi > lo).any()):
            raise ValueError(f"the box from {lo} to {hi} is empty or not finite")
        size = np.maximum(hi - lo, 1e-3 * np.max(hi - lo))
        voxel = float((np.prod(size) / cells) ** (1 / 3))
        while True:
            dims = np.maximum(np.ceil(size / voxel), 4)
            if np.prod(dims) <= max(cells, 64):
                break
            voxel *= 1.01
        lo_w = (lo + hi - dims * voxel) / 2
        return GridSpec(lo_w, voxel, (int(dims[0]), int(dims[1]), int(dims[2])))

    @property
    def cells(self) -> int:
        """How many voxels the dense box holds."""
        return self.dims[0] * self.dims[1] * self.dims[2]

    @property
    def bounds_w(self) -> NDArray[np.float64]:
        """(2, 3) lowest and highest corner."""
        return np.stack([self.lo_w, self.lo_w + np.array(self.dims) * self.voxel])

    @property
    def sampled_box(self) -> NDArray[np.float64]:
        """(2, 3) grid coordinates between the first and the last voxel centre: where rays take samples."""
        return np.stack([np.full(3, 0.5), np.array(self.dims) - 0.501])

    def to_grid(self, pos_w: ArrayLike) -> Float32:
        """(N, 3) world points to (N, 3) float32 grid coordinates."""
        return ((np.asarray(pos_w, np.float64) - self.lo_w) / self.voxel).astype(np.float32)

    def to_world(self, pos_g: ArrayLike) -> NDArray[np.float64]:
        """(N, 3) grid coordinates to (N, 3) world points."""
        return np.asarray(pos_g, np.float64) * self.voxel + self.lo_w

    def rays_from(self, camera: Camera) -> Float32:
        """(12,) float32: a camera as the kernels take it.

        The first nine numbers are M = R K^-1 / voxel row by row, so that ``M (u, v, 1)`` is the direction, in grid
        coordinates per world unit of camera depth, of the ray through pixel (u, v); the last three are the origin.
        """
        m = camera.c2w[:3, :3] @ np.linalg.inv(camera.intrinsics) / self.voxel
        origin = (camera.centre_w - self.lo_w) / self.voxel
        return np.concatenate([m.ravel(), origin]).astype(np.float32)

    def projection(self, camera: Camera) -> Float32:
        """(3, 4) float32 from homogeneous grid coordinates to (u z, v z, z): pixels and depth in world units."""
        to_world = np.eye(4)
        to_world[:3] *= self.voxel
        to_world[:3, 3] = self.lo_w
        return (camera.intrinsics @ (np.linalg.inv(camera.c2w) @ to_world)[:3]).astype(np.float32)
