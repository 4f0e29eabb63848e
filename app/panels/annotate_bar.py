"""The mode, over the scene while something is annotated: tool and class in hand, and what can be done now."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from app import icons
from app.actions import by_id
from app.annotate_state import OUTLINES
from app.panels.annotate_rows import dot
from app.theme import DARK, GAP, PAD, Theme
from app.view_state import AnnotateView

BUTTONS = (
    ("annotate_label", "Label"), ("annotate_shrink", "−"), ("annotate_grow", "+"), ("annotate_box_around", "Box"),
    ("annotate_alike", "Like it"),
)  # fmt: skip


class AnnotateBar(QFrame):
    """Shown while a tool is in hand or suggestions wait."""

    asked = Signal(str)  # id of an action
    refused = Signal()
    ended = Signal()
    line_ended = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("mode")
        # buttons that come with a selection must not widen the scene, which would be marched anew
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._theme: Theme = DARK
        self._view: AnnotateView | None = None
        self._signed: object = None  # what the sign shows
        self.sign, self.tool, self.hint = QLabel(), QLabel(), QLabel()
        self.tool.setObjectName("strong")
        self.dot, self.name = QLabel(), QLabel()
        self.hint.setObjectName("muted")
        self.hint.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout()
        row.setSpacing(GAP)
        for label in (self.sign, self.tool, self.dot):
            row.addWidget(label)
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row.addWidget(self.name, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(PAD, GAP, GAP, GAP)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.hint)
        self.buttons: dict[str, QPushButton] = {}
        for name, text in BUTTONS:
            self.buttons[name] = self._button(row, text)
            self.buttons[name].clicked.connect(lambda _=False, n=name: self.asked.emit(n))
        self.refuse = self._button(row, "Refuse")
        self.refuse.clicked.connect(lambda: self.refused.emit())
        self.through = self._button(row, "All depths")
        self.through.setCheckable(True)
        self.through.clicked.connect(lambda: self.asked.emit("annotate_through"))
        self.line = self._button(row, "End line")
        self.line.setToolTip("Put the line down  (Enter, or a double-click)")
        self.line.clicked.connect(lambda: self.line_ended.emit())
        self.done = self._button(row, "Done")
        self.done.setToolTip("Lay the tool down: clicks ask again where else something is  (Esc)")
        self.done.clicked.connect(lambda: self.ended.emit())
        self.hide()

    def _button(self, row: QHBoxLayout, text: str) -> QPushButton:
        button = QPushButton(text)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay the window's
        row.addWidget(button)
        return button

    def take_actions(self, actions: Mapping[str, QAction]) -> None:
        """Tooltips of the window's own actions."""
        for name, button in (*self.buttons.items(), ("annotate_through", self.through)):
            button.setToolTip(actions[name].toolTip())

    def show_view(self, view: AnnotateView) -> None:
        self._view = view
        s = view.state
        self.setVisible(s.tool is not None or s.offer is not None)
        self.tool.setText("Suggestions" if s.offer is not None else by_id(f"annotate_{s.tool}").label if s.tool else "")
        label = s.given
        self.dot.setVisible(label is not None)
        self.name.setText("no class yet" if label is None else label.name)
        if label is not None:
            self.dot.setPixmap(dot(label.rgb, 12))
        text = view.hint if not view.preparing or s.selection is not None else f"{view.hint}  ·  {view.preparing}"
        self.hint.setToolTip(text)
        self._elide()
        for name, button in self.buttons.items():
            button.setVisible(s.lit is not None and (s.offer is None or name == "annotate_label"))
        self.refuse.setVisible(s.offer is not None)
        self.through.setVisible(s.tool in OUTLINES and s.lit is None)
        self.through.setChecked(s.through)
        self.line.setVisible(len(s.draft) > 1)
        self._show_sign()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        """In one line: were the bar to change its height, the scene below would be marched anew with each hint."""
        room = self.width() - PAD - GAP
        text = self.hint.toolTip()
        self.hint.setText(self.hint.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room))

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._show_sign()

    def _show_sign(self) -> None:
        tool = None if self._view is None else self._view.state.tool
        if (tool, self._theme) == self._signed:
            return
        self._signed = tool, self._theme
        self.sign.setPixmap(icons.icon(f"annotate_{tool or 'select'}", self._theme).pixmap(QSize(18, 18)))
