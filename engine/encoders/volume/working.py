"""One pass of the 3D encoder over a grid: over its own voxels or, of a fine grid, over blocks of them.

The network was trained on grids of up to ``MOST`` voxels, so it sees the same share of a room around each whether the
grid is coarse or fine, and its cost is bounded. What it adds to a block is added to each of the block's voxels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.api.jobs import Job, Progress
from engine.encoders.volume.unet import VolumeChange, VolumeEncoder, VolumeFeatures
from engine.grid.coarse import coarsened
from engine.sparse import Pyramid, Voxels

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid

MOST = 16_000
"""Grids of more voxels are worked on in blocks of 2^3, 4^3, …"""


def surface_of(grid: RadianceGrid, device: torch.device) -> Tensor:
    """(V, 4) colour and opacity of a grid's voxels."""
    alpha = -np.expm1(-grid.tau)[:, None]
    return torch.tensor(np.concatenate([grid.rgb, alpha], axis=1), dtype=torch.float32, device=device)


class WorkingVoxels:
    """The blocks of a grid, made once for all passes over it.

    Attributes:
        blocks: W, how many there are.
        parent: (V,) the block of each voxel.

    Args:
        grid: of V voxels.
        levels: of the network's pyramid.
        device: where the blocks lie.
        most: how many they may be.
    """

    def __init__(self, grid: RadianceGrid, levels: int, device: torch.device, most: int = MOST) -> None:
        coarse = coarsened(grid, most)
        self.surface = surface_of(coarse.grid, device)
        self.pyramid = Pyramid(Voxels.of([torch.tensor(coarse.grid.index, device=device)]), levels)
        self.parent = torch.tensor(coarse.parent, device=device)
        self.blocks = len(coarse.grid.index)

    def pooled(self, values: Tensor) -> Tensor:
        """(V, C) unit features of the voxels to (W, C) of the blocks; zero where a block has none."""
        total = values.new_zeros(self.blocks, values.shape[1]).index_add_(0, self.parent, values)
        return F.normalize(total, dim=1)

    def spread(self, values: Tensor) -> Tensor:
        """(W, …) values of the blocks to their (V, …) voxels."""
        return values[self.parent]

    def change(self, network: VolumeEncoder, image: Tensor) -> Job[VolumeChange]:
        """What the encoder adds to the voxels, given their lifted features (V, D); rows of zeros where there are none.

        Returns:
            change (V, D) and score logits (V,).
        """
        found = yield from self.block_change(network, self.pooled(image))
        return VolumeChange(self.spread(found.change), self.spread(found.score_logits))

    def block_change(self, network: VolumeEncoder, image: Tensor) -> Job[VolumeChange]:
        """The same of the blocks alone: ``image`` (W, D), change (W, D), score logits (W,)."""
        # not inference mode: the pyramid's maps are made on first use, and training may use them too
        with torch.no_grad():
            slices = network.slices(self.surface, image, self.pyramid)
        while True:
            try:
                with torch.no_grad():
                    next(slices)
            except StopIteration as stop:
                return stop.value
            yield Progress(0, 0, "layers")

    def encode(self, network: VolumeEncoder, image: Tensor) -> Job[VolumeFeatures]:
        """The voxels' own features (V, D) and score logits (V,); see ``change``."""
        found = yield from self.change(network, image)
        with torch.no_grad():
            return found.onto(image)
