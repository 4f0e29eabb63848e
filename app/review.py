"""Looking over annotations: conflicts and another annotator are asked for, gone through and settled. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from app.annotate import AnnotateDesk
from app.annotate_state import Offer
from app.controller import Controller
from app.review_state import Page, ReviewState, compared_marks, looked_at, photos_left, rows_of_class
from app.state import AppState, with_item, with_job
from engine.api.annotated import ReviewFound, Suggested
from engine.api.annotating import FileFormat
from engine.api.replies import Failed, JobCancelled, JobFinished, JobProgress, PhotoLoaded, Reply
from engine.api.requests import LoadPhoto, Request
from engine.api.reviewing import (
    AnnotationsCompared,
    CompareAgain,
    CompareAnnotations,
    ComparedElsewhere,
    ConflictsFound,
    Disagreement,
    FindConflicts,
    SettleConflict,
    StopComparing,
    TakeTheirs,
)

PHOTO_SIDE = 1600


class ReviewDesk:
    """Asks the engine, and keeps what it says.

    Args:
        controller: of the window.
        annotate: the desk that edits and knows what is annotated.
        send: takes requests for photos.
    """

    def __init__(self, controller: Controller, annotate: AnnotateDesk, send: Callable[[Request], None]) -> None:
        self._controller, self._store, self._annotate, self._send = controller, controller.store, annotate, send
        self._loading: set[int] = set()
        self._quiet: set[int] = set()  # jobs that only bring up to date what is shown
        self._next: int | None = None  # place in the list to go to once the next one is there
        self._settling = 0  # id of the last request to
        self._offering = False  # what has no label yet is to be gone through
        controller.join(self)
        controller.store.listen(self._follow)

    @property
    def state(self) -> ReviewState:
        return self._store.state.review

    def _set(self, **changes: Any) -> None:
        self._store.update(review=replace(self.state, **changes))

    # --- the panel

    def seen(self, visible: bool) -> None:
        """The panel is in sight, or not any more."""
        if visible != self.state.open:
            self._set(open=visible)
            self._keep_up()

    def turn_to(self, page: Page) -> None:
        """Show another page."""
        if page != self.state.page:
            self._set(page=page, looked=None)
            self._keep_up()

    def _keep_up(self) -> None:
        """Ask for what the page shows, where it is missing or out of date."""
        s, r = self._store.state, self.state
        if not r.open or s.annotate.marks is None:
            return
        if r.page == "progress" and s.annotate.review is None:
            self._annotate.review()
        elif r.page == "conflicts" and r.found is None and not r.looking and not s.annotate.problem:
            self.find_conflicts(quietly=True)

    # --- what has no label yet

    def next_unlabelled(self) -> None:
        """Go through what is likely a whole thing and has no label: the next one, or the first."""
        a = self._annotate.state
        if a.offer is not None and a.offer.title == LEFT:
            self._annotate.tools.refuse()
        elif a.review is None:
            self._offering = True
            self._annotate.review()
        else:
            self._offer_parts(a.review)

    def _offer_parts(self, review: ReviewFound) -> None:
        self._offering = False
        if not review.parts:
            self._annotate.say("Nothing that looks like a whole thing is without a label.")
            return
        parts = tuple(Suggested(rows, 1.0) for rows in review.parts)
        self._annotate.set(offer=Offer(LEFT, self._annotate.state.class_id, parts, len(parts)), selection=None)

    def next_photo(self) -> None:
        """Show the photo of which most has no label; the next one, where that is shown already."""
        s = self._store.state
        if s.annotate.marks is None:
            return
        order = [view for view, share in photos_left(s.annotate.marks, s.annotate.photos) if share > 0]
        if not order:
            self._annotate.say("Photos are labelled throughout.")
            return
        now = s.selected if s.single else None
        view = order[(order.index(now) + 1) % len(order)] if now in order else order[0]
        self.show_photo(view)

    def show_photo(self, view: int) -> None:
        """In large."""
        self._controller.select(view)
        self._controller.set_single(True)

    # --- conflicts

    def find_conflicts(self, *, quietly: bool = False) -> None:
        """Compare what photos said; ``quietly``: not as a job of its own line."""
        request = FindConflicts()
        if quietly:
            self._quiet.add(request.id)
        else:
            self._store.update(jobs=with_job(self._store.state.jobs, request.id, title=request.title))
        self._set(looking=request.id)
        self._annotate.ask(request)

    # --- two annotators

    def compare(self, path: str, format: FileFormat | None = None) -> None:
        """Compare with a file."""
        self._compare(CompareAnnotations(path=path, format=format or ""))

    def compare_by_position(self) -> None:
        """The same file as of another capture or grid."""
        elsewhere = self.state.elsewhere
        if elsewhere is not None:
            asked = elsewhere.request
            self._compare(CompareAnnotations(path=asked.path, format=asked.format, by_position=True))

    def _compare(self, request: CompareAnnotations) -> None:
        self._set(page="compare", comparing=request.id, elsewhere=None, looked=None)
        self._annotate.ask(request)

    def stop_comparing(self) -> None:
        """Show what is annotated here again."""
        self._set(compared=None, marks=None, only=0, elsewhere=None, looked=None, comparing=0)
        self._annotate.ask(StopComparing())

    def isolate(self, only: int) -> None:
        """Show one class of the comparison alone, or, a second time, all again."""
        compared = self.state.compared
        if compared is not None:
            only = 0 if only == self.state.only else only
            self._set(only=only, marks=compared_marks(compared, only), looked=None)

    def take_class(self) -> None:
        """Label the class that is shown alone as the other annotator did."""
        r = self.state
        if r.compared is not None and r.only:
            self._take(rows_of_class(r.compared, r.only))

    def _take(self, rows: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        self._annotate.ask(TakeTheirs(rows=rows))

    # --- going through disagreements

    def look(self, place: int) -> None:
        """Look at one of those that are listed."""
        r, s = self.state, self._store.state
        if not 0 <= place < len(r.listed) or s.annotate.marks is None or s.scene is None:
            self._set(looked=None)
            return
        widths = {v.index: v.camera.width for v in s.scene.views}
        looked = looked_at(r.listed[place], len(s.annotate.marks.labels), s.annotate.photos, widths)
        self._annotate.set(selection=None, offer=None)
        self._set(looked=looked)
        for view in looked.views:
            if view is not None and view not in s.photos:
                request = LoadPhoto(view=view, max_side=PHOTO_SIDE)
                self._loading.add(request.id)
                self._send(request)

    def skip(self) -> None:
        """Leave it as it is, and go to the next one."""
        place = self._place()
        if place is None:
            return
        count = len(self.state.listed)
        if place + 1 < count:
            self.look(place + 1)
        else:
            self._set(looked=None)
            self._annotate.say(f"All of {count} places were looked at.")

    def accept(self, first: bool) -> None:
        """The first side is right, or the second; then the next one is looked at."""
        r, place = self.state, self._place()
        if r.looked is None or place is None:
            return
        if r.page == "compare" and first:
            self.skip()
            return
        of = r.looked.of
        if r.page == "compare":
            self._next = place
            self._take(of.rows)
        elif r.found is not None:
            left = tuple(c for c in r.found.conflicts if c is not of)
            self._set(found=replace(r.found, conflicts=left))  # until the list is made anew
            self.look(min(place, len(left) - 1))
            request = SettleConflict(rows=of.rows, class_id=(of.a if first else of.b).class_id)
            self._settling = request.id
            self._annotate.ask(request)

    def _place(self) -> int | None:
        looked = self.state.looked
        return None if looked is None else _same(self.state.listed, looked.of)

    # --- following the state

    def _follow(self, old: AppState, new: AppState) -> None:
        if old.scene is not new.scene:
            self._loading.clear()
            self._quiet.clear()
            self._next, self._offering = None, False
            self._store.update(review=ReviewState(open=old.review.open, page=old.review.page))
            return
        before, after = old.annotate.marks, new.annotate.marks
        if before is after:
            return
        if after is None or before is None or before.version != after.version:
            self._set(found=None, looking=0, compared=None, marks=None, only=0, looked=None)
        elif new.review.compared is not None:
            self._annotate.ask(CompareAgain())
        if self.state.found is not None or self.state.looking:
            if self.state.open and self.state.page == "conflicts":
                self.find_conflicts(quietly=True)
            else:
                self._set(found=None, looking=0)
        self._keep_up()

    # --- replies

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about reviewing alone."""
        match reply:
            case ConflictsFound():
                self._conflicts(reply)
            case AnnotationsCompared():
                self._compared(reply)
            case ComparedElsewhere():
                self._set(elsewhere=reply, comparing=0, compared=None, marks=None, only=0)
            case PhotoLoaded() if reply.id in self._loading:
                self._loading.discard(reply.id)
                kept = dict(list(self._store.state.photos.items())[-5:])
                self._store.update(photos=with_item(kept, reply.view, reply))
            case JobProgress() | JobFinished() if reply.id in self._quiet:
                return True
            case ReviewFound() if self._offering:
                self._offer_parts(reply)
                return False
            case Failed() | JobCancelled():
                self._ended(reply.id)
                return False
            case _:
                return False
        return True

    def _ended(self, id: int) -> None:
        """Something that was asked for will not come."""
        r = self.state
        if id == r.looking:
            self._set(looking=0)
        if id == self._settling:
            self.find_conflicts(quietly=True)
        if id == r.comparing:
            self._set(comparing=0)
        self._next = None

    def _conflicts(self, reply: ConflictsFound) -> None:
        marks = self._store.state.annotate.marks
        if reply.id != self.state.looking or marks is None or marks.version != reply.version:
            return
        self._set(found=reply, looking=0)
        self._look_on()

    def _compared(self, reply: AnnotationsCompared) -> None:
        r, marks = self.state, self._store.state.annotate.marks
        if marks is None or marks.version != reply.version or (r.compared is None and reply.id != r.comparing):
            return
        shown = None if r.compared is None or not r.only else r.compared.classes[r.only - 1].name
        only = next((n for n, c in enumerate(reply.classes, start=1) if c.name == shown), 0)
        self._set(compared=reply, comparing=0, only=only, marks=compared_marks(reply, only))
        self._look_on()

    def _look_on(self) -> None:
        """After the list was made anew: the same place, or the one that took the settled one's."""
        r, place = self.state, self._next
        self._next = None
        if place is not None:
            self.look(min(place, len(r.listed) - 1))
        elif r.looked is not None:
            again = _same(r.listed, r.looked.of)
            if again is None:
                self._set(looked=None)
            elif r.listed[again] is not r.looked.of:
                self.look(again)


LEFT = "Not labelled yet"
"""Title of what is gone through."""


def _same(listed: tuple[Disagreement, ...], of: Disagreement) -> int | None:
    """Where a disagreement is in a list that was made anew: one of the same two that shares a voxel with it."""
    for n, other in enumerate(listed):
        if other is of or ((other.a, other.b) == (of.a, of.b) and np.isin(other.rows, of.rows).any()):
            return n
    return None
