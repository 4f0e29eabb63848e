"""What annotations are made of, as the window and the engine say it to each other.

Labels are one class and one instance per voxel of one volume: (V,) uint16 and (V,) uint32, 0 = none. All else is a
*thing*: a frozen value with an ``id`` that is unique among its kind, so that a change of it is the value before and
the value after. Positions are in world units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]

NOTHING = 0
"""The class of a voxel without label, and the instance of one that belongs to none."""
MOST_CLASSES = 0xFFFF


@dataclass(frozen=True)
class LabelClass:
    """One class of the palette.

    Attributes:
        id: 1 to 65535, what voxels hold.
        name: unique in its palette.
        rgb: 0 to 255 each.
        digit: key 0 to 9 that chooses it; None: no key.
        visible: whether it is drawn.
        locked: its voxels and things are not changed, whatever tool goes over them.
    """

    id: int
    name: str
    rgb: tuple[int, int, int]
    digit: int | None = None
    visible: bool = True
    locked: bool = False


@dataclass(frozen=True)
class OrientedBox:
    """A box of 9 degrees of freedom.

    Attributes:
        id: unique among boxes.
        class_id: of the palette.
        instance: of the voxels it was fitted to, 0 for none.
        centre_w: middle, world units.
        size_w: full lengths of its edges along its own axes, world units.
        rotation: unit quaternion (w, x, y, z) from its own axes to the world's.
    """

    id: int
    class_id: int
    centre_w: Triple
    size_w: Triple
    rotation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    instance: int = NOTHING


@dataclass(frozen=True)
class Polyline:
    """Joined points; ``closed``: the last one is joined to the first."""

    id: int
    class_id: int
    points_w: tuple[Triple, ...]
    closed: bool = False
    name: str = ""


@dataclass(frozen=True)
class Landmark:
    """A named point."""

    id: int
    class_id: int
    name: str
    pos_w: Triple


@dataclass(frozen=True)
class Note:
    """Free text, at a place or (``pos_w`` None) on the capture as a whole."""

    id: int
    text: str
    pos_w: Triple | None = None


Thing = LabelClass | OrientedBox | Polyline | Landmark | Note
Kind = Literal["class", "box", "polyline", "landmark", "note"]


@dataclass(frozen=True, eq=False)
class Changed:
    """What one edit, undo or redo changed, so that only that is drawn again.

    Attributes:
        title: of the edit, for the status line.
        rows: (N,) int64 voxels, ascending.
        labels, instances: (N,) uint16 and (N,) uint32, what they hold now.
        kinds: of the things that changed.
        undone: the edit was taken back.
    """

    title: str
    rows: NDArray[np.int64]
    labels: NDArray[np.uint16]
    instances: NDArray[np.uint32]
    kinds: frozenset[Kind] = field(default_factory=lambda: frozenset[Kind]())
    undone: bool = False


@dataclass(frozen=True)
class HistoryEntry:
    """One step of the history: ``at`` in seconds since 1970, how many ``voxels`` it changed, and whether it is
    ``undone`` now."""

    title: str
    at: float
    voxels: int
    undone: bool


@dataclass(frozen=True, eq=False)
class Selected:
    """A selection under the pointer.

    Attributes:
        score: (V,) float32 in [0, 1]: how surely each voxel belongs; a threshold over it needs no new computation.
        threshold: where it stands at first.
        rows: (N,) int64, the voxels from the threshold on that hang together with a positive click.
    """

    score: NDArray[np.float32]
    threshold: float
    rows: NDArray[np.int64]
