"""What the engine answers to ``engine.api.annotating``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.api.annotations import Changed, HistoryEntry, LabelClass, Landmark, Note, OrientedBox, Polyline, Triple
from engine.api.replies import Region, Reply
from engine.api.scene import Float32

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Things:
    """All that is annotated but for the voxels' labels."""

    palette: tuple[LabelClass, ...] = ()
    boxes: tuple[OrientedBox, ...] = ()
    polylines: tuple[Polyline, ...] = ()
    landmarks: tuple[Landmark, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationsOpened(Reply):
    """What is annotated.

    Attributes:
        version: the volume whose V voxels it is of.
        begun: False: there is nothing, and nothing was begun.
        labels, instances: (V,) uint16 and (V,) uint32.
        things: the rest.
        steps: how many edits can be undone and redone.
        problem: why nothing can be changed, such as another window; "": it can.
        warnings: what was found amiss, one line a kind.
        elsewhere: folder of annotations of another grid of this capture, when there are none of this one; "".
    """

    version: int
    begun: bool
    labels: NDArray[np.uint16]
    instances: NDArray[np.uint32]
    things: Things
    steps: tuple[int, int] = (0, 0)
    problem: str = ""
    warnings: tuple[str, ...] = ()
    elsewhere: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationChanged(Reply):
    """An edit was made, undone or redone.

    Attributes:
        version: of the volume.
        changed: the voxels, and the kinds of things.
        things: all of them, as they are now.
        steps: how many can be undone and redone.
        made: a new edit, not one that was undone or redone, nor one that changed nothing.
        told: what is to be told of it.
    """

    version: int
    changed: Changed
    things: Things
    steps: tuple[int, int]
    made: bool
    told: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class SelectionFound(Reply):
    """A selection.

    Attributes:
        version: of the volume.
        rows: (N,) ascending.
        score: (V,) of its last clicks, None: it has no threshold.
        seeds: (N,) rows of their positive clicks.
        threshold: of the scores.
        milliseconds: engine time spent on it.
    """

    version: int
    rows: Rows
    score: Float32 | None = None
    seeds: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    threshold: float = 0.5
    milliseconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Suggested:
    """Voxels (N,) that may be what is looked for, and how likely in [0, 1]."""

    rows: Rows
    score: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SuggestionsFound(Reply):
    """The likeliest or largest first."""

    version: int
    suggestions: tuple[Suggested, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoVoxels(Reply):
    """Which voxel each pixel of a photo shows: (h, w) int32 rows, -1 for none."""

    version: int
    view: int
    rows: NDArray[np.int32]


@dataclass(frozen=True)
class ClassStats:
    """One class: how many voxels, their share of all, their surface's volume in world units cubed, instances and
    things."""

    id: int
    name: str
    voxels: int
    share: float
    volume_w: float
    instances: int
    boxes: int
    lines: int
    landmarks: int


@dataclass(frozen=True, kw_only=True)
class PlaceFound(Reply):
    """A place on the scene's surface, world units; ``snapped``: it is a keypoint's."""

    pos_w: Triple
    snapped: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ReviewFound(Reply):
    """How far it is.

    Attributes:
        labelled, voxels: of all voxels.
        classes: each class, the largest first.
        unlabelled: what is likely a whole thing and has no label, the largest first, and ``parts`` (N,) the voxels of
            each.
        history: the newest steps, the oldest of them first.
    """

    labelled: int
    voxels: int
    classes: tuple[ClassStats, ...]
    unlabelled: tuple[Region, ...]
    parts: tuple[Rows, ...]
    history: tuple[HistoryEntry, ...]
