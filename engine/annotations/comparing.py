"""Another annotator's file beside what is annotated here: how they differ, class by class and place by place, and
taking over what the other one said."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations.conflicts import UNLABELLED, apart
from engine.annotations.edits import Edit
from engine.annotations.formats.content import Incoming, bring, of_elsewhere
from engine.annotations.palette import classes_edit
from engine.annotations.places import VoxelPlaces
from engine.annotations.review import common_names, difference, named
from engine.annotations.state import AnnotationState
from engine.api.annotations import NOTHING, LabelClass
from engine.api.reviewing import (
    AnnotationsCompared,
    ClassCompared,
    CompareAnnotations,
    ComparedElsewhere,
    Disagreement,
    Side,
)

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid

Rows = NDArray[np.int64]
MOST = 300
"""Places that are told."""


@dataclass(frozen=True, eq=False)
class Theirs:
    """What another annotated, on the voxels of this scene.

    Attributes:
        name: of the file.
        state: what it says.
        told: what it could not say here.
    """

    name: str
    state: AnnotationState
    told: tuple[str, ...]


def theirs_of(incoming: Incoming, places: VoxelPlaces, fingerprint: str, *, by_position: bool = False) -> Theirs:
    """What was read from a file, alone on the voxels of a scene.

    Raises:
        AnnotationError: see ``bring``.
    """
    state = AnnotationState.empty(len(places))
    brought = bring(incoming, state, places, fingerprint, by_position=by_position)
    state.apply(brought.edit)
    return Theirs(incoming.path.name, state, brought.told)


def elsewhere(
    request: CompareAnnotations, incoming: Incoming, places: VoxelPlaces, fingerprint: str
) -> ComparedElsewhere | None:
    """That a file is of another capture or grid, unless it was asked to compare by position."""
    what = "" if request.by_position else of_elsewhere(incoming, places, fingerprint)
    return ComparedElsewhere(id=request.id, what=f"{incoming.path.name} {what}", request=request) if what else None


def compared(
    id: int, version: int, grid: RadianceGrid, mine: AnnotationState, theirs: Theirs
) -> Generator[None, None, AnnotationsCompared]:
    """The answer of how two annotations of one grid differ; gives way by None."""
    names = common_names(mine, theirs.state)
    found = difference(mine, theirs.state)
    yield None
    of_a, of_b = named(mine, names), named(theirs.state, names)
    n = len(names) + 1
    table = np.bincount(of_a * n + of_b, minlength=n * n).reshape(n, n)
    palette = {c.name.casefold(): c for c in (*theirs.state.palette, *mine.palette)}
    known = {c.name.casefold(): c.id for c in mine.palette}
    rows: list[tuple[int, ClassCompared]] = []
    for place, name in enumerate(names, start=1):
        if name in found.iou:
            counts = (int(table[place].sum()), int(table[:, place].sum()), int(table[place, place]))
            label = palette[name]
            rows.append((place, ClassCompared(
                label.name, label.rgb, *counts, found.iou[name], found.instance_iou.get(name),
            )))  # fmt: skip
    rows.sort(key=lambda r: (-(r[1].mine + r[1].theirs - 2 * r[1].both), r[1].name))
    number = np.zeros(n, np.uint16)
    for shown, (place, _) in enumerate(rows, start=1):
        number[place] = shown
    sides = {NOTHING: Side(None, NOTHING, *UNLABELLED)} | {
        place: Side(None, known.get(names[place - 1], NOTHING), row.name, row.rgb) for place, row in rows
    }
    places: list[Disagreement] = []
    for a, b in np.argwhere(table > 0).tolist():
        if a != b:
            places += apart(grid, np.flatnonzero((of_a == a) & (of_b == b)), sides[a], sides[b])
            yield None
    places.sort(key=lambda p: (-len(p.rows), p.rows[0]))
    return AnnotationsCompared(
        id=id, version=version, name=theirs.name, classes=tuple(r for _, r in rows), mine=number[of_a],
        theirs=number[of_b], agreed=found.agreed, kappa=found.kappa, differ=found.differ, places=tuple(places[:MOST]),
        left_out=max(0, len(places) - MOST), told=theirs.told,
    )  # fmt: skip


def taken(mine: AnnotationState, theirs: Theirs, rows: Rows) -> tuple[Edit, tuple[str, ...]]:
    """The edit that labels voxels (N,) as the other annotator did, and what is to be told of it. Things get instances
    of their own; what both say alike stays as it is, and so do voxels of locked classes.

    Raises:
        AnnotationError: a row is none of the voxels.
    """
    mine.check_rows(rows)
    rows = np.unique(rows)
    title = f"Take over from {theirs.name}"
    said = theirs.state.labels[rows]
    changes = classes_edit(mine.palette, [c for c in theirs.state.palette if c.id in said], title).changes
    known = {c.name.casefold(): c for c in mine.palette}
    known |= {c.thing.name.casefold(): c.thing for c in changes if isinstance(c.thing, LabelClass)}
    classes = np.zeros(int(theirs.state.labels.max(initial=0)) + 1, np.uint16)
    for c in theirs.state.palette:
        if c.id in said:
            classes[c.id] = known[c.name.casefold()].id
    label = classes[said]
    other = label != mine.labels[rows]
    locked = [c.id for c in known.values() if c.locked]
    free = other & ~np.isin(mine.labels[rows], locked) & ~np.isin(label, locked)
    kept = int((other & ~free).sum())
    rows, label = rows[free], label[free]
    ids, place = np.unique(theirs.state.instances[rows], return_inverse=True)
    fresh = np.where(ids > 0, mine.next_instance() + np.cumsum(ids > 0) - 1, 0).astype(np.uint32)
    instance = np.where(label == NOTHING, np.uint32(0), fresh[place]) if len(rows) else np.zeros(0, np.uint32)
    edit = mine.relabel(rows, label, instance, changes if len(rows) else (), title=title)
    return edit, (f"{kept:,} voxels of locked classes stay as they are.",) if kept else ()
