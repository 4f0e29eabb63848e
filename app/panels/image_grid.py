"""All photos side by side; a click in any of them asks where else that pixel is."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.panels.photo_paint import from_rect, paint_cell
from app.theme import DARK, GAP, Theme
from app.view_state import Cell, ImagesView

TARGET_WIDTH = 168
CAPTION = 19
DRAG_PX = 4


class ImageGrid(QAbstractScrollArea):
    """Paints the cells of an ``ImagesView`` that are in sight."""

    pixel_clicked = Signal(int, float, float)
    pixel_hovered = Signal(int, float, float, bool)  # …, shift held
    hover_ended = Signal()
    opened = Signal(int)  # double-click
    in_sight = Signal(list)  # views whose cells are visible

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: ImagesView | None = None
        self._theme: Theme = DARK
        self._rects: list[QRectF] = []
        self._pressed: QPointF | None = None
        self._pressed_double = False
        self.modifiers = Qt.KeyboardModifier.NoModifier  # of the last press
        self._last_sight: list[int] = []
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.viewport().setMouseTracking(True)
        self.viewport().setCursor(Qt.CursorShape.CrossCursor)
        self.setMinimumWidth(TARGET_WIDTH + 2 * GAP)
        self.verticalScrollBar().setSingleStep(40)

    def sizeHint(self) -> QSize:
        return QSize(2 * TARGET_WIDTH + 4 * GAP, 480)

    def show_view(self, view: ImagesView) -> None:
        relayout = self._view is None or [c.info for c in self._view.cells] != [c.info for c in view.cells]
        selected = next((c.info.index for c in view.cells if c.selected), None)
        before = next((c.info.index for c in self._view.cells if c.selected), None) if self._view else None
        self._view = view
        if relayout:
            self._layout()
        if selected is not None and selected != before:
            self.scroll_to(selected)
        self.viewport().update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.viewport().update()

    def cell_rect(self, view: int) -> QRectF | None:
        """Where a view's photo is painted, in viewport pixels."""
        if self._view is None:
            return None
        for cell, rect in zip(self._view.cells, self._rects, strict=True):
            if cell.info.index == view:
                return rect.translated(0, -self.verticalScrollBar().value())
        return None

    def scroll_to(self, view: int) -> None:
        rect = self.cell_rect(view)
        if rect is None:
            return
        bar, height = self.verticalScrollBar(), self.viewport().height()
        if rect.top() < 0:
            bar.setValue(int(bar.value() + rect.top() - GAP))
        elif rect.bottom() + CAPTION > height:
            bar.setValue(int(bar.value() + rect.bottom() + CAPTION + GAP - height))

    def _layout(self) -> None:
        self._rects = []
        cells = () if self._view is None else self._view.cells
        width = self.viewport().width()
        columns = max(1, (width - GAP) // (TARGET_WIDTH + GAP))
        w = (width - GAP * (columns + 1)) / columns
        top = float(GAP)
        for i in range(0, len(cells), columns):
            row = cells[i : i + columns]
            heights = [w * c.info.camera.height / c.info.camera.width for c in row]
            for j, h in enumerate(heights):
                self._rects.append(QRectF(GAP + j * (w + GAP), top, w, h))
            top += max(heights) + CAPTION + GAP
        bar = self.verticalScrollBar()
        bar.setPageStep(self.viewport().height())
        bar.setRange(0, max(0, int(top - self.viewport().height())))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._layout()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._view is None:
            return
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(self._theme.panel))
        offset = self.verticalScrollBar().value()
        sight: list[int] = []
        for cell, rect in zip(self._view.cells, self._rects, strict=True):
            at = rect.translated(0, -offset)
            if at.bottom() + CAPTION < 0 or at.top() > self.viewport().height():
                continue
            sight.append(cell.info.index)
            self._paint(painter, at, cell, self._view)
        painter.end()
        if sight != self._last_sight:
            self._last_sight = sight
            self.in_sight.emit(sight)

    def _paint(self, painter: QPainter, at: QRectF, cell: Cell, view: ImagesView) -> None:
        t = self._theme
        paint_cell(
            painter, at, cell, mode=view.mode, threshold=view.threshold, theme=t, prompts=view.prompts,
            labels=view.labels,
        )  # fmt: skip
        if cell.selected or cell.source_px is not None:
            painter.setPen(QPen(QColor(t.accent), 2.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(at.adjusted(-1, -1, 1, 1))
        font = QFont(self.font())
        font.setPointSizeF(8.0)
        painter.setFont(font)
        painter.setPen(QColor(t.text if cell.selected else t.muted))
        caption = QRectF(at.left(), at.bottom() + 2, at.width(), CAPTION - 3)
        held = "held out" if cell.info.held_out else ""
        side = painter.fontMetrics().horizontalAdvance(held) + 6 if held else 0
        name = painter.fontMetrics().elidedText(
            f"{cell.info.index}  {cell.info.name.rsplit('/', 1)[-1]}",
            Qt.TextElideMode.ElideMiddle,
            int(at.width()) - side,
        )
        painter.drawText(caption, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, name)
        if held:
            painter.setPen(QColor(t.muted))
            painter.drawText(caption, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, held)

    def _cell_at(self, at: QPointF) -> tuple[Cell, float, float] | None:
        if self._view is None:
            return None
        moved = at + QPointF(0, self.verticalScrollBar().value())
        for cell, rect in zip(self._view.cells, self._rects, strict=True):
            px = from_rect(rect, cell, moved)
            if px is not None:
                return cell, px[0], px[1]
        return None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._pressed = event.position()
        self._pressed_double = False
        self.modifiers = event.modifiers()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        start, self._pressed = self._pressed, None
        if start is None or self._pressed_double or event.button() != Qt.MouseButton.LeftButton:
            return
        if (event.position() - start).manhattanLength() > DRAG_PX:
            return
        found = self._cell_at(event.position())
        if found is not None:
            self.pixel_clicked.emit(found[0].info.index, found[1], found[2])

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._pressed_double = True
        found = self._cell_at(event.position())
        if found is not None:
            self.opened.emit(found[0].info.index)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() != Qt.MouseButton.NoButton:
            return
        found = self._cell_at(event.position())
        if found is None:
            self.hover_ended.emit()
            return
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self.pixel_hovered.emit(found[0].info.index, found[1], found[2], shift)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self.hover_ended.emit()
        return super().viewportEvent(event)
