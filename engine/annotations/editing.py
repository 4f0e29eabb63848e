"""From requests of the window to edits of the document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations.boxes import fit_box
from engine.annotations.edits import Edit
from engine.annotations.palette import classes_edit, fresh_colour, read_classes
from engine.annotations.places import VoxelPlaces
from engine.annotations.snap import snapped
from engine.annotations.state import AnnotationState
from engine.annotations.tools import flood, flood_alike, grown
from engine.api.annotating import (
    AddClass,
    AnnotationRequest,
    BoxRows,
    FloodFill,
    LabelNamed,
    LabelRows,
    LoadClasses,
    PutLandmark,
    PutNote,
    PutPolyline,
    PutThing,
    RemoveThing,
    Source,
)
from engine.api.annotations import NOTHING, LabelClass, Landmark, Note, OrientedBox, Polyline, Triple
from engine.api.errors import AnnotationError, QueryError

if TYPE_CHECKING:
    from engine.annotations.service import AnnotationService
    from engine.grid.radiance import RadianceGrid

Rows = NDArray[np.int64]
SNAP_VOXELS = 6.0
"""A landmark goes to a keypoint that is so near."""
KEYS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 0)


def edit_of(service: AnnotationService, state: AnnotationState, request: AnnotationRequest) -> Edit:
    """The edit that a request asks for; nothing is changed.

    Raises:
        CondenseError: it does not fit what is annotated.
    """
    match request:
        case LabelRows():
            return state.paint(request.rows, request.class_id, _fresh_instance(state, request.class_id))
        case LabelNamed():
            return _labelled(state, request)
        case FloodFill():
            return _filled(service, state, request)
        case BoxRows():
            return state.put(_box(service, state, request))
        case PutLandmark():
            pos_w, _ = place_of(service, request.source, snap=True)
            return state.put(Landmark(state.next_id("landmark"), request.class_id, request.name, pos_w))
        case PutPolyline():
            if len(request.points_w) < 2:
                raise AnnotationError("a line joins two points or more", found=f"{len(request.points_w)}")
            id = state.next_id("polyline")
            line = Polyline(id, request.class_id, request.points_w, request.closed, request.name)
            return state.put(line, title=f"Add line {request.name}")
        case PutNote():
            at = service.seeing.centre_w(service.seeing.row(request.source))
            return state.put(Note(state.next_id("note"), request.text, at))
        case AddClass():
            label = new_class(state, request.name)
            return state.put(label, title=f"Add class {label.name}")
        case PutThing():
            return state.put(request.thing)
        case RemoveThing():
            return state.remove(request.kind, request.thing_id)
        case LoadClasses():
            path = Path(request.path)
            return classes_edit(state.palette, read_classes(path), f"Import {path.name}")
        case _:
            raise QueryError(f"annotations do not know the request {type(request).__name__}")


def new_class(state: AnnotationState, name: str) -> LabelClass:
    """A class of that name, with a colour and the first free key.

    Raises:
        AnnotationError: the name is empty.
    """
    if not name.strip():
        raise AnnotationError("a class needs a name")
    id = state.next_id("class")
    taken = {c.digit for c in state.palette}
    return LabelClass(id, name.strip(), fresh_colour(id), next((k for k in KEYS if k not in taken), None))


def stroke_edit(grid: RadianceGrid, state: AnnotationState, rows: Rows, class_id: int) -> Edit:
    """Label what a stroke covers. It goes on with the instance of its class that it touches most, or begins one."""
    if class_id == NOTHING:
        return state.paint(rows, NOTHING)
    if not len(rows):
        return state.paint(rows, class_id)
    about = grown(grid, rows)
    near = state.instances[about[state.labels[about] == class_id]]
    ids, count = np.unique(near[near > 0], return_counts=True)
    instance = int(ids[count.argmax()]) if len(ids) else state.next_instance()
    return state.paint(rows, class_id, instance)


def _fresh_instance(state: AnnotationState, class_id: int) -> int:
    return NOTHING if class_id == NOTHING else state.next_instance()


def _labelled(state: AnnotationState, request: LabelNamed) -> Edit:
    name = request.name.strip().casefold()
    known = next((c for c in state.palette if c.name.casefold() == name), None)
    if known is not None:
        return state.paint(request.rows, known.id, state.next_instance())
    label = replace(new_class(state, request.name), rgb=request.rgb)
    adding = state.put(label, title=f"Label {label.name}")
    rows = np.unique(request.rows)
    if len(rows) and not (rows[0] >= 0 and rows[-1] < len(state.labels)):
        raise AnnotationError("these are none of the voxels", found=f"rows {rows[0]} to {rows[-1]}")
    rows = rows[~np.isin(state.labels[rows], [c.id for c in state.palette if c.locked])]
    labels, instances = (
        np.full(len(rows), n, t) for n, t in ((label.id, np.uint16), (state.next_instance(), np.uint32))
    )
    return state.relabel(rows, labels, instances, adding.changes, title=adding.title)


def _filled(service: AnnotationService, state: AnnotationState, request: FloodFill) -> Edit:
    grid, seed = service.grid, service.seeing.row(request.source)
    if state.labels[seed] != NOTHING:
        rows = flood(grid, state.labels, state.instances, seed)
    else:
        rows = flood_alike(grid, seed, request.tolerance, only=state.labels == NOTHING)
    return state.paint(rows, request.class_id, _fresh_instance(state, request.class_id))


def _box(service: AnnotationService, state: AnnotationState, request: BoxRows) -> OrientedBox:
    """Around the voxels, and of the instance that most of them belong to."""
    rows = request.rows
    ids, count = np.unique(state.instances[rows], return_counts=True)
    instance = int(ids[count.argmax()]) if len(ids) else NOTHING
    places, up_w = VoxelPlaces.of(service.grid), service.scene.capture.up_w
    id = state.next_id("box")
    return fit_box(places, rows, up_w, id=id, class_id=request.class_id, instance=instance)


def place_of(service: AnnotationService, source: Source, *, snap: bool) -> tuple[Triple, bool]:
    """The keypoint that a click means, or else the place on the surface; and whether it is a keypoint.

    Raises:
        AnnotationError: there is nothing of the scene.
        QueryError: there is no such photo.
    """
    at, keypoints = service.seeing.place_w(source), service.scene.keypoints
    near = None
    if snap and keypoints is not None:
        near = snapped(at, keypoints.pos_w, keypoints.score, SNAP_VOXELS * service.grid.spec.voxel)
    if near is None or keypoints is None:
        return at, False
    x, y, z = (float(v) for v in keypoints.pos_w[near])
    return (x, y, z), True
