"""Annotating the open capture: tools, classes and selections become requests; replies become state. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from app.annotate_state import AnnotateState, Marks, Offer, Selection, Tool
from app.annotate_tools import AnnotateTools
from app.annotate_tracing import Tracing
from app.controller import Controller
from app.history import Deed
from app.state import AppState, Banner, with_item, with_job
from engine.api.annotated import (
    AnnotationChanged,
    AnnotationsOpened,
    PhotoVoxels,
    PlaceFound,
    ReviewFound,
    SelectionFound,
    Suggested,
    SuggestionsFound,
)
from engine.api.annotating import (
    AnnotationRequest,
    DrawOver,
    DrawStroke,
    FileFormat,
    FindPlace,
    FloodFill,
    ImportAnnotations,
    LookAtPhoto,
    MoveThreshold,
    OpenAnnotations,
    PaintAt,
    PrepareAnnotating,
    PutLandmark,
    PutNote,
    PutPolyline,
    RedoAnnotation,
    ResizeSelection,
    ReviewAnnotations,
    SelectThing,
    SuggestAlike,
    SuggestByWords,
    UndoAnnotation,
)
from engine.api.annotations import NOTHING
from engine.api.replies import Failed, JobCancelled, Reply
from engine.api.requests import Request

OF = "annotations"
"""Of what deeds are."""
QUIET = (
    SelectThing, MoveThreshold, ResizeSelection, FloodFill, DrawStroke, DrawOver, PaintAt, FindPlace, PutPolyline,
    PutLandmark, PutNote,
)  # fmt: skip
"""What goes wrong with these is told in the status bar: the next click is the answer to it."""


class AnnotateDesk:
    """Asks the engine to annotate, and keeps what it says.

    Args:
        controller: of the window.
        send: takes requests.
        note_asked: is to ask for the text of a note, and to hand it on.
    """

    def __init__(
        self,
        controller: Controller,
        send: Callable[[Request], None],
        note_asked: Callable[[Callable[[str], None]], None] | None = None,
    ) -> None:
        self._controller, self._store, self._send = controller, controller.store, send
        self.tools = AnnotateTools(self, note_asked)
        self.tracing = Tracing(self)
        self._wanted = self._prepared = False
        self._held: list[AnnotationRequest] = []  # until annotations are open
        self._sent: dict[int, AnnotationRequest] = {}  # whose failure is told in a way of its own, or answer is awaited
        self._begun_of = 0  # version of the volume whose annotations were to be begun last
        self._words = ""  # to be looked for once the scene is named
        self._deed = Deed(lambda: self._send(UndoAnnotation()), lambda: self._send(RedoAnnotation()), OF)
        controller.join(self)
        controller.store.listen(self._follow)

    @property
    def state(self) -> AnnotateState:
        return self._store.state.annotate

    @property
    def voxel(self) -> float:
        """Edge of a voxel, world units."""
        volume = self._store.state.volume
        return 0.0 if volume is None else volume.voxel

    def set(self, **changes: Any) -> None:
        """Set plain fields of the state."""
        self._store.update(annotate=replace(self.state, **changes))

    def say(self, text: str) -> None:
        """A line in the status bar."""
        self._store.update(notice=text)

    def ask(self, request: AnnotationRequest) -> None:
        """Send a request whose failure or answer matters; edits wait until annotations are open."""
        if self.state.marks is None and not isinstance(request, OpenAnnotations):
            self._held.append(request)
            self.begin()
            return
        self._sent[request.id] = request
        self._send(request)

    # --- what is in hand

    def begin(self) -> None:
        """Annotations are about to be made: begin them where there are none."""
        self._wanted = True
        s = self._store.state
        opening = any(isinstance(r, OpenAnnotations) and r.begin for r in self._sent.values())
        if s.annotate.marks is None and _settled(s) and not opening:
            self._open(s)
        elif s.annotate.marks is not None:
            self._prepare()

    def take(self, tool: Tool | None) -> None:
        """Take a tool in hand; the same one again lays it down."""
        tool = None if tool == self.state.tool else tool
        if self.state.draft:
            self.tracing.end()
        if tool is not None:
            self.begin()
            self._controller.clear_query()
        self.set(tool=tool)
        self._look()

    def choose(self, class_id: int) -> None:
        """Take a class in hand."""
        self.set(class_id=class_id)

    # --- suggestions, review, files

    def by_words(self, words: str) -> None:
        """Offer all places that words mean."""
        self._words = words.strip()
        if self._words:
            self._store.update(naming=True)
            self._ask_words(self._store.state)

    def _ask_words(self, s: AppState) -> None:
        """Ask what words mean, once the scene is named."""
        if not self._words:
            return
        if s.named is None or s.volume is None or s.named.version != s.volume.version:
            self.say(f"The scene is named first; then “{self._words}” is looked for.")
            return
        words, self._words = self._words, ""
        self.ask(SuggestByWords(words=words))

    def alike(self) -> None:
        """Offer what is like the selection, or like all that has the class in hand."""
        s = self.state
        if s.lit is not None:
            self.ask(SuggestAlike(rows=s.lit.rows))
        elif s.marks is not None and s.class_in_hand is not None:
            own = s.marks.labels == s.class_id
            newest = s.marks.instances[own].max(initial=0)  # one thing, not several at once
            self.ask(SuggestAlike(rows=np.flatnonzero(own & (s.marks.instances == newest))))

    def review(self) -> None:
        """How far is it?"""
        self.ask(ReviewAnnotations())

    def bring_in(self, path: str, format: FileFormat | None = None, *, by_position: bool = False) -> None:
        """Import a file, or the folder of another grid."""
        request = ImportAnnotations(path=path, format=format or "", by_position=by_position)
        self.job(request)

    def job(self, request: AnnotationRequest) -> None:
        """Send a request that is a job."""
        self._store.update(jobs=with_job(self._store.state.jobs, request.id, title=request.title))
        self.ask(request)

    # --- when there is what to annotate

    def _follow(self, old: AppState, new: AppState) -> None:
        if old.scene is not new.scene:
            self._sent.clear()
            self._held.clear()
            self._prepared = self._wanted = False
            self._begun_of = 0
            self.tracing.give_up()
            self._controller.history.forget_deeds(OF)
        v = new.volume
        if v is not None and _settled(new):
            due = self._wanted and new.annotate.marks is None and self._begun_of != v.version
            if due or new.annotate.asked_of != v.version:
                self._open(new)
        if old.named is not new.named and new.named is not None:
            self._ask_words(new)
        if old.single != new.single or old.selected != new.selected:
            self._look()

    def _open(self, s: AppState) -> None:
        assert s.volume is not None
        self._prepared = False
        self._begun_of = s.volume.version if self._wanted else 0
        self.set(asked_of=s.volume.version)
        self.ask(OpenAnnotations(begin=self._wanted))

    def _prepare(self) -> None:
        """Once, so that labels show in photos and clicks need not wait."""
        if not self._prepared:
            self._prepared = True
            selected = self._store.state.selected
            self.job(PrepareAnnotating(first=() if selected is None else (selected,)))
            self._look()

    def _look(self) -> None:
        """Have the large photo ready for strokes."""
        s = self._store.state
        if s.annotate.tool is not None and s.annotate.marks is not None and s.single and s.selected is not None:
            self._send(LookAtPhoto(view=s.selected))

    # --- replies

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about annotations alone."""
        request = self._sent.pop(reply.id, None)
        s = self.state
        match reply:
            case AnnotationsOpened():
                self._opened(reply)
            case AnnotationChanged():
                self._changed(reply)
            case SelectionFound():
                self._selected(reply, request)
            case SuggestionsFound():
                self._offered(reply, request)
            case PhotoVoxels():
                before = s.photos.get(reply.view)
                if before is None or before.version != reply.version or before.rows.size <= reply.rows.size:
                    self.set(photos=with_item(s.photos, reply.view, reply))
            case PlaceFound():
                self.tracing.placed(reply)
            case ReviewFound():
                self.set(review=reply)
            case Failed() if isinstance(request, QUIET):
                self.set(waiting=0)
                self.say(reply.what)
                self.tracing.missed(reply.id)
            case Failed() if isinstance(request, OpenAnnotations):
                self.set(problem=reply.what)
                return False
            case JobCancelled() | Failed() if isinstance(request, PrepareAnnotating):
                self._prepared = False  # the next tool that is taken has it done
                return False
            case _:
                return False
        return True

    def _opened(self, reply: AnnotationsOpened) -> None:
        volume = self._store.state.volume
        if volume is None or volume.version != reply.version:
            return
        history = self._controller.history
        history.forget_deeds(OF)
        marks = Marks.of(reply.version, reply.labels, reply.instances, reply.things) if reply.begun else None
        s = self.state
        first = reply.things.palette[0].id if reply.things.palette else NOTHING
        self.set(
            marks=marks, problem=reply.problem, elsewhere=reply.elsewhere, selection=None, offer=None,
            photos=s.photos if s.marks is not None and s.marks.version == reply.version else type(s)().photos,
            class_id=s.class_id if marks is not None and marks.label_class(s.class_id) else first,
        )  # fmt: skip
        if marks is None:
            return
        history.recall(self._deed, *reply.steps)
        if self._wanted or not marks.empty:
            self._prepare()
        for text in (reply.problem, *reply.warnings):
            if text:
                self._store.update(banner=Banner(text, text, error=False))
        held, self._held = self._held, []
        for request in held:
            self.ask(request)

    def _changed(self, reply: AnnotationChanged) -> None:
        s = self.state
        if s.marks is None or s.marks.version != reply.version:
            return
        marks = s.marks.after(reply.changed, reply.things)
        known = {c.id for c in s.marks.things.palette}
        new = [c.id for c in reply.things.palette if c.id not in known]
        chosen = new[-1] if new and not reply.changed.undone else s.class_id
        if marks.label_class(chosen) is None:
            chosen = reply.things.palette[0].id if reply.things.palette else NOTHING
        self.set(marks=marks, class_id=chosen, review=None, elsewhere="")
        if reply.made:
            self._controller.history.did(self._deed)
        count = len(reply.changed.rows)
        voxels = f", {count:,} voxels" if count else ""
        undone = "Undone: " if reply.changed.undone else ""
        self.say(" ".join([f"{undone}{reply.changed.title}{voxels}.", *reply.told]))

    def _selected(self, reply: SelectionFound, request: AnnotationRequest | None) -> None:
        s = self.state
        if s.marks is None or s.marks.version != reply.version or reply.id != s.waiting:
            return
        now = Selection(
            len(s.marks.labels), reply.rows, score=reply.score, seeds=reply.seeds, threshold=reply.threshold
        )
        if isinstance(request, SelectThing):
            now = replace(now, clicks=request.clicks, base=request.base, subtract=request.subtract)
        elif isinstance(request, MoveThreshold) and s.selection is not None:
            now = replace(s.selection, rows=reply.rows, threshold=reply.threshold)
        self.set(selection=now if len(reply.rows) else None, waiting=0)

    def _offered(self, reply: SuggestionsFound, request: AnnotationRequest | None) -> None:
        s = self.state
        if s.marks is None or s.marks.version != reply.version:
            return
        words = request.words if isinstance(request, SuggestByWords) else ""
        found: tuple[Suggested, ...] = reply.suggestions
        if not found:
            self.say(f"No place without a label is “{words}”." if words else "Nothing else here is like it.")
            return
        title = f"“{words}”" if words else "Like the example"
        self.set(offer=Offer(title, s.class_id, found, len(found)), selection=None)


def _settled(s: AppState) -> bool:
    """Whether the scene is there with its features, and nothing is at work that would replace it."""
    return s.volume is not None and s.voxel_features is not None and not any(j.live and not j.outlives for j in s.jobs)
