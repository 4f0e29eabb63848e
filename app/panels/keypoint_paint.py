"""Paints the keypoints that a photo sees over it."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.glyphs import LEAST_PX, MOST_PX, colours, levels, shown
from app.panels.photo_paint import to_rect
from app.view_state import Cell, KeypointsView

SHARE = 0.7
"""Of their size in the scene."""


def paint_keypoints(painter: QPainter, rect: QRectF, cell: Cell, view: KeypointsView) -> int:
    """Paint them into ``rect``, which holds the whole photo, the best last; how many there are."""
    count = shown(view)
    if view.found is None or count == 0:
        return 0
    rows = np.flatnonzero(view.found.seen[:count, cell.info.index])[::-1]
    px, _ = cell.info.camera.project(view.found.pos_w[rows].astype(np.float64))
    rgb, level = colours(view), levels(view)
    painter.save()
    painter.setClipRect(rect)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setOpacity(view.opacity)
    painter.setBrush(Qt.BrushStyle.SolidPattern)
    for row, (x, y) in zip(rows, px, strict=True):
        radius = SHARE * (LEAST_PX + (MOST_PX - LEAST_PX) * float(level[row])) / 2 + 0.5
        painter.setPen(QPen(QColor(0, 0, 0, 170), 1.0))
        painter.setBrush(QColor(*(int(c) for c in rgb[row])))
        painter.drawEllipse(to_rect(rect, cell, float(x), float(y)), radius, radius)
    painter.restore()
    return len(rows)
