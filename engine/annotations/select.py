"""Smart select: from clicks to the thing that is meant, in 3D.

A scene is made into a tree of regions once. The first click chooses, of all regions that hold its voxel, the one that a
network finds most like a whole thing; a further click adds or takes away a region around its own voxel, the one with
which the selection is then most like a whole thing. What else the last click could have meant, smaller and larger,
stays in the scores: the wheel moves the threshold through it without a new computation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.annotations.nets import SelectNets, load_nets, nets_path
from engine.annotations.region_sums import (
    MERGE_FEATURES,
    PAIR_FEATURES,
    SET_FEATURES,
    described,
    set_features,
)
from engine.annotations.regions import RegionTree, Voxels, region_tree
from engine.annotations.surface import normals, seen_from
from engine.annotations.tools import connected
from engine.api.annotations import Selected
from engine.api.camera import Camera
from engine.api.errors import AnnotationError
from engine.api.jobs import Job, Progress, row_slices
from engine.api.scene import Float32
from engine.grid.coarse import coarsened_slices
from engine.grid.radiance import RadianceGrid

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Ints = NDArray[np.int64]

MOST = 90_000
"""Scenes of more voxels are made into regions in blocks of 2^3, 4^3, …"""
WHOLE_FEATURES = 35
REFINE_FEATURES = SET_FEATURES + 2 * WHOLE_FEATURES + 5
INPUTS = (PAIR_FEATURES, MERGE_FEATURES, WHOLE_FEATURES, REFINE_FEATURES)
"""Of the four networks."""
THRESHOLD = 0.5
MOST_CLICKS = 64
MOST_LEVELS = 24
"""Of the regions above a click so many are tried for a further one, evenly by the logarithm of their size: a lopsided
tree has hundreds, and pairs of them would take seconds."""


@dataclass(frozen=True)
class Click:
    """A voxel that belongs to what is meant, or (``positive`` False) does not."""

    row: int
    positive: bool = True


@dataclass(frozen=True, eq=False)
class SelectScene:
    """A scene that can be selected in.

    Attributes:
        grid: of V voxels.
        block: (V,) the voxel's block in the tree; the voxel itself where the scene is small.
        tree: of its regions.
        nets: that chose.
    """

    grid: RadianceGrid
    block: Ints
    tree: RegionTree
    nets: SelectNets


def load_select_nets() -> SelectNets:
    """The networks that come along.

    Raises:
        WeightsError: they are missing or damaged.
    """
    return load_nets(nets_path(), INPUTS)


def select_scene(
    grid: RadianceGrid,
    image: Float32,
    spread: Float32,
    weight: Float32,
    cameras: Sequence[Camera],
    up_w: NDArray[np.float64],
    nets: SelectNets,
) -> Job[SelectScene]:
    """Make a scene ready: once for a grid and its features.

    Args:
        grid: of V voxels.
        image: (V, D) features lifted onto it, see ``engine.lifted``.
        spread: (V,) how much views disagree.
        weight: (V,) how much views see.
        cameras: of the photos.
        up_w: (3,) the upward direction.
        nets: ``load_select_nets``.
    """
    voxels, block = yield from select_voxels(grid, image, spread, weight, cameras, up_w)
    return SelectScene(grid, block, (yield from region_tree(voxels, nets)), nets)


def select_voxels(
    grid: RadianceGrid,
    image: Float32,
    spread: Float32,
    weight: Float32,
    cameras: Sequence[Camera],
    up_w: NDArray[np.float64],
) -> Job[tuple[Voxels, Ints]]:
    """What the tree is made of, in blocks where the scene is large, and the block (V,) of each voxel."""
    coarse = yield from coarsened_slices(grid, MOST)
    if coarse.grid is not grid:
        blocks = len(coarse.grid.index)
        total = np.zeros((blocks, image.shape[1]), np.float32)
        for part in row_slices(len(image)):
            np.add.at(total, coarse.parent[part], image[part] * weight[part, None])
            yield Progress(part.start, len(image), "voxels", "blocks")
        image = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
        most = np.bincount(coarse.parent, weight, blocks)
        spread = (np.bincount(coarse.parent, spread * weight, blocks) / np.maximum(most, 1e-9)).astype(np.float32)
        weight = most.astype(np.float32)
    towards = yield from seen_from(coarse.grid, cameras)
    facing = yield from normals(coarse.grid, towards)
    return Voxels(coarse.grid, image, spread, weight, facing, np.asarray(up_w, np.float64)), coarse.parent


def smart_select(scene: SelectScene, clicks: Sequence[Click], threshold: float = THRESHOLD) -> Selected:
    """What some clicks mean, in the order in which they came: all at one thing. A second thing is selected anew, and
    added to the first by whoever holds the selection.

    Raises:
        AnnotationError: no click, the first one is negative, or one is on no voxel of the scene.
    """
    if not 0 < len(clicks) <= MOST_CLICKS or not clicks[0].positive:
        raise AnnotationError(
            "nothing to select by",
            found=f"{len(clicks)} clicks",
            expected="a positive click first, then up to 63 others",
        )
    for click in clicks:
        if not 0 <= click.row < len(scene.block):
            raise AnnotationError("this is no voxel of the scene", found=str(click.row))
    at_block = [Click(int(scene.block[c.row]), c.positive) for c in clicks]
    score = block_scores(scene.tree, scene.nets, at_block)[scene.block]
    return Selected(score, THRESHOLD, selected_rows(scene.grid, score, clicks, threshold))


def selected_rows(grid: RadianceGrid, score: Float32, clicks: Sequence[Click], threshold: float) -> Ints:
    """The voxels from a threshold on that hang together with a positive click: all that a moved threshold costs."""
    return connected(grid, score >= threshold, [c.row for c in clicks if c.positive])


def block_scores(tree: RegionTree, nets: SelectNets, clicks: Sequence[Click]) -> Float32:
    """(W,) in [0, 1], from ``THRESHOLD`` on selected."""
    chosen, score = first_choice(tree, nets, clicks[0])
    for n in range(1, len(clicks)):
        made = further_choices(tree, clicks[: n + 1], chosen)
        best = int(nets.refine(made.features).argmax())
        score = made.scores(best)
        chosen = made.holds[best]
    return split_regions(tree, score[tree.region], clicks)


def first_choice(tree: RegionTree, nets: SelectNets, click: Click) -> tuple[Bool, Float32]:
    """Which small regions (R,) the first click means, and their scores (R,)."""
    nodes = tree.above(int(tree.region[click.row]))
    best = int(nets.whole(whole_features(tree, nodes, click.row)).argmax())
    holds = tree.holds(nodes)
    return holds[best], levels(holds, best)


def levels(holds: Bool, best: int) -> Float32:
    """Scores (R,) of nested regions (L, R): each step outwards is a step of the threshold, which lies between the
    ``best`` (1 is the innermost, those in none have 0)."""
    count = len(holds)
    steps = np.concatenate([np.linspace(1, 0.55, best + 1), np.linspace(0.45, 0.05, count - best - 1)])
    first = np.where(holds.any(axis=0), holds.argmax(axis=0), count)
    return np.append(steps, 0).astype(np.float32)[first]


def whole_features(tree: RegionTree, nodes: Ints, row: int) -> Float32:
    """What the network ``whole`` sees of the nodes (L,) above a clicked voxel, the smallest first."""
    usual = tree.voxels.usual
    sums, up = tree.sums[nodes], tree.parent[nodes]
    d = described(sums, usual)
    seen = set_features(sums, tree.outer[nodes], tree.inner[nodes], usual)
    own = tree.own[nodes]
    size = sums[:, 0]
    above = np.where(up >= 0, tree.sums[up][:, 0], size)
    away = tree.voxels.pos[row] - d.centre
    length = np.linalg.norm(away, axis=1)
    return np.concatenate(
        [
            seen,
            np.stack(
                [
                    own, np.minimum.accumulate(own), np.where(up >= 0, tree.own[up], 0), np.log(above / size),
                    length / d.extent[:, 2], length, np.abs(away[:, 2]) / d.extent[:, 2],
                    np.linalg.norm(d.rgb - tree.voxels.grid.rgb[row], axis=1), d.image @ tree.voxels.image[row],
                    np.minimum(np.arange(len(nodes)), 10), np.log(np.append(size[1:], size[-1]) / size),
                    np.append(own[1:], 0) - own, np.log(size / size[0]),
                ],
                axis=1,
            ),
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Choices:
    """C selections that a further click could make.

    Attributes:
        holds: (C, R) small regions.
        features: (C, REFINE_FEATURES).
        before: (B, R) what they begin with, and which of them each begins with: ``base`` (C,).
        reach: (L, R) the regions above the click, and which of them each adds or takes away: ``level`` (C,).
        positive: of the click.
    """

    holds: Bool
    features: Float32
    before: Bool
    base: Ints
    reach: Bool
    level: Ints
    positive: bool

    def scores(self, best: int) -> Float32:
        """(R,) of the choice ``best``: what its click reaches, further and less far, is graded."""
        before = self.before[self.base[best]]
        graded = levels(self.reach, int(self.level[best]))
        if self.positive:
            return np.where(before, np.float32(1), graded)
        # the further the click reaches, the less is left
        return np.where(before, 1 - graded, np.float32(0)).astype(np.float32)


def further_choices(tree: RegionTree, clicks: Sequence[Click], chosen: Bool) -> Choices:
    """What the last click could mean: each region above it, added to or taken from what is chosen (R,), or from each
    region above the first click; all that hold every positive click and no negative one.

    Where the last click's small region holds a click of the other sign, what is chosen stays, and the region is divided
    by ``split_regions``.
    """
    last = clicks[-1]
    at = np.array([tree.region[c.row] for c in clicks])
    positive = np.array([c.positive for c in clicks])
    nodes, above_last = _tried(tree, int(at[-1]), last.row)
    first, above_first = _tried(tree, int(at[0]), clicks[0].row)
    reach, before = tree.holds(nodes), np.concatenate([chosen[None], tree.holds(first)])
    made = before[:, None] | reach[None] if last.positive else before[:, None] & ~reach[None]
    holds = made.reshape(-1, tree.small)
    base, level = np.divmod(np.arange(len(holds)), len(nodes))
    wrong = np.setdiff1d(at[~positive], at[positive])
    fits = holds[:, at[positive]].all(axis=1) & ~holds[:, wrong].any(axis=1)
    if not fits.any():
        reach = np.zeros((1, tree.small), np.bool_)
        holds, base, level, fits = chosen[None], np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1, np.bool_)
    keep = np.flatnonzero(fits)
    _, once = np.unique(np.packbits(holds[keep], axis=1), axis=0, return_index=True)
    keep = keep[np.sort(once)]
    holds, base, level = holds[keep], base[keep], level[keep]
    above_first = np.concatenate([np.zeros((1, above_first.shape[1]), np.float32), above_first])
    size = tree.sums[: tree.small, 0]
    alike = (holds & chosen) @ size / np.maximum((holds | chosen) @ size, 1)
    rest = np.stack(
        [
            base == 0, np.full(len(holds), last.positive), alike,
            np.log(holds @ size / max(1.0, float(chosen @ size)) + 1e-6), np.full(len(holds), min(len(clicks), 5)),
        ],
        axis=1,
    )  # fmt: skip
    features = np.concatenate([_seen_sets(tree, holds), above_first[base], above_last[level], rest], axis=1)
    return Choices(holds, features.astype(np.float32), before, base, reach, level, last.positive)


def _tried(tree: RegionTree, region: int, row: int) -> tuple[Ints, Float32]:
    """The regions above a small one that a further click tries, and what ``whole`` sees of them."""
    nodes = tree.above(region)
    features = whole_features(tree, nodes, row)
    if len(nodes) > MOST_LEVELS:
        size = np.log(tree.sums[nodes, 0])
        steps = np.linspace(size[0], size[-1], MOST_LEVELS)
        some = np.unique([int(np.abs(size - step).argmin()) for step in steps])
        nodes, features = nodes[some], features[some]
    return nodes, features


def _seen_sets(tree: RegionTree, holds: Bool) -> Float32:
    """(C, SET_FEATURES) of sets (C, R) of small regions."""
    some = holds.astype(np.float32)
    sums = (some @ tree.sums[: tree.small].astype(np.float32)).astype(np.float64)
    a, b = holds[:, tree.pairs[:, 0]], holds[:, tree.pairs[:, 1]]
    border = tree.border.astype(np.float32)
    outer, inner = ((x.astype(np.float32) @ border).astype(np.float64) for x in (a ^ b, a & b))
    return set_features(sums, outer, inner, tree.voxels.usual)


def split_regions(tree: RegionTree, score: Float32, clicks: Sequence[Click]) -> Float32:
    """Scores (W,) with every small region that holds clicks of both signs divided by which is nearer."""
    out = score.copy()
    pos = tree.voxels.pos
    good = np.array([c.row for c in clicks if c.positive], np.int64)
    bad = np.array([c.row for c in clicks if not c.positive], np.int64)
    for region in np.unique(tree.region[bad]) if len(bad) else ():
        here = np.flatnonzero(tree.region == region)
        rivals = good[tree.region[good] == region]
        if not len(rivals) and out[here[0]] < THRESHOLD:
            continue
        rivals = rivals if len(rivals) else good
        nearer = _nearest(pos[here], pos[rivals]) <= _nearest(pos[here], pos[bad[tree.region[bad] == region]])
        out[here] = np.where(nearer, np.maximum(out[here], np.float32(0.55)), np.float32(0))
    return out


def _nearest(pos: Float64, of: Float64) -> Float64:
    return np.linalg.norm(pos[:, None] - of[None], axis=2).min(axis=1)
