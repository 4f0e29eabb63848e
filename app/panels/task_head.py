"""The head in hand, and what it says of the open capture: the lower part of the tasks panel."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout, QWidget

from app.task_state import TasksState
from app.task_view import TasksView
from app.theme import DARK, GAP, Theme

BUTTONS = {
    "task_load": ("Load head…", "Take what was learnt before in hand"),
    "task_save": ("Save head…", "Keep what was learnt, with its encoder; condense task predict takes it, too"),
    "task_name": ("Name the scene", "Say of every voxel of the open capture which class it is"),
    "task_keep": (
        "Keep as labels",
        "Make labels of what shows, to be corrected with the tools under Annotate; one step to undo for each class",
    ),
}
CHIP, LINE = 11.0, 21


class TaskHead(QWidget):
    asked = Signal(str)  # id of an action
    shown_toggled = Signal(bool)
    sure_moved = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self.title = QLabel("A head in hand")
        self.title.setObjectName("heading")
        self.name = QLabel()
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.obstacle = QLabel()
        self.obstacle.setObjectName("muted")
        for label in (self.name, self.obstacle):
            label.setWordWrap(True)
        self.buttons = {name: self._button(name) for name in BUTTONS}
        self.buttons["task_keep"].setObjectName("primary")
        self.shown = QCheckBox("Over the scene")
        self.shown.setToolTip("Show what the head says; otherwise the labels that are there")
        self.shown.clicked.connect(self.shown_toggled)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 99)
        self.slider.setToolTip("Leave out voxels that the head is less sure of")
        self.slider.valueChanged.connect(self._move_sure)
        self.sure = QLabel()
        self.sure.setObjectName("muted")
        self.legend = ClassLegend()
        files, pair = QHBoxLayout(), QHBoxLayout()
        for name in ("task_load", "task_save"):
            files.addWidget(self.buttons[name], 1)
        pair.addWidget(self.shown)
        pair.addWidget(self.slider, 1)
        pair.addWidget(self.sure)
        self.answer = QWidget()
        inner = QVBoxLayout(self.answer)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(GAP)
        inner.addLayout(pair)
        inner.addWidget(self.legend)
        inner.addWidget(self.buttons["task_keep"])
        column = QVBoxLayout(self)
        column.setContentsMargins(0, GAP, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.title)
        column.addWidget(self.name)
        column.addLayout(files)
        for widget in (self.buttons["task_name"], self.obstacle, self.answer):
            column.addWidget(widget)

    def _button(self, name: str) -> QPushButton:
        label, tooltip = BUTTONS[name]
        button = QPushButton(label)
        button.setToolTip(tooltip)
        button.clicked.connect(lambda: self.asked.emit(name))
        return button

    def _move_sure(self, value: int) -> None:
        self.sure_moved.emit(value / 100)

    def show_view(self, view: TasksView) -> None:
        s = view.state
        for name, button in self.buttons.items():
            button.setEnabled(name in view.enabled)
        self.buttons["task_name"].setVisible(s.head is not None and s.head.kind == "segment")
        self.buttons["task_name"].setText("Naming…" if s.naming else "Name the scene")
        self.title.setText("No head in hand" if s.head is None else "Head in hand")
        self.name.setVisible(s.head is not None)
        self.name.setText("" if s.head is None else s.head.title)
        self.name.setToolTip("" if s.head is None else ", ".join(s.head.names))
        self.obstacle.setVisible(bool(view.obstacle))
        self.obstacle.setText(view.obstacle)
        self.answer.setVisible(s.named is not None)
        self.shown.setChecked(s.shown)
        self.slider.blockSignals(True)
        self.slider.setValue(round(100 * s.sure))
        self.slider.blockSignals(False)
        self.sure.setText(f"{s.sure:.0%} sure or more")
        self.legend.show_named(s)

    def set_theme(self, theme: Theme) -> None:
        self.legend.set_theme(theme)


class ClassLegend(QWidget):
    """Colour, name, share of the voxels and mean chance of each class that shows, the largest first."""

    def __init__(self) -> None:
        super().__init__()
        self._theme: Theme = DARK
        self._over: object = None
        self.rows: tuple[tuple[str, tuple[int, int, int], float, float], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_named(self, s: TasksState) -> None:
        if s.over is self._over:
            return
        self._over = s.over
        self.rows = ()
        if s.over is not None and s.named is not None:
            shown = s.over.labels > 0
            k = len(s.named.names)
            count = np.bincount(s.named.label[shown], minlength=k)
            sure = np.bincount(s.named.label[shown], s.named.sure[shown], minlength=k) / np.maximum(count, 1)
            order = [int(n) for n in np.argsort(-count, kind="stable") if count[n]]
            total = max(1, len(shown))
            self.rows = tuple(
                (s.named.names[n], s.named.colours[n], float(count[n]) / total, float(sure[n])) for n in order
            )
        self.setFixedHeight(LINE * max(1, len(self.rows)))
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.rows:
            painter.setPen(QColor(self._theme.muted))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, "Nothing is that sure.")
        for n, (name, rgb, share, sure) in enumerate(self.rows):
            line = self.rect().adjusted(0, n * LINE, 0, 0)
            line.setHeight(LINE)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(*rgb))
            painter.drawRoundedRect(1, int(line.center().y() - CHIP / 2) + 1, int(CHIP), int(CHIP), 3, 3)
            painter.setPen(QColor(self._theme.text))
            text = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideRight, self.width() - 150)
            painter.drawText(line.adjusted(20, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)
            painter.setPen(QColor(self._theme.muted))
            told = f"{share:.1%} of voxels · {sure:.0%} sure"
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, told)
        painter.end()
