"""The repository dock: all scenes, a field to ask them, the answer, and pairs of one place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import icons
from app.panels.answer import AnswerPage
from app.panels.jobs import JobRow
from app.panels.pairs import PairsPage
from app.panels.scene_grid import SceneGrid
from app.resolve_repository import RepositoryView
from app.theme import DARK, GAP, PAD, Theme

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
WHAT = (
    "Keep your scenes in one folder and ask them all at once: which scene does this photo show, and from where? "
    "Where is a piano? Which scans are of one place?"
)
MENU = (
    "repository_open", "repository_make", "", "repository_add", "repository_add_more", "", "repository_alike",
    "repository_duplicates", "", "repository_remove",
)  # fmt: skip


class RepositoryPanel(QWidget):
    words_entered = Signal(str)
    photo_dropped = Signal(str)
    captures_dropped = Signal(list)
    asked = Signal(str)  # id of an action
    cancelled = Signal(int)  # job

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAcceptDrops(True)
        self._theme: Theme = DARK
        self._job: JobRow | None = None
        self.name = QLabel()
        self.name.setObjectName("strong")
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.count = QLabel()
        self.count.setObjectName("muted")
        self.more = QToolButton()
        self.more.setText("⋯")
        self.more.setObjectName("menu")
        self.more.setToolTip("What can be done with the repository")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.field = QLineEdit()
        self.field.setPlaceholderText("Words, such as “room with a sofa”, or drop a photo")
        self.field.setToolTip("Which scenes hold such a thing?")
        self.field.setAcceptDrops(False)  # what is dropped on it is dropped on the panel
        self.field.setClearButtonEnabled(True)
        self.field.returnPressed.connect(lambda: self.words_entered.emit(self.field.text()))
        self.photo = QToolButton()
        self.photo.clicked.connect(lambda: self.asked.emit("repository_photo"))
        head = QHBoxLayout()
        head.setSpacing(GAP)
        head.addWidget(self.name, 1)
        head.addWidget(self.count)
        head.addWidget(self.more)
        search = QHBoxLayout()
        search.setSpacing(GAP)
        search.addWidget(self.field, 1)
        search.addWidget(self.photo)
        self._bar = QWidget()
        top = QVBoxLayout(self._bar)
        top.setContentsMargins(PAD, GAP, PAD, PAD)
        top.setSpacing(GAP)
        top.addLayout(head)
        top.addLayout(search)
        self.start = StartPage()
        self.start.asked.connect(self.asked)
        self.grid = SceneGrid()
        self.answer = AnswerPage()
        self.pairs = PairsPage()
        self.stack = QStackedWidget()
        for page in (self.start, self.grid, self.answer, self.pairs):
            self.stack.addWidget(page)
        self._foot = QVBoxLayout()
        self._foot.setContentsMargins(PAD, GAP, PAD, 0)
        self.drop = QLabel("Drop it here", self)
        self.drop.setObjectName("drop")
        self.drop.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.drop.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.drop.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._bar)
        column.addWidget(self.stack, 1)
        column.addLayout(self._foot)

    def take_actions(self, actions: Mapping[str, QAction]) -> None:
        """The menu, of the window's own actions."""
        self.menu = QMenu(self)
        for name in MENU:
            if name:
                self.menu.addAction(actions[name])
            else:
                self.menu.addSeparator()
        self.more.setMenu(self.menu)
        self.photo.setToolTip(actions["repository_photo"].toolTip())
        self.grid.menu_asked.connect(self._popup)

    def _popup(self, at: QPoint) -> None:
        self.menu.popup(at)

    def show_view(self, view: RepositoryView) -> None:
        s = view.state
        self._bar.setVisible(s.path is not None)
        self.name.setText("" if s.path is None else Path(s.path).name)
        self.name.setToolTip(s.path or "")
        n = len(s.scenes or ())
        locked = "" if s.writable else " · read only"
        self.count.setText("" if s.scenes is None else f"{n} scene{'s' if n != 1 else ''}{locked}")
        self.field.setEnabled(view.usable)
        self.photo.setEnabled(view.usable)
        self.start.show_view(view)
        self.grid.show_view(view)
        self.answer.show_view(view)
        self.pairs.show_view(view)
        pages = {"scenes": self.grid, "answer": self.answer, "pairs": self.pairs}
        self.stack.setCurrentWidget(pages[s.page] if view.usable else self.start)
        self._show_job(view)

    def _show_job(self, view: RepositoryView) -> None:
        job = view.adding
        if self._job is not None and (job is None or self._job.property("job") != job.id):
            self._foot.removeWidget(self._job)
            self._job.deleteLater()
            self._job = None
        if job is None:
            return
        if self._job is None:
            self._job = JobRow(job.id)
            self._job.setProperty("job", job.id)
            self._job.set_theme(self._theme)
            self._job.cancelled.connect(self.cancelled)
            self._foot.addWidget(self._job)
        self._job.show_job(job)

    @property
    def job_row(self) -> JobRow | None:
        """The line of the job that adds captures, while one runs."""
        return self._job

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.photo.setIcon(icons.icon("photo", theme))
        for part in (self.grid, self.answer, self.pairs):
            part.set_theme(theme)
        if self._job is not None:
            self._job.set_theme(theme)

    # --- what is dropped

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = _paths(event)
        if not paths:
            return
        event.acceptProposedAction()
        pictures = any(p.lower().endswith(PICTURES) for p in paths)
        self.drop.setText("Which scene is this?" if pictures else "Add to the repository")
        self.drop.setGeometry(self.rect().adjusted(GAP, GAP, -GAP, -GAP))
        self.drop.raise_()
        self.drop.show()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop.hide()
        paths = _paths(event)
        event.acceptProposedAction()
        picture = next((p for p in paths if p.lower().endswith(PICTURES)), None)
        if picture is not None:
            self.photo_dropped.emit(picture)
        elif paths:
            self.captures_dropped.emit(paths)


