"""Colour bars: of heat, with the cosines at its ends, and others with a word at each end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import colormaps
from app.panels.photo_paint import to_image
from app.theme import DARK, Theme


class Legend(QWidget):
    """A bar from the median cosine to the highest, with a tick at the threshold."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme: Theme = DARK
        self._bounds: tuple[float, float] | None = None
        self._threshold = 0.0
        self._map = to_image(colormaps.heat_table()[None].copy())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(140, 30)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_range(self, bounds: tuple[float, float] | None, threshold: float) -> None:
        """``bounds``: cosines at the ends; None hides the numbers."""
        if (bounds, threshold) != (self._bounds, self._threshold):
            self._bounds, self._threshold = bounds, threshold
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        bar = QRectF(1, 3, self.width() - 2, 8)
        painter.setOpacity(1.0 if self._bounds else 0.35)
        painter.drawImage(bar, self._map)
        cut = bar.left() + bar.width() * self._threshold
        painter.fillRect(QRectF(bar.left(), bar.top(), cut - bar.left(), bar.height()), QColor(0, 0, 0, 150))
        painter.setOpacity(1.0)
        painter.setPen(QPen(QColor(self._theme.text), 1.6))
        painter.drawLine(QPointF(cut, bar.top() - 2), QPointF(cut, bar.bottom() + 2))
        if self._bounds is None:
            _write(painter, self, self._theme, "cosine similarity", "", "")
        else:
            low, high = self._bounds
            _write(painter, self, self._theme, f"{low:.2f}", "cosine", f"{high:.2f}")
        painter.end()


class Scale(QWidget):
    """What the colours of a map mean, from left to right."""

    def __init__(self, table: NDArray[np.uint8], left: str, right: str, tip: str) -> None:
        super().__init__()
        self._theme: Theme = DARK
        self._left, self._right = left, right
        self._map = to_image(table[None].copy())
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tip)

    def sizeHint(self) -> QSize:
        return QSize(140, 30)

    def set_theme(self, theme: Theme) -> None:
        self._theme = theme
        self.update()

    def show_ends(self, left: str, right: str) -> None:
        """Say something else at the ends."""
        if (left, right) != (self._left, self._right):
            self._left, self._right = left, right
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(1, 3, self.width() - 2, 8), self._map)
        _write(painter, self, self._theme, self._left, "", self._right)
        painter.end()


def _write(painter: QPainter, widget: QWidget, theme: Theme, left: str, middle: str, right: str) -> None:
    """The line of small print below a bar."""
    font = QFont(widget.font())
    font.setPointSizeF(8.0)
    painter.setFont(font)
    painter.setPen(QColor(theme.muted))
    line = QRectF(1, 14, widget.width() - 2, 15)
    for flag, text in (
        (Qt.AlignmentFlag.AlignLeft, left),
        (Qt.AlignmentFlag.AlignHCenter, middle),
        (Qt.AlignmentFlag.AlignRight, right),
    ):
        painter.drawText(line, flag, text)
