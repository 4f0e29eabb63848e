"""Looking over annotations in the window: panel, keys, files, and where a place is seen from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFileDialog, QInputDialog

from app.annotate_files import FORMATS
from app.canvas.under import triple
from app.carrying import CarryDesk
from app.docks import bring_to_front, grow, in_front
from app.keys import taken
from app.panels.review import ReviewPanel
from app.repository import eye_on
from app.resolve_repository import here
from app.review import ReviewDesk
from app.review_state import Looked, Page
from app.review_view import ReviewView
from app.theme import Theme
from engine.api.replies import Region

if TYPE_CHECKING:
    from app.window import Window

HEIGHT = 540  # of the dock, so that a list and two photos are seen at once


class ReviewUi(QObject):
    """Panel, with the desk behind it. Watches the window's keys while a place is looked at.

    Args:
        window: whose parts they are.
    """

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self.desk = ReviewDesk(window.controller, window.annotate.desk, window.bridge.send)
        self.carrying = CarryDesk(window.controller, window.annotate.desk)
        self.panel = ReviewPanel()
        self._looked: Looked | None = None
        self._grown = False

    def wire(self) -> None:
        """Connect the parts, once the window has its docks and actions."""
        w, desk, panel = self._window, self.desk, self.panel
        panel.take_actions(w.actions_by_id)
        panel.page_chosen.connect(self._turn)
        for places in (panel.conflicts, panel.compare.places):
            places.looked.connect(desk.look)
            places.accepted.connect(desk.accept)
            places.skipped.connect(desk.skip)
            places.photo_opened.connect(desk.show_photo)
        panel.progress.region_chosen.connect(self._go)
        panel.progress.photo_chosen.connect(self._show_photo)
        panel.progress.class_chosen.connect(w.annotate.desk.choose)
        panel.progress.asked.connect(w.trigger)
        panel.compare.asked.connect(w.trigger)
        panel.compare.by_position_asked.connect(desk.compare_by_position)
        panel.compare.stopped.connect(desk.stop_comparing)
        panel.compare.isolated.connect(desk.isolate)
        panel.compare.class_taken.connect(desk.take_class)
        w.docks["review"].visibilityChanged.connect(desk.seen)
        w.installEventFilter(self)

    def show_view(self, view: ReviewView) -> None:
        self.panel.show_view(view)
        self._go_to(view.state.looked)

    def set_theme(self, theme: Theme) -> None:
        self.panel.set_theme(theme)

    # --- what actions do

    def toggle(self) -> None:
        """Bring the panel to the front, or hide it."""
        dock = self._window.docks["review"]
        if in_front(dock):
            dock.hide()
        else:
            self.show()

    def show(self) -> None:
        w = self._window
        bring_to_front(w.docks["review"])
        if not self._grown:  # once: afterwards it is as the user leaves it
            self._grown = True
            grow(w, w.docks["review"], w.docks["images"], HEIGHT)

    def next_unlabelled(self) -> None:
        self.desk.next_unlabelled()

    def next_photo(self) -> None:
        self.desk.next_photo()

    def conflicts(self) -> None:
        self.desk.find_conflicts()
        self.desk.turn_to("conflicts")
        self.show()

    def compare(self) -> None:
        filters = ";;".join(text for _, text, _ in reversed(FORMATS))
        path, chosen = QFileDialog.getOpenFileName(self._window, "Compare with another annotator", "", filters)
        if path:
            self.show()
            self.desk.compare(path, next((f for f in FORMATS if f[1] == chosen), FORMATS[-1])[0])

    def carry(self) -> None:
        """Ask in which scene of the repository."""
        state = self._window.controller.state
        scenes = [s for s in state.repository.scenes or () if s.there and s.key != here(state)]
        names = [f"{s.name}  ({s.path})" if [x.name for x in scenes].count(s.name) > 1 else s.name for s in scenes]
        label = self._window.annotate.desk.state.class_in_hand
        if not scenes or label is None:
            return
        text = f"In which scene is what is like this {label.name} to be looked for? It is opened."
        name, agreed = QInputDialog.getItem(self._window, "Suggest in another scene", text, names, 0, False)
        if agreed and name in names:
            self.carrying.carry(scenes[names.index(name)].path)

    # --- the rest

    def _turn(self, page: str) -> None:
        self.desk.turn_to(cast("Page", page))

    def _go(self, region: Region | None) -> None:
        if region is not None:
            self._window.canvas.frame(region, None)

    def _show_photo(self, view: int | None) -> None:
        if view is not None:
            self.desk.show_photo(view)

    def _go_to(self, looked: Looked | None) -> None:
        """See the place that is looked at, from one of its photos."""
        before, self._looked = self._looked, looked
        state = self._window.controller.state
        if looked is None or looked is before or state.volume is None or state.scene is None:
            return
        pos_w = state.volume.lo_w + (state.volume.index[looked.of.rows] + 0.5) * state.volume.voxel
        centre, lo, hi = (triple(p) for p in (pos_w.mean(axis=0), pos_w.min(axis=0), pos_w.max(axis=0)))
        if centre is None or lo is None or hi is None:
            return
        own = [v for v in state.scene.views if v.index in looked.views]
        eye = eye_on(centre, own) or eye_on(centre, state.scene.views)
        self._window.canvas.frame(Region(centre, lo, hi, 1.0, 1.0), eye)

    # --- keys

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        return taken(self._window, event, self._act)

    def _act(self, event: QKeyEvent) -> Callable[[], object] | None:
        """What a key does while a place is looked at; None: nothing of ours."""
        state = self._window.controller.state
        plain = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        looking = state.review.open and state.review.looked is not None and state.annotate.lit is None
        if not looking or plain != Qt.KeyboardModifier.NoModifier:
            return None
        desk = self.desk
        acts: dict[int, Callable[[], object]] = {Qt.Key.Key_Backspace: desk.skip}
        if state.annotate.writable:
            acts |= {Qt.Key.Key_A: lambda: desk.accept(True), Qt.Key.Key_B: lambda: desk.accept(False)}
        return acts.get(event.key())
