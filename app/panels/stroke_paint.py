"""Paints a stroke while it is drawn, over a photo or over the scene."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from app.annotate_state import Tool

INK = {"label": QColor("#ffffff"), "add": QColor("#4cc2ff"), "subtract": QColor("#ff7b72")}
"""Of what a stroke does; a label has the colour of its class."""
SHADE = QColor(0, 0, 0, 160)
FILL = 90
"""Opacity of 255 of what is covered."""


def paint_stroke(
    painter: QPainter, tool: Tool | None, use: str, ink: QColor, radius: float, path: Sequence[QPointF],
    at: QPointF | None, last: QPointF | None,
) -> None:  # fmt: skip
    """All that the tool in hand shows.

    Args:
        painter: of where it shows.
        tool: in hand.
        use: label, add or subtract.
        ink: colour of the class in hand.
        radius: of the brush.
        path: what was drawn so far; empty before.
        at: where the pointer is.
        last: the last point of a line.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    ink = ink if not path or use == "label" else INK[use]
    if path and tool is not None:
        _path(painter, tool, path, ink, radius)
    if tool == "brush" and at is not None:
        _brush(painter, at, radius, ink)
    if last is not None and at is not None:
        _next(painter, last, at, ink)


def _path(painter: QPainter, tool: Tool, path: Sequence[QPointF], ink: QColor, radius: float) -> None:
    """What was drawn so far."""
    fill = QColor(ink)
    fill.setAlpha(FILL)
    if tool == "brush":
        round_ = Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
        painter.setPen(QPen(fill, 2 * radius, Qt.PenStyle.SolidLine, *round_))
        painter.drawPolyline(QPolygonF([*path, path[-1]]))
        return
    for colour, width in ((SHADE, 3.0), (ink, 1.6)):
        painter.setPen(QPen(colour, width))
        painter.setBrush(fill if colour is ink else Qt.BrushStyle.NoBrush)
        if tool == "box":
            painter.drawRect(QRectF(path[0], path[-1]).normalized())
        else:
            painter.drawPolygon(QPolygonF(path))


def _brush(painter: QPainter, at: QPointF, radius: float, ink: QColor) -> None:
    """How far the brush reaches."""
    for colour, width in ((SHADE, 3.0), (ink, 1.5)):
        painter.setPen(QPen(colour, width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawEllipse(at, radius, radius)


def _next(painter: QPainter, last: QPointF, at: QPointF, ink: QColor) -> None:
    """The next stretch of a line, from its last point to the pointer."""
    for colour, width in ((SHADE, 3.0), (ink, 1.6)):
        painter.setPen(QPen(colour, width, Qt.PenStyle.DashLine))
        painter.drawLine(last, at)
