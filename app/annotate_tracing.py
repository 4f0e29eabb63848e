"""A line that is drawn point after point. Part of the desk; knows no Qt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.api.annotated import PlaceFound
from engine.api.annotating import FindPlace, PutPolyline, Source

if TYPE_CHECKING:
    from app.annotate import AnnotateDesk

SAME_VOXELS, CLOSING_VOXELS = 0.5, 2.5
"""So near to the last point a click is no other one; so near to the first, it closes the line."""


class Tracing:
    """Asks the engine where points lie; the line is put down as one step when it ends.

    Args:
        desk: whose draft it is.
    """

    def __init__(self, desk: AnnotateDesk) -> None:
        self._desk = desk
        self._awaited: set[int] = set()  # ids of the points that are looked for
        self._ending = False

    def click(self, source: Source, *, snap: bool) -> None:
        """Another point."""
        request = FindPlace(source=source, snap=snap)
        self._awaited.add(request.id)
        self._desk.ask(request)

    def placed(self, reply: PlaceFound) -> None:
        """Where a click was."""
        if reply.id not in self._awaited:
            return  # of a line that was given up
        self._awaited.discard(reply.id)
        draft, at = self._desk.state.draft, reply.pos_w
        if len(draft) > 2 and math.dist(at, draft[0]) <= CLOSING_VOXELS * self._desk.voxel:
            self._put(closed=True)
            return
        if not draft or math.dist(at, draft[-1]) > SAME_VOXELS * self._desk.voxel:
            self._desk.set(draft=(*draft, at))
            self._desk.say("On a keypoint." if reply.snapped else "")
        self._finish()

    def missed(self, id: int) -> None:
        """A click was beside the scene."""
        self._awaited.discard(id)
        self._finish()

    def back(self) -> None:
        """Take the last point back."""
        self._desk.set(draft=self._desk.state.draft[:-1])

    def end(self) -> None:
        """Put the line down, once all its points are there."""
        self._ending = True
        self._finish()

    def give_up(self) -> None:
        """Forget it."""
        self._awaited.clear()
        self._ending = False
        if self._desk.state.draft:
            self._desk.set(draft=())

    def _finish(self) -> None:
        if not self._ending or self._awaited:
            return
        self._ending = False
        if len(self._desk.state.draft) > 1:
            self._put(closed=False)
        elif self._desk.state.draft:
            self._desk.say("A line has two points or more.")

    def _put(self, *, closed: bool) -> None:
        s, points_w = self._desk.state, self._desk.state.draft
        self.give_up()
        if s.marks is None or s.class_in_hand is None:
            return
        number = 1 + sum(p.class_id == s.class_id for p in s.marks.things.polylines)
        name = f"{s.class_in_hand.name} {number}"
        self._desk.ask(PutPolyline(points_w=points_w, class_id=s.class_id, name=name, closed=closed))
