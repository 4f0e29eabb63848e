"""Consistency of 2D and 3D features: recall and margin where 3D features are rendered, with honest sides.

Protocol: 40 ordered pairs of views turned by 5-60 degrees that overlap by 30 % or more, 50 true
correspondences each, long side 448 px, nearest neighbour by cosine over a stride-4 map. A 3D feature is rendered into
both views of a pair, each time from what *its own* side's photos say of the voxels: every other view belongs to the
side of the pair's view whose camera is nearer, so that no photo speaks on both, and the pair's own two photos on none.

What knows the voxels themselves (their colour, the 3D encoder) meets the same voxels on both sides, and could find them
by any mark of the place. Rows ``photo to …`` are free of that: the query is the photo's 2D feature, only the target is
rendered. They say whether 2D and 3D agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress, finish
from engine.api.scene import Float32
from engine.bare.own_views import lift_own_views
from engine.captures.upright import quarter_turns
from engine.encoders import load_encoder
from engine.encoders.image import ImageEncoder
from engine.encoders.volume.working import MOST, WorkingVoxels
from engine.grid.coarse import coarsened
from engine.grid.lift import LiftAccumulator, LiftedFeatures
from engine.march import render_table
from engine.metrics.correspondence import LONG_SIDE, NAMES, PAIRS, PIXELS_A_PAIR
from engine.metrics.descriptors import STRIDE, nearest_cells
from engine.metrics.truth import Correspondences, DepthView, depth_views, pixels_of_pairs, view_pairs
from engine.queries.bank import FeatureBank, sample_many
from engine.runtime import resolve_device
from engine.training.measures import centred_cosine
from engine.training.rooms.shards import RoomCapture

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.encoders.volume import VolumeEncoder
    from engine.grid import RadianceGrid

LIFT_VIEWS = 16
"""At most so many photos speak for a side: those whose cameras are nearest to its view's."""

GREY = 0.25
"""Fourth channel of the colour baseline, so that grey has a direction too."""

Float64 = NDArray[np.float64]
Map = Callable[[int, int], Job[Float32]]
"""Places of a view and of the other of its pair to the view's map (h, w, D), rows of zeros where nothing is known."""


class ConsistencyRow(TypedDict):
    """One line of the table; see ``correspondence.CorrespondenceRow``. ``margin``: mean cosine at the true place minus
    the mean over the target's map; ``known``: share of the target's cells that have a feature; ``objects_2``: recall
    within 2 % of the pixels that show an object rather than wall, floor or ceiling, None where that is not known;
    ``like_lifted``: centred cosine of voxel features that know no photo and what all photos looked at say, None else.
    """

    capture: str
    features: str
    recall_1: float
    recall_2: float
    recall_5: float
    objects_2: float | None
    like_lifted: float | None
    margin: float
    known: float
    pixels: int
    truth: str


class _Found(NamedTuple):
    error: list[Float64]
    margin: list[Float64]
    known: list[float]


