"""Cursors that say what a click will do: a cross with the tool beside it, in the colour of the class in hand."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QCursor, QPainter, QPen, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.annotate_state import Tool
from app.icons import source

SIDE, CENTRE, ARM = 34, 9, 7


@lru_cache(64)
def cursor_of(tool: Tool | None, rgb: tuple[int, int, int] | None) -> QCursor:
    """Of the tool in hand; without one, the cross of a question."""
    if tool is None:
        return QCursor(Qt.CursorShape.CrossCursor)
    pixmap = QPixmap(SIDE, SIDE)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    middle = QPointF(CENTRE, CENTRE)
    for colour, width in ((QColor(0, 0, 0, 200), 3.4), (QColor("#ffffff"), 1.4)):
        painter.setPen(QPen(colour, width))
        painter.drawLine(middle + QPointF(-ARM, 0), middle + QPointF(ARM, 0))
        painter.drawLine(middle + QPointF(0, -ARM), middle + QPointF(0, ARM))
    painter.setPen(QPen(QColor(0, 0, 0, 160), 1))
    painter.setBrush(QColor(20, 23, 29, 225))
    badge = QRectF(13, 13, 20, 20)
    painter.drawRoundedRect(badge, 5, 5)
    code = "#ffffff" if rgb is None else QColor(*rgb).lighter(115).name()
    svg = QSvgRenderer(QByteArray(source(f"annotate_{tool}").replace("currentColor", code).encode()))
    svg.render(painter, badge.adjusted(3, 3, -3, -3))
    painter.end()
    return QCursor(pixmap, CENTRE, CENTRE)
