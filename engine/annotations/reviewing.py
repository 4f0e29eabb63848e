"""Answers to requests that look over annotations; see ``engine.api.reviewing``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations import comparing, transfer
from engine.annotations.conflicts import find_conflicts
from engine.annotations.editing import new_class, stroke_edit
from engine.annotations.edits import Change, Edit
from engine.annotations.review import progress
from engine.annotations.said import Said
from engine.annotations.selecting import suggested
from engine.annotations.state import AnnotationState
from engine.annotations.suggest import alike, example_of, unlabelled_things
from engine.api.annotated import ReviewFound
from engine.api.annotating import ReviewAnnotations
from engine.api.annotations import NOTHING
from engine.api.errors import AnnotationError
from engine.api.replies import JobFinished, Region
from engine.api.reviewing import (
    CompareAgain,
    CompareAnnotations,
    ConflictsFound,
    DescribeExamples,
    Example,
    ExamplesDescribed,
    FindConflicts,
    LabelAs,
    ReviewRequest,
    SettleConflict,
    StopComparing,
    SuggestFrom,
    TakeTheirs,
)
from engine.scene_state import Replies, report, without_replies

if TYPE_CHECKING:
    from engine.annotations.service import AnnotationService
    from engine.grid.radiance import RadianceGrid

Rows = NDArray[np.int64]
MOST_EXAMPLES = 8
"""Things of a class that are looked for in another scene, the largest."""
LEAST_VOXELS = 20
"""Smaller things are no example."""


def review(service: AnnotationService, request: ReviewRequest) -> Replies[None]:
    """Answer a request.

    Raises:
        CondenseError: it cannot be done, and why.
    """
    match request:
        case FindConflicts():
            yield from _conflicts(service, request)
        case SettleConflict():
            edit = settled(service.grid, service.document.state, request.rows, request.class_id)
            yield service.done(request, edit)
        case CompareAnnotations():
            yield from _compare(service, request)
        case CompareAgain():
            yield from _compared(service, request.id)
        case StopComparing():
            service.theirs = None
        case TakeTheirs():
            edit, told = comparing.taken(service.document.state, _theirs(service), request.rows)
            yield service.done(request, edit, told)
        case DescribeExamples():
            examples = yield from _examples(service, request)
            yield ExamplesDescribed(id=request.id, examples=tuple(examples), encoder=_encoder(service))
        case SuggestFrom():
            yield from _suggest(service, request)
        case LabelAs():
            yield service.done(request, labelled_as(service.document.state, request))
        case _:
            raise AnnotationError(f"annotations do not know the request {type(request).__name__}")


def overview(service: AnnotationService, request: ReviewAnnotations) -> Replies[None]:
    """How far it is, class by class, what has no label yet, and what was done."""
    grid, state = service.grid, service.state
    scene = yield from without_replies(service.seeing.selectable())
    parts = unlabelled_things(scene, state.labels != NOTHING)
    yield None
    left = max(1, int((state.labels == NOTHING).sum()))
    found = progress(state, service.places)
    yield ReviewFound(
        id=request.id, labelled=found.labelled, voxels=found.voxels, classes=found.classes,
        unlabelled=tuple(_region(grid, rows, left) for rows in parts), parts=tuple(parts), history=service.history(100),
    )  # fmt: skip


def _region(grid: RadianceGrid, rows: Rows, left: int) -> Region:
    index = grid.index[rows]
    middle = rows[int(((index - index.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    corners = grid.spec.to_world(
        np.stack([grid.index[middle] + 0.5, index.min(axis=0), index.max(axis=0) + 1]).astype(np.float64)
    )
    centre, lo, hi = ((float(p[0]), float(p[1]), float(p[2])) for p in corners)
    return Region(centre, lo, hi, len(rows) / left, 1.0)


# --- conflicts


def _conflicts(service: AnnotationService, request: FindConflicts) -> Replies[None]:
    start, document = time.perf_counter(), service.document
    job = find_conflicts(document.state, document.backwards(), service.grid)
    found = yield from report(request, job)
    yield ConflictsFound(
        id=request.id, version=service.version, conflicts=found.conflicts, voxels=found.voxels,
        left_out=found.left_out,
    )  # fmt: skip
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)


def settled(grid: RadianceGrid, state: AnnotationState, rows: Rows, class_id: int) -> Edit:
    """The edit by which voxels (N,) are of a class, and what photos said of them before no longer counts. Those that
    are of the class already keep their instances; the others go on with the one that they touch most.

    Raises:
        AnnotationError: no such class, or it is locked; or a row is none of the voxels.
    """
    state.check_rows(rows)
    other = rows[state.labels[rows] != class_id]
    edit = stroke_edit(grid, state, other, class_id) if len(other) else state.paint(rows[:0], class_id)
    title = f"Settle as {state.name_of(class_id)}"
    return replace(edit, title=title, said=(Said.of(None, class_id, rows),))


# --- two annotators


def _compare(service: AnnotationService, request: CompareAnnotations) -> Replies[None]:
    places, fingerprint = service.places, service.scene.capture.fingerprint
    incoming = yield from transfer.read(service, Path(request.path), request.format)
    other = comparing.elsewhere(request, incoming, places, fingerprint)
    if other is not None:
        yield other
        return
    service.theirs = comparing.theirs_of(incoming, places, fingerprint, by_position=request.by_position)
    yield from _compared(service, request.id)


def _compared(service: AnnotationService, id: int) -> Replies[None]:
    yield (yield from comparing.compared(id, service.version, service.grid, service.state, _theirs(service)))


def _theirs(service: AnnotationService) -> comparing.Theirs:
    found = service.theirs
    if found is None or len(found.state.labels) != len(service.state.labels):
        raise AnnotationError("no other annotations are open", mend="choose a file to compare with first")
    return found


# --- other scenes


def _encoder(service: AnnotationService) -> str:
    features = service.scene.features
    return "" if features is None else features.id


def _examples(service: AnnotationService, request: DescribeExamples) -> Replies[list[Example]]:
    scene = yield from without_replies(service.seeing.selectable())
    if request.rows is not None:
        return [example_of(scene, request.rows)]
    state = service.state
    own = np.flatnonzero(state.labels == request.class_id)
    ids, size = np.unique(state.instances[own], return_counts=True)
    large = ids[np.argsort(-size, kind="stable")][: min(MOST_EXAMPLES, int((size >= LEAST_VOXELS).sum()))]
    found: list[Example] = []
    for id in large:
        yield None
        found.append(example_of(scene, own[state.instances[own] == id]))
    if not found:
        raise AnnotationError("there is no example to look for", mend="select or label a whole thing first")
    return found


def _suggest(service: AnnotationService, request: SuggestFrom) -> Replies[None]:
    if request.encoder != _encoder(service):
        raise AnnotationError(
            "the features here are of another encoder than the examples", found=_encoder(service),
            expected=request.encoder, mend="encode both captures with the same encoder",
        )  # fmt: skip
    scene = yield from without_replies(service.seeing.selectable())
    found = alike(scene, request.examples, service.state.labels != NOTHING, request.least)
    yield suggested(service, request.id, found)


def labelled_as(state: AnnotationState, request: LabelAs) -> Edit:
    """The edit that labels voxels by the name of a class, which is added if it is missing; voxels of locked classes are
    left as they are.

    Raises:
        AnnotationError: the class is locked, or has no name; or a row is none of the voxels.
    """
    name = request.name.strip()
    known = next((c for c in state.palette if c.name.casefold() == name.casefold()), None)
    if known is not None:
        return state.paint(request.rows, known.id, state.next_instance())
    added = new_class(state, name)
    if all(c.rgb != request.rgb for c in state.palette):
        added = replace(added, rgb=request.rgb)
    rows = np.unique(request.rows)
    state.check_rows(rows)
    rows = rows[~np.isin(state.labels[rows], [c.id for c in state.palette if c.locked])]
    label, instance = np.full(len(rows), added.id, np.uint16), np.full(len(rows), state.next_instance(), np.uint32)
    return state.relabel(rows, label, instance, [Change(None, added)], title=f"Label {added.name}")
