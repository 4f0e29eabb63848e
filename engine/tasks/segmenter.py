"""Voxels to classes: the 3D encoder's features at every level, and a linear head on them; and scans as it sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.api.jobs import Job
from engine.encoders.volume import VolumeEncoder
from engine.tasks.classifier import Standardised
from engine.tasks.finetune import Learner
from engine.tasks.scans import NONE, Scan
from engine.tasks.shapes import LIGHT, ShapeVoxels
from engine.tasks.taps import tapped, tapped_dim

SHIFTED = 16
"""Voxels by up to so many of which a scan is moved in training: coarse voxels hold other fine ones each time."""


class VoxelSegmenter(Learner):
    """Logits of voxels: W (x - mean) / spread + b, of what ``engine.tasks.taps`` finds there.

    Args:
        encoder: the 3D encoder.
        classes: K.
    """

    def __init__(self, encoder: VolumeEncoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.top = Standardised(tapped_dim(encoder.config), classes)

    def hidden(self) -> list[nn.Parameter]:
        """What learns by Muon."""
        return self.encoder.hidden()

    def features(self, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
        """(N, F) before the head."""
        taps = yield from tapped(self.encoder, batch)
        return taps.of_voxels()

    def logits(self, batch: Sequence[ShapeVoxels]) -> Job[Tensor]:
        """(N, K), yielding between the encoder's blocks."""
        x = yield from self.features(batch)
        return self.top(x)


@dataclass(frozen=True, eq=False)
class SeenScan:
    """A scan's V voxels.

    Attributes:
        index: (V, 3) int64 from 0.
        surface: (V, 4) float32 mean colour, and opacity one.
        row: (P,) the voxel of each point.
    """

    index: NDArray[np.int64]
    surface: NDArray[np.float32]
    row: NDArray[np.int64]

    @classmethod
    def of(cls, scan: Scan) -> SeenScan:
        """The voxels that hold any of its points; of points that are voxels' centres, these voxels."""
        index = np.rint((scan.pos - scan.pos.min(axis=0)) / scan.voxel).astype(np.int64)
        size = index.max(axis=0) + 1
        key, row, count = np.unique(
            np.ravel_multi_index(tuple(index.T), tuple(size)), return_inverse=True, return_counts=True
        )
        surface = np.ones((len(key), 4), np.float32)
        for c in range(3):
            surface[:, c] = np.bincount(row, scan.rgb[:, c], len(key)) / count / 255
        return cls(np.stack(np.unravel_index(key, tuple(size)), axis=1), surface, row)

    def turned(self, rng: np.random.Generator | None = None, turn: int = 0) -> ShapeVoxels:
        """As the encoder sees it: by ``turn`` quarters about the vertical or, with ``rng``, turned, mirrored, moved and
        lit at random."""
        index, surface = self.index, self.surface
        mirrored = np.array([turn in (1, 2), turn in (2, 3), False])
        swapped = turn % 2 == 1
        shift = np.zeros(3, np.int64)
        if rng is not None:
            mirrored[:2], swapped = rng.random(2) < 0.5, rng.random() < 0.5
            shift = rng.integers(SHIFTED, size=3)
            gain = 1 + rng.uniform(-LIGHT, LIGHT) + rng.uniform(-LIGHT / 2, LIGHT / 2, 3)
            surface = np.concatenate([surface[:, :3] * gain.astype(np.float32), surface[:, 3:]], axis=1).clip(0, 1)
        if swapped:
            index = index[:, [1, 0, 2]]
        index = np.where(mirrored, index.max(axis=0) - index, index) + shift
        return ShapeVoxels(torch.from_numpy(index), torch.from_numpy(surface), len(index))

    def labels(self, label: NDArray[np.int16], classes: int) -> NDArray[np.int64]:
        """(V,) the class that most of a voxel's points have, ``NONE`` where none has any; of (P,) points' labels."""
        known = label != NONE
        votes = np.bincount(self.row[known] * classes + label[known], minlength=len(self.index) * classes)
        votes = votes.reshape(-1, classes)
        return np.where(votes.any(axis=1), votes.argmax(axis=1), NONE)
