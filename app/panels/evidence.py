"""Why a photo is said to show a scene: both side by side, with lines between keypoints that match."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.panels.pictures import image_of, paint_rounded
from app.theme import DARK, GAP, Theme
from engine.api.repository import PhotoEvidence
from engine.api.scene import UInt8

MOST_LINES, MOST_DOTS = 40, 120
"""Of either kind; more hide the pictures."""
MOST_HEIGHT = 190


class EvidencePicture(QWidget):
    """The photo on the left, the scene's on the right; matches that the camera agrees with in the accent."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._photo: QImage | None = None
        self._beside: QImage | None = None
        self._found: PhotoEvidence | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def show_evidence(self, photo: UInt8, found: PhotoEvidence) -> None:
        if found is self._found:
            return
        self._found, self._photo, self._beside = found, image_of(photo), image_of(found.rgb)
        self.updateGeometry()
        self.update()

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return round(min(self._height(width), MOST_HEIGHT))

    def sizeHint(self) -> QSize:
        return QSize(320, self.heightForWidth(max(self.width(), 240)))

    def resizeEvent(self, event: object) -> None:
        self.setFixedHeight(max(1, self.heightForWidth(self.width())))

    def _height(self, width: float) -> float:
        """At which both pictures, as they are, fill the width."""
        if self._photo is None or self._beside is None:
            return 0.0
        shapes = self._photo.width() / self._photo.height() + self._beside.width() / self._beside.height()
        return (width - GAP) / shapes

    def paintEvent(self, event: QPaintEvent) -> None:
        photo, beside, found, t = self._photo, self._beside, self._found, self._theme
        if photo is None or beside is None or found is None:
            return
        h = float(self.height())
        left = QRectF(0, 0, h * photo.width() / photo.height(), h)
        right = QRectF(left.right() + GAP, 0, h * beside.width() / beside.height(), h)
        move = max(0.0, (self.width() - right.right()) / 2)
        left.translate(move, 0)
        right.translate(move, 0)
        painter = QPainter(self)
        for rect, image in ((left, photo), (right, beside)):
            paint_rounded(painter, rect, image, QColor(t.field))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        seen: NDArray[np.bool_] = np.asarray(np.isfinite(found.view_px).all(axis=1), np.bool_)
        for rows, code, alpha in ((~found.inliers, t.text, 40), (found.inliers, t.accent, 170)):
            colour = QColor(code)
            colour.setAlpha(alpha)
            painter.setPen(QPen(colour, 1.1))
            for n in _some(rows & seen, MOST_LINES):
                painter.drawLine(_within(left, photo, found.photo_px[n]), _within(right, beside, found.view_px[n]))
        painter.setPen(QPen(QColor(0, 0, 0, 150), 0.8))
        painter.setBrush(QColor(t.accent))
        for n in _some(found.inliers, MOST_DOTS):
            painter.drawEllipse(_within(left, photo, found.photo_px[n]), 2.0, 2.0)
            if seen[n]:
                painter.drawEllipse(_within(right, beside, found.view_px[n]), 2.0, 2.0)
        painter.end()


def _some(rows: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Indices of those that are true, every so many when there are more than ``most``."""
    found = np.flatnonzero(rows).astype(np.int64)
    return found[:: max(1, -(-len(found) // most))]


def _within(rect: QRectF, image: QImage, pos_px: np.ndarray) -> QPointF:
    x, y = float(pos_px[0]) / image.width(), float(pos_px[1]) / image.height()
    return QPointF(rect.left() + x * rect.width(), rect.top() + y * rect.height())
