"""Icons from ``assets/icons``, drawn in the theme's colours at any pixel ratio."""

from __future__ import annotations

import importlib.resources
from functools import cache

from PySide6.QtCore import QByteArray, QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QIconEngine, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.theme import Theme


@cache
def source(name: str) -> str:
    """The SVG text of an icon; its strokes are ``currentColor``."""
    return (importlib.resources.files("assets") / "icons" / f"{name}.svg").read_text(encoding="utf-8")


class _Engine(QIconEngine):
    """Paints the SVG at the size asked for, so that every scale is sharp."""

    def __init__(self, name: str, plain: str, checked: str, disabled: str) -> None:
        super().__init__()
        self._name = name
        self._codes = (plain, checked, disabled)

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        plain, checked, disabled = self._codes
        code = disabled if mode == QIcon.Mode.Disabled else checked if state == QIcon.State.On else plain
        svg = QSvgRenderer(QByteArray(source(self._name).replace("currentColor", code).encode()))
        svg.render(painter, QRectF(rect))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return pixmap

    def clone(self) -> QIconEngine:
        return _Engine(self._name, *self._codes)


def icon(name: str, theme: Theme) -> QIcon:
    """An icon in the theme's text colour; in its accent while checked."""
    faint = f"{theme.muted}"
    return QIcon(_Engine(name, theme.text, theme.accent, faint))
