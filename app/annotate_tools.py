"""What clicks, strokes and keys do while annotating. Part of the desk; knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from app.annotate_state import DRAWN, Offer, Sight
from engine.api.annotating import (
    DrawOver,
    DrawStroke,
    FloodFill,
    LabelRows,
    MoveThreshold,
    OutlineKind,
    PaintAt,
    PutLandmark,
    PutNote,
    ResizeSelection,
    SelectClick,
    SelectThing,
    Source,
    StrokeKind,
    StrokeUse,
)
from engine.api.annotations import NOTHING, LabelClass
from engine.api.reviewing import LabelAs
from engine.api.scene import Float32

if TYPE_CHECKING:
    from app.annotate import AnnotateDesk

NO_CLASS = "Add a class first, or choose one: labels need a class."
NOT_YET = "Annotations are not open yet."


class AnnotateTools:
    """Tools on what ``desk`` knows.

    Args:
        desk: asks the engine.
        note_asked: is to ask for the text of a note, and to hand it on.
    """

    def __init__(self, desk: AnnotateDesk, note_asked: Callable[[Callable[[str], None]], None] | None) -> None:
        self._desk, self._note_asked = desk, note_asked

    def digit(self, digit: int) -> None:
        """Label what is selected with the class of that key, or take the class in hand."""
        marks = self._desk.state.marks
        found = None if marks is None else next((c for c in marks.things.palette if c.digit == digit), None)
        if found is None:
            self._desk.say(f"No class has the key {digit}.")
            return
        self._desk.choose(found.id)
        if (offer := self._desk.state.offer) is not None:
            self._desk.set(offer=replace(offer, carried=None))
        self.label()

    def label(self) -> None:
        """Give the selection, or the suggestion that is looked at, the class in hand."""
        s = self._desk.state
        if s.lit is None:
            return
        if s.given is None:
            self._desk.say(NO_CLASS)
        elif s.offer is not None:
            self._decide(s.offer, s.given)
        else:
            self._desk.ask(LabelRows(rows=s.lit.rows, class_id=s.class_id))
            self._desk.set(selection=None)

    def refuse(self) -> None:
        """The suggestion that is looked at is not meant; without one, the selection is let go."""
        if self._desk.state.offer is not None:
            self._decide(self._desk.state.offer, None)
        else:
            self._desk.set(selection=None)

    def erase(self) -> None:
        """Take the labels off what is selected."""
        s = self._desk.state
        if s.lit is not None and s.offer is None:
            self._desk.ask(LabelRows(rows=s.lit.rows, class_id=NOTHING))
            self._desk.set(selection=None)

    def _decide(self, offer: Offer, given: LabelClass | None) -> None:
        first, *rest = offer.left
        if given is not None and given is offer.carried:
            self._desk.ask(LabelAs(rows=first.rows, name=given.name, rgb=given.rgb))
        elif given is not None:
            self._desk.ask(LabelRows(rows=first.rows, class_id=given.id))
        self._desk.set(offer=replace(offer, left=tuple(rest)) if rest else None)
        if not rest:
            self._desk.say(f"All of {offer.total} places are decided.")

    # --- clicks

    def click(self, source: Source, *, add: bool = False, subtract: bool = False) -> bool:
        """A click in the scene or in a photo; whether a tool takes it."""
        s = self._desk.state
        if s.tool is None:
            return False
        if not s.writable and s.tool != "select":
            self._desk.say(s.problem or NOT_YET)
        elif s.tool == "select":
            self._select(SelectClick(source, not subtract), add=add, subtract=subtract)
        elif s.tool == "note" and self._note_asked is not None:
            self._note_asked(lambda text: self._desk.ask(PutNote(source=source, text=text)))
        elif subtract and s.tool == "fill":
            self._desk.ask(FloodFill(source=source, class_id=NOTHING))
        elif s.class_in_hand is None:
            self._desk.say(NO_CLASS)
        elif s.tool == "fill":
            self._desk.ask(FloodFill(source=source, class_id=s.class_id))
        elif s.tool == "polyline":
            self._desk.tracing.click(source, snap=not add)
        elif s.tool == "landmark" and s.marks is not None:
            number = 1 + sum(m.class_id == s.class_id for m in s.marks.things.landmarks)
            name = f"{s.class_in_hand.name} {number}"
            self._desk.ask(PutLandmark(source=source, class_id=s.class_id, name=name))
        elif s.tool in DRAWN:
            self._desk.say("Draw it over the scene or in a large photo: double-click one, or press Space.")
        return True

    def _select(self, click: SelectClick, *, add: bool, subtract: bool) -> None:
        now = self._desk.state.selection
        if now is None or not (add or subtract):
            if subtract:
                self._desk.say("Click first on what is meant; Ctrl-click then takes away from it.")
                return
            request = SelectThing(clicks=(click,))
        elif now.clicks:
            request = SelectThing(clicks=(*now.clicks, click), base=now.base, subtract=now.subtract)
        else:  # of strokes: nothing to refine
            request = SelectThing(clicks=(replace(click, positive=True),), base=now.rows, subtract=subtract)
        self._desk.set(waiting=request.id, offer=None)
        self._desk.ask(request)

    def move_threshold(self, steps: int) -> bool:
        """More, or less, of what the last click can mean; whether there is such a selection."""
        now = self._desk.state.selection
        if now is None or now.score is None or self._desk.state.offer is not None:
            return False
        threshold = now.moved(steps)
        self._desk.set(selection=replace(now, threshold=threshold))
        request = MoveThreshold(
            score=now.score, seeds=now.seeds, threshold=threshold, base=now.base, subtract=now.subtract
        )
        self._desk.set(waiting=request.id)
        self._desk.ask(request)
        return True

    def resize(self, steps: int) -> None:
        """Grow or shrink the selection by whole voxels."""
        now = self._desk.state.selection
        if now is not None:
            request = ResizeSelection(rows=now.rows, steps=steps)
            self._desk.set(waiting=request.id)
            self._desk.ask(request)

    def size_brush(self, steps: int) -> None:
        """A larger brush, or with fewer than 0 steps a smaller one."""
        self._desk.set(brush_px=min(max(self._desk.state.brush_px * 1.15**steps, 2.0), 120.0))

    # --- strokes

    def stroke(
        self, view: int, kind: StrokeKind, path_px: Sequence[tuple[float, float]], radius_px: float, *,
        add: bool = False, subtract: bool = False,
    ) -> None:  # fmt: skip
        """Something was drawn in a photo, in full-size pixels."""
        use = self._use(add=add, subtract=subtract)
        if use is not None:
            s = self._desk.state
            request = DrawStroke(
                view=view, kind=kind, path_px=tuple(path_px), radius_px=radius_px, use=use, class_id=s.class_id,
                rows=None if s.selection is None else s.selection.rows,
            )  # fmt: skip
            self._draw(request)

    def paint_at(self, points_w: Float32, radius_w: float, *, add: bool = False, subtract: bool = False) -> None:
        """The brush was drawn over the scene."""
        use = self._use(add=add, subtract=subtract)
        if use is not None:
            s = self._desk.state
            rows = None if s.selection is None else s.selection.rows
            self._draw(PaintAt(points_w=points_w, radius_w=radius_w, use=use, class_id=s.class_id, rows=rows))

    def outline(
        self, sight: Sight, kind: OutlineKind, path_px: Sequence[tuple[float, float]], *, add: bool, subtract: bool
    ) -> None:
        """Something was drawn around over the scene, in logical pixels of what is seen."""
        use = self._use(add=add, subtract=subtract)
        if use is not None:
            s = self._desk.state
            request = DrawOver(
                camera=sight.camera, depth_z=sight.depth_z, clip_w=sight.clip_w, kind=kind, path_px=tuple(path_px),
                through=s.through, use=use, class_id=s.class_id,
                rows=None if s.selection is None else s.selection.rows,
            )  # fmt: skip
            self._draw(request)

    def _draw(self, request: DrawStroke | DrawOver | PaintAt) -> None:
        if request.use in ("add", "subtract"):
            self._desk.set(waiting=request.id, offer=None)
        self._desk.ask(request)

    def _use(self, *, add: bool, subtract: bool) -> StrokeUse | None:
        """What a stroke does: it labels; with Shift it adds to the selection; with Ctrl it takes from the selection or,
        without one, erases."""
        s = self._desk.state
        if not s.writable:
            self._desk.say(s.problem or NOT_YET)
            return None
        if add:
            return "add"
        if subtract:
            return "erase" if s.selection is None else "subtract"
        if s.class_in_hand is None:
            self._desk.say(NO_CLASS)
            return None
        return "label"