def bench_consistency(
    capture: Capture,
    grid: RadianceGrid,
    *,
    encoders: Sequence[str] = ("raw", "default"),
    volume: VolumeEncoder | None = None,
    seed: int = 0,
    pairs: int = PAIRS,
    device: str = "auto",
) -> Job[list[ConsistencyRow]]:
    """Measure each 2D encoder, its lifted mean, plain voxel colour, and a 3D encoder with and without photos.

    Without photos the 3D encoder is asked twice: alone, and beside what the last 2D encoder finds in views rendered
    from the grid (``own views``).

    Args:
        capture: with depth; otherwise ``grid`` renders the truth too.
        grid: fitted to the capture.
        encoders: names for ``load_encoder``; the last one's features are lifted for ``volume``.
        volume: the 3D encoder.
        seed: of the choice of pairs and pixels.
        pairs: how many.
        device: for the encoders.

    Raises:
        QueryError: no two views share enough to be compared.
        WeightsError: an encoder cannot be loaded.
        CaptureError: a photo cannot be read.
    """
    views, truth = yield from depth_views(capture, LONG_SIDE, grid)
    rng = np.random.default_rng(seed)
    chosen = yield from view_pairs(views, pairs, rng)
    if not chosen:
        raise QueryError(
            "no two views share enough to be compared",
            path=capture.path,
            expected="views turned by 5 to 60 degrees that show 30 % of the same surface",
        )
    drawn = [(pair, pixels_of_pairs(views, [pair], PIXELS_A_PAIR, rng)) for pair in chosen]
    sides = Sides(views)
    things = thing_pixels(capture, views, drawn)
    rows: list[ConsistencyRow] = []

    def measured(name: str, query: Map, target: Map | None = None) -> Job[None]:
        found = yield from pair_errors(views, drawn, query, target or query, name)
        rows.append(_row(capture.name, name, found, truth, things))

    colour = np.concatenate([grid.rgb - 0.5, np.full((len(grid.rgb), 1), GREY, np.float32)], axis=1)
    yield from measured("voxel colour", _rendered(grid, views, lambda _view, _other: colour))
    bank: FeatureBank | None = None
    encoder: ImageEncoder | None = None
    for name in encoders:
        encoder = load_encoder(name, resolve_device(device))
        shown = NAMES.get(encoder.name, encoder.name)
        bank = yield from _encode(capture, views, encoder, sides.needed(chosen))
        photos, lifted = _photos(bank), _lifted(grid, views, bank)
        in_3d = _rendered(grid, views, lambda v, o, f=lifted: f(sides.of(v, o)).mean)
        yield from measured(shown, photos)
        yield from measured(f"{shown} lifted", in_3d)
        yield from measured(f"photo to {shown} lifted", photos, in_3d)
    if volume is not None and bank is not None and encoder is not None:
        encode, photos, lifted = _volume_encoder(grid, volume), _photos(bank), _lifted(grid, views, bank)
        with_photos = _rendered(grid, views, lambda v, o: encode(lifted(sides.of(v, o)).mean))
        yield from measured("condense3d", with_photos)
        yield from measured("photo to condense3d", photos, with_photos)
        alone = encode(np.zeros((len(grid.index), bank.dim), np.float32))
        without = _rendered(grid, views, lambda _view, _other: alone)
        yield from measured("photo to condense3d, no photos", photos, without)
        yield from measured("condense3d, no photos", without)
        everyone = lifted(sides.needed(chosen))
        rows[-1]["like_lifted"] = _like(alone, everyone)
        own = yield from lift_own_views(grid, encoder, capture.up_w, seed)
        looked = own.mean + alone
        looked /= np.maximum(np.linalg.norm(looked, axis=1, keepdims=True), 1e-12)
        from_own = _rendered(grid, views, lambda _view, _other: looked)
        yield from measured("photo to condense3d, own views", photos, from_own)
        yield from measured("condense3d, own views", from_own)
        rows[-1]["like_lifted"] = _like(looked, everyone)
    return rows


def _like(features: Float32, everyone: LiftedFeatures) -> float:
    """Centred cosine of voxel features (V, D) and what photos say, where they say anything."""
    seen = torch.from_numpy(everyone.weight > 0)
    return round(centred_cosine(torch.from_numpy(features)[seen], torch.from_numpy(everyone.mean)[seen]), 4)


class Sides:
    """Which views may speak for a view of a pair."""

    def __init__(self, views: Sequence[DepthView]) -> None:
        self._centres_w = np.stack([v.camera.centre_w for v in views])

    def of(self, view: int, other: int) -> list[int]:
        """Places of the views whose cameras are nearer to ``view`` than to ``other``, the nearest first, neither of
        the two themselves; a tie belongs to the one with the smaller place."""
        here = np.linalg.norm(self._centres_w - self._centres_w[view], axis=1)
        there = np.linalg.norm(self._centres_w - self._centres_w[other], axis=1)
        mine = (here < there) | ((here == there) & (view < other))
        mine[[view, other]] = False
        found = np.flatnonzero(mine)
        return [int(i) for i in found[np.argsort(here[found], kind="stable")][:LIFT_VIEWS]]

    def needed(self, pairs: Sequence[tuple[int, int]]) -> list[int]:
        """Every view that is looked at for these pairs."""
        out: set[int] = set()
        for a, b in pairs:
            out |= {a, b, *self.of(a, b), *self.of(b, a)}
        return sorted(out)


def pair_errors(
    views: Sequence[DepthView],
    drawn: Sequence[tuple[tuple[int, int], Correspondences]],
    query: Map,
    target: Map,
    name: str,
) -> Job[_Found]:
    """Distances of the answers to the truth, in diagonals of the target, and margins, pair by pair."""
    found = _Found([], [], [])
    for done, ((a, b), truth) in enumerate(drawn):
        yield Progress(done, len(drawn), "pairs", name)
        query_map = yield from query(a, b)
        target_map = yield from target(b, a)
        size_a, size_b = (np.array([views[v].camera.width, views[v].camera.height]) for v in (a, b))
        queries = sample_many(query_map, truth.source_px / size_a)
        cell, mean = nearest_cells(queries, target_map)
        h, w, _ = target_map.shape
        row, column = np.divmod(cell, w)
        answer = np.stack([(column + 0.5) / w, (row + 0.5) / h], axis=1) * size_b
        error = np.linalg.norm(answer - truth.target_px, axis=1) / float(np.hypot(*size_b))
        error[~queries.any(axis=1)] = np.inf  # nothing is known of the query: no answer
        found.error.append(error)
        found.margin.append((queries * sample_many(target_map, truth.target_px / size_b)).sum(axis=1) - mean)
        found.known.append(float(target_map.any(axis=2).mean()))
    return found


