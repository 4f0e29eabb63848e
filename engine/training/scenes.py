"""Captures made ready to be trained on: their grid, what the frozen trunk says of their photos, pairs of views.

A scene holds its photos' hypercolumn levels (float16, about 2 MB a photo); the 2D features follow from them by the head
of the moment, and the lifted features from those. As in the measure of consistency each side of a pair is lifted from
its own photos alone: those whose camera is nearer to its view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api.jobs import Job, Progress
from engine.api.scene import Float32
from engine.encoders.hypercolumn import LONG_SIDE, STRIDE, HypercolumnTrunk, Level
from engine.encoders.layout import working_size
from engine.encoders.mobile import HypercolumnHead
from engine.encoders.volume.working import MOST, surface_of
from engine.grid import LiftAccumulator, RadianceGrid
from engine.grid.coarse import coarsened_slices
from engine.keypoints.network import load_keypoints
from engine.march.bags import BagMaker, RayBags
from engine.metrics.consistency import Sides
from engine.metrics.truth import DepthView, depth_views, pixels_of_pairs, view_pairs
from engine.sparse import Pyramid, Voxels
from engine.training.config import TrainConfig

if TYPE_CHECKING:
    from engine.captures import Capture

LEAST_CORRESPONDENCES = 32
SCORE_RAYS = 128
UPRIGHT = 0.9
"""How often a scene is turned and mirrored about its third axis alone; captures stand on it or on another."""


@dataclass(frozen=True, eq=False)
class Side:
    """One view of a pair at R true correspondences.

    Attributes:
        image: (V, D) what its side's photos say of the voxels.
        bags: the rays through the pixels, over the voxels.
        column: (R, C) the frozen trunk's hypercolumn there.
        place: (R, 2) the pixels, in diagonals of the photo.
        score_bags: the rays through S other pixels, half of them near the photo's keypoints.
        score: (S,) the photo's keypoint scores k2 there.
    """

    image: Tensor
    bags: RayBags
    column: Tensor
    place: Tensor
    score_bags: RayBags
    score: Tensor


class TrainScene:
    """One capture, ready to be trained on.

    Args:
        name: of the capture.
        grid: its radiance grid, coarse enough to train on.
        views: those whose depth is known.
        levels: of each view, by place in ``views``.
        scores: (h, w) keypoint scores k2 of each view, by place.
        pairs: places of views to be compared.
        depth: levels of the 3D network.
        device: where its voxels lie.
    """

    def __init__(
        self,
        name: str,
        grid: RadianceGrid,
        views: Sequence[DepthView],
        levels: Sequence[Sequence[Level]],
        scores: Sequence[NDArray[np.float16]],
        pairs: Sequence[tuple[int, int]],
        depth: int,
        device: torch.device,
    ) -> None:
        self.name, self.grid, self.views, self.pairs = name, grid, views, pairs
        self.surface = surface_of(grid, device)
        self._index, self._depth = torch.tensor(grid.index, dtype=torch.long, device=device), depth
        self.pyramid = Pyramid(Voxels.of([self._index]), depth)
        self._levels, self._scores, self._device = levels, scores, device
        self._sides, self._bags = Sides(views), BagMaker(grid, device)
        self._maps: dict[int, Float32] = {}
        self._said: Tensor | None = None

    def map(self, view: int, head: HypercolumnHead, *, keep: bool) -> Float32:
        """(h, w, D) features of a photo; ``keep``: the head rests, so the map may be reused."""
        if keep and view in self._maps:
            return self._maps[view]
        if not keep:
            self._maps.clear()
        levels = [replace(level, features=level.features.float()) for level in self._levels[view]]
        camera = self.views[view].camera
        height, width = working_size(camera.height, camera.width, LONG_SIDE, STRIDE)
        features = head.map(levels, (height // STRIDE, width // STRIDE))
        if keep:
            self._maps[view] = features
        return features

    def lifted(self, speakers: Sequence[int], head: HypercolumnHead, *, keep: bool) -> Job[Tensor]:
        """(V, D) mean of what some photos say of the grid's voxels."""
        lift = LiftAccumulator(self.grid, head.bias.shape[0])
        for speaker in speakers:
            features = self.map(speaker, head, keep=keep)
            yield Progress(0, 0, "views")
            for _ in lift.add_slices(self.views[speaker].camera, features):
                yield Progress(0, 0, "views")
        return torch.from_numpy(lift.result().mean).to(self._device)

    def turned(self, rng: np.random.Generator) -> Pyramid:
        """See ``turned``."""
        return turned(self._index, self._depth, rng)

    def said_by_all(self, head: HypercolumnHead) -> Job[Tensor]:
        """(V, D) mean of what all photos say of the voxels; computed once, so the head must rest."""
        if self._said is None:
            self._said = yield from self.lifted(range(len(self.views)), head, keep=True)
        return self._said

    def speakers(self, view: int, other: int) -> list[int]:
        """Places of the photos that may speak for a view of a pair."""
        return self._sides.of(view, other)

    def sides(
        self,
        pair: tuple[int, int],
        count: int,
        lift_views: int,
        head: HypercolumnHead,
        rng: np.random.Generator,
        *,
        keep: bool,
    ) -> Job[tuple[Side, Side] | None]:
        """Both views of a pair at true correspondences; None when too few of them meet the grid."""
        truth = pixels_of_pairs(self.views, [pair], count, rng)
        pixels = (truth.source_px, truth.target_px)
        bags = [self._bags.through(self.views[v].camera, px) for v, px in zip(pair, pixels, strict=True)]
        yield Progress(0, 0, "views")
        met = (bags[0].opacity > 0.5) & (bags[1].opacity > 0.5)
        if int(met.sum()) < LEAST_CORRESPONDENCES:
            return None
        out: list[Side] = []
        for n, (view, px) in enumerate(zip(pair, pixels, strict=True)):
            camera = self.views[view].camera
            size = np.array([camera.width, camera.height])
            may = self.speakers(view, pair[1 - n])
            chosen = [may[i] for i in rng.permutation(len(may))[:lift_views]]
            image = yield from self.lifted(chosen, head, keep=keep)
            column = self.column(view, torch.from_numpy(px[met.cpu().numpy()] / size))
            place = torch.from_numpy(px[met.cpu().numpy()] / np.hypot(*size)).float().to(self._device)
            score_bags, score = self._score_rays(view, rng)
            out.append(Side(image, bags[n].kept(met), column, place, score_bags, score))
            yield Progress(0, 0, "views")
        return out[0], out[1]

    def _score_rays(self, view: int, rng: np.random.Generator) -> tuple[RayBags, Tensor]:
        """Rays that meet the grid, and the photo's scores where they come from."""
        camera, scores = self.views[view].camera, self._scores[view]
        h, w = scores.shape
        weight = scores.astype(np.float64).ravel() ** 2
        near = rng.choice(h * w, SCORE_RAYS // 2, p=weight / weight.sum()) if weight.sum() > 0 else np.zeros(0, int)
        cells = np.concatenate([near, rng.integers(h * w, size=SCORE_RAYS - len(near))])
        rel = np.stack([(cells % w + 0.5) / w, (cells // w + 0.5) / h], axis=1)
        bags = self._bags.through(camera, rel * [camera.width, camera.height])
        met = bags.opacity > 0.5
        score = torch.from_numpy(scores.ravel()[cells].astype(np.float32)).to(self._device)
        return bags.kept(met), score[met]

    def column(self, view: int, rel: Tensor) -> Tensor:
        """(R, C) hypercolumns at (R, 2) relative positions of a view."""
        with torch.no_grad():
            return torch.cat([level.sample(rel) for level in self._levels[view]], dim=1)


def turned(index: Tensor, depth: int, rng: np.random.Generator) -> Pyramid:
    """Voxels (V, 3) in a random one of the cube's 48 orientations, upright most often, as a pyramid: more rooms for
    free."""
    upright = rng.random() < UPRIGHT
    order = [*rng.permutation(2), 2] if upright else rng.permutation(3)
    mirrored = rng.random(3) < 0.5
    mirrored[2] &= not upright
    index = index[:, [int(axis) for axis in order]]
    for axis in np.flatnonzero(mirrored):
        index[:, axis] = index[:, axis].max() - index[:, axis]
    return Pyramid(Voxels.of([index]), depth)


def prepare(
    capture: Capture, trunk: HypercolumnTrunk, config: TrainConfig, device: torch.device, grid: RadianceGrid | None
) -> Job[TrainScene | None]:
    """Encode and pair the views of a capture; None when its views share too little.

    Args:
        capture: with depth, or with a grid.
        trunk: the frozen 2D trunk.
        config: the settings.
        device: where its voxels are to lie.
        grid: its fitted grid; None: fused from its depth, which is quick and always the same.

    Raises:
        QueryError: the capture has neither depth nor a grid.
        CaptureError: a photo cannot be read.
    """
    rng = np.random.default_rng(config.seed)
    keypoints = load_keypoints(device)
    views, _ = yield from depth_views(capture, LONG_SIDE, grid)
    pairs = yield from view_pairs(views, config.pairs, rng)
    if not pairs:
        return None
    if grid is None:
        from engine.training.rooms.grid import fused_grid

        grid = yield from fused_grid(capture, config.cells)
    grid = (yield from coarsened_slices(grid, MOST)).grid
    yield Progress(0, len(views), "views", f"encoding {capture.name}")
    levels: list[list[Level]] = []
    scores: list[NDArray[np.float16]] = []
    for place, view in enumerate(views):
        yield Progress(place, len(views), "views", f"encoding {capture.name}")
        rgb = capture.read(view.index, max_side=LONG_SIDE).rgb
        found = yield from trunk.levels(rgb)
        levels.append([replace(level, features=level.features.half()) for level in found])
        scores.append(keypoints.scores(rgb).astype(np.float16))
    return TrainScene(capture.name, grid, views, levels, scores, pairs, len(config.volume.widths), device)
