"""Objects to classes: the 3D encoder's voxels pooled over each object, and a linear head on that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from engine.api.jobs import Job, Progress
from engine.encoders.volume import VolumeEncoder
from engine.runtime import without_gradient
from engine.tasks.finetune import Learner
from engine.tasks.looks import DIM as LOOKS_DIM
from engine.tasks.probe import fit_logistic
from engine.tasks.shapes import Shape, ShapeVoxels, voxels_of
from engine.tasks.taps import tapped, tapped_dim

BATCH_VOXELS = 12_000
"""About as many voxels at once as a room of the training has."""
SPREAD = 1e-3
"""A feature that spreads less over the training objects is left as it is rather than blown up."""


class Standardised(nn.Module):
    """A linear head on features of no particular scale: W (x - mean) / spread + b.

    Args:
        dim: F.
        classes: K.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))
        self.head = nn.Linear(dim, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) to (N, K)."""
        return self.head((x - self.mean) / self.spread)

    def probe(self, features: Tensor, label: np.ndarray, weight: np.ndarray) -> None:
        """Fit it to the training's features (N, F), labels (N,) and weights (K,): see ``fit_logistic``."""
        self.mean.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        self.spread.copy_(torch.where(spread < SPREAD, torch.ones_like(spread), spread))
        x = ((features - self.mean) / self.spread).cpu().numpy()
        weight, bias = fit_logistic(x, label, self.head.out_features, weight)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight))
            self.head.bias.copy_(torch.from_numpy(bias))


class ShapeClassifier(Learner):
    """Logits of objects, of what ``pooled`` gives.

    Args:
        encoder: the 3D encoder.
        classes: K.
        looks: whether it is told what objects look like, too.
    """

    def __init__(self, encoder: VolumeEncoder, classes: int, looks: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.looks = looks
        self.top = Standardised(2 * tapped_dim(encoder.config) + looks * LOOKS_DIM, classes)

    def hidden(self) -> list[nn.Parameter]:
        """What learns by Muon."""
        return self.encoder.hidden()

    def see(self, shape: Shape, rng: np.random.Generator | None = None) -> ShapeVoxels:
        """What it sees of an object; with ``rng``, augmented."""
        return voxels_of(shape, rng)

    def logits(self, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
        """(B, K), yielding between the encoder's blocks."""
        return self.top(self.beside((yield from pooled(self.encoder, batch)), batch))

    def beside(self, p: Tensor, shapes: Sequence[ShapeVoxels]) -> Tensor:
        """(B, F) what the head is given: what the encoder says of these objects (B, E), and what they look like."""
        return torch.cat([p, seen_of(shapes).to(p.device)], dim=1) if self.looks else p


def seen_of(batch: Sequence[ShapeVoxels]) -> Tensor:
    """(B, L) what these objects look like.

    Raises:
        ValueError: nobody has looked at one.
    """
    looks = [s.looks for s in batch if s.looks is not None]
    if len(looks) < len(batch):
        raise ValueError("an object that nobody has looked at")
    return torch.stack(looks)


def pooled(encoder: VolumeEncoder, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
    """(B, F) means and maxima over each object's own voxels of what ``engine.tasks.taps`` finds there.

    A coarse voxel is the object's when any of the fine ones in it is.
    """
    taps = yield from tapped(encoder, batch)
    pyramid = taps.pyramid
    own = [torch.cat([torch.arange(len(s.index)) < s.own for s in batch]).to(encoder.seen.device)]
    for level in range(encoder.levels - 1):
        above = own[-1].new_zeros(len(pyramid.levels[level + 1]))
        above[pyramid.tree(level).slot[own[-1]] // 8] = True
        own.append(above)
    of = [v.coords[:, 0][o] for v, o in zip(pyramid.levels, own, strict=True)]
    return torch.cat([_pool(x[own[level]], of[level], len(batch)) for x, level in taps.levels], dim=1)


def features(encoder: VolumeEncoder, shapes: Sequence[ShapeVoxels]) -> Job[Tensor]:
    """(N, E) ``pooled`` of many objects, without gradients."""
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


def _pool(x: Tensor, of: Tensor, count: int) -> Tensor:
    """(B, 2 C) mean and maximum of the rows (N, C) of each object."""
    size = torch.bincount(of, minlength=count)[:, None]
    mean = x.new_zeros(count, x.shape[1]).index_add(0, of, x) / size
    most = x.new_full((count, x.shape[1]), -torch.inf).scatter_reduce(0, of[:, None].expand_as(x), x, "amax")
    return torch.cat([mean, most], dim=1)
