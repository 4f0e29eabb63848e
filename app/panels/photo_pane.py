"""One large photo with zoom and pan; a click in it asks where else that pixel is."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.panels.keypoint_paint import paint_keypoints
from app.panels.photo_paint import from_rect, paint_cell
from app.theme import DARK, GAP, Theme
from app.view_state import SingleView

DRAG_PX = 4
MAX_ZOOM = 24.0


class PhotoPane(QWidget):
    """Wheel zooms about the pointer, a drag slides, a double-click fits or goes back to all photos."""

    pixel_clicked = Signal(int, float, float)
    pixel_hovered = Signal(int, float, float, bool)
    hover_ended = Signal()
    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: SingleView | None = None
        self._theme: Theme = DARK
        self._zoom = 1.0
        self._offset = QPointF(0, 0)
        self._pressed: QPointF | None = None
        self._last = QPointF()
        self._dragging = False
        self._double = False
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)

    def show_view(self, view: SingleView) -> None:
        old = None if self._view is None or self._view.cell is None else self._view.cell.info
        new = None if view.cell is None else view.cell.info
        if old is not new:
            self._zoom, self._offset = 1.0, QPointF(0, 0)
        self._view = view
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def photo_rect(self) -> QRectF:
        """Where the whole photo lies, in widget pixels."""
        if self._view is None or self._view.cell is None:
            return QRectF()
        c = self._view.cell.info.camera
        room = QRectF(self.rect()).adjusted(GAP, GAP, -GAP, -GAP)
        s = min(room.width() / c.width, room.height() / c.height) * self._zoom
        w, h = c.width * s, c.height * s
        centre = room.center() + self._offset
        return QRectF(centre.x() - w / 2, centre.y() - h / 2, w, h)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(self._theme.panel))
        v = self._view
        if v is not None and v.cell is not None:
            paint_cell(
                painter, self.photo_rect(), v.cell, mode=v.mode, threshold=v.threshold, theme=self._theme,
                photo=v.photo, prompts=v.prompts, large=True,
            )  # fmt: skip
            paint_keypoints(painter, self.photo_rect(), v.cell, v.keypoints)
        painter.end()

    def wheelEvent(self, event: QWheelEvent) -> None:
        old = self._zoom
        self._zoom = min(MAX_ZOOM, max(1.0, old * 1.2 ** (event.angleDelta().y() / 120)))
        off = event.position() - QPointF(self.rect().center()) - self._offset
        self._offset -= off * (self._zoom / old - 1)
        if self._zoom == 1.0:
            self._offset = QPointF(0, 0)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed = self._last = event.position()
        self._dragging = self._double = False

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None or event.buttons() == Qt.MouseButton.NoButton:
            self._hover(event)
            return
        if self._dragging or (event.position() - self._pressed).manhattanLength() > DRAG_PX:
            self._dragging = True
            self._offset += event.position() - self._last
            self._last = event.position()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        was_click = self._pressed is not None and not self._dragging and not self._double
        self._pressed = None
        if was_click and event.button() == Qt.MouseButton.LeftButton:
            found = self._pixel(event.position())
            if found is not None:
                self.pixel_clicked.emit(*found)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._double = True
        if self._zoom > 1.0:
            self._zoom, self._offset = 1.0, QPointF(0, 0)
            self.update()
        else:
            self.closed.emit()

    def leaveEvent(self, event: QEvent) -> None:
        self.hover_ended.emit()

    def _hover(self, event: QMouseEvent) -> None:
        found = self._pixel(event.position())
        if found is None:
            self.hover_ended.emit()
        else:
            self.pixel_hovered.emit(*found, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def _pixel(self, at: QPointF) -> tuple[int, float, float] | None:
        if self._view is None or self._view.cell is None:
            return None
        px = from_rect(self.photo_rect(), self._view.cell, at)
        return None if px is None else (self._view.cell.info.index, px[0], px[1])
