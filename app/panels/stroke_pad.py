"""Draws strokes in a large photo: brush, lasso and rectangle, over the pane and seen at once."""

from __future__ import annotations

import math

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.annotate_state import Tool
from app.panels.photo_pane import PhotoPane

LEAST_STEP_PX = 1.5
ADD, SUBTRACT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
INK = {"label": QColor("#ffffff"), "add": QColor("#4cc2ff"), "subtract": QColor("#ff7b72")}


class StrokePad(QWidget):
    """Lies over a pane and lets events through, but for those of the tool in hand.

    Args:
        pane: that is drawn on.
    """

    drawn = Signal(int, str, list, float, bool, bool)  # view, kind, path and radius in full-size pixels, add, subtract
    wheel_turned = Signal(int)
    brush_sized = Signal(float)  # screen pixels

    def __init__(self, pane: PhotoPane) -> None:
        super().__init__(pane)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._pane = pane
        self._tool: Tool | None = None
        self._ink = QColor("#ffffff")
        self._radius = 12.0
        self._wheel = False
        self._path: list[QPointF] = []
        self._at: QPointF | None = None
        self._use = "label"
        pane.installEventFilter(self)

    def show_tool(self, tool: Tool | None, ink: QColor, radius: float, *, wheel: bool) -> None:
        """``ink``: colour of the class in hand; ``radius``: of the brush; ``wheel``: it moves a threshold."""
        if tool != self._tool:
            self._path.clear()
        self._tool, self._ink, self._radius, self._wheel = tool, ink, radius, wheel
        self.update()

    @property
    def drawing(self) -> bool:
        """Whether a stroke is being drawn."""
        return bool(self._path)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._pane.rect())
        if event.type() == QEvent.Type.Leave:
            self._at = None
            self.update()
        if isinstance(event, QWheelEvent):
            return self._turned(event)
        if isinstance(event, QMouseEvent) and self._tool in ("brush", "lasso", "box"):
            return self._mouse(event)
        return False

    def _turned(self, event: QWheelEvent) -> bool:
        steps = 1 if event.angleDelta().y() > 0 else -1
        if self._wheel and not event.modifiers() & SUBTRACT:
            self.wheel_turned.emit(steps)
            return True
        if self._tool == "brush" and event.modifiers() & ADD:
            self.brush_sized.emit(min(max(self._radius * 1.15**steps, 2.0), 120.0))
            return True
        return False

    def _mouse(self, event: QMouseEvent) -> bool:
        self._at = event.position()
        self.update()
        match event.type():
            case QEvent.Type.MouseButtonPress if event.button() == Qt.MouseButton.LeftButton:
                self._path = [self._clamped(event.position())]
                added, taken = bool(event.modifiers() & ADD), bool(event.modifiers() & SUBTRACT)
                self._use = "add" if added else "subtract" if taken else "label"
                return True
            case QEvent.Type.MouseMove if self._path:
                at, last = self._clamped(event.position()), self._path[-1]
                if self._tool == "box":
                    self._path = [self._path[0], at]
                elif math.hypot(at.x() - last.x(), at.y() - last.y()) >= LEAST_STEP_PX:
                    self._path.append(at)
                return True
            case QEvent.Type.MouseButtonRelease if self._path and event.button() == Qt.MouseButton.LeftButton:
                self._finish()
                return True
            case QEvent.Type.MouseButtonDblClick:
                return True  # two dabs are no wish for another page
            case _:
                return False

    def _finish(self) -> None:
        path, self._path = self._path, []
        rect, camera, view = self._pane.photo_rect(), self._pane.camera, self._pane.view
        tool = self._tool
        enough = {"brush": 1, "lasso": 3, "box": 2}[tool or "brush"]
        if camera is None or view is None or rect.isEmpty() or len(path) < enough:
            return
        scale = camera.width / rect.width()
        px = [((p.x() - rect.left()) * scale, (p.y() - rect.top()) * scale) for p in path]
        self.drawn.emit(view, tool, px, self._radius * scale, self._use == "add", self._use == "subtract")

    def _clamped(self, at: QPointF) -> QPointF:
        r = self._pane.photo_rect()
        return QPointF(min(max(at.x(), r.left()), r.right()), min(max(at.y(), r.top()), r.bottom()))

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._tool not in ("brush", "lasso", "box"):
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self._ink if not self._path or self._use == "label" else INK[self._use]
        if self._path:
            self._paint_path(painter, ink)
        if self._tool == "brush" and self._at is not None:
            for colour, width in ((QColor(0, 0, 0, 160), 3.0), (ink, 1.5)):
                painter.setPen(QPen(colour, width))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawEllipse(self._at, self._radius, self._radius)
        painter.end()

    def _paint_path(self, painter: QPainter, ink: QColor) -> None:
        fill = QColor(ink)
        fill.setAlpha(90)
        if self._tool == "brush":
            pen = QPen(
                fill, 2 * self._radius, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin
            )
            painter.setPen(pen)
            painter.drawPolyline(QPolygonF([*self._path, self._path[-1]]))
            return
        for colour, width in ((QColor(0, 0, 0, 160), 3.0), (ink, 1.6)):
            painter.setPen(QPen(colour, width))
            painter.setBrush(fill if colour is ink else Qt.BrushStyle.NoBrush)
            if self._tool == "box":
                painter.drawRect(QRectF(self._path[0], self._path[-1]).normalized())
            else:
                painter.drawPolygon(QPolygonF(self._path))
