"""How well prompts point, on rooms whose things are known: the hottest place, IoU, and false alarms.

Rooms are fused from their depth and named as in the window, in blocks of voxels; a block is what most of the views that
see it say. Names are asked that the network was taught (in these rooms on models it never saw), then words for the same
things that it was not taught, then names of things that it was taught nothing of, and last names of which a room has
none. ``chance`` is the share of a room's blocks that are right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.api.jobs import Job, Progress, told_as
from engine.api.scene import Float32, UInt8
from engine.encoders.hypercolumn import LONG_SIDE
from engine.grid.lift import LiftAccumulator
from engine.grid.places import grown, places
from engine.naming import VIEW_CELLS, name_blocks, parent_seen
from engine.photo_names import gathered, read_cells
from engine.queries.prompt import Namer, Vocabulary, answers
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.labels import voxel_objects

if TYPE_CHECKING:
    from engine.encoders.classes import ClassNetwork
    from engine.encoders.image import ImageEncoder
    from engine.encoders.names import NameNetwork
    from engine.encoders.words import WordEncoder
    from engine.grid.radiance import RadianceGrid
    from engine.training.rooms.shards import RoomCapture

SYNONYMS: dict[str, tuple[str, ...]] = {
    "animal": ("pet", "creature"),
    "armchair": ("easy chair", "lounge chair", "recliner"),
    "bathtub/shower": ("tub", "bath"),
    "bench": ("settle", "pew"),
    "box": ("carton", "crate", "container"),
    "cabinet": ("cupboard", "sideboard", "chest of drawers"),
    "ceiling": ("roof",),
    "chair": ("seat", "side chair"),
    "coffee table": ("cocktail table", "tea table"),
    "computer/TV": ("television", "monitor", "laptop"),
    "deck chair": ("beach chair", "sun lounger"),
    "desk": ("writing desk", "workstation"),
    "floor": ("ground", "flooring"),
    "lamp": ("light", "light fixture"),
    "oven/stove": ("cooker", "kitchen stove"),
    "picture": ("painting", "artwork", "image on the wall"),
    "sofa": ("couch", "settee", "lounge"),
    "stool": ("footstool", "taboret"),
    "table": ("dining table", "tabletop"),
    "toilet": ("lavatory", "WC", "commode"),
    "wall": ("partition", "brick wall"),
}
"""Words for things of the rooms that were never names in training, written down before any was asked."""

THRESHOLDS = np.linspace(0.02, 0.98, 49)
LEAST_BLOCKS = 8
"""A thing of fewer is not asked for: most of it is hidden or thinner than a block."""


@dataclass(frozen=True, eq=False)
class AskedRoom:
    """One room in W blocks: who names them, and ``label`` (W,) what each is, "" unknown."""

    name: str
    coarse: RadianceGrid
    namers: tuple[Namer, ...]
    label: NDArray[np.str_]


class PromptRow(TypedDict):
    """One kind of prompts. ``threshold``: the single one at which ``iou``, the mean over all prompts of the kind, is
    best; ``iou_shown``: at the threshold that the window begins with; ``alarms``: share of prompts for things that are
    not there for which the window would list a place."""

    kind: str
    prompts: int
    questions: int
    pointing: float | None
    chance: float | None
    iou: float | None
    threshold: float | None
    iou_shown: float | None
    alarms: float | None


def asked_room(
    room: RoomCapture,
    network: NameNetwork,
    words: WordEncoder,
    encoder: ImageEncoder | None,
    classes: ClassNetwork | None,
) -> Job[AskedRoom]:
    """Fuse, lift and name a room.

    Args:
        room: with depth and object ids.
        network: the naming network.
        words: the text encoder.
        encoder: of its photos; None: geometry and colour alone.
        classes: the image classifier that names its photos; None: it is not asked.
    """
    grid = yield from fused_grid(room)
    lift = None if encoder is None else LiftAccumulator(grid, encoder.dim)
    for done, view in enumerate(room.views if encoder is not None else ()):
        yield Progress(done, len(room.views), "views", room.name)
        assert encoder is not None
        assert lift is not None
        features = yield from encoder.encode_slices(room.read(view.index, max_side=LONG_SIDE).rgb)
        yield from told_as(lift.add_slices(view.camera, features), Progress(done, len(room.views), "views", room.name))
    blocks = yield from name_blocks(grid, lift, network)
    namers = [Namer(Vocabulary(network.names, words), blocks.chances)]
    if classes is not None:
        cells = {v.index: parent_seen(grid, blocks.parent, v.camera.fitted(VIEW_CELLS)) for v in room.views}
        said: dict[int, UInt8] = {}
        yield from read_cells(room, classes, said)
        chances = yield from gathered(said, cells, len(blocks.coarse.index))
        namers.append(Namer(Vocabulary(classes.names, words, classes.kinds), chances))
    called = {**room.labels(), 0: ""}
    label = np.array([called.get(int(i), "") for i in voxel_objects(room, blocks.coarse)])
    return AskedRoom(room.name, blocks.coarse, tuple(namers), label)


def bench_prompts(rooms: Sequence[AskedRoom], taught: Sequence[str], shown: float) -> list[PromptRow]:
    """Ask all kinds of prompts of all rooms.

    Args:
        rooms: named ones.
        taught: names that the naming network was taught.
        shown: the threshold that the window begins with.
    """
    names = set(taught)
    there: list[tuple[AskedRoom, str]] = []
    for room in rooms:
        found, count = np.unique(room.label, return_counts=True)
        there += [(room, str(n)) for n, c in zip(found, count, strict=True) if n and c >= LEAST_BLOCKS]
    known = [(r, n, n) for r, n in there if n in names]
    words = [(r, n, s) for r, n in there for s in SYNONYMS.get(n, ()) if n in names and s not in names]
    untaught = [(r, n, n) for r, n in there if n not in names]
    absent = [(r, n) for r in rooms for n in sorted(set(SYNONYMS) & names) if n not in r.label]
    rows = [
        _row(kind, some, shown)
        for kind, some in (
            ("names taught, of models never seen", known),
            ("other words for them", words),
            ("names never taught", untaught),
        )
        if some
    ]
    alarms = [bool(places(r.coarse, _relevancy(r, n), shown)) for r, n in absent]
    if alarms:
        asked = len({n for _, n in absent})
        empty: PromptRow = {
            "kind": "names of which a room has none", "prompts": asked, "questions": len(alarms), "pointing": None,
            "chance": None, "iou": None, "threshold": None, "iou_shown": None,
            "alarms": round(float(np.mean(alarms)), 3),
        }  # fmt: skip
        rows.append(empty)
    return rows


def _row(kind: str, asked: Iterable[tuple[AskedRoom, str, str]], shown: float) -> PromptRow:
    hits: list[bool] = []
    chance: list[float] = []
    overlaps: list[NDArray[np.float64]] = []
    at_shown: list[float] = []
    prompts: set[str] = set()
    for room, name, prompt in asked:
        relevancy = _relevancy(room, prompt)
        right = room.label == name
        prompts.add(prompt)
        hits.append(bool(relevancy.max(initial=0) > 0 and right[int(relevancy.argmax())]))
        known = room.label != ""
        chance.append(float(right[known].mean()))
        overlaps.append(np.array([_iou(relevancy[known] >= t, right[known]) for t in THRESHOLDS]))
        at_shown.append(_iou(relevancy[known] >= shown, right[known]))
    mean = np.mean(overlaps, axis=0)
    return {
        "kind": kind,
        "prompts": len(prompts),
        "questions": len(hits),
        "pointing": round(float(np.mean(hits)), 3),
        "chance": round(float(np.mean(chance)), 3),
        "iou": round(float(mean.max()), 3),
        "threshold": round(float(THRESHOLDS[int(mean.argmax())]), 2),
        "iou_shown": round(float(np.mean(at_shown)), 3),
        "alarms": None,
    }


def _relevancy(room: AskedRoom, prompt: str) -> Float32:
    return grown(room.coarse, answers(room.namers, [prompt])[0].relevancy)


def _iou(found: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    return float((found & right).sum() / max(1, (found | right).sum()))
