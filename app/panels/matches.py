"""The matches dock: the best match in every view, best first."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QSize, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableView, QVBoxLayout, QWidget

from app.theme import DARK, GAP, PAD, Theme
from app.view_state import MatchRow, MatchTable

HEADERS = ("View", "Score", "Both ways", "Error")
Index = QModelIndex | QPersistentModelIndex


class MatchModel(QAbstractTableModel):
    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[MatchRow, ...] = ()
        self.theme: Theme = DARK

    def set_rows(self, rows: tuple[MatchRow, ...]) -> None:
        if rows and len(rows) == len(self.rows):  # a reset would have the table lay itself out anew
            self.rows = rows
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(HEADERS) - 1))
            return
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(HEADERS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADERS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _align(section)
        if role == Qt.ItemDataRole.ToolTipRole and section == 3:
            return "Distance in pixels to where the point really projects, where geometry knows it"
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        column = index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            error = "—" if row.error_px is None else f"{row.error_px:.0f} px"
            return (
                f"{row.view}  {row.name.rsplit('/', 1)[-1]}",
                f"{row.score:.3f}",
                "●" if row.mutual else "○",
                error,
            )[column]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _align(column)
        if role == Qt.ItemDataRole.ForegroundRole:
            if column == 2 and row.mutual:
                return QColor(self.theme.accent)
            return QColor(self.theme.text if row.mutual else self.theme.muted)
        return None


def _align(column: int) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
    return (Qt.AlignmentFlag.AlignHCenter if column == 2 else side) | Qt.AlignmentFlag.AlignVCenter


class MatchesPanel(QWidget):
    view_chosen = Signal(int)
    view_opened = Signal(int)  # double-click

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.model = MatchModel()
        self.summary = QLabel()
        self.summary.setObjectName("muted")
        self.summary.setWordWrap(True)
        self.summary.setContentsMargins(PAD, GAP, PAD, GAP)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.table.verticalHeader().setDefaultSectionSize(25)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # to fit contents asks for every cell at every click
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, text in enumerate(HEADERS[1:], start=1):
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(max(text, "999 px", key=len)) + 24)
        self.table.clicked.connect(self._choose)
        self.table.doubleClicked.connect(self._open)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.summary)
        column.addWidget(self.table, 1)
        column.addStretch()

    def _choose(self, index: QModelIndex) -> None:
        self.view_chosen.emit(self.model.rows[index.row()].view)

    def _open(self, index: QModelIndex) -> None:
        self.view_opened.emit(self.model.rows[index.row()].view)

    def sizeHint(self) -> QSize:
        return QSize(360, 220)

    def show_table(self, view: MatchTable) -> None:
        self.summary.setText(view.summary)
        if view.rows != self.model.rows:
            self.model.set_rows(view.rows)
        self.table.setVisible(bool(view.rows))
        at = next((i for i, r in enumerate(view.rows) if r.view == view.selected), None)
        chosen = self.table.selectionModel().selectedRows()
        if at is None and chosen:
            self.table.clearSelection()
        elif at is not None and [i.row() for i in chosen] != [at]:
            self.table.selectRow(at)

    def set_theme(self, theme: Theme) -> None:
        self.model.theme = theme
        self.table.viewport().update()
