"""The colour bar of heat with the cosines at its ends."""

from __future__ import annotations

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
        font = QFont(self.font())
        font.setPointSizeF(8.0)
        painter.setFont(font)
        painter.setPen(QColor(self._theme.muted))
        line = QRectF(1, 14, self.width() - 2, 15)
        if self._bounds is None:
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft, "cosine similarity")
        else:
            low, high = self._bounds
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft, f"{low:.2f}")
            painter.drawText(line, Qt.AlignmentFlag.AlignHCenter, "cosine")
            painter.drawText(line, Qt.AlignmentFlag.AlignRight, f"{high:.2f}")
        painter.end()
