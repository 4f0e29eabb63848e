"""PointNet (Qi et al., 2017) from scratch, as a rival that any newcomer can train.

Shared perceptrons of 64, 64, 128 and 512 channels with batch normalisation, and the maximum over the points of an
object, or of a column of a scene, as there. Without the networks that turn the input and the features, which bring its
authors about one point, and with half the channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from engine.api.jobs import Job, Progress
from engine.encoders.volume.minkunet import BatchNorm
from engine.tasks.finetune import Learner
from engine.tasks.scans import Grain
from engine.tasks.shapes import Shape, ShapeVoxels, points_of

LOCAL, WHOLE = 64, 512
POINTS = 1024
"""Seen of an object."""
COLUMN = 14
"""Edge in voxels of the columns that a scene is cut into: about the authors' metre."""
DROPPED = 0.3


class ShapePoints(NamedTuple):
    """What PointNet sees of an object: (P, 6) position in [-1, 1] and colour in [-1, 1]."""

    rows: Tensor


def _layers(*widths: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        parts += [nn.Linear(a, b, bias=False), BatchNorm(b), nn.ReLU()]
    return nn.Sequential(*parts)


class PointNet(nn.Module):
    """Points (N, C) to ``LOCAL`` features each, and ``WHOLE`` of each group."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = _layers(channels, 64, LOCAL)
        self.far = _layers(LOCAL, 128, WHOLE)

    def forward(self, x: Tensor, group: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """(N, 64), and (G, 512): the maxima over each of the groups, of which every one has points."""
        near = self.near(x)
        far = self.far(near)
        most = far.new_zeros(groups, WHOLE)  # nothing is below zero
        return near, most.scatter_reduce(0, group[:, None].expand_as(far), far, "amax")


class PointNetClassifier(Learner):
    """Logits of objects."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.points = PointNet(6)
        self.head = nn.Sequential(_layers(WHOLE, 256), nn.Dropout(DROPPED), nn.Linear(256, classes))

    def see(self, shape: Shape, rng: np.random.Generator | None = None) -> ShapePoints:
        """What it sees of an object; with ``rng``, augmented."""
        pos, rgb = points_of(shape, rng)
        chosen = torch.randperm(len(pos), generator=torch.Generator().manual_seed(0))[:POINTS]
        rows = torch.cat([2 * torch.from_numpy(pos).float(), 2 * torch.from_numpy(rgb).float() - 1], dim=1)
        return ShapePoints(rows[chosen])

    def logits(self, batch: Sequence[ShapePoints]) -> Job[Tensor]:
        """(B, K)."""
        device = next(self.parameters()).device
        rows = torch.cat([s.rows for s in batch]).to(device)
        group = torch.repeat_interleave(torch.tensor([len(s.rows) for s in batch])).to(device)
        yield Progress(0, 0, "layers")
        return self.head(self.points(rows, group, len(batch))[1])


class PointNetSegmenter(Learner):
    """Logits of voxels, taken as points: of an object all together, of a scene in columns.

    As its authors have it, a point has nine numbers: its place in the column, its colour, and its place in the scene.
    """

    def __init__(self, classes: int, grain: Grain) -> None:
        super().__init__()
        self.grain = grain
        self.points = PointNet(9)
        self.head = nn.Sequential(_layers(LOCAL + WHOLE, 256, 128), nn.Dropout(DROPPED), nn.Linear(128, classes))

    def logits(self, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
        """(N, K)."""
        device = next(self.parameters()).device
        rows: list[Tensor] = []
        of: list[Tensor] = []
        for n, scan in enumerate(batch):
            index = scan.index.to(device)
            pos = index.float()
            size = pos.amax(dim=0).clamp(min=1)
            column = index[:, :2] // COLUMN if self.grain == "scene" else torch.zeros_like(index[:, :2])
            edge = float(COLUMN) if self.grain == "scene" else float(size.max())
            middle = torch.cat([(column + 0.5) * edge, torch.zeros_like(column[:, :1])], dim=1)
            rows.append(torch.cat([(pos - middle) / edge, 2 * scan.surface[:, :3].to(device) - 1, pos / size], dim=1))
            of.append(torch.cat([torch.full_like(column[:, :1], n), column], dim=1))
            yield Progress(n, len(batch), "scans")
        groups, group = torch.unique(torch.cat(of), dim=0, return_inverse=True)
        near, whole = self.points(torch.cat(rows), group, len(groups))
        yield Progress(0, 0, "layers")
        return self.head(torch.cat([near, whole.index_select(0, group)], dim=1))
