"""The active voxels of a batch of grids, and where each is found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

TABLE_CELLS = 1 << 25
"""Up to so many cells a dense table finds voxels; beyond, a binary search over sorted keys."""

FARTHEST = 1 << 20


@dataclass(frozen=True, eq=False)
class Voxels:
    """Active voxels at one level.

    Attributes:
        coords: (N, 4) int64: number of the grid in the batch, then x, y, z in voxels of this level.
        batch: how many grids there are.
    """

    coords: Tensor
    batch: int

    @classmethod
    def of(cls, index: Sequence[Tensor]) -> Voxels:
        """Of one (N_b, 3) integer index a grid.

        Raises:
            ValueError: no grid, an index of another shape, coordinates beyond 2^20, or a voxel that is there twice.
        """
        if not index or any(i.ndim != 2 or i.shape[1] != 3 or i.is_floating_point() for i in index):
            raise ValueError(f"expected (N, 3) integers for each grid, got {[tuple(i.shape) for i in index]}")
        parts = [torch.cat([torch.full_like(i[:, :1], b), i], dim=1) for b, i in enumerate(index)]
        coords = torch.cat(parts).long()
        if len(coords) and int(coords[:, 1:].abs().max()) > FARTHEST:
            raise ValueError(f"voxel coordinates beyond {FARTHEST}")
        out = cls(coords, len(index))
        if len(torch.unique(out._keys)) != len(coords):
            raise ValueError("a voxel is there twice")
        return out

    def __len__(self) -> int:
        return len(self.coords)

    @property
    def device(self) -> torch.device:
        return self.coords.device

    @cached_property
    def _box(self) -> tuple[Tensor, tuple[int, int, int]]:
        """Lowest coordinates (3,) and size, with a voxel to spare on each side."""
        if len(self.coords) == 0:
            return torch.zeros(3, dtype=torch.long, device=self.device), (1, 1, 1)
        lo = self.coords[:, 1:].amin(dim=0) - 1
        x, y, z = (self.coords[:, 1:].amax(dim=0) - lo + 2).tolist()
        return lo, (x, y, z)

    def _key(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """One number a voxel, and whether it lies in the box at all; for (..., 4) coordinates."""
        lo, (nx, ny, nz) = self._box
        x, y, z = (coords[..., 1:] - lo).unbind(dim=-1)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny) & (z >= 0) & (z < nz)
        return ((coords[..., 0] * nx + x) * ny + y) * nz + z, inside

    @cached_property
    def _keys(self) -> Tensor:
        return self._key(self.coords)[0]

    @cached_property
    def _table(self) -> Tensor | None:
        cells = self.batch * self._box[1][0] * self._box[1][1] * self._box[1][2]
        if cells > TABLE_CELLS:
            return None
        table = torch.full((cells,), len(self), dtype=torch.int32, device=self.device)
        table[self._keys] = torch.arange(len(self), dtype=torch.int32, device=self.device)
        return table

    @cached_property
    def _sorted(self) -> tuple[Tensor, Tensor]:
        return torch.sort(self._keys)

    def rows(self, coords: Tensor) -> Tensor:
        """The row of each of (..., 4) coordinates, int32; N where there is no active voxel."""
        key, inside = self._key(coords)
        missing = torch.full(key.shape, len(self), dtype=torch.int32, device=self.device)
        if len(self) == 0:
            return missing
        table = self._table
        if table is not None:
            return torch.where(inside, table[torch.where(inside, key, 0)], missing)
        keys, order = self._sorted
        at = torch.searchsorted(keys, key).clamp(max=len(self) - 1)
        return torch.where(inside & (keys[at] == key), order[at].int(), missing)
