"""Tasks in the window: the panel, what asks for its files, and which signal goes where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtWidgets import QFileDialog

from app.docks import DOWN, bring_to_front, in_front
from app.panels.tasks import TasksPanel
from app.tasks import TasksDesk
from engine.api.tasks import Mode

if TYPE_CHECKING:
    from app.window import Window

HEADS = "Heads (*.safetensors)"
HEIGHT = 2000
"""Of its dock at first: all that there is, for a matrix is tall."""


class TasksUi:
    """The panel, with the desk behind it.

    Args:
        window: whose parts they are.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self.desk = TasksDesk(window.controller, window.bridge.send)
        self.panel = TasksPanel()
        self._grown = False

    def wire(self) -> None:
        """Connect the parts, once the window has its docks and actions."""
        desk, panel = self.desk, self.panel
        panel.asked.connect(self._window.trigger)
        panel.setup.dropped.connect(desk.choose_data)
        panel.setup.init_toggled.connect(desk.toggle_init)
        panel.setup.mode_chosen.connect(self._choose_mode)
        panel.setup.labels_chosen.connect(desk.choose_labels)
        panel.setup.seeds_chosen.connect(desk.choose_seeds)
        panel.results.run_chosen.connect(desk.look_at)
        panel.results.cell_chosen.connect(desk.choose_cell)
        panel.results.case_opened.connect(desk.show)
        panel.head.shown_toggled.connect(self._toggle_shown)
        panel.head.sure_moved.connect(desk.choose_sure)

    # --- what actions do

    def toggle(self) -> None:
        """Bring the panel to the front, or hide it."""
        dock = self._window.docks["tasks"]
        if in_front(dock):
            dock.hide()
        else:
            self._show()

    def choose_data(self) -> None:
        path = QFileDialog.getExistingDirectory(
            self._window, "Labelled objects in class folders, or labelled scans", self.desk.state.setup.data
        )
        if path:
            self._show()
            self.desk.choose_data(path)

    def run(self) -> None:
        self._show()
        self.desk.start()

    def stop(self) -> None:
        self.desk.stop()

    def save_head(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self._window, "Save the head", "head.safetensors", HEADS)
        if path:
            self.desk.save_head(path if Path(path).suffix else f"{path}.safetensors")

    def load_head(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._window, "Load a head", "", HEADS)
        if path:
            self._show()
            self.desk.load_head(path)

    def name(self) -> None:
        self._show()
        self.desk.name()

    def keep(self) -> None:
        self.desk.keep(self._window.annotate.desk.ask)

    # --- the rest

    def _show(self) -> None:
        window, dock = self._window, self._window.docks["tasks"]
        bring_to_front(dock)
        below = window.docks["matches"]
        if not self._grown and window.dockWidgetArea(dock) == window.dockWidgetArea(below):
            window.resizeDocks([dock, below], [HEIGHT, 1], DOWN)
        self._grown = True  # afterwards it is as the user leaves it

    def _choose_mode(self, mode: str) -> None:
        self.desk.choose_mode(cast("Mode", mode))

    def _toggle_shown(self, on: bool) -> None:
        self.desk.set(shown=on)
