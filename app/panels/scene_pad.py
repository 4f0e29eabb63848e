"""Draws strokes over the scene: brush, lasso and rectangle, and the next stretch of a line, seen at once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, QPointF, QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPolygonF

from app.annotate_state import DRAWN, Tool
from app.panels.stroke_paint import paint_stroke

if TYPE_CHECKING:
    from app.canvas.scene_canvas import SceneCanvas

Pos = tuple[float, float, float]
ADD, SUBTRACT = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
LEAST_STEP_PX = 1.5
MOST_PICKS = 400
"""Of one stroke of the brush."""
LINGER_MS = 120
RIM = 4
"""Pixels of ink beyond the line itself."""


class ScenePad(QObject):
    """Listens to the pointer over a canvas, and hands it the ink.

    Args:
        canvas: that is drawn on.
    """

    brushed = Signal(list, float, bool, bool)  # points_w, radius_w, add, subtract
    outlined = Signal(str, list, bool, bool)  # kind, path in logical pixels, add, subtract

    def __init__(self, canvas: SceneCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._tool: Tool | None = None
        self._ink = QColor("#ffffff")
        self._radius = 12.0
        self._last_w: Pos | None = None
        self._path: list[QPointF] = []
        self._path_w: list[Pos] = []
        self._at: QPointF | None = None
        self._use = "label"
        pointer = canvas.pointer
        pointer.drawn.connect(self._draw)
        pointer.draw_ended.connect(self._end)
        pointer.hovered.connect(self._hover)
        for gone in (pointer.left, pointer.rotated, pointer.panned, pointer.zoomed):
            gone.connect(self._leave)

    def show_tool(self, tool: Tool | None, ink: QColor, radius: float, last_w: Pos | None) -> None:
        """``ink``: colour of the class in hand; ``radius``: of the brush; ``last_w``: the last point of a line."""
        changed = (tool, ink, radius, last_w) != (self._tool, self._ink, self._radius, self._last_w)
        if tool != self._tool:
            self._forget()
        self._tool, self._ink, self._radius, self._last_w = tool, ink, radius, last_w
        self._canvas.pointer.draws = tool in DRAWN
        if changed:
            self._paint()

    @property
    def drawing(self) -> bool:
        """Whether a stroke is being drawn."""
        return bool(self._path)

    def cancel(self) -> None:
        """The stroke is not meant."""
        self._canvas.pointer.stop_drawing()
        self._forget()
        self._paint()

    def _forget(self) -> None:
        self._path, self._path_w = [], []

    def _leave(self) -> None:
        """The pointer is elsewhere, or what is under it moves."""
        self._at = None
        self._paint()

    def _hover(self, x: float, y: float) -> None:
        self._at = QPointF(x, y)
        if self._tool in ("brush", "polyline"):
            self._paint()

    def _draw(self, x: float, y: float) -> None:
        at = self._at = QPointF(x, y)
        if not self._path:
            held = self._canvas.pointer.modifiers
            self._use = "add" if held & ADD else "subtract" if held & SUBTRACT else "label"
            self._path = [at]
        elif self._tool == "box":
            self._path = [self._path[0], at]
        elif math.hypot(x - self._path[-1].x(), y - self._path[-1].y()) >= LEAST_STEP_PX:
            self._path.append(at)
        if self._tool == "brush" and len(self._path_w) < MOST_PICKS:
            hit = self._canvas.pick(x, y)
            if hit is not None:
                self._path_w.append(hit)
        self._paint()

    def _end(self) -> None:
        path, path_w, use = self._path, self._path_w, self._use
        self._forget()
        QTimer.singleShot(LINGER_MS, self._paint)  # the ink stays until what it is to change is drawn
        add, subtract = use == "add", use == "subtract"
        if self._tool == "brush" and path_w:
            camera = self._canvas.camera()
            depth = float(camera.to_camera(np.array(path_w[:1]))[0, 2])
            self.brushed.emit(path_w, self._radius * depth / float(camera.intrinsics[0, 0]), add, subtract)
        elif self._tool in ("lasso", "box") and len(path) >= (2 if self._tool == "box" else 3):
            self.outlined.emit(self._tool, [(p.x(), p.y()) for p in path], add, subtract)

    # --- ink

    def _paint(self) -> None:
        last = self._last_px() if self._tool == "polyline" else None
        drawn = [*self._path] if self._path else [p for p in (self._at, last) if p is not None]
        nothing = self._tool == "polyline" and len(drawn) < 2
        if not drawn or nothing or not (self._path or self._tool in ("brush", "polyline")):
            self._canvas.show_ink(None)
            return
        reach = RIM + (self._radius if self._tool == "brush" else 0)
        if self._at is not None:
            drawn.append(self._at)
        around = QPolygonF(drawn).boundingRect().adjusted(-reach, -reach, reach, reach)
        part = around.intersected(QRectF(self._canvas.widget.rect())).toAlignedRect()
        self._canvas.show_ink(None if part.isEmpty() else self._pixels(part, last), part.left(), part.top())

    def _pixels(self, part: QRect, last: QPointF | None) -> np.ndarray:
        """(h, w, 4) uint8 premultiplied, of a part of the canvas."""
        image = QImage(part.size(), QImage.Format.Format_RGBA8888_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        painter.translate(-part.topLeft())
        paint_stroke(painter, self._tool, self._use, self._ink, self._radius, self._path, self._at, last)
        painter.end()
        rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
        return rows[:, : 4 * image.width()].reshape(image.height(), image.width(), 4).copy()

    def _last_px(self) -> QPointF | None:
        """Where the canvas has the last point of the line."""
        if self._last_w is None:
            return None
        px, z = self._canvas.camera().project(np.array([self._last_w]))
        return QPointF(float(px[0, 0]), float(px[0, 1])) if z[0] > 0 else None
