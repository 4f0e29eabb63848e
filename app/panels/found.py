"""The places that prompts found: one line each, to go to."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QLabel, QListWidget, QListWidgetItem, QMenu, QVBoxLayout, QWidget

from app import colormaps
from app.theme import GAP, PAD
from app.view_state import PromptsView

EMPTY = "Ask in words above the scene (Ctrl+F): every place that is found is listed here. Click one to go there."


class FoundPanel(QWidget):
    """Regions, prompt by prompt."""

    region_chosen = Signal(object)
    like_asked = Signal(object)  # a region: what looks like it?

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.summary = QLabel(EMPTY)
        self.summary.setObjectName("muted")
        self.summary.setWordWrap(True)
        self.summary.setContentsMargins(PAD, GAP, PAD, GAP)
        self.list = QListWidget()
        self.list.itemClicked.connect(self._choose)
        self.list.itemActivated.connect(self._choose)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self._view: PromptsView | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.summary)
        column.addWidget(self.list, 1)
        column.addStretch()

    def sizeHint(self) -> QSize:
        return QSize(360, 220)

    def show_prompts(self, view: PromptsView) -> None:
        if self._view is not None and self._view.rows == view.rows:
            return
        self._view = view
        self.list.clear()
        for row in view.rows:
            for n, region in enumerate(row.regions, start=1):
                text = f"{row.prompt.text} {n}    {region.size:.0%} of it,  mean {region.score:.2f}"
                item = QListWidgetItem(_dot(row.prompt.colour), text)
                item.setData(Qt.ItemDataRole.UserRole, region)
                item.setToolTip("Click: go there. Right button, or Ctrl+L: find places like it")
                self.list.addItem(item)
        count = self.list.count()
        self.list.setVisible(count > 0)
        nothing = "Nothing is found so far." if view.rows else EMPTY
        self.summary.setText(f"{count} place{'s' if count != 1 else ''}, the largest first" if count else nothing)

    def ask_like(self) -> None:
        """Ask for places like the one that is current, or like the first."""
        if self.list.count():
            item = self.list.item(max(self.list.currentRow(), 0))
            self.like_asked.emit(item.data(Qt.ItemDataRole.UserRole))

    def _show_menu(self, at: QPoint) -> None:
        item = self.list.itemAt(at)
        if item is None:
            return
        self.list.setCurrentItem(item)
        menu = QMenu(self)
        menu.addAction("Go there", lambda: self._choose(item))
        menu.addAction("Find places like it", self.ask_like)
        menu.popup(self.list.viewport().mapToGlobal(at))

    def _choose(self, item: QListWidgetItem) -> None:
        self.region_chosen.emit(item.data(Qt.ItemDataRole.UserRole))


def _dot(colour: int) -> QIcon:
    pixmap = QPixmap(12, 12)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colormaps.prompt_colours()[max(colour, 0)]))
    painter.drawEllipse(1, 1, 10, 10)
    painter.end()
    return QIcon(pixmap)
