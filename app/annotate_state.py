"""What the window knows of annotations: labels, things, the tool in hand and the selection. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.annotated import PhotoVoxels, ReviewFound, Suggested, Things
from engine.api.annotating import Rows, SelectClick
from engine.api.annotations import NOTHING, Changed, LabelClass, Polyline, Triple
from engine.api.camera import Camera
from engine.api.scene import Float32

UInt8 = NDArray[np.uint8]
Tool = Literal["select", "brush", "lasso", "box", "fill", "polyline", "landmark", "note"]
DRAWN: tuple[Tool, ...] = ("brush", "lasso", "box")
"""Tools that are drawn with, over the scene or in a large photo."""
OUTLINES: tuple[Tool, ...] = ("lasso", "box")
"""Of them, those that go around something."""
MOST_COUNTED = 1 << 20
_GOLDEN = 0.618033988749895


@dataclass(frozen=True, eq=False)
class Marks:
    """What is annotated on the V voxels of one volume.

    Attributes:
        version: of the volume.
        labels, instances: (V,) uint16 and (V,) uint32.
        things: the rest.
        colours: (V + 1, 4) uint8 of each voxel, alpha 0 without a label that shows; the last row is for no voxel.
    """

    version: int
    labels: NDArray[np.uint16]
    instances: NDArray[np.uint32]
    things: Things
    colours: UInt8

    @classmethod
    def of(cls, version: int, labels: NDArray[np.uint16], instances: NDArray[np.uint32], things: Things) -> Marks:
        """Coloured by class and instance."""
        colours = np.zeros((len(labels) + 1, 4), np.uint8)
        colours[:-1] = label_colours(labels, instances, things.palette)
        return cls(version, labels, instances, things, colours)

    def after(self, changed: Changed, things: Things) -> Marks:
        """With an edit made: only what it changed is coloured anew, unless it was the palette."""
        labels, instances = self.labels, self.instances
        if len(changed.rows):
            labels, instances = labels.copy(), instances.copy()
            labels[changed.rows], instances[changed.rows] = changed.labels, changed.instances
        if things.palette != self.things.palette:
            return Marks.of(self.version, labels, instances, things)
        colours = self.colours
        if len(changed.rows):
            colours = colours.copy()
            colours[changed.rows] = label_colours(changed.labels, changed.instances, things.palette)
        return Marks(self.version, labels, instances, things, colours)

    @cached_property
    def counts(self) -> Mapping[int, tuple[int, int]]:
        """Voxels and instances of each class by id."""
        of = np.bincount(self.labels, minlength=1)
        out: dict[int, tuple[int, int]] = {}
        for c in self.things.palette:
            voxels = int(of[c.id]) if c.id < len(of) else 0
            ids = self.instances[self.labels == c.id] if voxels else self.instances[:0]
            out[c.id] = voxels, _how_many(ids)
        return MappingProxyType(out)

    @cached_property
    def labelled(self) -> int:
        """Voxels with a label."""
        return int((self.labels != NOTHING).sum())

    def label_class(self, class_id: int) -> LabelClass | None:
        """The class of that id."""
        return next((c for c in self.things.palette if c.id == class_id), None)

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return self.things == Things() and not self.labelled


def _how_many(ids: NDArray[np.uint32]) -> int:
    """Different numbers from 1 on; counting them is faster than sorting, while they are small."""
    if ids.max(initial=0) < MOST_COUNTED:
        return int(np.count_nonzero(np.bincount(ids, minlength=1)[1:]))
    return len(np.unique(ids[ids > 0]))


def label_colours(labels: NDArray[np.uint16], instances: NDArray[np.uint32], palette: tuple[LabelClass, ...]) -> UInt8:
    """(N, 4) uint8: the class's colour, lighter or darker by instance; alpha 0 where there is nothing to show."""
    table = np.zeros((max((c.id for c in palette), default=0) + 1, 4), np.float32)
    for c in palette:
        table[c.id] = (*c.rgb, 255 if c.visible else 0)
    known = np.minimum(labels, len(table) - 1)
    out = table[known]
    out[(labels != known) | (out[:, 3] == 0)] = 0
    shade = np.where(instances > 0, 0.72 + 0.5 * ((instances * _GOLDEN) % 1), 1.0)
    out[:, :3] = np.clip(out[:, :3] * shade[:, None], 0, 255)
    return np.rint(out).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Selection:
    """What is selected, and what it came from.

    Attributes:
        rows: (N,) of ``voxels``, ascending.
        clicks: of smart select; none: it came otherwise.
        score, seeds, threshold: see ``SelectionFound``.
        base, subtract: see ``SelectThing``.
    """

    voxels: int
    rows: Rows
    clicks: tuple[SelectClick, ...] = ()
    score: Float32 | None = None
    seeds: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    threshold: float = 0.5
    base: Rows | None = None
    subtract: bool = False

    @cached_property
    def mask(self) -> UInt8:
        """(V + 1,) 255 where selected; the last is for no voxel."""
        out = np.zeros(self.voxels + 1, np.uint8)
        out[self.rows] = 255
        return out

    @cached_property
    def levels(self) -> Float32:
        """All thresholds at which something changes, ascending."""
        return np.zeros(0, np.float32) if self.score is None else np.unique(self.score[self.score > 0])

    def moved(self, steps: int) -> float:
        """The threshold so many steps further out (less is larger)."""
        if not len(self.levels):
            return self.threshold
        now = int(np.searchsorted(self.levels, self.threshold))
        return float(self.levels[int(np.clip(now - steps, 0, len(self.levels) - 1))])


