"""How well clicks select things, on rooms whose things are known, and how a label made in one photo is seen in others.

A simulated user clicks at a thing's middle, then where the largest part of the selection is wrong: there, a click adds
what is missing or takes away what is too much. Things are what stands or hangs in a room; walls, floor and ceiling are
not asked for, nor things of few voxels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from engine.annotations.baseline import AlikeGrower
from engine.annotations.nets import SelectNets
from engine.annotations.regions import Voxels, region_tree
from engine.annotations.select import Click, SelectScene, select_voxels, smart_select
from engine.annotations.surface import touching
from engine.api.jobs import Job, Progress, told_as
from engine.encoders.hypercolumn import LONG_SIDE
from engine.grid.lift import LiftAccumulator
from engine.lifted import change_of_blocks
from engine.metrics.strokes import seen_elsewhere
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.labels import voxel_objects
from engine.training.rooms.scene import NOTHING

if TYPE_CHECKING:
    from engine.encoders.image import ImageEncoder
    from engine.encoders.volume import VolumeEncoder
    from engine.grid.radiance import RadianceGrid
    from engine.training.rooms.shards import RoomCapture

CELLS = 800_000
"""Of the fused grids: voxels of four or five centimetres."""
STRUCTURE = ("wall", "floor", "ceiling")
LEAST_VOXELS = 30
CLICKS = 3
GOOD = 0.75

Bool = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class KnownRoom:
    """A room of V voxels: their thing ``ids`` (V,), 0 unknown, what smart select is given, and who touches whom."""

    name: str
    grid: RadianceGrid
    ids: Ints
    things: tuple[int, ...]
    voxels: Voxels
    block: Ints
    edges: NDArray[np.int32]

    @property
    def centres(self) -> NDArray[np.float64]:
        """(V, 3) in voxels."""
        return self.grid.index + 0.5


class SelectRow(TypedDict):
    """Mean and median IoU of a method after some clicks, and the share of things with an IoU of 0.75 or more."""

    method: str
    clicks: int
    iou: float
    median: float
    good: float
    things: int


def known_room(
    room: RoomCapture, encoder: ImageEncoder, volume: VolumeEncoder | None, least: int = LEAST_VOXELS
) -> Job[KnownRoom]:
    """Fuse a room and lift its photos' features, as a capture is.

    Args:
        room: with depth and object ids.
        encoder: of its photos.
        volume: the 3D encoder, or None.
        least: voxels of a thing that is asked for.
    """
    grid = yield from fused_grid(room, CELLS)
    lift = LiftAccumulator(grid, encoder.dim)
    for done, view in enumerate(room.views):
        progress = Progress(done, len(room.views), "views", room.name)
        features = yield from encoder.encode_slices(room.read(view.index, max_side=LONG_SIDE).rgb)
        yield from told_as(lift.add_slices(view.camera, features), progress)
    image, spread = lift.part(slice(None))
    if volume is not None:
        change = yield from change_of_blocks(grid, lift, volume)
        image = image + np.where(lift.weight[:, None] > 0, change.blocks[change.parent], 0)
        image /= np.maximum(np.linalg.norm(image, axis=1, keepdims=True), 1e-12)
    cameras = [v.camera for v in room.views]
    voxels, block = yield from select_voxels(grid, image, spread, lift.weight, cameras, room.up_w)
    ids = voxel_objects(room, grid).astype(np.int64)
    count = np.bincount(ids, minlength=max((o.id for o in room.objects), default=0) + 1)
    things = tuple(o.id for o in room.objects if o.label not in STRUCTURE and count[o.id] >= least)
    return KnownRoom(room.name, grid, ids, things, voxels, block, (yield from touching(grid)))


def first_click(room: KnownRoom, thing: int) -> Click:
    """At a thing's middle: its voxel nearest to the mean of all of them."""
    return Click(_middle(room, np.flatnonzero(room.ids == thing)))


def next_click(room: KnownRoom, chosen: Bool, thing: int) -> Click | None:
    """At the middle of the largest connected part that is missing or too much; None when nothing is wrong."""
    truth = room.ids == thing
    worst: tuple[int, Click] | None = None
    for wrong, positive in ((truth & ~chosen, True), (chosen & ~truth & (room.ids != NOTHING), False)):
        rows = np.flatnonzero(wrong)
        if not len(rows):
            continue
        place = np.full(len(wrong), -1)
        place[rows] = np.arange(len(rows))
        a, b = place[room.edges[wrong[room.edges].all(axis=1)]].T
        _, part = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows))), False)
        size = np.bincount(part)
        if worst is None or size.max() > worst[0]:
            worst = int(size.max()), Click(_middle(room, rows[part == int(size.argmax())]), positive)
    return None if worst is None else worst[1]


