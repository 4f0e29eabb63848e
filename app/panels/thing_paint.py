"""Paints boxes, lines, landmarks and notes over a large photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.boxes import UNKNOWN, class_rgb, segments_w
from app.panels.photo_paint import to_rect
from app.view_state import Cell, LabelsOver

Float64 = NDArray[np.float64]
SPOT_PX = 5.0
LEAST_Z = 1e-3
"""Camera z, as a share of the other end's, to which a segment that begins behind the eye is cut."""


def paint_things(painter: QPainter, rect: QRectF, cell: Cell, over: LabelsOver) -> None:
    """Where the photo's camera has them, also what something else hides."""
    if over.marks is None or not over.layer.visible:
        return
    things, camera = over.marks.things, cell.info.camera
    drawn = () if over.draft is None else (over.draft,)
    things = replace(things, polylines=(*things.polylines, *drawn))
    painter.save()
    painter.setClipRect(rect)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    for start_w, end_w, rgb in segments_w(things):
        a, b = camera.to_camera(start_w), camera.to_camera(end_w)
        lines: list[QLineF] = []
        for p, q in zip(a, b, strict=True):
            cut = before_the_eye(p, q)
            if cut is not None:
                homogeneous = np.stack(cut) @ camera.intrinsics.T
                px = homogeneous[:, :2] / homogeneous[:, 2:]
                lines.append(QLineF(to_rect(rect, cell, *px[0]), to_rect(rect, cell, *px[1])))
        for colour, width in ((QColor(0, 0, 0, 150), 3.2), (QColor(*rgb), 1.7)):
            painter.setPen(QPen(colour, width))
            painter.drawLines(lines)
    spots = [(m.pos_w, m.name, class_rgb(things.palette, m.class_id)) for m in things.landmarks]
    spots += [(p.points_w[0], p.name, class_rgb(things.palette, p.class_id)) for p in things.polylines]
    spots += [(pos_w, "", class_rgb(things.palette, p.class_id)) for p in drawn for pos_w in p.points_w[1:]]
    spots += [(n.pos_w, n.text, UNKNOWN) for n in things.notes if n.pos_w is not None]
    for pos_w, text, rgb in spots:
        (px,), (z,) = camera.project(np.array([pos_w]))
        if rgb is not None and z > 0:
            _spot(painter, to_rect(rect, cell, float(px[0]), float(px[1])), text, QColor(*rgb))
    painter.restore()


def before_the_eye(p: Float64, q: Float64) -> tuple[Float64, Float64] | None:
    """The part of a segment, camera axes, that lies before the camera."""
    if p[2] <= 0 and q[2] <= 0:
        return None
    near = LEAST_Z * max(float(p[2]), float(q[2]))
    if p[2] < near:
        p = q + (p - q) * ((q[2] - near) / (q[2] - p[2]))
    if q[2] < near:
        q = p + (q - p) * ((p[2] - near) / (p[2] - q[2]))
    return p, q


def _spot(painter: QPainter, at: QPointF, text: str, colour: QColor) -> None:
    painter.setPen(QPen(QColor(0, 0, 0, 190), 1.5))
    painter.setBrush(colour)
    painter.drawEllipse(at, SPOT_PX, SPOT_PX)
    if not text:
        return
    font = painter.font()
    font.setPointSizeF(8.5)
    painter.setFont(font)
    words = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, 160)
    box = QRectF(painter.fontMetrics().boundingRect(words)).adjusted(-4, -2, 4, 2)
    box.moveTo(at + QPointF(SPOT_PX + 3, -box.height() / 2))
    painter.fillRect(box, QColor(12, 14, 18, 200))
    painter.setPen(QColor("#ffffff"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)
