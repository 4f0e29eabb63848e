"""Selections and strokes of the window: clicks, thresholds, growing, suggestions, and what is drawn in photos."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations.editing import stroke_edit
from engine.annotations.edits import Edit
from engine.annotations.said import Said
from engine.annotations.select import Click, selected_rows, smart_select
from engine.annotations.state import AnnotationState
from engine.annotations.strokes import Bool, brush, lasso, lifted, over, rectangle
from engine.annotations.suggest import Suggestion, alike, example_of, meant
from engine.annotations.tools import around, grown, shrunk
from engine.api.annotated import (
    SelectionFound,
    Suggested,
    SuggestionsFound,
)
from engine.api.annotating import (
    DrawOver,
    DrawStroke,
    MoveThreshold,
    PaintAt,
    ResizeSelection,
    SelectThing,
    SuggestAlike,
    SuggestByWords,
)
from engine.api.annotations import NOTHING
from engine.api.errors import AnnotationError
from engine.api.scene import Float32
from engine.scene_state import Replies, without_replies

if TYPE_CHECKING:
    from engine.annotations.service import AnnotationService
    from engine.api.camera import Camera

Rows = NDArray[np.int64]
NONE: Rows = np.zeros(0, np.int64)
Selecting = SelectThing | MoveThreshold | ResizeSelection | SuggestByWords | SuggestAlike


def select(service: AnnotationService, request: Selecting) -> Replies[None]:
    """Answer a selection.

    Raises:
        AnnotationError: there is nothing to select by, or nothing at the place.
    """
    start, grid, version = time.perf_counter(), service.grid, service.version
    match request:
        case SelectThing():
            scene = yield from without_replies(service.seeing.selectable())
            clicks = [Click(service.seeing.row(c.source), c.positive) for c in request.clicks]
            found = smart_select(scene, clicks, request.threshold)
            seeds = np.array([c.row for c in clicks if c.positive], np.int64)
            rows = _with(request.base, found.rows, subtract=request.subtract)
            yield SelectionFound(
                id=request.id, version=version, rows=rows, score=found.score, seeds=seeds,
                threshold=request.threshold, milliseconds=(time.perf_counter() - start) * 1e3,
            )  # fmt: skip
        case MoveThreshold():
            clicks = [Click(int(row)) for row in request.seeds]
            moved = selected_rows(grid, request.score, clicks, request.threshold)
            rows = _with(request.base, moved, subtract=request.subtract)
            yield SelectionFound(
                id=request.id, version=version, rows=rows, score=request.score, seeds=request.seeds,
                threshold=request.threshold, milliseconds=(time.perf_counter() - start) * 1e3,
            )  # fmt: skip
        case ResizeSelection():
            change = grown if request.steps > 0 else shrunk
            rows = change(grid, request.rows, abs(request.steps))
            yield SelectionFound(id=request.id, version=version, rows=rows)
        case SuggestByWords():
            named = service.scene.named
            if named is None or named.grid is not grid:
                raise AnnotationError("the scene has no names yet", mend="wait until it is named")
            yield suggested(service, request.id, meant(named, request.words, threshold=request.threshold))
        case SuggestAlike():
            scene = yield from without_replies(service.seeing.selectable())
            taken = service.state.labels != NOTHING
            taken[request.rows] = True
            yield suggested(service, request.id, alike(scene, [example_of(scene, request.rows)], taken))


def stroke(service: AnnotationService, request: DrawStroke | DrawOver | PaintAt) -> Replies[None]:
    """Lift a stroke and do with it what is asked.

    Raises:
        AnnotationError: it is no stroke, or it cannot be labelled so.
        QueryError: there is no such photo.
    """
    grid = service.grid
    if isinstance(request, DrawOver):
        depth_z = _checked_depth(request.depth_z)
        sight = request.camera.scaled(depth_z.shape[1], depth_z.shape[0])
        mask = _mask(request, request.camera, sight)
        rows = yield from without_replies(
            over(grid, sight, depth_z, mask, through=request.through, clip_w=request.clip_w)
        )
    elif isinstance(request, DrawStroke):
        hits = yield from without_replies(service.seeing.hits(request.view))
        rows = lifted(hits, _mask(request, service.scene.capture.views[request.view].camera, hits.camera))
    else:
        rows = around(grid, request.points_w, request.radius_w)
    if request.use in ("add", "subtract"):
        rows = _with(request.rows, rows, subtract=request.use == "subtract")
        yield SelectionFound(id=request.id, version=service.version, rows=rows)
        return
    class_id = NOTHING if request.use == "erase" else request.class_id
    edit = stroke_edit(grid, service.document.state, rows, class_id)
    if isinstance(request, DrawStroke):
        edit = said_by(edit, request.view, class_id, service.document.state, rows)
    yield service.done(request, edit)


def said_by(edit: Edit, view: int, class_id: int, state: AnnotationState, rows: Rows) -> Edit:
    """A label of voxels (N,) as what a photo says, so that it is known after another one said something else. Locked
    voxels are not spoken of; a stroke that changes nothing says nothing."""
    if class_id == NOTHING or edit.labels is None:
        return edit
    locked = np.isin(state.labels[rows], [c.id for c in state.palette if c.locked])
    return replace(edit, said=(Said.of(view, class_id, rows[~locked]),))


def _checked_depth(depth_z: Float32) -> Float32:
    """As what shows; not finite is nothing."""
    if depth_z.ndim != 2 or not depth_z.size:
        raise AnnotationError("there is no picture to draw over", found=f"{depth_z.shape}")
    return np.where(np.isfinite(depth_z), depth_z, 0)


def _mask(request: DrawStroke | DrawOver, picture: Camera, small: Camera) -> Bool:
    """(h, w) of the stroke at the size of what is known of the picture."""
    scale = np.array([small.width / picture.width, small.height / picture.height])
    path = np.asarray(request.path_px, np.float64).reshape(-1, 2) * scale
    if isinstance(request, DrawStroke) and request.kind == "brush":
        return brush(small, path, request.radius_px * float(scale[0]))
    if request.kind == "lasso":
        return lasso(small, path)
    if len(path) != 2:
        raise AnnotationError("a box has two corners", found=f"{len(path)}")
    return rectangle(small, path[0], path[1])


def _with(base: Rows | None, rows: Rows, *, subtract: bool) -> Rows:
    before = NONE if base is None else base
    return np.setdiff1d(before, rows) if subtract else np.union1d(before, rows)


def suggested(service: AnnotationService, id: int, found: list[Suggestion]) -> SuggestionsFound:
    """What is not labelled already."""
    labels = service.state.labels
    open_ = [s for s in found if (labels[s.rows] == NOTHING).mean() > 0.5]
    return SuggestionsFound(
        id=id, version=service.version, suggestions=tuple(Suggested(s.rows, s.score) for s in open_)
    )