def thing_pixels(
    capture: Capture, views: Sequence[DepthView], drawn: Sequence[tuple[tuple[int, int], Correspondences]]
) -> NDArray[np.bool_] | None:
    """(N,) which query pixels of all pairs show a piece of furniture; None where the capture cannot tell."""
    if not isinstance(capture, RoomCapture):
        return None
    pieces = [o.id for o in capture.objects if o.model is not None]
    out: list[NDArray[np.bool_]] = []
    for (a, _), truth in drawn:
        ids, camera = capture.object_ids(views[a].index), views[a].camera
        at = truth.source_px / [camera.width, camera.height] * ids.shape[::-1]
        column, row = np.clip(at.astype(np.int64), 0, np.array(ids.shape[::-1]) - 1).T
        out.append(np.isin(ids[row, column], pieces))
    return np.concatenate(out)


def _row(capture: str, features: str, found: _Found, truth: str, things: NDArray[np.bool_] | None) -> ConsistencyRow:
    error, margin = np.concatenate(found.error), np.concatenate(found.margin)
    on_things = None if things is None or not things.any() else round(float((error[things] <= 0.02).mean()), 4)
    return ConsistencyRow(
        capture=capture,
        features=features,
        recall_1=round(float((error <= 0.01).mean()), 4),
        recall_2=round(float((error <= 0.02).mean()), 4),
        recall_5=round(float((error <= 0.05).mean()), 4),
        objects_2=on_things,
        like_lifted=None,
        margin=round(float(margin.mean()), 4),
        known=round(float(np.mean(found.known)), 4),
        pixels=len(error),
        truth=truth,
    )


def _encode(
    capture: Capture, views: Sequence[DepthView], encoder: ImageEncoder, needed: Sequence[int]
) -> Job[FeatureBank]:
    """Maps of the needed views under their places, as the window makes them: of upright photos."""
    bank = FeatureBank(encoder.dim)
    for done, place in enumerate(needed):
        yield Progress(done, len(needed), "views", f"encoding with {encoder.name}")
        rgb = capture.read(views[place].index, max_side=LONG_SIDE).rgb
        turns = quarter_turns(views[place].camera, capture.up_w)
        bank.add_view(place, (yield from encoder.encode_turned(rgb, turns)))
    return bank


def _photos(bank: FeatureBank) -> Map:
    def of(view: int, _other: int) -> Job[Float32]:
        yield Progress(0, 1, "pairs")
        return bank.map(view)

    return of


def _rendered(grid: RadianceGrid, views: Sequence[DepthView], features: Callable[[int, int], Float32]) -> Map:
    """Voxel features (V, D) that a view of a pair has, rendered into it; each is rendered once."""
    known: dict[tuple[int, int], NDArray[np.float16]] = {}

    def of(view: int, other: int) -> Job[Float32]:
        yield Progress(0, 1, "views")
        if (view, other) not in known:
            known[view, other] = unit_image(grid, features(view, other), views[view]).astype(np.float16)
        return known[view, other].astype(np.float32)

    return of


def unit_image(grid: RadianceGrid, table: Float32, view: DepthView) -> Float32:
    """(h, w, D) of a table (V, D) marched into a view at stride 4, of unit length; zero where the ray meets little."""
    camera = view.camera
    w, h = max(1, round(camera.width / STRIDE)), max(1, round(camera.height / STRIDE))
    image, opacity, _ = render_table(grid, table, camera.scaled(w, h))
    length = np.linalg.norm(image, axis=2, keepdims=True)
    return np.where((opacity[..., None] > 0.5) & (length > 1e-6), image / np.maximum(length, 1e-12), 0)


def _lifted(
    grid: RadianceGrid, views: Sequence[DepthView], bank: FeatureBank
) -> Callable[[Sequence[int]], LiftedFeatures]:
    """Lifts the maps of some views onto the grid."""

    def lift(speakers: Sequence[int]) -> LiftedFeatures:
        accumulator = LiftAccumulator(grid, bank.dim)
        for view in speakers:
            accumulator.add(views[view].camera, bank.map(view))
        return accumulator.result()

    return lift


def _volume_encoder(grid: RadianceGrid, volume: VolumeEncoder) -> Callable[[Float32], Float32]:
    """One pass of the 3D encoder over the grid's voxels, given their lifted features (rows of zeros: none)."""
    device = next(volume.parameters()).device
    voxels = WorkingVoxels(coarsened(grid, MOST), volume.levels, device)

    def encode(image: Float32) -> Float32:
        return finish(voxels.encode(volume, torch.from_numpy(image).to(device))).features.cpu().numpy()

    return encode
