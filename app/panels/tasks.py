"""The tasks dock: learn classes from labels, see what is mistaken for what, and name the open capture."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from app.panels.task_head import TaskHead
from app.panels.task_results import TaskResults
from app.panels.task_setup import TaskSetup
from app.task_view import TasksView
from app.theme import GAP, PAD, Theme


class TasksPanel(QScrollArea):
    """Shows ``TasksView``. ``asked`` names the action of a button that was pressed."""

    asked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        # always there, though unseen: the matrix must not change its width when it comes and goes
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().rangeChanged.connect(self._show_bar)
        self._show_bar(0, 0)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        page = QWidget()
        page.setObjectName("panel")
        page.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setup, self.results, self.head = TaskSetup(), TaskResults(), TaskHead()
        self.setup.asked.connect(self.asked)
        self.head.asked.connect(self.asked)
        rule = QFrame()
        rule.setObjectName("rule")
        column = QVBoxLayout(page)
        column.setContentsMargins(PAD, GAP, PAD, PAD)
        column.setSpacing(GAP)
        for widget in (self.setup, self.results, rule, self.head):
            column.addWidget(widget)
        column.addStretch(1)
        self.setWidget(page)

    def _show_bar(self, least: int, most: int) -> None:
        self.verticalScrollBar().setEnabled(most > least)

    def show_view(self, view: TasksView) -> None:
        self.setup.show_view(view)
        self.results.show_view(view)
        self.head.show_view(view)

    def set_theme(self, theme: Theme) -> None:
        self.results.set_theme(theme)
        self.head.set_theme(theme)
