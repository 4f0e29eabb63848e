"""The main window: docks, menus and wiring. No logic: intents go to the controller, view state comes from it."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app import icons, theme
from app.actions import ACTIONS, Action
from app.annotate_ui import AnnotateUi
from app.bookmarks import Bookmarks
from app.bridge import Bridge
from app.canvas.home import NamedView
from app.canvas.scene_canvas import SceneCanvas
from app.controller import Controller
from app.dialogs import Dialogs
from app.docks import bring_to_front, build_docks, grow, in_front, spread
from app.flight import Flight
from app.hovering import Hovering
from app.marks import Marks
from app.menus import BookmarkMenu, EncoderMenu, RecentMenu, build_bars
from app.panels.ask import AskBar
from app.panels.banner import BannerBar
from app.panels.empty import EmptyPage
from app.panels.found import FoundPanel
from app.panels.images import ImagesPanel
from app.panels.jobs import JobsPanel
from app.panels.layers import LayersPanel
from app.panels.matches import MatchesPanel
from app.panels.palette import CommandPalette
from app.panels.ruler_bar import RulerBar
from app.panels.shortcuts import ShortcutSheet
from app.panels.status import StatusLabels
from app.panels.training import TrainingPanel
from app.repository_ui import RepositoryUi
from app.review_ui import ReviewUi
from app.session_file import SUFFIX
from app.sessions import Sessions
from app.settings import LAYOUT_VERSION, Settings
from app.state import AppState, Colouring, PanelMode
from app.tasks_ui import TasksUi
from app.view_state import ActionsView, ViewState
from app.wiring import wire
from engine.api.client import EngineClient
from engine.api.replies import Region

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
TRAINING_HEIGHT = 540  # of its dock, so that pictures and curves are seen at once


def demo_path() -> Path:
    """The capture that comes with the program."""
    return Path(str(importlib.resources.files("assets") / "demo"))


class Window(QMainWindow):
    """Shows the controller's view state on its panels.

    Args:
        engine: started once the window has painted.
        settings: the user's, or a file of its own in tests.
        path: a capture to open at once.
    """

    def __init__(self, engine: EngineClient, settings: Settings, path: str | None = None) -> None:
        theme.set_base(cast("QApplication", QApplication.instance()))
        super().__init__()
        self._settings = settings
        self._path = path
        self._started = self._grown = self._shown = False
        self.bridge = Bridge(engine, self)
        self.canvas = SceneCanvas(self)
        # the canvas is shown while the capture opens, so that its shaders are compiled meanwhile
        state = AppState(theme=settings.theme, recent=settings.recent, prompt_history=settings.prompts, opening=path)
        self.controller = Controller(
            self.bridge,
            state,
            auto=settings.auto,
            surface=self.canvas.surface_at,
            on_opened=self._remember,
            later=QTimer.singleShot,
            on_found=self.show_region,
        )
        self.sessions = Sessions(
            self.controller,
            lambda: self.canvas.navigator.orbit,
            self.canvas.look_from,
            lambda: self.saveState(LAYOUT_VERSION).toBase64().toStdString(),
            self._arrange,
            lambda path: self.repository.keep(path),
        )
        self.flight = Flight(self.controller, self.canvas, self)
        self.bookmarks = Bookmarks(
            self.controller.store, lambda: self.canvas.navigator.orbit, lambda o: self.canvas.look_from(o, fly=True)
        )
        self.dialogs = Dialogs(self, self.controller, self.canvas, self.sessions, self.flight)
        self.bridge.received.connect(self.controller.receive)
        self.hover = Hovering(self.controller, self)
        self.marks = Marks(self.controller)
        self.repository = RepositoryUi(self, settings)
        self.annotate = AnnotateUi(self)
        self.review = ReviewUi(self)
        self.tasks = TasksUi(self)
        self._build()
        self._make_actions()
        wire(self)
        self.sheet = ShortcutSheet(self)
        self.commands = CommandPalette(self, self.actions_by_id)
        self.setAcceptDrops(True)
        self.resize(1480, 920)
        self._restore_layout()
        self.controller.attach(self)
        self.canvas.begins.connect(self._start_engine)

    # --- layout

    def _build(self) -> None:
        self.banner = BannerBar()
        self.empty = EmptyPage()
        self.ask_bar = AskBar()
        self.ruler_bar = RulerBar()
        self.stack = QStackedWidget()
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self.canvas.widget)
        self.stack.addWidget(self.repository.pair_page)
        page = QWidget()
        page.setObjectName("page")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.ask_bar)
        column.addWidget(self.ruler_bar)
        column.addWidget(self.annotate.bar)
        column.addWidget(self.repository.bar)
        column.addWidget(self.stack, 1)
        self.setCentralWidget(page)
        self.layers = LayersPanel()
        self.jobs = JobsPanel()
        self.images = ImagesPanel()
        self.matches = MatchesPanel()
        self.found = FoundPanel()
        self.training = TrainingPanel()
        self.docks = build_docks(
            self,
            layers=self.layers,
            annotate=self.annotate.panel,
            jobs=self.jobs,
            training=self.training,
            images=self.images,
            matches=self.matches,
            found=self.found,
            review=self.review.panel,
            repository=self.repository.panel,
            tasks=self.tasks.panel,
        )
        self.status = StatusLabels(self.statusBar())

    def _make_actions(self) -> None:
        bar = build_bars(self, self._runner)
        self.actions_by_id, self.toolbar = bar.actions, bar.toolbar
        self._recent_menu = RecentMenu(self.controller.open, self)
        bar.menus["File"].insertMenu(self.actions_by_id["open_demo"], self._recent_menu)
        self._bookmark_menu = BookmarkMenu(self.bookmarks, self)
        bar.menus["View"].insertMenu(self.actions_by_id["flight"], self._bookmark_menu)
        self._encoder_menu = EncoderMenu(self.controller.encode, self)
        bar.menus["Engine"].insertMenu(self.actions_by_id["cancel_jobs"], self._encoder_menu)
        self._auto_action = QAction("Fit and encode on opening", self)
        self._auto_action.setCheckable(True)
        self._auto_action.setChecked(self._settings.auto)
        self._auto_action.toggled.connect(self._set_auto)
        bar.menus["Engine"].addAction(self._auto_action)
        for dock in self.docks.values():
            bar.menus["View"].addAction(dock.toggleViewAction())

    def _restore_layout(self) -> None:
        saved = self._settings.layout()
        if saved is not None:
            self.restoreGeometry(saved[0])
            self.restoreState(saved[1], LAYOUT_VERSION)

    def _arrange(self, layout: str) -> None:
        self.restoreState(QByteArray.fromBase64(layout.encode()), LAYOUT_VERSION)

    # --- what is shown

    def show_part(self, name: str, part: Any, whole: ViewState) -> None:
        """See ``app.controller.View``."""
        match name:
            case "title":
                self.setWindowTitle(part)
            case "page":
                pages = {"empty": self.empty, "canvas": self.canvas.widget, "pair": self.repository.pair_page}
                self.stack.setCurrentWidget(pages[part])
            case "canvas":
                self.canvas.show_view(part)
            case "images":
                self.images.show_images(part)
            case "single":
                self.images.show_single(part)
            case "matches":
                self.matches.show_table(part)
            case "prompts":
                self.ask_bar.show_prompts(part)
                self.found.show_prompts(part)
            case "layers":
                self.layers.show_layers(part)
            case "jobs":
                self.jobs.show_jobs(part)
            case "training":
                self.training.show_training(part)
            case "banner":
                self.banner.show_banner(part)
            case "status":
                self.status.show_status(part)
            case "actions":
                self._show_actions(part)
            case "recent":
                self._show_recent(part)
            case "encoders":
                self._show_encoders(*part)
            case "ruler":
                self.ruler_bar.show_ruler(part)
            case "repository":
                self.repository.show_view(part)
            case "annotate":
                self.annotate.show_view(part)
            case "review":
                self.review.show_view(part)
            case "tasks":
                self.tasks.panel.show_view(part)
            case "placed":
                self.repository.bar.show_placed(part)
            case "bookmarks":
                self._bookmark_menu.show_bookmarks(part)
            case "theme":
                self._show_theme(theme.THEMES[part])
            case _:
                raise ValueError(f"no view shows '{name}'")

    def _show_actions(self, view: ActionsView) -> None:
        for name, action in self.actions_by_id.items():
            action.setEnabled(name in view.enabled)
            if action.isCheckable():
                action.setChecked(name in view.checked)

    def _show_recent(self, paths: tuple[str, ...]) -> None:
        self.empty.show_recent(paths)
        self._recent_menu.show_recent(paths)

    def _show_encoders(self, names: tuple[str, ...], current: str) -> None:
        own = self.controller.state.weights
        self._encoder_menu.show_encoders(names, current, None if own is None else own.folder)

    def _show_theme(self, t: theme.Theme) -> None:
        theme.apply(cast("QApplication", QApplication.instance()), t)
        for spec in ACTIONS:
            if spec.icon:
                self.actions_by_id[spec.id].setIcon(icons.icon(spec.icon, t))
        panels = (self.images, self.layers, self.jobs, self.training, self.matches, self.banner)
        for panel in (*panels, self.repository, self.annotate, self.review, self.tasks.panel):
            panel.set_theme(t)

    # --- intents that need the window

    def open_demo(self) -> None:
        self.controller.open(str(demo_path()))

    def go_to(self, name: NamedView) -> None:
        self.canvas.go_to(name)

    def toggle_theme(self) -> None:
        name = "light" if self.controller.state.theme == "dark" else "dark"
        self._settings.theme = name
        self.controller.set(theme=name)

    def toggle_fullscreen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def toggle_panels(self) -> None:
        show = not any(d.isVisible() for d in self.docks.values())
        for dock in self.docks.values():
            dock.setVisible(show)

    def ask(self) -> None:
        """Put the cursor into the prompt bar."""
        self.ask_bar.focus()

    def ask_like(self) -> None:
        """Ask for places like the one that is chosen in the list."""
        self.found.ask_like()

    def show_region(self, region: Region) -> None:
        self.canvas.frame(region, self.controller.prompts.eye(region))
        bring_to_front(self.docks["found"])

    def toggle_training(self) -> None:
        dock = self.docks["training"]
        if in_front(dock):
            dock.hide()
        else:
            bring_to_front(dock)

    def start_training(self) -> None:
        bring_to_front(self.docks["training"])
        if not self._grown:  # once: afterwards it is as the user leaves it
            self._grown = True
            grow(self, self.docks["training"], self.docks["layers"], TRAINING_HEIGHT)
        self.controller.training.start()

    def open_large(self, view: int) -> None:
        self.controller.select(view)
        self.controller.set_single(True)

    def _runner(self, spec: Action) -> Callable[[], None]:
        def run() -> None:
            spec.handler(self)

        return run

    def choose_mode(self, mode: str) -> None:
        self.controller.set_mode(cast(PanelMode, mode))

    def choose_colouring(self, name: str) -> None:
        self.controller.set_colouring(cast(Colouring, name))

    def set_opacity(self, layer: str, value: float) -> None:
        self.controller.set_layer(layer, opacity=value)

    def trigger(self, name: str) -> None:
        self.actions_by_id[name].trigger()

    def _set_auto(self, on: bool) -> None:
        self._settings.auto = on
        self.controller.auto = on

    def _remember(self, path: str) -> None:
        self.controller.set(recent=self._settings.add_recent(path))

    # --- life

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if not self._shown and self._settings.layout() is None:
            QTimer.singleShot(0, lambda: spread(self, self.docks))
        self._shown = True
        # the empty page paints without the canvas; either way the engine waits until the window has painted
        if self._path is None:
            QTimer.singleShot(0, self._start_engine)

    def _start_engine(self) -> None:
        if self._started:
            return
        self._started = True
        if self._path is not None:
            self._open(self._path)
        self.bridge.start()  # with the request there already, it comes before the libraries

    def _open(self, path: str) -> None:
        """A capture, a session, or a picture to look for."""
        if path.endswith(SUFFIX):
            self.sessions.open(Path(path))
        elif path.lower().endswith(PICTURES) and self.controller.state.scene is not None:
            self.controller.prompts.look_for(path)  # a crop of a photo, to be found in the scene
        elif path.lower().endswith(PICTURES) and self.repository.desk.state.scenes:
            self.repository.drop_photo(path)
        else:
            self.controller.open(path)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = next((url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()), None)
        if path:
            event.acceptProposedAction()
            self._open(path)

    def closeEvent(self, event: QCloseEvent) -> None:
        self._settings.save_layout(QByteArray(self.saveGeometry()), QByteArray(self.saveState(LAYOUT_VERSION)))
        self._settings.prompts = self.controller.state.prompt_history
        self._settings.sync()
        self.flight.cancel()
        self.controller.detach()
        self.bridge.close()
        self.canvas.close()
        super().closeEvent(event)
