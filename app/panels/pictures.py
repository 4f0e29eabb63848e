"""Small pictures as panels paint them: arrays to images, cut to a shape, with round corners."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPixmap

ROUND_PX = 5.0


def image_of(rgb: NDArray[np.uint8]) -> QImage:
    """(h, w, 3) uint8 as an image of its own."""
    whole = np.ascontiguousarray(rgb)
    return QImage(whole.data, whole.shape[1], whole.shape[0], 3 * whole.shape[1], QImage.Format.Format_RGB888).copy()


def covering(image: QImage, rect: QRectF) -> QRectF:
    """The middle part of an image that fills ``rect`` without being stretched."""
    scale = max(rect.width() / image.width(), rect.height() / image.height())
    w, h = rect.width() / scale, rect.height() / scale
    return QRectF((image.width() - w) / 2, (image.height() - h) / 2, w, h)


def paint_rounded(painter: QPainter, rect: QRectF, image: QImage | None, ground: QColor) -> None:
    """An image that fills ``rect``, or only its ground."""
    path = QPainterPath()
    path.addRoundedRect(rect, ROUND_PX, ROUND_PX)
    painter.save()
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
    painter.fillPath(path, ground)
    if image is not None and not image.isNull():
        painter.setClipPath(path)
        painter.drawImage(rect, image, covering(image, rect))
    painter.restore()


def rounded_pixmap(image: QImage | None, width: int, height: int, ground: QColor, ratio: float) -> QPixmap:
    """The same as a pixmap of logical size ``width`` x ``height``."""
    pixmap = QPixmap(round(width * ratio), round(height * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    paint_rounded(painter, QRectF(0, 0, width, height), image, ground)
    painter.end()
    return pixmap
