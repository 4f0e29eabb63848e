"""What is mistaken for what: a matrix of true by said classes, painted, to be pointed at and clicked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from app.theme import DARK, Theme

Cell = tuple[int, int]
MOST_NAMED = 20
"""Classes whose names are written beside the matrix."""
GUTTER = 96.0
"""At most so wide are names."""
HEAD, FOOT = 18.0, 20.0
NUMBERED = 25.0
"""Cells of that size hold their count."""


class Confusion(QWidget):
    """Rows are true classes, columns what was said; a row's cells are the brighter the more of it they hold, hits in
    the accent, mistakes in red. ``chosen``: a cell that was clicked, or gone to by the arrow keys."""

    chosen = Signal(tuple)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._names: tuple[str, ...] = ()
        self._counts: NDArray[np.int64] = np.zeros((0, 0), np.int64)
        self._unit = "objects"
        self._cell: Cell | None = None
        self._hover: Cell | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    # --- what is shown

    def show_counts(self, names: tuple[str, ...], counts: NDArray[np.int64], unit: str, cell: Cell | None) -> None:
        """``counts`` (K, K) of true by said; ``cell``: the one that is listed."""
        other = names != self._names
        self._names, self._counts, self._unit, self._cell = names, counts, unit, cell
        if other:
            self._hover = None
            self._fit()
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def told(self, cell: Cell) -> str:
        """A cell in words: "3 of 40 objects of sofa were said to be bed (8 %)"."""
        true, said = cell
        count, total = int(self._counts[cell]), int(self._counts[true].sum())
        share = f" ({count / total:.0%})" if total else ""
        of = f"{count:,} of {total:,} {self._unit} of {self._names[true]}"
        return f"{of} said rightly{share}" if true == said else f"{of} said to be {self._names[said]}{share}"

    # --- layout

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()

    def _fit(self) -> None:
        """As high as the cells, which are square, and the names below them take."""
        grid, _ = self._grid()
        self.setFixedHeight(round(grid.bottom() + (self._gutter() - FOOT if self._named else 4)))

    def sizeHint(self) -> QSize:
        return QSize(300, self.height())

    def minimumSizeHint(self) -> QSize:
        return QSize(160, self.height())

    @property
    def _named(self) -> bool:
        return 0 < len(self._names) <= MOST_NAMED

    def _gutter(self) -> float:
        if not self._named:
            return FOOT
        metrics = QFontMetricsF(self.font())
        return min(GUTTER, max(metrics.horizontalAdvance(n) for n in self._names) + 8) + FOOT

    def _grid(self) -> tuple[QRectF, float]:
        """Where the cells are, and how large."""
        gutter, k = self._gutter(), max(1, len(self._names))
        side = min(self.width() - gutter, 64.0 * k)
        return QRectF(gutter, HEAD, side, side), side / k

    def rect_of(self, cell: Cell) -> QRectF:
        """Where a cell is painted."""
        grid, size = self._grid()
        return QRectF(grid.left() + cell[1] * size, grid.top() + cell[0] * size, size, size)

    def cell_at(self, at: QPointF) -> Cell | None:
        """The cell at a place."""
        grid, size = self._grid()
        if not self._names or not grid.contains(at):
            return None
        k = len(self._names)
        return min(k - 1, int((at.y() - grid.top()) / size)), min(k - 1, int((at.x() - grid.left()) / size))

    # --- events

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point_at(self.cell_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._point_at(None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        cell = self.cell_at(event.position())
        if cell is not None and event.button() == Qt.MouseButton.LeftButton:
            self.chosen.emit(cell)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {
            Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1),
        }  # fmt: skip
        step = steps.get(Qt.Key(event.key()))
        k = len(self._names)
        if step is None or not k:
            super().keyPressEvent(event)
            return
        true, said = self._cell or (0, 0)
        self.chosen.emit(((true + step[0]) % k, (said + step[1]) % k))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            cell = self.cell_at(QPointF(event.pos()))
            if cell is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos() + QPoint(0, 4), self.told(cell), self)
            return True
        return super().event(event)

    def _point_at(self, cell: Cell | None) -> None:
        if cell != self._hover:
            self._hover = cell
            self.update()

    # --- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._names:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        grid, size = self._grid()
        share = self._counts / np.maximum(self._counts.sum(axis=1, keepdims=True), 1)
        painter.fillRect(grid, QColor(self._theme.field))
        gap = 0.5 if size > 8 else 0.0
        for true, said in zip(*np.nonzero(self._counts), strict=True):
            self._paint_cell(painter, (int(true), int(said)), float(share[true, said]), size, gap)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(self._theme.line), 1.0))
        painter.drawRect(grid)
        self._names_beside(painter, grid, size)
        if self._hover is not None:
            self._outline(painter, self._hover, self._theme.muted, 1.0)
        if self._cell is not None and max(self._cell) < len(self._names):
            self._outline(painter, self._cell, self._theme.text, 2.0)
        painter.end()

    def _paint_cell(self, painter: QPainter, cell: Cell, share: float, size: float, gap: float) -> None:
        rect = self.rect_of(cell).adjusted(gap, gap, -gap, -gap)
        ink = QColor(self._theme.accent if cell[0] == cell[1] else self._theme.bad)
        strength = 0.12 + 0.88 * share**0.6
        ink.setAlphaF(strength)
        painter.fillRect(rect, ink)
        if size >= NUMBERED:
            dark = strength > 0.6
            painter.setPen(QColor(self._theme.on_accent if dark else self._theme.text))
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, _short(int(self._counts[cell])))

    def _outline(self, painter: QPainter, cell: Cell, colour: str, width: float) -> None:
        painter.setPen(QPen(QColor(colour), width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect_of(cell).adjusted(0.5, 0.5, -0.5, -0.5))

    def _names_beside(self, painter: QPainter, grid: QRectF, size: float) -> None:
        """Names of the classes, if there is room, and which axis is which."""
        metrics, lit = painter.fontMetrics(), self._hover or self._cell
        painter.setPen(QColor(self._theme.muted))
        painter.drawText(QRectF(grid.left(), 0, grid.width(), HEAD), Qt.AlignmentFlag.AlignLeft, "said to be →")
        painter.save()
        painter.translate(0, grid.bottom())
        painter.rotate(-90)
        painter.drawText(QRectF(0, 0, grid.height(), FOOT), Qt.AlignmentFlag.AlignRight, "← truly")
        painter.restore()
        if not self._named:
            return
        room = self._gutter() - FOOT - 6
        step = max(1, int(np.ceil(metrics.height() / size)))
        for k, name in enumerate(self._names):
            text = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(room))
            for axis in (0, 1):
                on = lit is not None and lit[axis] == k
                if k % step and not on:
                    continue
                painter.setPen(QColor(self._theme.text if on else self._theme.muted))
                if axis == 0:
                    box = QRectF(FOOT, grid.top() + (k + 0.5) * size - 10, room, 20)
                    painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
                else:
                    painter.save()
                    painter.translate(grid.left() + (k + 0.5) * size, grid.bottom() + 5)
                    painter.rotate(-90)
                    box = QRectF(-room, -10, room, 20)
                    painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
                    painter.restore()


def _short(count: int) -> str:
    if count < 1000:
        return str(count)
    return (
        f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k" if count < 1e6 else f"{count / 1e6:.1f}M"
    )
