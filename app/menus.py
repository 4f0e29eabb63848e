"""Menus and toolbar, built from the one table of actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QSize
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QInputDialog, QMainWindow, QMenu, QSizePolicy, QToolBar, QWidget

from app.actions import ACTIONS, Action
from app.bookmarks import Bookmark, Bookmarks
from app.training_state import encoder_title

BROUGHT = (
    "Its kind, and a hub id or the path of a folder.\n"
    "clip: and siglip: take any words for prompts; dinov2: and condense-vitg: are for features alone."
)
EXAMPLE = "siglip:google/siglip2-base-patch16-224"
WITH_KEYS = 9  # bookmarks, Alt+1 to Alt+9
RIGHT_END = ("screenshot", "theme", "shortcuts")


@dataclass(frozen=True)
class Bars:
    """What ``build_bars`` made: actions by id, menus by title, the toolbar."""

    actions: dict[str, QAction]
    menus: dict[str, QMenu]
    toolbar: QToolBar


def build_bars(window: QMainWindow, runner: Callable[[Action], Callable[[], None]]) -> Bars:
    """Fill the window's menu bar and add a toolbar; a separator stands between groups.

    Args:
        window: gets the menus, the toolbar and, for the shortcuts, the actions.
        runner: what an action does when triggered.
    """
    bars = Bars({}, {}, QToolBar("Toolbar"))
    bars.toolbar.setObjectName("toolbar")
    bars.toolbar.setMovable(False)
    bars.toolbar.setIconSize(QSize(19, 19))
    window.addToolBar(bars.toolbar)
    last: tuple[str, int] | None = None
    last_tool: tuple[str, int] | None = None
    for spec in ACTIONS:
        if spec.menu not in bars.menus:
            bars.menus[spec.menu] = window.menuBar().addMenu(spec.menu)
        menu = bars.menus[spec.menu]
        action = _action(window, spec, runner)
        group = (spec.menu, spec.group)
        if last is not None and last[0] == spec.menu and last != group:
            menu.addSeparator()
        last = group
        menu.addAction(action)
        window.addAction(action)
        if spec.toolbar:
            if last_tool is not None and last_tool != group:
                bars.toolbar.addSeparator()
            last_tool = group
            bars.toolbar.addAction(action)
        bars.actions[spec.id] = action
    spacer = QWidget()
    spacer.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
    bars.toolbar.addWidget(spacer)
    for name in RIGHT_END:
        bars.toolbar.addAction(bars.actions[name])
    return bars


class RecentMenu(QMenu):
    """Captures that were open before, the newest first."""

    def __init__(self, opens: Callable[[str], None], parent: QWidget) -> None:
        super().__init__("Open recent", parent)
        self._opens = opens

    def show_recent(self, paths: tuple[str, ...]) -> None:
        self.clear()
        self.setEnabled(bool(paths))
        for path in paths:
            self.addAction(path).triggered.connect(lambda _=False, at=path: self._opens(at))


class BookmarkMenu(QMenu):
    """Views that were kept: to go to, to rename, to remove."""

    def __init__(self, bookmarks: Bookmarks, parent: QWidget) -> None:
        super().__init__("Bookmarks", parent)
        self._bookmarks = bookmarks
        self.show_bookmarks(())

    def show_bookmarks(self, kept: tuple[Bookmark, ...]) -> None:
        self.clear()
        self.setEnabled(bool(kept))
        for place, bookmark in enumerate(kept):
            action = self.addAction(bookmark.name)
            if place < WITH_KEYS:
                action.setShortcut(QKeySequence(f"Alt+{place + 1}"))
            action.triggered.connect(lambda _=False, n=place: self._bookmarks.go(n))
        self.addSeparator()
        self.rename, self.remove = self.addMenu("Rename"), self.addMenu("Remove")
        for place, bookmark in enumerate(kept):
            self.rename.addAction(f"{bookmark.name}…").triggered.connect(lambda _=False, n=place: self._rename(n))
            self.remove.addAction(bookmark.name).triggered.connect(lambda _=False, n=place: self._bookmarks.remove(n))

    def _rename(self, place: int) -> None:
        old = self.actions()[place].text()
        name, agreed = QInputDialog.getText(self.parentWidget(), "Rename bookmark", "Name", text=old)
        if agreed:
            self._bookmarks.rename(place, name)


class EncoderMenu(QMenu):
    """The encoders there are, the one in use ticked."""

    def __init__(self, chooses: Callable[[str], None], parent: QWidget) -> None:
        super().__init__("Encoder", parent)
        self._chooses = chooses

    def show_encoders(self, names: tuple[str, ...], current: str, own: str | None) -> None:
        """``own``: the folder of this capture's training, if there is one."""
        self.clear()
        self.setEnabled(bool(names))
        for name in names:
            action = self.addAction(encoder_title(name, own))
            action.setCheckable(True)
            action.setChecked(name == current)
            action.triggered.connect(lambda _=False, n=name: self._chooses(n))
        self.addSeparator()
        self.addAction("From the hub or a folder…").triggered.connect(lambda: self._ask())

    def _ask(self) -> None:
        name, agreed = QInputDialog.getText(self.parentWidget(), "Encoder", BROUGHT, text=EXAMPLE)
        if agreed and name.strip():
            self._chooses(name.strip())


def _action(window: QMainWindow, spec: Action, runner: Callable[[Action], Callable[[], None]]) -> QAction:
    action = QAction(spec.label, window)
    if spec.shortcut:
        action.setShortcut(QKeySequence(spec.shortcut))
    action.setCheckable(spec.checkable)
    key = f"  ({spec.shortcut})" if spec.shortcut else ""
    action.setToolTip((spec.tooltip or spec.label) + key)
    action.setStatusTip(spec.tooltip)
    action.triggered.connect(runner(spec))
    return action
