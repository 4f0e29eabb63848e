"""The annotations of the open capture, as the window edits them: one document, and the answers to requests about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from engine.annotations import editing, reviewing, selecting, transfer
from engine.annotations.comparing import Theirs
from engine.annotations.document import AnnotationDocument
from engine.annotations.edits import Edit
from engine.annotations.palette import write_classes
from engine.annotations.places import VoxelPlaces
from engine.annotations.recovery import JOURNAL
from engine.annotations.seeing import NOTE, Seeing
from engine.annotations.state import AnnotationState
from engine.annotations.store import annotated_grids, annotations_folder, open_annotations_slices, read_annotations
from engine.api.annotated import (
    AnnotationChanged,
    AnnotationsOpened,
    PhotoVoxels,
    PlaceFound,
    Things,
)
from engine.api.annotating import (
    AnnotationRequest,
    DrawOver,
    DrawStroke,
    ExportAnnotations,
    FindPlace,
    ImportAnnotations,
    LookAtPhoto,
    MoveThreshold,
    OpenAnnotations,
    PaintAt,
    PrepareAnnotating,
    RedoAnnotation,
    ResizeSelection,
    ReviewAnnotations,
    SaveClasses,
    SelectThing,
    SuggestAlike,
    SuggestByWords,
    UndoAnnotation,
)
from engine.api.annotations import Changed, HistoryEntry
from engine.api.errors import AnnotationError
from engine.api.jobs import Progress
from engine.api.replies import JobFinished, Notice, Reply
from engine.api.reviewing import ReviewRequest
from engine.scene_state import Replies, progress_reply, report, without_replies

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid
    from engine.scene_state import SceneState


class AnnotationService:
    """Of one scene.

    Args:
        scene: the open one.
    """

    def __init__(self, scene: SceneState) -> None:
        self.scene = scene
        self._grid: RadianceGrid | None = None
        self._version = 0
        self._document: AnnotationDocument | None = None
        self._read: AnnotationState | None = None  # what another window annotates, to be looked at
        self._problem = ""
        self._seeing: Seeing | None = None
        self.theirs: Theirs | None = None  # another annotator's, to compare with

    def handle(self, request: AnnotationRequest) -> Iterator[Reply | None]:
        """Serve one request; see ``engine.api.annotating`` for what answers what.

        Raises:
            CondenseError: it cannot be done, and why.
        """
        match request:
            case OpenAnnotations():
                return self._open(request)
            case PrepareAnnotating():
                return self._prepare(request)
            case LookAtPhoto():
                return self._look(request)
            case SelectThing() | MoveThreshold() | ResizeSelection() | SuggestByWords() | SuggestAlike():
                return selecting.select(self, request)
            case DrawStroke() | DrawOver() | PaintAt():
                return selecting.stroke(self, request)
            case FindPlace():
                return self._find(request)
            case ReviewAnnotations():
                return reviewing.overview(self, request)
            case ReviewRequest():
                return reviewing.review(self, request)
            case SaveClasses():
                return self._save_classes(request)
            case UndoAnnotation() | RedoAnnotation():
                return self._step(request)
            case ExportAnnotations():
                return transfer.export(self, request)
            case ImportAnnotations():
                return transfer.bring_in(self, request)
            case _:
                return self._edit(request)

    # -- what is open

    @property
    def document(self) -> AnnotationDocument:
        """The one that is open for writing.

        Raises:
            AnnotationError: none is, and why; or the scene has other voxels now.
        """
        if self._document is None:
            raise AnnotationError(self._problem or "no annotations are open")
        if self._grid is not self.scene.grid:
            raise AnnotationError("the scene has other voxels now", mend="wait until it is fitted")
        return self._document

    @property
    def state(self) -> AnnotationState:
        """What is annotated, also where it cannot be changed.

        Raises:
            AnnotationError: nothing is open.
        """
        if self._document is None and self._read is not None:
            return self._read
        return self.document.state

    @property
    def grid(self) -> RadianceGrid:
        """The scene's.

        Raises:
            AnnotationError: it has none.
        """
        if self.scene.grid is None:
            raise AnnotationError("there are no voxels to annotate", mend="fit the scene first")
        return self.scene.grid

    @property
    def places(self) -> VoxelPlaces:
        """Of the grid's voxels.

        Raises:
            AnnotationError: there is none.
        """
        return VoxelPlaces.of(self.grid) if self._document is None else self.document.places

    def history(self, most: int) -> tuple[HistoryEntry, ...]:
        """The newest steps, the oldest of them first."""
        return () if self._document is None else tuple(self._document.history(most))

    @property
    def version(self) -> int:
        """Of the volume that is annotated."""
        return self._version

    @property
    def seeing(self) -> Seeing:
        """What is made once for the grid."""
        if self._seeing is None or self._seeing.grid is not self.grid:
            self._seeing = Seeing(self.scene, self.grid)
        return self._seeing

    def close(self) -> None:
        """Save, and let others in.

        Raises:
            AnnotationError: what was edited last cannot be brought to the disk.
        """
        document, self._document, self._read = self._document, None, None
        if document is not None:
            document.close()

    def changed(
        self, request: AnnotationRequest, changed: Changed, *, made: bool, told: tuple[str, ...] = ()
    ) -> AnnotationChanged:
        """The answer to an edit."""
        return AnnotationChanged(
            id=request.id, version=self.version, changed=changed, things=things_of(self.state),
            steps=self.document.steps, made=made, told=told,
        )  # fmt: skip

    def done(self, request: AnnotationRequest, edit: Edit, told: tuple[str, ...] = ()) -> AnnotationChanged:
        """Make an edit, and the answer to it.

        Raises:
            AnnotationError: it cannot be saved.
        """
        return self.changed(request, self.document.do(edit), made=not edit.empty, told=told)

    # -- requests

    def _open(self, request: OpenAnnotations) -> Replies[None]:
        grid, scene = self.grid, self.scene
        if self._document is None or self._grid is not grid:
            self.close()
            self._grid, self._version, self._problem, self.theirs = grid, scene.version, "", None
            places = VoxelPlaces.of(grid)
            yield None
            folder = annotations_folder(scene.store.cache.parent, scene.capture.fingerprint, places.key)
            if not request.begin and not (folder / JOURNAL).exists():
                yield self._opened(request, AnnotationState.empty(len(places)))
                return
            try:
                self._document = yield from without_replies(open_annotations_slices(folder, places))
            except AnnotationError as e:
                self._problem = e.what
                if not (folder / JOURNAL).exists():
                    raise
                _, self._read = read_annotations(folder)
        yield self._opened(request, self.state)

    def _opened(self, request: OpenAnnotations, state: AnnotationState) -> AnnotationsOpened:
        document, scene = self._document, self.scene
        here = None if document is None else document.folder
        others = annotated_grids(scene.store.cache.parent, scene.capture.fingerprint)
        fresh = not (state.labels.any() or any(state.things.values()))
        elsewhere = next((str(f) for f in others if f != here), "") if fresh else ""
        return AnnotationsOpened(
            id=request.id, version=self.version, begun=document is not None or self._read is not None,
            labels=state.labels.copy(), instances=state.instances.copy(), things=things_of(state),
            steps=(0, 0) if document is None else document.steps, problem=self._problem,
            warnings=() if document is None else document.warnings, elsewhere=elsewhere,
        )  # fmt: skip

    def _prepare(self, request: PrepareAnnotating) -> Replies[None]:
        start, seeing = time.perf_counter(), self.seeing
        views = range(len(self.scene.capture.views))
        order = dict.fromkeys([v for v in request.first if v in views])
        order |= dict.fromkeys(views)
        for n, view in enumerate(order):
            for rows in seeing.shown(view):
                yield None if rows is None else PhotoVoxels(id=request.id, version=self.version, view=view, rows=rows)
            yield progress_reply(request, Progress(n + 1, len(order), "photos", NOTE), time.perf_counter() - start)
        if self.scene.lifted is not None:
            yield from report(request, seeing.selectable())
        yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)

    def _look(self, request: LookAtPhoto) -> Replies[None]:
        hits = yield from without_replies(self.seeing.hits(request.view))
        rows = hits.rows.astype("int32")
        yield PhotoVoxels(id=request.id, version=self.version, view=request.view, rows=rows)

    def _find(self, request: FindPlace) -> Replies[None]:
        pos_w, snapped = editing.place_of(self, request.source, snap=request.snap)
        yield PlaceFound(id=request.id, pos_w=pos_w, snapped=snapped)

    def _step(self, request: UndoAnnotation | RedoAnnotation) -> Replies[None]:
        document = self.document
        changed = document.undo() if isinstance(request, UndoAnnotation) else document.redo()
        if changed is not None:
            yield self.changed(request, changed, made=False)

    def _edit(self, request: AnnotationRequest) -> Replies[None]:
        document = self.document  # before anything is worked out for it
        yield self.done(request, editing.edit_of(self, document.state, request))

    def _save_classes(self, request: SaveClasses) -> Replies[None]:
        from pathlib import Path

        palette = self.state.palette
        write_classes(Path(request.path), palette)
        yield Notice(id=request.id, text=f"Saved {len(palette)} classes to {request.path}")


def things_of(state: AnnotationState) -> Things:
    """All but the labels."""
    return Things(
        *(tuple(some) for some in (state.palette, state.boxes, state.polylines, state.landmarks, state.notes))
    )