class StartPage(QWidget):
    """What to do while there is no repository, or nothing in it."""

    asked = Signal(str)  # id of an action

    def __init__(self) -> None:
        super().__init__()
        self.title, self.text = QLabel(), QLabel()
        self.title.setObjectName("subtitle")
        self.text.setObjectName("muted")
        self.problem = QLabel()
        self.problem.setObjectName("problem")
        self.first, self.second = QPushButton(), QPushButton()
        self.first.setObjectName("primary")
        self._ids = ("", "")
        for n, button in enumerate((self.first, self.second)):
            button.clicked.connect(lambda _=False, n=n: self.asked.emit(self._ids[n]))
        buttons = QHBoxLayout()
        buttons.setSpacing(PAD)
        buttons.addWidget(self.first)
        buttons.addWidget(self.second)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD + GAP, 2 * PAD, PAD + GAP, PAD)
        column.setSpacing(PAD)
        for label in (self.title, self.text, self.problem):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            column.addWidget(label)
        self.problem.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column.addLayout(buttons)
        column.addStretch(1)

    def show_view(self, view: RepositoryView) -> None:
        s = view.state
        self.problem.setVisible(bool(s.problem))
        self.problem.setText(s.problem)
        for button in (self.first, self.second):
            button.setVisible(not s.opening)
        if s.opening:
            self.title.setText("Opening…")
            self.text.setText(s.path or "")
        elif s.scenes is None:
            self.title.setText("This repository cannot be opened" if s.problem else "A repository of scenes")
            self.text.setText("" if s.problem else WHAT)
            self._buttons(("repository_make", "New repository…"), ("repository_open", "Open repository…"))
        else:
            self.title.setText("No scenes yet")
            self.text.setText("Add captures, or drop their folders here: each is fitted, encoded and condensed once.")
            this = f"Add {view.capture}" if view.capture else "Add this capture"
            more = ("repository_add_more", "Add captures…")
            if "repository_add" in view.enabled:
                self._buttons(("repository_add", this), more)
            else:
                self._buttons(more, ("repository_add", this))
            self.first.setEnabled(self._ids[0] in view.enabled)
            self.second.setEnabled(self._ids[1] in view.enabled)
        self.text.setVisible(bool(self.text.text()))

    def _buttons(self, first: tuple[str, str], second: tuple[str, str]) -> None:
        self._ids = (first[0], second[0])
        for button, (_, label) in ((self.first, first), (self.second, second)):
            button.setText(label)
            button.setEnabled(True)


def _paths(event: QDropEvent) -> list[str]:
    return [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
