"""The scenes of a repository, each a thumbnail with its name."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QFont,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QToolTip, QWidget

from app.panels.pictures import ROUND_PX, image_of, paint_rounded
from app.repository_state import Picture
from app.resolve_repository import RepositoryView
from app.theme import DARK, GAP, PAD, Theme
from engine.api.repository import SceneCard

TARGET_WIDTH = 132
SHAPE = 3 / 4  # height of a thumbnail to its width
CAPTION = 38
ARROWS = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}


class SceneGrid(QAbstractScrollArea):
    """A click selects, a double-click opens, Delete removes."""

    chosen = Signal(str)
    opened = Signal(str)
    removed = Signal(str)
    menu_asked = Signal(QPoint)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view: RepositoryView | None = None
        self._theme: Theme = DARK
        self._rects: list[QRectF] = []
        self._images: dict[str, tuple[Picture, QImage]] = {}
        self._columns = 1
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QAbstractScrollArea.Shape.NoFrame)
        self.setMinimumWidth(TARGET_WIDTH + 2 * PAD)
        self.verticalScrollBar().setSingleStep(40)
        self.viewport().setMouseTracking(True)

    def sizeHint(self) -> QSize:
        return QSize(2 * TARGET_WIDTH + 4 * PAD, 420)

    @property
    def _scenes(self) -> tuple[SceneCard, ...]:
        return () if self._view is None else self._view.state.scenes or ()

    def show_view(self, view: RepositoryView) -> None:
        old = self._scenes
        self._view = view
        if old != self._scenes:
            self._layout()
            self._images = {s.key: self._images[s.key] for s in self._scenes if s.key in self._images}
        self.viewport().update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.viewport().update()

    def cell_rect(self, key: str) -> QRectF | None:
        """Where a scene's card is painted, in viewport pixels."""
        for scene, rect in zip(self._scenes, self._rects, strict=True):
            if scene.key == key:
                return rect.translated(0, -self.verticalScrollBar().value())
        return None

    def _layout(self) -> None:
        width = self.viewport().width()
        self._columns = max(1, (width - PAD) // (TARGET_WIDTH + PAD))
        w = (width - PAD * (self._columns + 1)) / self._columns
        h = w * SHAPE + CAPTION
        self._rects = [
            QRectF(PAD + (n % self._columns) * (w + PAD), GAP + (n // self._columns) * (h + PAD), w, h)
            for n in range(len(self._scenes))
        ]
        bottom = self._rects[-1].bottom() + PAD if self._rects else 0
        bar = self.verticalScrollBar()
        bar.setPageStep(self.viewport().height())
        bar.setRange(0, max(0, int(bottom - self.viewport().height())))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._layout()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        self.viewport().update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), QColor(self._theme.panel))
        offset = self.verticalScrollBar().value()
        for scene, rect in zip(self._scenes, self._rects, strict=True):
            at = rect.translated(0, -offset)
            if at.bottom() >= 0 and at.top() <= self.viewport().height():
                self._paint(painter, at, scene)
        painter.end()

    def _paint(self, painter: QPainter, at: QRectF, scene: SceneCard) -> None:
        view, t = self._view, self._theme
        assert view is not None
        picture = QRectF(at.left(), at.top(), at.width(), at.height() - CAPTION)
        paint_rounded(painter, picture, self._image(scene.key), QColor(t.field))
        selected = scene.key == view.state.selected
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if selected:
            painter.setPen(QPen(QColor(t.accent), 2.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(picture.adjusted(-1, -1, 1, 1), ROUND_PX + 1, ROUND_PX + 1)
        if scene.key == view.here:
            _badge(painter, picture, "open", t)
        font = QFont(self.font())
        painter.setFont(font)
        painter.setPen(QColor(t.text))
        width = int(at.width())
        line = QRectF(at.left(), picture.bottom() + 3, at.width(), 17)
        elide, middle = Qt.TextElideMode.ElideMiddle, Qt.AlignmentFlag.AlignVCenter
        painter.drawText(line, middle, painter.fontMetrics().elidedText(scene.name, elide, width))
        font.setPointSizeF(8.0)
        painter.setFont(font)
        text, bad = view.note(scene)
        painter.setPen(QColor(t.warm if bad else t.muted))
        below = QRectF(at.left(), line.bottom(), at.width(), 15)
        painter.drawText(below, middle, painter.fontMetrics().elidedText(text, elide, width))

    def _image(self, key: str) -> QImage | None:
        picture = None if self._view is None else self._view.state.thumbnails.get(key)
        if picture is None:
            return None
        known = self._images.get(key)
        if known is None or known[0] is not picture:
            known = self._images[key] = (picture, image_of(picture.rgb))
        return known[1]

    def _at(self, at: QPointF) -> SceneCard | None:
        moved = at + QPointF(0, self.verticalScrollBar().value())
        return next((s for s, r in zip(self._scenes, self._rects, strict=True) if r.contains(moved)), None)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        scene = self._at(event.position())
        if scene is not None:
            self.chosen.emit(scene.key)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        scene = self._at(event.position())
        if scene is not None and event.button() == Qt.MouseButton.LeftButton:
            self.opened.emit(scene.key)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self._at(QPointF(event.pos())) is not None:
            self.menu_asked.emit(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = [s.key for s in self._scenes]
        now = None if self._view is None else self._view.state.selected
        step = {**ARROWS, Qt.Key.Key_Up: -self._columns, Qt.Key.Key_Down: self._columns}.get(Qt.Key(event.key()))
        if step is not None and keys:
            n = keys.index(now) + step if now in keys else 0
            if 0 <= n < len(keys):
                self.chosen.emit(keys[n])
        elif now in keys and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit(now)
        elif now in keys and event.key() == Qt.Key.Key_Delete:
            self.removed.emit(now)
        else:
            super().keyPressEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent):
            scene = self._at(QPointF(event.pos()))
            if scene is None:
                QToolTip.hideText()
            else:
                QToolTip.showText(event.globalPos(), f"{scene.name}\n{scene.path}\nDouble-click: open it")
            return True
        return super().viewportEvent(event)


def _badge(painter: QPainter, picture: QRectF, text: str, t: Theme) -> None:
    font = QFont(painter.font())
    font.setPointSizeF(7.5)
    painter.setFont(font)
    width = painter.fontMetrics().horizontalAdvance(text) + 12
    box = QRectF(picture.right() - width - 5, picture.top() + 5, width, 16)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(t.accent))
    painter.drawRoundedRect(box, 8, 8)
    painter.setPen(QColor(t.on_accent))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
