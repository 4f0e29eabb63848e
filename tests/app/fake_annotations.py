"""Annotations of the fake room: the engine's own edits on its voxels, selections by the room's boxes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
from scipy.spatial import cKDTree

from engine.annotations.comparing import Theirs, compared, taken
from engine.annotations.conflicts import find_conflicts
from engine.annotations.edits import Edit
from engine.annotations.places import VoxelPlaces
from engine.annotations.review import progress
from engine.annotations.reviewing import labelled_as, settled
from engine.annotations.selecting import said_by
from engine.annotations.state import AnnotationState
from engine.annotations.strokes import lasso, over, rectangle
from engine.api.annotated import (
    AnnotationChanged,
    AnnotationsOpened,
    PhotoVoxels,
    PlaceFound,
    ReviewFound,
    SelectionFound,
    Suggested,
    SuggestionsFound,
    Things,
)
from engine.api.annotating import (
    AddClass,
    AnnotationRequest,
    BoxRows,
    DrawOver,
    DrawStroke,
    ExportAnnotations,
    FindPlace,
    FloodFill,
    LabelRows,
    LookAtPhoto,
    MoveThreshold,
    OpenAnnotations,
    PaintAt,
    PrepareAnnotating,
    PutLandmark,
    PutPolyline,
    PutThing,
    RedoAnnotation,
    RemoveThing,
    ResizeSelection,
    ReviewAnnotations,
    SelectThing,
    SuggestAlike,
    SuggestByWords,
    UndoAnnotation,
)
from engine.api.annotations import HistoryEntry, LabelClass, Landmark, OrientedBox, Polyline
from engine.api.errors import AnnotationError
from engine.api.jobs import finish
from engine.api.replies import Failed, JobFinished, Region, Reply
from engine.api.requests import PixelSource
from engine.api.reviewing import (
    CompareAgain,
    CompareAnnotations,
    ComparedElsewhere,
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
from engine.api.scene import SceneInfo, Volume
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec

SIDE = 48
COLOURS = ((220, 60, 60), (60, 180, 80), (70, 90, 230))


class FakeAnnotations:
    """One document on one volume.

    Args:
        scene, volume: of the room.
        boxes: lowest and highest corner of the things in it.
        depth: (N,) z-depth of the room at pixels (N, 2) of a camera.
    """

    def __init__(self, scene: SceneInfo, volume: Volume, boxes: list, depth: Callable) -> None:
        self.scene, self.volume = scene, volume
        centres = volume.centres_w().astype(np.float64)
        self.things = [
            np.flatnonzero(((centres > np.array(lo) - 0.03) & (centres < np.array(hi) + 0.03)).all(axis=1))
            for lo, hi in boxes
        ]
        self.state = AnnotationState.empty(len(centres))
        self.done: list[Edit] = []
        self.undone: list[Edit] = []
        self.problem = ""
        self.begun = False
        self.theirs: Theirs | None = None  # another annotator's
        self.of_elsewhere = False  # and of another capture
        spec = GridSpec(volume.lo_w, volume.voxel, volume.dims)
        colour, tau = np.full((len(centres), 3), 0.5), np.ones(len(centres))
        self._grid = RadianceGrid.of(spec, volume.index, colour, tau, [[[1, 1, 1]]])
        self._tree, self._centres, self._depth = cKDTree(centres), centres, depth
        self._rows: dict[int, np.ndarray] = {}

    def rows(self, view: int) -> np.ndarray:
        """(h, w) int32 voxels that a photo shows."""
        if view not in self._rows:
            camera = self.scene.views[view].camera.fitted(SIDE)
            px = camera.pixel_grid()
            _, found = self._tree.query(camera.unproject(px, self._depth(camera, px)))
            self._rows[view] = found.reshape(camera.height, camera.width).astype(np.int32)
        return self._rows[view]

    def answer(self, request: AnnotationRequest, reply: Callable[[Reply], None]) -> None:
        try:
            for found in self._answers(request):
                reply(found)
        except AnnotationError as e:
            reply(Failed(id=request.id, what=e.what, text=e.text()))

    def _answers(self, request: AnnotationRequest) -> list[Reply]:
        id, version = request.id, self.volume.version
        match request:
            case OpenAnnotations():
                self.begun |= request.begin
                return [self._opened(request)]
            case PrepareAnnotating():
                photos = [PhotoVoxels(id=id, version=version, view=v.index, rows=self.rows(v.index))
                          for v in self.scene.views]  # fmt: skip
                return [*photos, JobFinished(id=id, title=request.title, seconds=0.1)]
            case LookAtPhoto():
                return [PhotoVoxels(id=id, version=version, view=request.view, rows=self.rows(request.view))]
            case SelectThing():
                return [self._select(request)]
            case MoveThreshold():
                rows = np.flatnonzero(request.score >= request.threshold)
                return [SelectionFound(id=id, version=version, rows=rows, score=request.score, seeds=request.seeds,
                                       threshold=request.threshold)]  # fmt: skip
            case ResizeSelection():
                rows = request.rows[: len(request.rows) + min(0, 10 * request.steps)]
                return [SelectionFound(id=id, version=version, rows=rows)]
            case SuggestByWords() | SuggestAlike():
                free = [t for t in self.things if not self.state.labels[t].any()]
                return [SuggestionsFound(id=id, version=version, suggestions=tuple(Suggested(t, 0.8) for t in free))]
            case ReviewAnnotations():
                history = tuple(HistoryEntry(e.title, e.at, 0, False) for e in self.done)
                region = Region((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), (1.5, 1.5, 1.5), 1.0, 1.0)
                found = progress(self.state, VoxelPlaces.of(self._grid))
                free = tuple(t for t in self.things if not self.state.labels[t].any())
                return [ReviewFound(id=id, labelled=found.labelled, voxels=found.voxels, classes=found.classes,
                                    unlabelled=(region,) * len(free), parts=free, history=history)]  # fmt: skip
            case ReviewRequest():
                return self._review(request)
            case ExportAnnotations():
                return [JobFinished(id=id, title=request.title, seconds=0.1)]
            case UndoAnnotation() if self.done:
                self.undone.append(self.done.pop())
                return [self._changed(request, self.undone[-1], forward=False)]
            case RedoAnnotation() if self.undone:
                self.done.append(self.undone.pop())
                return [self._changed(request, self.done[-1], made=False)]
            case DrawStroke() | DrawOver() | PaintAt():
                return [self._stroke(request)]
            case FindPlace():
                self._thing(self._at(request.source))
                return [PlaceFound(id=id, pos_w=tuple(self._at(request.source).tolist()), snapped=False)]
            case _:
                return [self._do(request, self._edit(request))]

    def _review(self, request: ReviewRequest) -> list[Reply]:
        id, version, state = request.id, self.volume.version, self.state
        match request:
            case FindConflicts():
                found = finish(find_conflicts(state, reversed(self.done), self._grid))
                return [ConflictsFound(id=id, version=version, conflicts=found.conflicts, voxels=found.voxels,
                                       left_out=found.left_out),
                        JobFinished(id=id, title=request.title, seconds=0.1)]  # fmt: skip
            case SettleConflict():
                return [self._do(request, settled(self._grid, state, request.rows, request.class_id))]
            case CompareAnnotations() if self.theirs is None:
                raise AnnotationError("there is no such file")
            case CompareAnnotations() if self.of_elsewhere and not request.by_position:
                return [ComparedElsewhere(id=id, what="b.json holds annotations of another capture", request=request)]
            case CompareAnnotations() | CompareAgain():
                assert self.theirs is not None
                return [finish(compared(id, version, self._grid, state, self.theirs))]
            case StopComparing():
                return []
            case TakeTheirs():
                assert self.theirs is not None
                return [self._do(request, taken(state, self.theirs, request.rows)[0])]
            case DescribeExamples():
                one = Example(np.ones(4) / 2, 100.0, np.ones(3))
                return [ExamplesDescribed(id=id, examples=(one,), encoder="fake")]
            case SuggestFrom():
                free = [t for t in self.things if not state.labels[t].any()]
                return [SuggestionsFound(id=id, version=version, suggestions=tuple(Suggested(t, 0.8) for t in free))]
            case LabelAs():
                return [self._do(request, labelled_as(state, request))]
            case _:
                raise AnnotationError(f"the fake does not know {type(request).__name__}")

    def _edit(self, request: AnnotationRequest) -> Edit:
        state = self.state
        match request:
            case LabelRows():
                return state.paint(request.rows, request.class_id, state.next_instance() if request.class_id else 0)
            case FloodFill():
                return state.paint(self.things[self._thing(self._at(request.source))], request.class_id, 99)
            case AddClass():
                n = state.next_id("class")
                return state.put(LabelClass(n, request.name, COLOURS[n % 3], n if n < 10 else None))
            case PutThing():
                return state.put(request.thing)
            case RemoveThing():
                return state.remove(request.kind, request.thing_id)
            case PutLandmark():
                at = tuple(self._at(request.source).tolist())
                return state.put(Landmark(state.next_id("landmark"), request.class_id, request.name, at))
            case PutPolyline():
                line = Polyline(
                    state.next_id("polyline"), request.class_id, request.points_w, request.closed, request.name
                )
                return state.put(line)
            case BoxRows():
                lo, hi = self._centres[request.rows].min(axis=0), self._centres[request.rows].max(axis=0)
                centre, size = tuple(((lo + hi) / 2).tolist()), tuple((hi - lo).tolist())
                return state.put(OrientedBox(state.next_id("box"), request.class_id, centre, size))
            case _:
                raise AnnotationError(f"the fake does not know {type(request).__name__}")

    def _stroke(self, request: DrawStroke | DrawOver | PaintAt) -> Reply:
        if isinstance(request, DrawOver):
            v = self.volume
            grid = SimpleNamespace(index=v.index, spec=GridSpec(v.lo_w, v.voxel, tuple(v.index.max(axis=0) + 2)))
            h, w = request.depth_z.shape
            sight = request.camera.scaled(w, h)
            path = np.array(request.path_px) * (w / request.camera.width, h / request.camera.height)
            mask = lasso(sight, path) if request.kind == "lasso" else rectangle(sight, *path)
            covered = finish(over(grid, sight, request.depth_z, mask, through=request.through, clip_w=request.clip_w))
        elif isinstance(request, DrawStroke):
            rows = self.rows(request.view)
            scale = rows.shape[1] / self.scene.views[request.view].camera.width
            path = np.array(request.path_px) * scale
            (x0, y0), (x1, y1) = np.floor(path.min(axis=0)).astype(int), np.ceil(path.max(axis=0)).astype(int)
            covered = np.unique(rows[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1])
        else:
            covered = np.unique(np.concatenate(self._tree.query_ball_point(request.points_w, request.radius_w)))
            covered = covered.astype(np.int64)
        if request.use in ("add", "subtract"):
            before = np.zeros(0, np.int64) if request.rows is None else request.rows
            rows = np.union1d(before, covered) if request.use == "add" else np.setdiff1d(before, covered)
            return SelectionFound(id=request.id, version=self.volume.version, rows=rows)
        class_id = 0 if request.use == "erase" else request.class_id
        edit = self.state.paint(covered, class_id, 1 if class_id else 0)
        if isinstance(request, DrawStroke):
            edit = said_by(edit, request.view, class_id, self.state, covered)
        return self._do(request, edit)

    def _select(self, request: SelectThing) -> Reply:
        """The box at each click, less sure further away; a negative click leaves its box out."""
        score = np.zeros(len(self._centres), np.float32)
        for click in request.clicks:
            thing = self.things[self._thing(self._at(click.source))]
            score[thing] = 0.9 if click.positive else 0.0
            if click.positive:
                score[np.setdiff1d(thing + 1, thing)[:50]] = 0.3
        rows = np.flatnonzero(score >= request.threshold)
        before = np.zeros(0, np.int64) if request.base is None else request.base
        rows = np.setdiff1d(before, rows) if request.subtract else np.union1d(before, rows)
        return SelectionFound(id=request.id, version=self.volume.version, rows=rows, score=score,
                              seeds=rows[:1], threshold=request.threshold)  # fmt: skip

    def _at(self, source: object) -> np.ndarray:
        if isinstance(source, PixelSource):
            camera = self.scene.views[source.view].camera
            px = np.array([[source.x, source.y]])
            return camera.unproject(px, self._depth(camera, px))[0]
        return np.array(source.pos_w)

    def _thing(self, at: np.ndarray) -> int:
        away = [np.linalg.norm(self._centres[t] - at, axis=1).min() for t in self.things]
        if min(away) > 0.2:
            raise AnnotationError("there is nothing of the scene at this place")
        return int(np.argmin(away))

    def _opened(self, request: OpenAnnotations) -> AnnotationsOpened:
        return AnnotationsOpened(
            id=request.id, version=self.volume.version, begun=self.begun, labels=self.state.labels.copy(),
            instances=self.state.instances.copy(), things=self._things(), steps=(len(self.done), len(self.undone)),
            problem=self.problem,
        )  # fmt: skip

    def _do(self, request: AnnotationRequest, edit: Edit) -> AnnotationChanged:
        if self.problem:
            raise AnnotationError(self.problem)
        if not edit.empty:
            self.done.append(edit)
            self.undone.clear()
        return self._changed(request, edit, made=not edit.empty)

    def _changed(
        self, request: AnnotationRequest, edit: Edit, *, forward: bool = True, made: bool = False
    ) -> AnnotationChanged:
        return AnnotationChanged(
            id=request.id, version=self.volume.version, changed=self.state.apply(edit, forward=forward),
            things=self._things(), steps=(len(self.done), len(self.undone)), made=made,
        )  # fmt: skip

    def _things(self) -> Things:
        s = self.state
        return Things(*(tuple(some) for some in (s.palette, s.boxes, s.polylines, s.landmarks, s.notes)))
