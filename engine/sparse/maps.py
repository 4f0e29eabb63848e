"""Which voxel feeds which: the maps of convolutions, made once a batch and shared by all layers of a level.

Kernels number their offsets with x fastest, as MinkowskiEngine does, so that its weights fit as they are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from engine.sparse.voxels import Voxels


def offsets(size: int, device: torch.device) -> Tensor:
    """(size^3, 3) offsets of a kernel: -1, 0, 1 about the centre for 3; 0, 1 for 2."""
    low = -(size // 2) if size % 2 else 0
    zyx = itertools.product(range(low, low + size), repeat=3)
    return torch.tensor([o[::-1] for o in zyx], dtype=torch.long, device=device)


@dataclass(frozen=True, eq=False)
class ConvMap:
    """Of a convolution from N to M voxels with K offsets.

    Attributes:
        rows: (M, K) int32, the input row under each offset of an output voxel; N where there is none.
        back: (N, K) int32, the output row that an input voxel feeds through each offset; M where there is none.
    """

    rows: Tensor
    back: Tensor


@dataclass(frozen=True, eq=False)
class TreeMap:
    """Of each coarse voxel's up to eight fine ones.

    Attributes:
        child: (M, 8) int32 fine rows, N where there is none.
        slot: (N,) int64, 8 times the row of the parent plus the child's number.
    """

    child: Tensor
    slot: Tensor


def coarsen(fine: Voxels) -> Voxels:
    """The voxels twice as wide that hold any of ``fine``, in the order of their coordinates."""
    coords = fine.coords.clone()
    coords[:, 1:] >>= 1  # floors, below zero too
    return Voxels(torch.unique(coords, dim=0), fine.batch)


def conv_map(source: Voxels, target: Voxels, size: int, stride: int = 1) -> ConvMap:
    """Target voxel o takes the source voxels at ``stride * o`` plus each offset of a ``size``^3 kernel."""
    device = source.device
    off = torch.nn.functional.pad(offsets(size, device), (1, 0))  # (K, 4), the same grid
    scale = torch.tensor([1, stride, stride, stride], device=device)
    rows = source.rows(target.coords[:, None] * scale + off)
    if stride == 1 and source is target:
        return ConvMap(rows, rows.flip(1))  # offset -d sees from the other side
    place = source.coords[:, None] - off
    found = target.rows(torch.div(place, scale, rounding_mode="floor"))
    whole = (place[..., 1:] % stride == 0).all(dim=-1)
    return ConvMap(rows, torch.where(whole, found, torch.full_like(found, len(target))))


def tree_map(fine: Voxels, coarse: Voxels) -> TreeMap:
    """Children and parents."""
    parent = fine.coords.clone()
    parent[:, 1:] >>= 1
    row = coarse.rows(parent).long()
    x, y, z = (fine.coords[:, 1:] & 1).unbind(dim=1)
    slot = row * 8 + x + 2 * y + 4 * z
    child = torch.full((len(coarse) * 8,), len(fine), dtype=torch.int32, device=fine.device)
    child[slot] = torch.arange(len(fine), dtype=torch.int32, device=fine.device)
    return TreeMap(child.view(-1, 8), slot)


class Pyramid:
    """A batch of voxels, ever coarser, with the maps between and within its levels; each is made when first used.

    Args:
        voxels: the finest level.
        levels: how many there are.
    """

    def __init__(self, voxels: Voxels, levels: int) -> None:
        self.levels = [voxels]
        for _ in range(levels - 1):
            self.levels.append(coarsen(self.levels[-1]))
        self._within: dict[int, ConvMap] = {}
        self._strided: dict[tuple[int, int], ConvMap] = {}
        self._trees: dict[int, TreeMap] = {}

    @cached_property
    def batch(self) -> Tensor:
        """(N,) number of the grid that each of the finest voxels belongs to."""
        return self.levels[0].coords[:, 0]

    def within(self, level: int) -> ConvMap:
        """3^3, from a level to itself."""
        if level not in self._within:
            self._within[level] = conv_map(self.levels[level], self.levels[level], 3)
        return self._within[level]

    def strided(self, level: int, size: int) -> ConvMap:
        """``size``^3 with stride 2, from a level to the next coarser one."""
        if (level, size) not in self._strided:
            self._strided[level, size] = conv_map(self.levels[level], self.levels[level + 1], size, 2)
        return self._strided[level, size]

    def tree(self, level: int) -> TreeMap:
        """Between a level and the next coarser one."""
        if level not in self._trees:
            self._trees[level] = tree_map(self.levels[level], self.levels[level + 1])
        return self._trees[level]
