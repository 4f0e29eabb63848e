"""A part of a photo about some voxels, which are outlined in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QBitmap,
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QRegion,
    QTransform,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.annotate_state import Selection
from app.panels.photo_paint import image_of
from app.theme import DARK, RADIUS, Theme
from engine.api.annotated import PhotoVoxels
from engine.api.replies import PhotoLoaded

ROOM = 2.2
"""Times the outline's extent that is seen."""
LEAST = 0.22
"""Of the photo's width and height that is seen at least."""
SMOOTHED, SPECK = 400, 9
"""From so many pixels on, holes and islands of at most so many are not outlined."""
Bool = NDArray[np.bool_]


class CropPane(QWidget):
    """Shows what ``show_crop`` was given; a click asks for the whole photo."""

    opened = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._view: int | None = None
        self._picture: PhotoLoaded | None = None
        self._voxels: PhotoVoxels | None = None
        self._lit: Selection | None = None
        self._rgb = (255, 255, 255)
        self._path = QPainterPath()
        self._box = QRectF(0, 0, 1, 1)  # of the outline, in parts of the photo
        self.setMinimumHeight(96)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_crop(
        self, view: int | None, picture: PhotoLoaded | None, voxels: PhotoVoxels | None, lit: Selection | None,
        rgb: tuple[int, int, int],
    ) -> None:  # fmt: skip
        """Of photo ``view``: what ``lit`` holds of the ``voxels`` it shows, outlined in ``rgb``."""
        if self._voxels is not voxels or self._lit is not lit:
            self._path, self._box = QPainterPath(), QRectF(0, 0, 1, 1)
            if voxels is not None and lit is not None:
                inside = lit.mask[voxels.rows] > 0
                if inside.any():
                    self._path, self._box = outline(inside)
        self._view, self._picture, self._voxels, self._lit, self._rgb = view, picture, voxels, lit, rgb
        self.setToolTip("" if view is None else "Click: see the whole photo")
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self._view is not None:
            self.opened.emit(self._view)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        whole = QRectF(self.rect())
        frame = QPainterPath()
        frame.addRoundedRect(whole, RADIUS, RADIUS)
        painter.setClipPath(frame)
        painter.fillRect(whole, QColor(self._theme.field))
        if self._picture is None or self._view is None:
            painter.setPen(QColor(self._theme.muted))
            painter.drawText(whole, Qt.AlignmentFlag.AlignCenter, "No photo shows it" if self._view is None else "…")
            painter.end()
            return
        image = image_of(self._picture)
        part = shown_part(self._box, image.width() / image.height(), whole.width() / max(1.0, whole.height()))
        to_widget = QTransform()
        to_widget.scale(whole.width() / part.width(), whole.height() / part.height())
        to_widget.translate(-part.left(), -part.top())
        painter.drawImage(to_widget.mapRect(QRectF(0, 0, 1, 1)), image)
        path = to_widget.map(self._path)
        fill = QColor(*self._rgb)
        fill.setAlpha(60)
        painter.fillPath(path, fill)
        for pen in (QPen(QColor(0, 0, 0, 190), 4.0), QPen(QColor(*self._rgb), 2.0)):
            pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            painter.strokePath(path, pen)
        painter.end()


def outline(inside: Bool) -> tuple[QPainterPath, QRectF]:
    """The border of a mask (h, w) that is not empty, and the box about it, in parts of the photo."""
    h, w = inside.shape
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    some = inside[top : rows[-1] + 1, left : columns[-1] + 1]
    grey = np.ascontiguousarray(np.where(some, 0, 255).astype(np.uint8))
    image = QImage(grey.data, some.shape[1], some.shape[0], some.shape[1], QImage.Format.Format_Grayscale8)
    mono = image.convertToFormat(QImage.Format.Format_Mono, Qt.ImageConversionFlag.ThresholdDither)
    path = QPainterPath()
    path.addRegion(QRegion(QBitmap.fromImage(mono)))
    to_parts = QTransform.fromScale(1 / w, 1 / h).translate(left, top)
    path = path.simplified()
    if inside.sum() > SMOOTHED:
        path = _without_specks(path)
    return to_parts.map(path), to_parts.mapRect(QRectF(0, 0, some.shape[1], some.shape[0]))


def _without_specks(path: QPainterPath) -> QPainterPath:
    """Without holes and islands of a few pixels, which are between voxels."""
    out = QPainterPath()
    for polygon in path.toSubpathPolygons(QTransform()):
        if polygon.boundingRect().width() * polygon.boundingRect().height() > SPECK:
            out.addPolygon(polygon)
    return out


def shown_part(box: QRectF, aspect: float, wanted: float) -> QRectF:
    """The part of a photo, in parts of it, that is seen of a box in it: with room about it, in the shape ``wanted``.

    Args:
        box: in parts of the photo.
        aspect: width by height of the photo.
        wanted: width by height of what it is seen in.
    """
    width, height = (min(1.0, max(LEAST, ROOM * size)) for size in (box.width(), box.height()))
    shape = wanted / aspect  # in parts of the photo
    if width / height < shape:
        width = height * shape
    else:
        height = width / shape
    if height > 1 and box.width() * 1.1 <= shape <= 1:  # rather less room than a photo that does not fill the place
        width, height = shape, 1.0
    elif width > 1 and box.height() * 1.1 <= 1 / shape <= 1:
        width, height = 1.0, 1 / shape
    elif (least := min(width, height)) > 1:
        width, height = width / least, height / least
    centre = box.center()
    x = 0.5 if width >= 1 else min(max(centre.x(), width / 2), 1 - width / 2)
    y = 0.5 if height >= 1 else min(max(centre.y(), height / 2), 1 - height / 2)
    return QRectF(QPointF(x - width / 2, y - height / 2), QPointF(x + width / 2, y + height / 2))
