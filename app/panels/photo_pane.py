"""One large photo with zoom and pan; a click in it asks where else that pixel is."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QCursor, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.panels.keypoint_paint import paint_keypoints
from app.panels.photo_paint import from_rect, paint_cell
from app.panels.thing_paint import paint_things
from app.theme import DARK, GAP, Theme
from app.view_state import Cell, SingleView
from engine.api.camera import Camera

DRAG_PX = 4
MAX_ZOOM = 24.0
KNOB_PX = 7.0  # of the line between two encoders


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
        self.modifiers = Qt.KeyboardModifier.NoModifier  # of the last press
        self._swipe, self._swiping = 0.5, False
        self.setMouseTracking(True)
        self.plain_cursor = QCursor(Qt.CursorShape.CrossCursor)
        self.setCursor(self.plain_cursor)

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

    @property
    def camera(self) -> Camera | None:
        """Of the photo that is shown."""
        return None if self._view is None or self._view.cell is None else self._view.cell.info.camera

    @property
    def view(self) -> int | None:
        """The photo that is shown."""
        return None if self._view is None or self._view.cell is None else self._view.cell.info.index

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
                photo=v.photo, prompts=v.prompts, labels=v.labels, large=True,
            )  # fmt: skip
            if v.other is not None:
                self._paint_other(painter, v, *v.other)
            paint_things(painter, self.photo_rect(), v.cell, v.labels)
            paint_keypoints(painter, self.photo_rect(), v.cell, v.keypoints)
        painter.end()

    def _paint_other(self, painter: QPainter, v: SingleView, cell: Cell, left: str, right: str) -> None:
        """The other encoder's, to the left of the line."""
        rect, x = self.photo_rect(), self._line_x()
        painter.save()
        painter.setClipRect(QRectF(rect.left(), rect.top(), x - rect.left(), rect.height()))
        paint_cell(painter, rect, cell, mode=v.mode, threshold=v.threshold, theme=self._theme, large=True)
        painter.restore()
        painter.setPen(QPen(QColor(0, 0, 0, 160), 4))
        painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
        painter.setPen(QPen(QColor(self._theme.accent), 2))
        painter.drawLine(QPointF(x, rect.top()), QPointF(x, rect.bottom()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(self._theme.accent))
        painter.drawEllipse(QPointF(x, rect.center().y()), KNOB_PX, KNOB_PX)
        for text, from_, to, side in (
            (left, rect.left(), x, Qt.AlignmentFlag.AlignLeft), (right, x, rect.right(), Qt.AlignmentFlag.AlignRight),
        ):  # fmt: skip
            width = min(painter.fontMetrics().horizontalAdvance(text) + 2 * GAP, to - from_ - 2 * GAP)
            if width < 4 * GAP:
                continue
            start = from_ + GAP if side == Qt.AlignmentFlag.AlignLeft else to - GAP - width
            box = QRectF(start, rect.top() + GAP, width, painter.fontMetrics().height() + GAP)
            painter.fillRect(box, QColor(10, 12, 16, 170))
            painter.setPen(QColor("#ffffff"))
            shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, round(width - GAP))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, shown)

    def _line_x(self) -> float:
        return self.photo_rect().left() + self._swipe * self.photo_rect().width()

    def _on_line(self, at: QPointF) -> bool:
        return self._view is not None and self._view.other is not None and abs(at.x() - self._line_x()) <= KNOB_PX

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
        self.modifiers = event.modifiers()
        self._swiping = self._on_line(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._pressed is None or event.buttons() == Qt.MouseButton.NoButton:
            self._hover(event)
            return
        if self._swiping:
            self._dragging = True
            rect = self.photo_rect()
            self._swipe = min(max((event.position().x() - rect.left()) / max(rect.width(), 1), 0.0), 1.0)
            self.update()
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
            found = self.pixel(event.position())
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
        on_line = self._on_line(event.position())
        self.setCursor(Qt.CursorShape.SplitHCursor if on_line else self.plain_cursor)
        found = self.pixel(event.position())
        if found is None:
            self.hover_ended.emit()
        else:
            self.pixel_hovered.emit(*found, bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier))

    def pixel(self, at: QPointF) -> tuple[int, float, float] | None:
        """View and full-size pixel at a place of the widget, or None."""
        if self._view is None or self._view.cell is None:
            return None
        px = from_rect(self.photo_rect(), self._view.cell, at)
        return None if px is None else (self._view.cell.info.index, px[0], px[1])
