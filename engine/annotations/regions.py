"""A scene as a tree of regions: small ones of one surface, joined two by two to things, and things to the room.

Our form of learned agglomeration (GALA: Nunez-Iglesias et al., 2013): a network says of voxels that touch whether they
are of one thing; by that they are joined to small regions (Kruskal's order, up to a size), and then always the two
regions that another network finds most alike, its judgement made anew from the sums of what was joined.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.annotations.nets import SelectNets
from engine.annotations.region_sums import (
    BORDER,
    IMAGE,
    PAIR_FEATURES,
    USUAL,
    merge_features,
    pair_features,
    voxel_sums,
)
from engine.annotations.surface import touching
from engine.api.jobs import Job, Progress, row_slices
from engine.api.scene import Float32
from engine.grid.radiance import RadianceGrid
from engine.march.rays import jit

Float64 = NDArray[np.float64]
Ints = NDArray[np.int64]
NOTE = "finding things"
SMALL = 1 / 750
"""Share of the scene's voxels that a small region holds at most."""
LEAST_TOUCH = 0.3
"""Voxels that are less likely of one thing do not begin a region together."""
UNIT = 0.05
MERGES_A_SLICE = 16
SUMMED_A_SLICE = 1 << 13


@dataclass(frozen=True, eq=False)
class Voxels:
    """What is known of the W voxels (or blocks of voxels) of a scene.

    Attributes:
        grid: where they lie.
        image: (W, D) lifted features of unit length, zero where unseen.
        spread, weight: (W,) as ``LiftedFeatures`` has them.
        normal: (W, 3).
        up_w: (3,) unit.
    """

    grid: RadianceGrid
    image: Float32
    spread: Float32
    weight: Float32
    normal: Float32
    up_w: Float64

    @property
    def usual(self) -> float:
        """How many they are as a share of ``USUAL``."""
        return len(self.grid.index) / USUAL

    @cached_property
    def to_upright(self) -> Float64:
        """(3, 3) turns world directions so that the third axis is up."""
        up = self.up_w / np.linalg.norm(self.up_w)
        if up[2] > 1 - 1e-9:
            return np.eye(3)
        a = np.cross(np.eye(3)[np.argmin(np.abs(up))], up)
        a /= np.linalg.norm(a)
        return np.stack([a, np.cross(up, a), up])

    @cached_property
    def pos(self) -> Float64:
        """(W, 3) upright places from the lowest corner on, in the unit of ``region_sums``."""
        pos = (self.grid.index + 0.5) @ self.to_upright.T
        return (pos - pos.min(axis=0, initial=np.inf)) * (UNIT / np.sqrt(self.usual))

    @cached_property
    def upright_normal(self) -> Float32:
        """(W, 3)."""
        return (self.normal @ self.to_upright.T).astype(np.float32)


@dataclass(frozen=True, eq=False)
class RegionTree:
    """R small regions and N - R unions of two each, numbered so that a union comes after its parts.

    Attributes:
        voxels: whose tree it is.
        region: (W,) the small region of each voxel.
        pairs: (P, 2) small regions that touch, and ``border`` (P, BORDER) the sums of their borders.
        sums: (N, ·) of ``region_sums``.
        parent: (N,) the union that each is joined to, -1 for none.
        own: (N,) how sure the network was of each union; 1 of small regions.
        first, last: (N,) each holds the small regions whose ``place`` (R,) is from ``first`` to below ``last``.
        outer, inner: (N, BORDER) the sums of borders around and within each.
    """

    voxels: Voxels
    region: Ints
    pairs: Ints
    border: Float64
    sums: Float64
    parent: Ints
    own: Float32
    first: Ints
    last: Ints
    place: Ints
    outer: Float64
    inner: Float64

    @property
    def small(self) -> int:
        """R."""
        return len(self.place)

    def above(self, region: int) -> Ints:
        """A small region and all unions that hold it, the smallest first."""
        out = [region]
        while self.parent[out[-1]] >= 0:
            out.append(int(self.parent[out[-1]]))
        return np.array(out)

    def holds(self, nodes: ArrayLike) -> NDArray[np.bool_]:
        """(n, R) which small regions each node holds."""
        nodes = np.asarray(nodes, np.int64)
        return (self.place >= self.first[nodes][:, None]) & (self.place < self.last[nodes][:, None])


