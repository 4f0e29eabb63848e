"""Two scenes in one space: swiped by a line that is dragged, or blended; a drag elsewhere turns both."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from app.canvas.home import FOV_Y
from app.canvas.look import LOOKS
from app.canvas.visuals.grid import basis
from app.panels.point_paint import paint_points, tinted
from app.theme import DARK, GAP, Theme
from engine.api.camera import Camera, look_at
from engine.api.repository import AlignedPoints, PairAligned
from engine.api.scene import UInt8

KNOB_PX = 8.0
HURRY = 25_000
"""Points at most while it is turned."""
SHARP_MS = 120
YAW, PITCH = 0.7, 0.75
CHANGED = (255, 64, 160)
"""What was moved or replaced, on either side: a colour that rooms seldom have."""


class PairView(QWidget):
    """``split``: where the line is, or how much of the second there is, in [0, 1]."""

    split_moved = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.blend = False
        self.two_colours = False
        self.changes = True
        self.split = 0.5
        self._theme: Theme = DARK
        self._pair: PairAligned | None = None
        self._names = ("", "")
        self._colours: list[UInt8] = []  # of the points of both scenes, for they are painted at each move of the mouse
        self._images: list[QImage] = []
        self._yaw, self._pitch, self._near = YAW, PITCH, 1.0
        self._last = QPointF()
        self._swiping = False
        self._sharp = QTimer(self)
        self._sharp.setSingleShot(True)
        self._sharp.setInterval(SHARP_MS)
        self._sharp.timeout.connect(lambda: self._render())
        self.setMouseTracking(True)
        self.setMinimumSize(240, 180)

    def sizeHint(self) -> QSize:
        return QSize(720, 520)

    def show_pair(self, pair: PairAligned | None, names: tuple[str, str]) -> None:
        if pair is not self._pair and pair is not None:
            self._yaw, self._pitch, self._near = YAW, PITCH, 1.0
        changed = pair is not self._pair
        self._pair, self._names = pair, names
        if changed:
            self._recolour()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self._recolour()

    def set_style(self, *, blend: bool, two_colours: bool, changes: bool) -> None:
        recolour = (two_colours, changes) != (self.two_colours, self.changes)
        self.blend, self.two_colours, self.changes = blend, two_colours, changes
        if recolour:
            self._recolour()
        self.update()

    def set_split(self, split: float) -> None:
        self.split = min(max(split, 0.0), 1.0)
        self.update()

    def camera(self) -> Camera | None:
        """From where both are seen, in physical pixels."""
        if self._pair is None:
            return None
        both = np.concatenate([self._pair.a.pos_w, self._pair.b.pos_w]).astype(np.float64)
        lo, hi = np.quantile(both, [0.01, 0.99], axis=0)
        radius = max(float(np.linalg.norm(hi - lo)) / 2, 1e-9)
        distance = 0.85 * radius / np.tan(np.deg2rad(FOV_Y) / 2) * self._near
        x, y, z = basis(self._pair.up_w)
        level = np.cos(self._yaw) * x + np.sin(self._yaw) * y
        eye = (lo + hi) / 2 + distance * (np.cos(self._pitch) * level + np.sin(self._pitch) * z)
        ratio = self.devicePixelRatioF()
        size = (max(1, round(self.width() * ratio)), max(1, round(self.height() * ratio)))
        return look_at(eye, (lo + hi) / 2, z, fov_y=FOV_Y, width=size[0], height=size[1])

    def _recolour(self) -> None:
        pair, t = self._pair, self._theme
        sides = () if pair is None else ((pair.a, QColor(t.warm)), (pair.b, QColor(t.accent)))
        self._colours = [self._coloured(points, tint) for points, tint in sides]
        self._render()

    def _coloured(self, points: AlignedPoints, tint: QColor) -> UInt8:
        rgb = points.rgb
        if rgb is None or self.two_colours:
            rgb = tinted(rgb, (tint.red(), tint.green(), tint.blue()), len(points.pos_w))
        if self.changes and points.changed.any():
            rgb = np.where(points.changed[:, None], tinted(rgb, CHANGED, len(rgb)), rgb)
        return rgb

    def _render(self, most: int | None = None) -> None:
        camera, pair = self.camera(), self._pair
        if camera is None or pair is None:
            self._images = []
        else:
            coloured = zip((pair.a, pair.b), self._colours, strict=True)
            self._images = [self._painted(points, rgb, camera, most) for points, rgb in coloured]
        self.update()

    def _painted(self, points: AlignedPoints, rgb: UInt8, camera: Camera, most: int | None) -> QImage:
        pixels = paint_points(points, rgb, camera, most=most)
        size = (pixels.shape[1], pixels.shape[0])
        image = QImage(pixels.data, *size, 4 * size[0], QImage.Format.Format_RGBA8888).copy()
        image.setDevicePixelRatio(self.devicePixelRatioF())
        return image

    def _line_x(self) -> float:
        return self.split * self.width()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor.fromRgbF(*LOOKS[self._theme.name].backdrop_low))
        if self._images and self.blend:
            painter.drawImage(0, 0, blended(self._images[0], self._images[1], self.split))
        elif self._images:
            self._paint_swiped(painter)
        if self._images:
            self._paint_names(painter)
        painter.end()

    def _paint_swiped(self, painter: QPainter) -> None:
        x, whole = self._line_x(), QRectF(self.rect())
        parts = (QRectF(0, 0, x, whole.height()), QRectF(x, 0, whole.width() - x, whole.height()))
        for image, part in zip(self._images, parts, strict=True):
            painter.save()
            painter.setClipRect(part)
            painter.drawImage(0, 0, image)
            painter.restore()
        accent = QColor(self._theme.accent)
        for colour, width in ((QColor(0, 0, 0, 140), 4.0), (accent, 2.0)):
            painter.setPen(QPen(colour, width))
            painter.drawLine(QPointF(x, 0), QPointF(x, whole.height()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(accent)
        painter.drawEllipse(QPointF(x, whole.center().y()), KNOB_PX, KNOB_PX)

    def _paint_names(self, painter: QPainter) -> None:
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight)
        for text, side, code in zip(self._names, sides, (self._theme.warm, self._theme.accent), strict=True):
            metrics = painter.fontMetrics()
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, self.width() // 3)
            width = metrics.horizontalAdvance(shown) + 4 * GAP
            left = 2 * GAP if side == Qt.AlignmentFlag.AlignLeft else self.width() - width - 2 * GAP
            box = QRectF(left, 2 * GAP, width, metrics.height() + GAP)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(10, 12, 16, 190))
            painter.drawRoundedRect(box, 6, 6)
            painter.setPen(QColor(code) if self.two_colours and self._theme.name == "dark" else QColor("#ffffff"))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._render()

    def _on_line(self, at: QPointF) -> bool:
        return not self.blend and bool(self._images) and abs(at.x() - self._line_x()) <= KNOB_PX

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._last, self._swiping = event.position(), self._on_line(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        if event.buttons() == Qt.MouseButton.NoButton:
            self.setCursor(Qt.CursorShape.SplitHCursor if self._on_line(at) else Qt.CursorShape.OpenHandCursor)
        elif self._swiping:
            self.set_split(at.x() / max(self.width(), 1))
            self.split_moved.emit(self.split)
        else:
            self._yaw -= 0.0065 * (at.x() - self._last.x())
            self._pitch = float(np.clip(self._pitch + 0.0065 * (at.y() - self._last.y()), -1.5, 1.5))
            self._last = at
            self._render(HURRY)
            self._sharp.start()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._near = float(np.clip(self._near * 0.88 ** (event.angleDelta().y() / 120), 0.1, 4.0))
        self._render(HURRY)
        self._sharp.start()


def blended(a: QImage, b: QImage, share: float) -> QImage:
    """``share`` of b and the rest of a: where only one has something, that much of it."""
    out = _faded(a, 1 - share)
    painter = QPainter(out)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Plus)
    painter.drawImage(0, 0, _faded(b, share))  # with an opacity, Plus would cut off sums over one
    painter.end()
    return out


def _faded(image: QImage, share: float) -> QImage:
    out = QImage(image.size(), QImage.Format.Format_ARGB32_Premultiplied)
    out.setDevicePixelRatio(image.devicePixelRatio())
    out.fill(Qt.GlobalColor.transparent)
    painter = QPainter(out)
    painter.setOpacity(share)
    painter.drawImage(0, 0, image)
    painter.end()
    return out
