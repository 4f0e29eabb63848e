"""Objects to classes: the 3D encoder's voxels pooled over each object, and a linear head on that."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from engine.api.jobs import Job, Progress
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.runtime import without_gradient
from engine.sparse import Pyramid, Voxels
from engine.tasks.shapes import ShapeVoxels

BATCH_VOXELS = 12_000
"""About as many voxels at once as a room of the training has."""
SPREAD = 1e-3
"""A feature that spreads less over the training objects is left as it is rather than blown up."""


class ShapeClassifier(nn.Module):
    """Logits of objects: W (p - mean) / spread + b, of what ``pooled`` gives.

    Args:
        encoder: the 3D encoder.
        classes: K.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, encoder: VolumeEncoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        dim = pooled_dim(encoder.config)
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))
        self.head = nn.Linear(dim, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def logits(self, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
        """(B, K), yielding between the encoder's blocks."""
        p = yield from pooled(self.encoder, batch)
        return self.head((p - self.mean) / self.spread)

    def standardise(self, features: Tensor) -> None:
        """Take ``mean`` and ``spread`` from the training objects' features (N, F)."""
        self.mean.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        self.spread.copy_(torch.where(spread < SPREAD, torch.ones_like(spread), spread))


def pooled_dim(config: VolumeConfig) -> int:
    """F: mean and maximum of every level."""
    return 2 * sum(config.widths)


def pooled(encoder: VolumeEncoder, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
    """(B, F) means and maxima over each object's voxels of what the last block of every level gives, bare of photos: of
    the deepest level, and of all on the way up. With objects of 16 voxels the way down added nothing.
    """
    device = encoder.seen.device
    pyramid = Pyramid(Voxels.of([s.index.to(device) for s in batch]), encoder.levels)
    surface = torch.cat([s.surface for s in batch]).to(device)
    seen: list[Tensor] = []

    def tap(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    yield from encoder.slices(surface, surface.new_zeros(len(surface), encoder.config.dim), pyramid, tap)
    parts = [
        _pool(seen[place], pyramid.levels[level].coords[:, 0], len(batch)) for place, level in _places(encoder.config)
    ]
    return torch.cat(parts, dim=1)


def features(encoder: VolumeEncoder, shapes: Sequence[ShapeVoxels]) -> Job[Tensor]:
    """(N, F) ``pooled`` of many objects, without gradients."""
    rows: list[Tensor] = []
    done = 0
    for batch in batches(shapes):
        job = without_gradient(pooled(encoder, batch))
        while True:
            try:
                next(job)
            except StopIteration as stop:
                rows.append(stop.value)
                break
            yield Progress(done, len(shapes), "shapes", "encoding")
        done += len(batch)
    return torch.cat(rows)


def batches(shapes: Sequence[ShapeVoxels]) -> list[list[ShapeVoxels]]:
    """Objects in their order, in batches of about ``BATCH_VOXELS``."""
    out: list[list[ShapeVoxels]] = []
    room = 0
    for shape in shapes:
        if not out or len(shape.index) > room:
            out.append([])
            room = BATCH_VOXELS
        out[-1].append(shape)
        room -= len(shape.index)
    return out


def _places(config: VolumeConfig) -> list[tuple[int, int]]:
    """Of all that the encoder's ``cut`` sees, what the last block of each level gives, the deepest first: its number,
    and the level."""
    top = len(config.widths) - 1
    at = top + (top + 1) * config.blocks  # after the stem, the ways down, and the blocks
    return [(at + n * (1 + config.blocks), top - n) for n in range(top + 1)]


def _pool(x: Tensor, of: Tensor, count: int) -> Tensor:
    """(B, 2 C) mean and maximum of the rows (N, C) of each object."""
    size = torch.bincount(of, minlength=count)[:, None]
    mean = x.new_zeros(count, x.shape[1]).index_add(0, of, x) / size
    most = x.new_full((count, x.shape[1]), -torch.inf).scatter_reduce(0, of[:, None].expand_as(x), x, "amax")
    return torch.cat([mean, most], dim=1)