def region_tree(voxels: Voxels, nets: SelectNets) -> Job[RegionTree]:
    """Make the tree: about a second, whatever the number of voxels, in slices."""
    edges = yield from touching(voxels.grid)
    pair = yield from pairs_seen(voxels, edges)
    chance = np.empty(len(edges), np.float32)
    for part in row_slices(len(edges)):
        chance[part] = nets.touch(pair[part])
        yield Progress(part.start, len(edges), "pairs", NOTE)
    start = yield from small_regions(voxels, edges, pair, chance)
    merging = Merging(start)
    yield from merging.run(nets.merge)
    return (yield from finished(start, merging))


def pairs_seen(voxels: Voxels, edges: NDArray[np.int32]) -> Job[Float32]:
    """(E, PAIR_FEATURES) of voxels that touch."""
    out = np.empty((len(edges), PAIR_FEATURES), np.float32)
    up = voxels.up_w.astype(np.float32)
    for part in row_slices(len(edges)):
        pair_features(
            voxels.grid.index, edges[part], voxels.image, voxels.grid.rgb, voxels.normal, voxels.spread,
            voxels.weight, up, out[part],
        )  # fmt: skip
        yield Progress(part.start, len(edges), "pairs", NOTE)
    return out


@dataclass(frozen=True, eq=False)
class SmallRegions:
    """``RegionTree`` before anything is joined."""

    voxels: Voxels
    region: Ints
    sums: Float64
    pairs: Ints
    border: Float64


