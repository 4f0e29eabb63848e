"""One pass of the 3D encoder over a grid: over its own voxels or, of a fine grid, over blocks of them.

The network was trained on grids of up to ``MOST`` voxels, so it sees the same share of a room around each whether the
grid is coarse or fine, and its cost is bounded. What it adds to a block is added to each of the block's voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.api.jobs import Job, Progress, row_slices
from engine.encoders.volume.unet import VolumeChange, VolumeEncoder, VolumeFeatures
from engine.grid.coarse import Coarse
from engine.runtime import without_gradient
from engine.sparse import Pyramid, Voxels

if TYPE_CHECKING:
    from engine.encoders.names import NameNetwork
    from engine.grid.radiance import RadianceGrid

MOST = 16_000
"""Grids of more voxels are worked on in blocks of 2^3, 4^3, …"""


def surface_of(grid: RadianceGrid, device: torch.device) -> Tensor:
    """(V, 4) colour and opacity of a grid's voxels."""
    alpha = -np.expm1(-grid.tau)[:, None]
    return torch.tensor(np.concatenate([grid.rgb, alpha], axis=1), dtype=torch.float32, device=device)


class WorkingVoxels:
    """The blocks of a grid, made once for all passes over it.

    Args:
        coarse: the grid of V voxels in W blocks.
        levels: of the network's pyramid.
        device: where the blocks lie.
    """

    def __init__(self, coarse: Coarse, levels: int, device: torch.device) -> None:
        self._surface = surface_of(coarse.grid, device)
        self._pyramid = Pyramid(Voxels.of([torch.tensor(coarse.grid.index, device=device)]), levels)
        self._parent = torch.tensor(coarse.parent, device=device)

    def pool(self, of: Callable[[slice], Tensor], dim: int) -> Job[Tensor]:
        """Unit features of the voxels to (W, D) of the blocks; zero where a block has none.

        Args:
            of: the features (N, D) of some rows of the voxels, zero where there are none.
            dim: D.
        """
        total = torch.zeros(len(self._surface), dim, device=self._surface.device)
        for part in row_slices(len(self._parent)):
            total.index_add_(0, self._parent[part], of(part).to(total.device))
            yield Progress(part.stop, len(self._parent), "voxels")
        return F.normalize(total, dim=1)

    def block_change(self, network: VolumeEncoder, image: Tensor) -> Job[VolumeChange]:
        """What the encoder adds to the blocks, given their lifted features (W, D): (W, D), and score logits (W,)."""
        # not inference mode: the pyramid's maps are made on first use, and training may use them too
        return without_gradient(network.slices(self._surface, image, self._pyramid))

    def logits(self, network: NameNetwork, image: Tensor) -> Job[Tensor]:
        """(W, K) what a naming network says of the blocks, given their lifted features (W, D)."""
        return network.slices(self._surface, image, self._pyramid)

    def encode(self, network: VolumeEncoder, image: Tensor) -> Job[VolumeFeatures]:
        """The voxels' own features (V, D) and score logits (V,).

        Args:
            network: the 3D encoder.
            image: (V, D) lifted features of unit length; rows of zeros where there are none.
        """
        blocks = yield from self.pool(lambda part: image[part], image.shape[1])
        found = yield from self.block_change(network, blocks)
        with torch.no_grad():
            return VolumeChange(found.change[self._parent], found.score_logits[self._parent]).onto(image)
