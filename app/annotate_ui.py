"""Annotating in the window: its panel, bar, keys, cursors and files, and which signal goes where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor, QCursor
from PySide6.QtWidgets import QColorDialog, QInputDialog

from app.annotate import AnnotateDesk
from app.annotate_files import AnnotateFiles
from app.annotate_keys import AnnotateKeys
from app.annotate_state import Offer, Sight, Tool
from app.canvas.under import triple
from app.docks import bring_to_front, in_front
from app.panels.annotate import AnnotatePanel
from app.panels.annotate_bar import AnnotateBar
from app.panels.annotate_rows import ClassRow
from app.panels.cursors import cursor_of
from app.panels.scene_pad import ScenePad
from app.panels.stroke_pad import StrokePad
from app.repository import eye_on
from app.theme import Theme
from app.view_state import AnnotateView
from engine.api.annotated import Suggested
from engine.api.annotating import AddClass, BoxRows, OutlineKind, PutThing, RemoveThing, StrokeKind
from engine.api.annotations import Kind, LabelClass
from engine.api.replies import Region
from engine.api.requests import PixelSource, PointSource

if TYPE_CHECKING:
    from app.window import Window

Pos = tuple[float, float, float]
ADD, SUBTRACT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


class AnnotateUi(QObject):
    """Panel and bar, with the desk behind them.

    Args:
        window: whose parts they are.
    """

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self.desk = AnnotateDesk(window.controller, window.bridge.send, self._ask_note)
        self.panel = AnnotatePanel()
        self.bar = AnnotateBar()
        self.files = AnnotateFiles(window, self.desk)
        self._cursor: QCursor | None = None
        self._looked: Suggested | None = None  # the suggestion that was gone to last

    def wire(self) -> None:
        """Connect the parts, once the window has its docks and actions."""
        w, panel, bar, tools = self._window, self.panel, self.bar, self.desk.tools
        self.pad, self.scene_pad = StrokePad(w.images.pane), ScenePad(w.canvas)
        self._keys = AnnotateKeys(w, self.desk, self.pad, self.scene_pad)
        panel.take_actions(w.actions_by_id)
        bar.take_actions(w.actions_by_id)
        panel.class_named.connect(self._add)
        panel.brought.connect(self.files.bring_over)
        panel.place_chosen.connect(w.canvas.fly_to_point)
        panel.thing_removed.connect(self._remove_thing)
        panel.thing_renamed.connect(self._rename_thing)
        panel.row_made.connect(self._row_made)
        bar.asked.connect(w.trigger)
        bar.refused.connect(tools.refuse)
        bar.ended.connect(self._end)
        bar.line_ended.connect(self.desk.tracing.end)
        self.pad.drawn.connect(self._drawn)
        self.pad.wheel_turned.connect(tools.move_threshold)
        self.pad.brush_turned.connect(tools.size_brush)
        self.pad.doubled.connect(self._doubled)
        self.scene_pad.brushed.connect(self._brushed)
        self.scene_pad.outlined.connect(self._outlined)
        w.canvas.wheel_taken = self._wheel_taken
        w.canvas.wheel_turned.connect(self._wheel_turned)
        w.canvas.pointer.double_clicked.connect(self._doubled)

    def show_view(self, view: AnnotateView) -> None:
        s = view.state
        self.panel.show_view(view)
        self.bar.show_view(view)
        self._go_to_offer(s.offer)
        label = s.class_in_hand
        ink = QColor("#ffffff") if label is None else QColor(*label.rgb)
        wheel = s.selection is not None and s.selection.score is not None
        last_w = s.draft[-1] if s.draft else None
        self.pad.show_tool(s.tool, ink, s.brush_px, wheel=wheel, last_w=last_w)
        self.scene_pad.show_tool(s.tool, ink, s.brush_px, last_w)
        self._show_cursor(cursor_of(s.tool, None if label is None else label.rgb))

    def _show_cursor(self, cursor: QCursor) -> None:
        """On everything that is clicked; telling the screen takes milliseconds."""
        w = self._window
        if cursor is not self._cursor:
            self._cursor = cursor
            for widget in (w.canvas.surface, w.images.grid.viewport(), w.images.pane):
                widget.setCursor(cursor)
            w.images.pane.plain_cursor = cursor

    def set_theme(self, theme: Theme) -> None:
        self.panel.set_theme(theme)
        self.bar.set_theme(theme)

    # --- what actions do

    def toggle(self) -> None:
        """Bring the panel to the front, or hide it."""
        dock = self._window.docks["annotate"]
        if in_front(dock):
            dock.hide()
        else:
            self.show()

    def show(self) -> None:
        bring_to_front(self._window.docks["annotate"])

    def take(self, tool: Tool) -> None:
        if not in_front(self._window.docks["annotate"]) and self.desk.state.tool != tool:
            self.show()
        self.desk.take(tool)

    def flip_through(self) -> None:
        self.desk.set(through=not self.desk.state.through)

    def new_class(self) -> None:
        self.show()
        self.panel.field.setFocus()

    def label(self) -> None:
        self.desk.tools.label()

    def erase(self) -> None:
        self.desk.tools.erase()

    def resize(self, steps: int) -> None:
        self.desk.tools.resize(steps)

    def box_around(self) -> None:
        s = self.desk.state
        if s.lit is not None:
            self.desk.ask(BoxRows(rows=s.lit.rows, class_id=s.class_id))

    def alike(self) -> None:
        self.desk.alike()

    def by_words(self) -> None:
        label = self.desk.state.class_in_hand
        text = "" if label is None else label.name
        words, agreed = QInputDialog.getText(self._window, "Suggest by words", "Label all of these", text=text)
        if agreed:
            self.desk.by_words(words)

    def import_classes(self) -> None:
        self.files.import_classes()

    def export_classes(self) -> None:
        self.files.export_classes()

    def bring_in(self) -> None:
        self.files.bring_in()

    def export(self) -> None:
        self.files.export()

    # --- clicks and strokes

    def point_clicked(self, pos_w: Pos) -> None:
        """A click on the scene: the tool's, or else the question where else this is."""
        held = self._window.canvas.pointer.modifiers
        if not self.desk.tools.click(PointSource(pos_w), add=bool(held & ADD), subtract=bool(held & SUBTRACT)):
            self._window.controller.click_point(pos_w)

    def pixel_clicked(self, view: int, x: float, y: float) -> None:
        """The same of the photo that lies over the scene."""
        self._pixel(self._window.canvas.pointer.modifiers, view, x, y)

    def grid_clicked(self, view: int, x: float, y: float) -> None:
        """The same of a small photo."""
        self._pixel(self._window.images.grid.modifiers, view, x, y)

    def pane_clicked(self, view: int, x: float, y: float) -> None:
        """The same of the large photo."""
        self._pixel(self._window.images.pane.modifiers, view, x, y)

    def _pixel(self, held: Qt.KeyboardModifier, view: int, x: float, y: float) -> None:
        if not self.desk.tools.click(PixelSource(view, x, y), add=bool(held & ADD), subtract=bool(held & SUBTRACT)):
            self._window.controller.click_pixel(view, x, y)

    def _drawn(
        self, view: int, kind: str, path: list[tuple[float, float]], radius: float, add: bool, subtract: bool
    ) -> None:
        self.desk.tools.stroke(view, cast("StrokeKind", kind), path, radius, add=add, subtract=subtract)

    def _outlined(self, kind: str, path: list[tuple[float, float]], add: bool, subtract: bool) -> None:
        canvas, clip = self._window.canvas, None
        if canvas.view is not None and canvas.view.volume.clip is not None:
            box = canvas.view.volume.clip
            clip = np.array([box.lo_w, box.hi_w])
        sight = Sight(canvas.camera(), canvas.depth_z(), clip)
        self.desk.tools.outline(sight, cast("OutlineKind", kind), path, add=add, subtract=subtract)

    def _brushed(self, path: list[Pos], radius_w: float, add: bool, subtract: bool) -> None:
        self.desk.tools.paint_at(np.array(path, np.float32), radius_w, add=add, subtract=subtract)

    def _doubled(self) -> None:
        """A double-click ends a line."""
        if self.desk.state.tool == "polyline":
            self.desk.tracing.end()

    def _wheel_taken(self) -> bool:
        s = self.desk.state
        zooming = bool(self._window.canvas.pointer.modifiers & SUBTRACT)
        if s.tool == "brush":
            return bool(self._window.canvas.pointer.modifiers & ADD)
        return s.tool == "select" and s.selection is not None and s.selection.score is not None and not zooming

    def _wheel_turned(self, steps: int) -> None:
        tools = self.desk.tools
        (tools.size_brush if self.desk.state.tool == "brush" else tools.move_threshold)(steps)

    def _go_to_offer(self, offer: Offer | None) -> None:
        """See the suggestion that is to be decided, from a photo that has it in sight."""
        looked, self._looked = self._looked, None if offer is None else offer.left[0]
        state = self._window.controller.state
        if offer is None or self._looked is looked or state.volume is None or state.scene is None:
            return
        rows = offer.left[0].rows
        pos_w = state.volume.lo_w + (state.volume.index[rows] + 0.5) * state.volume.voxel
        centre, lo, hi = (triple(p) for p in (pos_w.mean(axis=0), pos_w.min(axis=0), pos_w.max(axis=0)))
        assert centre is not None
        assert lo is not None
        assert hi is not None
        self._window.canvas.frame(Region(centre, lo, hi, 1.0, 1.0), eye_on(centre, state.scene.views))

    def _end(self) -> None:
        self.desk.take(None)
        self.desk.set(selection=None, offer=None)

    # --- classes

    def _row_made(self, row: ClassRow) -> None:
        row.chosen.connect(self.desk.choose)
        row.renamed.connect(self._rename)
        row.colour_asked.connect(self._recolour)
        row.key_chosen.connect(self._key)
        row.removed.connect(self._remove)
        row.eye_toggled.connect(self._flip_eye)
        row.lock_toggled.connect(self._flip_lock)

    def _class(self, id: int) -> LabelClass | None:
        marks = self.desk.state.marks
        return None if marks is None else marks.label_class(id)

    def _put(self, label: LabelClass) -> None:
        self.desk.ask(PutThing(thing=label))

    def _add(self, name: str) -> None:
        self.desk.ask(AddClass(name=name))

    def _rename(self, id: int, name: str) -> None:
        if (label := self._class(id)) is not None:
            self._put(replace(label, name=name))

    def _key(self, id: int, key: int) -> None:
        if (label := self._class(id)) is not None:
            self._put(replace(label, digit=None if key < 0 else key))

    def _flip_eye(self, id: int) -> None:
        if (label := self._class(id)) is not None:
            self._put(replace(label, visible=not label.visible))

    def _flip_lock(self, id: int) -> None:
        if (label := self._class(id)) is not None:
            self._put(replace(label, locked=not label.locked))

    def _remove(self, id: int) -> None:
        self.desk.ask(RemoveThing(kind="class", thing_id=id))

    def _remove_thing(self, kind: str, id: int) -> None:
        self.desk.ask(RemoveThing(kind=cast("Kind", kind), thing_id=id))

    def _rename_thing(self, kind: str, id: int) -> None:
        marks = self.desk.state.marks
        some = () if marks is None else marks.things.polylines if kind == "polyline" else marks.things.landmarks
        thing = next((t for t in some if t.id == id), None)
        if thing is not None:
            name, agreed = QInputDialog.getText(self._window, "Rename", "Name", text=thing.name)
            if agreed and name.strip():
                self.desk.ask(PutThing(thing=replace(thing, name=name.strip())))

    def _recolour(self, id: int) -> None:
        label = self._class(id)
        if label is None:
            return
        colour = QColorDialog.getColor(QColor(*label.rgb), self._window, f"Colour of {label.name}")
        if colour.isValid():
            self._put(replace(label, rgb=(colour.red(), colour.green(), colour.blue())))

    def _ask_note(self, then: Callable[[str], None]) -> None:
        text, agreed = QInputDialog.getText(self._window, "Note", "What is to be remembered here?")
        if agreed and text.strip():
            then(text.strip())