@dataclass(frozen=True, eq=False)
class Sight:
    """The scene as it is seen now; see ``engine.api.annotating.DrawOver``."""

    camera: Camera
    depth_z: Float32
    clip_w: NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class Offer:
    """Suggestions, one of which is looked at: to be accepted or refused.

    Attributes:
        title: what was asked for.
        class_id: that an accepted one gets.
        left: those not decided yet, the present one first.
        total: how many there were.
        carried: a class of another scene, that an accepted one gets; None: the class in hand.
    """

    title: str
    class_id: int
    left: tuple[Suggested, ...]
    total: int
    carried: LabelClass | None = None


@dataclass(frozen=True)
class AnnotateState:
    """All that the window knows of annotating the open capture.

    Attributes:
        asked_of: version of the volume whose annotations were asked for last, 0 for none.
        marks: what is annotated; None until it is begun.
        problem: why nothing can be changed; "": it can.
        elsewhere: folder of annotations of another grid, to be brought over; "".
        tool, class_id: in hand.
        selection: before it is labelled.
        waiting: id of the request that the next selection answers.
        offer: suggestions.
        photos: which voxels photos show.
        brush_px: radius of the brush, screen pixels.
        review: how far it is, while that is looked at.
        through: what is drawn around over the scene is meant at all depths, not only what shows.
        draft: points of the line that is being drawn, world units.
    """

    asked_of: int = 0
    marks: Marks | None = None
    problem: str = ""
    elsewhere: str = ""
    tool: Tool | None = None
    class_id: int = NOTHING
    selection: Selection | None = None
    waiting: int = 0
    offer: Offer | None = None
    photos: Mapping[int, PhotoVoxels] = field(default_factory=lambda: MappingProxyType({}))
    brush_px: float = 12.0
    review: ReviewFound | None = None
    through: bool = False
    draft: tuple[Triple, ...] = ()

    @property
    def writable(self) -> bool:
        """Whether edits can be made."""
        return self.marks is not None and not self.problem

    @property
    def class_in_hand(self) -> LabelClass | None:
        """The class that is given."""
        return None if self.marks is None else self.marks.label_class(self.class_id)

    @property
    def given(self) -> LabelClass | None:
        """The class that what is lit gets."""
        carried = None if self.offer is None else self.offer.carried
        return self.class_in_hand if carried is None else carried

    @property
    def drawn(self) -> Polyline | None:
        """The line that is being drawn."""
        return Polyline(NOTHING, self.class_id, self.draft) if self.draft else None

    @property
    def lit(self) -> Selection | None:
        """What is drawn as selected: the suggestion that is looked at, or else the selection."""
        if self.offer is not None and self.offer.left and self.marks is not None:
            return self._offered
        return self.selection

    @cached_property
    def _offered(self) -> Selection:
        assert self.offer is not None
        assert self.marks is not None
        return Selection(len(self.marks.labels), self.offer.left[0].rows)
