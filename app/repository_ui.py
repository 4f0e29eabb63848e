"""The repository's parts of the window, what asks for its folders and files, and which signal goes where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PySide6.QtWidgets import QFileDialog

from app.dialogs import PICTURES
from app.docks import bring_to_front, in_front
from app.panels.pair_page import PairPage
from app.panels.placed_bar import PlacedBar
from app.panels.repository import RepositoryPanel
from app.repository import RepositoryDesk
from app.resolve_repository import RepositoryView, repository_view
from app.settings import Settings
from app.state import AppState
from app.theme import Theme
from engine.api.replies import Region
from engine.api.repository import Decision, ScenePair

if TYPE_CHECKING:
    from app.window import Window

Pos = tuple[float, float, float]
FILE = "repository.sqlite"
PARTS = {"sparse", "images", "train"}
"""Folders that captures have."""
NEAR = 0.05
"""Of the scene's extent, that is seen around a thing that was found."""


class RepositoryUi:
    """Panel, page of pairs and bar over the scene, with the desk behind them.

    Args:
        window: whose parts they are.
        settings: remember which folder was open; it is opened again once the panel is seen.
    """

    def __init__(self, window: Window, settings: Settings) -> None:
        self._window, self._settings = window, settings
        self._remembered = settings.repository
        self._in_sight = False
        self.desk = RepositoryDesk(window.controller, window.bridge.send, on_opened=self._remember, on_place=self._see)
        self.panel = RepositoryPanel()
        self.pair_page = PairPage()
        self.bar = PlacedBar()
        window.controller.store.listen(self._follow)

    def wire(self) -> None:
        """Connect the parts, once the window has its docks and actions."""
        c, desk, panel = self._window.controller, self.desk, self.panel
        panel.take_actions(self._window.actions_by_id)
        panel.words_entered.connect(desk.find_words)
        panel.photo_dropped.connect(self.drop_photo)
        panel.captures_dropped.connect(self._dropped_captures)
        panel.asked.connect(self._window.trigger)
        panel.cancelled.connect(c.jobs.cancel)
        panel.grid.chosen.connect(desk.select)
        panel.grid.opened.connect(desk.go)
        panel.grid.removed.connect(desk.remove)
        panel.answer.back_asked.connect(desk.back)
        panel.answer.went.connect(self._go)
        panel.answer.opened.connect(desk.go)
        panel.pairs.back_asked.connect(desk.back)
        panel.pairs.opened.connect(desk.show_pair)
        for source in (panel.pairs, self.pair_page):
            source.decided.connect(self._decide)
        self.pair_page.closed.connect(desk.close_pair)
        self.bar.opacity_moved.connect(self._set_opacity)
        self.bar.ended.connect(c.leave_view)
        self._window.docks["repository"].visibilityChanged.connect(self._seen)

    def show_view(self, view: RepositoryView) -> None:
        self.panel.show_view(view)
        self.pair_page.show_state(view.state)

    def set_theme(self, theme: Theme) -> None:
        self.panel.set_theme(theme)
        self.pair_page.set_theme(theme)

    # --- what actions do

    def toggle(self) -> None:
        """Bring the panel to the front, or hide it."""
        dock = self._window.docks["repository"]
        if in_front(dock):
            dock.hide()
        else:
            bring_to_front(dock)

    def show(self) -> None:
        bring_to_front(self._window.docks["repository"])

    def open(self) -> None:
        path = QFileDialog.getExistingDirectory(self._window, "Open a repository of scenes")
        if path:
            self._open(path)

    def make(self) -> None:
        """Make one in a folder that is chosen; within it, if there is something else in it."""
        path = QFileDialog.getExistingDirectory(self._window, "Choose a folder for the new repository")
        if not path:
            return
        folder = Path(path)
        if not (folder / FILE).exists() and _entries(folder):
            folder = folder / "repository"
        self._open(str(folder), make=True)

    def add_this(self) -> None:
        self.show()
        self.desk.add_this()

    def remove(self) -> None:
        self.desk.remove()

    def add_more(self) -> None:
        """Ask for a folder: of a capture, or with captures in it."""
        path = QFileDialog.getExistingDirectory(self._window, "Add a capture, or a folder of captures")
        if path:
            self.show()
            self.desk.add(captures_in(Path(path)))

    def by_photo(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._window, "Which scene does a photo show?", "", PICTURES)
        if path:
            self.show()
            self.desk.find_photo(path)

    def by_words(self) -> None:
        self.show()
        self.panel.field.setFocus()
        self.panel.field.selectAll()

    def alike(self) -> None:
        self.show()
        self.desk.find_alike()

    def duplicates(self) -> None:
        self.show()
        self.desk.find_duplicates()

    def drop_photo(self, path: str) -> None:
        """Find the scene of a photo that was dropped."""
        if self.desk.state.scenes:
            self.show()
            self.desk.find_photo(path)
        else:
            self._window.controller.set(notice="Open a repository with scenes first; then drop a photo to find it.")

    # --- the rest

    def _open(self, path: str, *, make: bool = False) -> None:
        self._remembered = None
        self.show()
        self.desk.open(path, make=make)

    def keep(self, path: str) -> None:
        """Have the repository of a session open, unless it is already or is gone."""
        if Path(path).is_dir() and self.desk.state.path != path:
            self._remembered = None
            self.desk.open(path)

    def _seen(self, visible: bool) -> None:
        self._in_sight = visible
        self._wake()

    def _wake(self) -> None:
        """Open the repository of the last run, once there is something to see of it and the engine is there."""
        path = self._remembered
        if path and self._in_sight and self._window.controller.state.device is not None:
            self._remembered = None
            self.desk.open(path)

    def _follow(self, old: AppState, new: AppState) -> None:
        if old.device is None and new.device is not None:
            self._wake()

    def _dropped_captures(self, paths: list[str]) -> None:
        repository = next((p for p in paths if (Path(p) / FILE).is_file()), None)
        if repository is not None:
            self._open(repository)
        elif self.desk.state.scenes is None:
            self._window.controller.set(notice="Open or make a repository first; then drop captures to add them.")
        else:
            self.desk.add([c for p in paths for c in captures_in(Path(p))])

    def _set_opacity(self, value: float) -> None:
        self._window.set_opacity("photo", value)

    def _go(self, key: str) -> None:
        asked = self.desk.state.asked
        if asked is not None and asked.kind == "alike":
            self.desk.compare(key)
        else:
            self.desk.go(key)

    def _decide(self, pair: ScenePair | None, decision: str) -> None:
        if pair is not None:
            self.desk.decide(pair, cast("Decision", decision))
        # buttons show what is decided, not what was clicked
        self.show_view(repository_view(self._window.controller.state))

    def _see(self, pos_w: Pos, eye_w: Pos | None) -> None:
        scene = self._window.controller.state.scene
        reach = NEAR * (1.0 if scene is None else float(np.linalg.norm(scene.bounds_w[1] - scene.bounds_w[0])))
        lo_w, hi_w = ((x - d, y - d, z - d) for d in (reach, -reach) for x, y, z in (pos_w,))
        self._window.canvas.frame(Region(pos_w, lo_w, hi_w, 1.0, 1.0), eye_w)

    def _remember(self, path: str) -> None:
        self._settings.repository = path


def captures_in(folder: Path) -> list[str]:
    """The folders in it, if it is no capture itself but holds folders alone; else the folder, or file, itself."""
    if not folder.is_dir():
        return [str(folder)]
    inside = [p for p in _entries(folder) if not p.name.startswith(".")]
    if inside and all(p.is_dir() for p in inside) and not PARTS & {p.name for p in inside}:
        return [str(p) for p in inside]
    return [str(folder)]


def _entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing, if it cannot be read or is not there."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