def small_regions(voxels: Voxels, edges: NDArray[np.int32], pair: Float32, chance: Float32) -> Job[SmallRegions]:
    """Join voxels that touch, the likeliest first, to regions of at most ``SMALL`` of all."""
    count = len(voxels.grid.index)
    order = np.argsort(-chance, kind="stable")
    yield Progress(0, 0, "pairs", NOTE)
    root = np.arange(count)
    _join(edges, order, chance, max(8, round(SMALL * count)), np.float32(LEAST_TOUCH), root, np.ones(count, np.int64))
    yield Progress(0, 0, "pairs", NOTE)
    roots, region = np.unique(root, return_inverse=True)
    sums = np.zeros((len(roots), IMAGE.start + voxels.image.shape[1]))
    for start in range(0, count, SUMMED_A_SLICE):
        part = slice(start, start + SUMMED_A_SLICE)
        single = voxel_sums(
            voxels.pos[part], voxels.grid.rgb[part], voxels.upright_normal[part], voxels.image[part],
            voxels.weight[part] > 0,
        )  # fmt: skip
        by_region = np.argsort(region[part], kind="stable")
        some, begins = np.unique(region[part][by_region], return_index=True)
        sums[some] += np.add.reduceat(single[by_region], begins, axis=0)
        yield Progress(start, count, "voxels", NOTE)
    a, b = region[edges].T
    across = a != b
    key = np.minimum(a, b)[across] * len(roots) + np.maximum(a, b)[across]
    keys, which = np.unique(key, return_inverse=True)
    yield Progress(0, 0, "pairs", NOTE)
    seen, p = pair[across], chance[across]
    columns = (np.ones(len(p)), p, p * p, 1 - seen[:, 0], seen[:, 4], seen[:, 1], seen[:, 3])
    border = np.stack([np.bincount(which, c, minlength=len(keys)) for c in columns], axis=1)
    pairs = np.stack([keys // max(1, len(roots)), keys % max(1, len(roots))], axis=1)
    return SmallRegions(voxels, region, sums, pairs, border)


@jit
def _join(edges, order, chance, most, least, root, size):
    for e in order:
        if chance[e] < least:
            break
        a, b = _root(root, edges[e, 0]), _root(root, edges[e, 1])
        if a != b and size[a] + size[b] <= most:
            if size[a] < size[b]:
                a, b = b, a
            root[b] = a
            size[a] += size[b]
    for i in range(len(root)):
        root[i] = _root(root, i)


@jit
def _root(root, i):
    while root[i] != i:
        root[i] = root[root[i]]
        i = root[i]
    return i


class Merging:
    """Joins regions two by two, the most alike first.

    Attributes:
        sums: of every node made so far.
        merges: (a, b, score) of each union, in order.
    """

    def __init__(self, start: SmallRegions) -> None:
        self._start = start
        self._usual = start.voxels.usual
        self.sums: list[Float64] = list(start.sums)
        self.merges: list[tuple[int, int, float]] = []
        self._beside: list[dict[int, Float64]] = [{} for _ in start.sums]
        for (a, b), border in zip(start.pairs.tolist(), start.border, strict=True):
            self._beside[a][b] = self._beside[b][a] = border

    def judged(self, a: list[int], b: list[int], border: Float64) -> Float32:
        """(n, MERGE_FEATURES) of pairs; a place for a training to look on."""
        some = np.stack([self.sums[k] for k in a]), np.stack([self.sums[k] for k in b])
        return merge_features(*some, border, self._usual)

    def run(self, score: Callable[[Float32], Float32]) -> Job[None]:
        """Join until nothing touches. ``score``: the network, features (n, F) to (n,)."""
        pairs = self._start.pairs
        heap: list[tuple[float, int, int]] = []
        for part in row_slices(len(pairs)):
            a, b = pairs[part].T.tolist()
            found = score(self.judged(a, b, self._start.border[part]))
            heap += zip((-found).tolist(), a, b, strict=True)
            yield Progress(0, len(self._beside), "regions", NOTE)
        heapq.heapify(heap)
        while heap:
            negative, a, b = heapq.heappop(heap)
            if b not in self._beside[a]:
                continue
            new = self._joined(a, b, -negative)
            beside = self._beside[new]
            if beside:
                others = list(beside)
                features = self.judged(others, [new] * len(others), np.stack(list(beside.values())))
                for k, s in zip(others, score(features).tolist(), strict=True):
                    heapq.heappush(heap, (-s, k, new))
            if len(self.merges) % MERGES_A_SLICE == 0:
                yield Progress(len(self.merges), len(self._start.sums), "regions", NOTE)

    def _joined(self, a: int, b: int, score: float) -> int:
        new = len(self.sums)
        self.sums.append(self.sums[a] + self.sums[b])
        self.merges.append((a, b, score))
        beside = dict(self._beside[a])
        for k, border in self._beside[b].items():
            beside[k] = beside[k] + border if k in beside else border
        beside.pop(a, None)
        beside.pop(b, None)
        self._beside.append(beside)
        self._beside[a], self._beside[b] = {}, {}
        for k, border in beside.items():
            self._beside[k].pop(a, None)
            self._beside[k].pop(b, None)
            self._beside[k][new] = border
        return new


def finished(start: SmallRegions, merging: Merging) -> Job[RegionTree]:
    """The tree of what was joined."""
    small, count = len(start.sums), len(merging.sums)
    parent, own = np.full(count, -1), np.ones(count, np.float32)
    child = np.full((count, 2), -1)
    for n, (a, b, score) in enumerate(merging.merges, start=small):
        parent[[a, b]], own[n], child[n] = n, score, (a, b)
    place, first, last = _places(child, parent, small)
    yield Progress(0, 0, "regions", NOTE)
    outer, inner = np.zeros((count, BORDER)), np.zeros((count, BORDER))
    for side in range(2):
        np.add.at(outer, start.pairs[:, side], start.border)
    meet = _meeting(start.pairs, parent)
    np.add.at(inner, meet[meet >= 0], start.border[meet >= 0])
    for n in range(small, count):
        a, b = child[n]
        outer[n] = outer[a] + outer[b]
        inner[n] += inner[a] + inner[b]
    outer -= 2 * inner
    sums = np.stack(merging.sums) if merging.sums else start.sums
    yield Progress(0, 0, "regions", NOTE)
    return RegionTree(
        start.voxels, start.region, start.pairs, start.border, sums, parent, own, first, last, place, outer, inner
    )


def _meeting(pairs: Ints, parent: Ints) -> Ints:
    """(P,) the first node that holds both of each pair, -1 for none."""
    a, b = pairs[:, 0].copy(), pairs[:, 1].copy()
    while (apart := (a != b) & (a >= 0) & (b >= 0)).any():
        # a union is numbered after its parts: the lower of the two cannot hold the other
        low = apart & (a < b)
        high = apart & (a > b)
        a[low], b[high] = parent[a[low]], parent[b[high]]
    return np.where((a < 0) | (b < 0), -1, a)


def _places(child: Ints, parent: Ints, small: int) -> tuple[Ints, Ints, Ints]:
    """Small regions in an order in which every node's follow one another: (place (R,), first (N,), last (N,))."""
    count = len(parent)
    size = np.ones(count, np.int64)
    for n in range(small, count):
        size[n] = size[child[n]].sum()
    first = np.zeros(count, np.int64)
    top = np.flatnonzero(parent < 0)
    first[top] = np.cumsum(size[top]) - size[top]
    for n in range(count - 1, small - 1, -1):
        a, b = child[n]
        first[a], first[b] = first[n], first[n] + size[a]
    return first[:small], first, first + size
