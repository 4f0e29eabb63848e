"""What the 3D encoder knows of voxels, read off at every level on its way up, bare of photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.api.jobs import Job
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.sparse import Pyramid, Voxels
from engine.tasks.shapes import ShapeVoxels


class Taps(NamedTuple):
    """``levels``: (N_l, C_l) rows that the last block of each level gives and the number of the level, the deepest
    first, and what the encoder says in the end (N, D), of level 0; ``pyramid``: the voxels they are of."""

    levels: list[tuple[Tensor, int]]
    pyramid: Pyramid

    def of_voxels(self) -> Tensor:
        """(N, F): for each of the finest voxels the rows of all voxels that it lies in."""
        rows = torch.arange(len(self.pyramid.levels[0]), device=self.pyramid.levels[0].device)
        of = [rows]
        for level in range(len(self.pyramid.levels) - 1):
            rows = self.pyramid.tree(level).slot[rows] // 8
            of.append(rows)
        return torch.cat([x.index_select(0, of[level]) for x, level in self.levels], dim=1)


def tapped_dim(config: VolumeConfig) -> int:
    """F of ``Taps.of_voxels``."""
    return sum(config.widths) + config.dim


def tapped(encoder: VolumeEncoder, batch: Sequence[ShapeVoxels]) -> Job[Taps]:
    """Encode a batch, yielding between the encoder's blocks."""
    device = encoder.seen.device
    pyramid = Pyramid(Voxels.of([s.index.to(device) for s in batch]), encoder.levels)
    surface = torch.cat([s.surface for s in batch]).to(device)
    seen: list[Tensor] = []

    def tap(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    image = surface.new_zeros(len(surface), encoder.config.dim)
    change = (yield from encoder.slices(surface, image, pyramid, tap)).change
    return Taps([*((seen[place], level) for place, level in _places(encoder.config)), (change, 0)], pyramid)


def _places(config: VolumeConfig) -> list[tuple[int, int]]:
    """Of all that the encoder's ``cut`` sees, what the last block of each level gives, the deepest first: its number,
    and the level."""
    top = len(config.widths) - 1
    at = top + (top + 1) * config.blocks  # after the stem, the ways down, and the blocks
    return [(at + n * (1 + config.blocks), top - n) for n in range(top + 1)]