def _middle(room: KnownRoom, rows: Ints) -> int:
    centres = room.centres[rows]
    return int(rows[int(((centres - centres.mean(axis=0)) ** 2).sum(axis=1).argmin())])


def iou(found: Bool, right: Bool) -> float:
    """Intersection over union."""
    return float((found & right).sum() / max(1, int((found | right).sum())))


Method = Callable[[Sequence[Click]], Bool]
"""Clicks on a room to the voxels (V,) that they select."""


def clicked(room: KnownRoom, thing: int, method: Method, clicks: int = CLICKS) -> list[float]:
    """The IoU over the voxels that some photo sees, after each of some clicks at one thing."""
    known, truth = room.ids != NOTHING, room.ids == thing
    made = [first_click(room, thing)]
    out: list[float] = []
    while True:
        chosen = method(made)
        out.append(iou(chosen & known, truth))
        if len(out) == clicks:
            return out
        after = next_click(room, chosen, thing)
        if after is None:
            return out + out[-1:] * (clicks - len(out))
        made.append(after)


class Bench:
    """Rooms one after another, and what was measured in them.

    Args:
        nets: of smart select.
        encoder: of photos.
        volume: the 3D encoder.
    """

    def __init__(self, nets: SelectNets, encoder: ImageEncoder, volume: VolumeEncoder | None) -> None:
        self._nets, self._encoder, self._volume = nets, encoder, volume
        self._found: dict[str, list[list[float]]] = {}
        self._elsewhere: list[tuple[float, float]] = []
        self._milliseconds: list[float] = []

    def room(self, capture: RoomCapture) -> Job[None]:
        """Measure in one room.

        Raises:
            CaptureError: an image of the room is damaged.
        """
        room = yield from known_room(capture, self._encoder, self._volume)
        scene = SelectScene(room.grid, room.block, (yield from region_tree(room.voxels, self._nets)), self._nets)
        methods = {"smart select": self._timed(_smart(room, scene)), "colour and geometry": _alike(room)}
        for done, thing in enumerate(room.things):
            for name, method in methods.items():
                yield Progress(done, len(room.things), "things", room.name)
                self._found.setdefault(name, []).append(clicked(room, thing, method))
        self._elsewhere += yield from seen_elsewhere(capture, room.grid, room.things)

    def answer(self) -> dict[str, Any]:
        """``rows``; ``photo_label``: mean IoU of labels made in one photo in the others; ``click_p95_ms``."""
        both = np.array(self._elsewhere or [(np.nan, np.nan)]).mean(axis=0)
        shared, whole = (None if np.isnan(x) else round(float(x), 4) for x in both)
        label = {"iou_seen_by_both": shared, "iou": whole, "photos": len(self._elsewhere)}
        p95 = round(float(np.percentile(self._milliseconds, 95)), 1) if self._milliseconds else None
        return {"rows": self._rows(), "photo_label": label, "click_p95_ms": p95}

    def _rows(self) -> list[SelectRow]:
        return [
            {
                "method": name,
                "clicks": n + 1,
                "iou": round(float(after.mean()), 4),
                "median": round(float(np.median(after)), 4),
                "good": round(float((after >= GOOD).mean()), 4),
                "things": len(after),
            }
            for name, some in self._found.items()
            for n, after in enumerate(np.array(some).T)
        ]

    def _timed(self, method: Method) -> Method:
        def timed(clicks: Sequence[Click]) -> Bool:
            start = time.perf_counter()
            out = method(clicks)
            self._milliseconds.append((time.perf_counter() - start) * 1e3)
            return out

        return timed


def _smart(room: KnownRoom, scene: SelectScene) -> Method:
    def method(clicks: Sequence[Click]) -> Bool:
        chosen = np.zeros(len(room.ids), np.bool_)
        chosen[smart_select(scene, clicks).rows] = True
        return chosen

    return method


def _alike(room: KnownRoom) -> Method:
    return AlikeGrower(room.grid, room.edges, room.voxels.normal[room.block]).grow
