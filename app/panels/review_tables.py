"""Tables of the review panel: rows of text and figures, one of them chosen."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QIcon
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from app.panels.annotate_rows import dot
from app.theme import DARK, Theme

ROW = 24
Rgb = tuple[int, int, int]


class FiguresTable(QTableWidget):
    """``words``: how many of the first columns are words that share the room; the others are figures."""

    row_clicked = Signal(int)

    def __init__(self, headers: Sequence[tuple[str, str]], words: int = 1, parent: QWidget | None = None) -> None:
        super().__init__(0, len(headers), parent)
        self._words = words
        for column, (text, tip) in enumerate(headers):
            item = QTableWidgetItem(text)
            self.setHorizontalHeaderItem(column, item)
            item.setToolTip(tip)
            side = Qt.AlignmentFlag.AlignLeft if column < words else Qt.AlignmentFlag.AlignRight
            item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
            mode = QHeaderView.ResizeMode.Stretch if column < words else QHeaderView.ResizeMode.Fixed
            self.horizontalHeader().setSectionResizeMode(column, mode)
            if column >= words:
                self.setColumnWidth(column, self.fontMetrics().horizontalAdvance(max(text, "00,000", key=len)) + 24)
        self.horizontalHeader().setHighlightSections(False)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # keys stay the window's
        self.cellClicked.connect(self._clicked)
        self._muted = DARK.muted

    def show_rows(
        self, rows: Sequence[tuple[Sequence[str], Sequence[Rgb | None], str]], muted: Sequence[bool] = ()
    ) -> None:
        """Each row: its cells, spots of colour before the first of them, and a tooltip; ``muted`` rows stand back."""
        self.setRowCount(len(rows))
        for n, (cells, colours, tip) in enumerate(rows):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(tip)
                side = Qt.AlignmentFlag.AlignLeft if column < self._words else Qt.AlignmentFlag.AlignRight
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                rgb = colours[column] if column < len(colours) else None
                if rgb is not None:
                    spot, icon = dot(rgb, 12), QIcon()
                    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):  # the same where the row is chosen
                        icon.addPixmap(spot, mode)
                    item.setIcon(icon)
                if n < len(muted) and muted[n]:
                    item.setForeground(QColor(self._muted))
                self.setItem(n, column, item)

    def show_chosen(self, row: int | None) -> None:
        if row is None:
            self.clearSelection()
        elif self.currentRow() != row or not self.selectedItems():
            self.selectRow(row)
            self.scrollTo(self.model().index(row, 0))

    def fit_height(self, most: int) -> None:
        """As high as its rows, up to so many."""
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + ROW * min(self.rowCount(), most) + 2)

    def set_theme(self, theme: Theme) -> None:
        self._muted = theme.muted

    def _clicked(self, row: int, column: int) -> None:
        self.row_clicked.emit(row)
