"""Rays as fixed mixtures of voxels: with the density given, F(r) = sum_j w_j f(x_j) is linear in the voxels' features.

The mixture of each ray is worked out once; after that a batch of rays is one ``embedding_bag``, forward and backward,
on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.api.camera import Camera
from engine.march.reference import DeviceGrid, Rays, sample, weigh

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid

LEAST_SHARE = 1e-4
"""Voxels that give a ray less than this are left out of its mixture."""


@dataclass(frozen=True, eq=False)
class RayBags:
    """The mixtures of R rays over V voxels.

    Attributes:
        row: (K,) int64 voxels, ray after ray.
        share: (K,) float32, w_j times the trilinear share of the voxel.
        start: (R,) int64, where each ray's entries begin.
        opacity: (R,) float32, 1 minus the light that is left behind the last sample.
    """

    row: Tensor
    share: Tensor
    start: Tensor
    opacity: Tensor

    def mix(self, table: Tensor) -> Tensor:
        """(V, C) values of the voxels to (R, C), not divided by the opacity; differentiable in ``table``."""
        return functional.embedding_bag(self.row, table, self.start, per_sample_weights=self.share, mode="sum")

    def kept(self, rays: Tensor) -> RayBags:
        """The rays where (R,) ``rays`` is true."""
        length = torch.diff(self.start, append=self.start.new_tensor([len(self.row)]))
        entries = rays.repeat_interleave(length)
        length = length[rays]
        return RayBags(self.row[entries], self.share[entries], length.cumsum(0) - length, self.opacity[rays])


class BagMaker:
    """Makes the bags of a grid's rays; holds the grid's tables on ``device``."""

    def __init__(self, grid: RadianceGrid, device: torch.device) -> None:
        self._grid, self._device = grid, device
        self._tables = DeviceGrid.of(grid.lut, grid.skip, len(grid.index), device)
        self._raw = torch.tensor(grid.padded_raw[:-1], device=device)

    @torch.no_grad()
    def through(self, camera: Camera, pos_px: NDArray[np.float64]) -> RayBags:
        """The bags of the rays through (R, 2) pixels of a camera, sampled as the previews are."""
        rays = Rays.of(self._grid, camera, pos_px, self._device)
        count = len(pos_px)
        begin = torch.zeros(count, device=self._device)
        samples = sample(self._tables, rays, begin, torch.full_like(begin, 0.5))
        weights, left = weigh(samples, self._raw)
        active = (samples.row < self._tables.voxels).to(samples.weight.dtype) * samples.weight
        share = active / active.sum(dim=1, keepdim=True).clamp(min=1e-6) * weights[:, None]
        keep = share > LEAST_SHARE
        ray = samples.ray[:, None].expand_as(samples.row)[keep]
        start = torch.searchsorted(ray, torch.arange(count, device=self._device))
        return RayBags(samples.row[keep], share[keep], start, 1 - left)
