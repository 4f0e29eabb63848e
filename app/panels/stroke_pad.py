"""Draws strokes in a large photo: brush, lasso and rectangle, over the pane and seen at once."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.annotate_state import DRAWN, Tool
from app.panels.photo_pane import PhotoPane
from app.panels.stroke_paint import paint_stroke

LEAST_STEP_PX = 1.5
ADD, SUBTRACT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


class StrokePad(QWidget):
    """Lies over a pane and lets events through, but for those of the tool in hand.

    Args:
        pane: that is drawn on.
    """

    drawn = Signal(int, str, list, float, bool, bool)  # view, kind, path and radius in full-size pixels, add, subtract
    wheel_turned = Signal(int)
    brush_turned = Signal(int)  # steps
    doubled = Signal()  # while a line is drawn

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
        self._last_w: tuple[float, float, float] | None = None
        pane.installEventFilter(self)

    def show_tool(
        self, tool: Tool | None, ink: QColor, radius: float, *, wheel: bool,
        last_w: tuple[float, float, float] | None = None,
    ) -> None:  # fmt: skip
        """``ink``: colour of the class in hand; ``radius``: of the brush; ``wheel``: it moves a threshold; ``last_w``:
        the last point of a line."""
        if tool != self._tool:
            self._path.clear()
        self._tool, self._ink, self._radius, self._wheel = tool, ink, radius, wheel
        self._last_w = last_w
        self.update()

    @property
    def drawing(self) -> bool:
        """Whether a stroke is being drawn."""
        return bool(self._path)

    def cancel(self) -> None:
        """The stroke is not meant."""
        self._path.clear()
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._pane.rect())
        if event.type() == QEvent.Type.Leave:
            self._at = None
            self.update()
        if isinstance(event, QWheelEvent):
            return self._turned(event)
        if isinstance(event, QMouseEvent) and self._tool in DRAWN:
            return self._mouse(event)
        if isinstance(event, QMouseEvent) and self._tool == "polyline":
            self._at = event.position()
            self.update()
            if event.type() == QEvent.Type.MouseButtonDblClick:
                self.doubled.emit()
                return True
        return False

    def _turned(self, event: QWheelEvent) -> bool:
        steps = 1 if event.angleDelta().y() > 0 else -1
        if self._wheel and not event.modifiers() & SUBTRACT:
            self.wheel_turned.emit(steps)
            return True
        if self._tool == "brush" and event.modifiers() & ADD:
            self.brush_turned.emit(steps)
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
        last = self._last_px() if self._tool == "polyline" else None
        if self._tool not in DRAWN and last is None:
            return
        painter = QPainter(self)
        paint_stroke(painter, self._tool, self._use, self._ink, self._radius, self._path, self._at, last)
        painter.end()

    def _last_px(self) -> QPointF | None:
        """Where the photo has the last point of the line."""
        rect, camera = self._pane.photo_rect(), self._pane.camera
        if self._last_w is None or camera is None or rect.isEmpty():
            return None
        (px,), (z,) = camera.project(np.array([self._last_w]))
        scale = rect.width() / camera.width
        return rect.topLeft() + QPointF(float(px[0]) * scale, float(px[1]) * scale) if z > 0 else None
