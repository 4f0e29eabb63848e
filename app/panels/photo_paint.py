"""Paints one photo with what is known about it: features, heat, source, match and truth."""

from __future__ import annotations

from functools import lru_cache
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPen

from app import colormaps
from app.panels.label_paint import labels_of, lit_of
from app.panels.prompt_paint import prompts_of
from app.state import COMPARING, Answer, PanelMode
from app.theme import Theme
from app.view_state import Cell, LabelsOver, PromptsOver
from engine.api.replies import PhotoLoaded, ViewCompared, ViewFeatures

Pictured = PhotoLoaded | ViewFeatures | ViewCompared
_images: WeakKeyDictionary[Pictured, QImage] = WeakKeyDictionary()
_scaled: WeakKeyDictionary[Pictured, QImage] = WeakKeyDictionary()
_agreements: WeakKeyDictionary[ViewCompared, QImage] = WeakKeyDictionary()
_heats: WeakKeyDictionary[Answer, dict[int, tuple[float, QImage]]] = WeakKeyDictionary()


def image_of(reply: Pictured) -> QImage:
    """The picture of a reply, made once."""
    found = _images.get(reply)
    if found is None:
        found = to_image(reply.rgb)
        _images[reply] = found
    return found


def scaled(reply: Pictured, rect: QRectF, ratio: float) -> QImage:
    """The picture of a reply at the size it is painted in, made once per size: scaling costs more than all the rest."""
    size = QSize(max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio)))
    found = _scaled.get(reply)
    if found is None or found.size() != size:
        found = image_of(reply).scaled(
            size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
        found = found.convertToFormat(QImage.Format.Format_RGB32)
        _scaled[reply] = found
    return found


def agreement_of(reply: ViewCompared) -> QImage:
    """The cosines of a photo and the scene as a picture, made once."""
    found = _agreements.get(reply)
    if found is None:
        found = to_image(colormaps.agreement_colours(reply.cosine))
        _agreements[reply] = found
    return found


def to_image(rgb: NDArray[np.uint8]) -> QImage:
    """(h, w, 3) or (h, w, 4) uint8 to an image of its own memory."""
    data = np.ascontiguousarray(rgb)
    h, w, c = data.shape
    kind = QImage.Format.Format_RGB888 if c == 3 else QImage.Format.Format_RGBA8888
    return QImage(data.data, w, h, c * w, kind).copy()


def heat_of(answer: Answer, view: int, threshold: float) -> QImage | None:
    """Heat of one view as a translucent picture at feature resolution; None where the view is not encoded."""
    cosine = answer.reply.view_heat.get(view)
    if cosine is None:
        return None
    cache = _heats.setdefault(answer, {})
    found = cache.get(view)
    if found is not None and found[0] == threshold:
        return found[1]
    pixels = _heat_pixels(threshold)[colormaps.to_heat(cosine, answer.bounds)]
    h, w = pixels.shape
    image = QImage(pixels.data, w, h, 4 * w, QImage.Format.Format_ARGB32_Premultiplied).copy()
    cache[view] = (threshold, image)
    return image


@lru_cache(4)
def _heat_pixels(threshold: float) -> NDArray[np.uint32]:
    """(256,) premultiplied 0xAARRGGBB, the form that is painted fastest, of every heat."""
    s = np.clip((np.arange(256) / 255 - threshold) / 0.18, 0, 1)
    alpha = np.round(s * s * (3 - 2 * s) * 235)
    red, green, blue = np.round(colormaps.heat_table() * alpha[:, None] / 255).T.astype(np.uint32)
    return (alpha.astype(np.uint32) << 24) | (red << 16) | (green << 8) | blue


def paint_cell(
    painter: QPainter,
    rect: QRectF,
    cell: Cell,
    *,
    mode: PanelMode,
    threshold: float,
    theme: Theme,
    photo: PhotoLoaded | None = None,
    prompts: PromptsOver | None = None,
    labels: LabelsOver | None = None,
    large: bool = False,
) -> None:
    """Paint a view into ``rect`` (which has the photo's aspect). ``photo`` replaces the thumbnail when given;
    ``prompts`` and ``labels`` lie over it."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.fillRect(rect, QColor(theme.field))
    base = photo or cell.photo
    ratio = painter.device().devicePixelRatio()
    if mode == "features" and cell.features is not None:
        painter.drawImage(rect, scaled(cell.features, rect, ratio))
    elif mode == "scene" and cell.compared is not None:
        painter.drawImage(rect, scaled(cell.compared, rect, ratio))
    elif mode == "agreement" and cell.compared is not None:
        painter.drawImage(rect, agreement_of(cell.compared))
    elif base is not None:
        painter.drawImage(rect, scaled(base, rect, ratio))
        if mode == "heat" and cell.answer is not None:
            painter.fillRect(rect, QColor(10, 12, 16, 120))
            heat = heat_of(cell.answer, cell.info.index, threshold)
            if heat is not None:
                painter.drawImage(rect, heat)
        found = None if prompts is None else prompts_of(prompts, cell.info.index)
        if found is not None and prompts is not None:
            painter.fillRect(rect, QColor(10, 12, 16, 105))
            painter.setOpacity(prompts.layer.opacity)
            painter.drawImage(rect, found)
            painter.setOpacity(1.0)
    if labels is not None:
        _labels(painter, rect, labels, cell.info.index, theme)
    if mode == "features" and cell.features is None:
        painter.fillRect(rect, QColor(10, 12, 16, 110))
        _note(painter, rect, "not encoded yet")
    if mode in COMPARING and cell.compared is None:
        painter.fillRect(rect, QColor(10, 12, 16, 110))
        _note(painter, rect, "not compared yet")
    painter.setClipRect(rect.adjusted(-1, -1, 1, 1), Qt.ClipOperation.IntersectClip)
    if mode == "agreement" and cell.compared is not None:
        _agreement(painter, rect, cell, cell.compared, theme, large=large)
    _marks(painter, rect, cell, theme, 1.5 if large else 1.0)
    painter.restore()


def _labels(painter: QPainter, rect: QRectF, over: LabelsOver, view: int, theme: Theme) -> None:
    found = labels_of(over, view) if over.layer.visible else None
    if found is not None:
        painter.setOpacity(over.layer.opacity)
        painter.drawImage(rect, found)
        painter.setOpacity(1.0)
    lit = lit_of(over, view, theme)
    if lit is not None:
        painter.drawImage(rect, lit)


def to_rect(rect: QRectF, cell: Cell, x: float, y: float) -> QPointF:
    """A full-size pixel of the view to the painted rectangle."""
    c = cell.info.camera
    return QPointF(rect.left() + x / c.width * rect.width(), rect.top() + y / c.height * rect.height())


def from_rect(rect: QRectF, cell: Cell, at: QPointF) -> tuple[float, float] | None:
    """A place in the painted rectangle to a full-size pixel, or None outside."""
    if not rect.contains(at) or rect.isEmpty():
        return None
    c = cell.info.camera
    x = (at.x() - rect.left()) / rect.width() * c.width
    y = (at.y() - rect.top()) / rect.height() * c.height
    return min(x, c.width - 1e-6), min(y, c.height - 1e-6)


def _agreement(painter: QPainter, rect: QRectF, cell: Cell, found: ViewCompared, theme: Theme, *, large: bool) -> None:
    """The mean, and in a large photo rings about the places that agree least."""
    if large:
        for x, y, _ in found.worst:
            _disc(painter, to_rect(rect, cell, x, y), QColor("#ffffff"), 9.0, filled=False)
    if found.mean is not None and cell.match is None:
        _chip(painter, rect, f"{found.mean:.2f}", None, theme)


def _marks(painter: QPainter, rect: QRectF, cell: Cell, theme: Theme, scale: float) -> None:
    accent = QColor(theme.accent)
    if cell.match is not None:
        m = cell.match
        at = to_rect(rect, cell, m.x, m.y)
        if m.true_px is not None:
            truth = to_rect(rect, cell, *m.true_px)
            _line(painter, at, truth, QColor(theme.good), scale)
            _cross(painter, truth, QColor(theme.good), 4.5 * scale)
        _disc(painter, at, accent, 5.0 * scale, filled=m.mutual)
        _chip(painter, rect, f"{m.score:.2f}", accent if m.mutual else None, theme)
    if cell.source_px is not None:
        at = to_rect(rect, cell, *cell.source_px)
        _disc(painter, at, accent, 6.5 * scale, filled=False)
        _disc(painter, at, accent, 2.2 * scale, filled=True)
        _chip(painter, rect, "source", accent, theme)


def _disc(painter: QPainter, at: QPointF, colour: QColor, radius: float, *, filled: bool) -> None:
    """A mark with a dark rim, so that it reads on any photo."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(0, 0, 0, 190), 4.0 if not filled else 2.4))
    painter.drawEllipse(at, radius, radius)
    painter.setPen(QPen(colour, 2.0))
    if filled:
        painter.setBrush(colour)
        painter.setPen(QPen(QColor(255, 255, 255, 230), 1.2))
    painter.drawEllipse(at, radius, radius)


def _cross(painter: QPainter, at: QPointF, colour: QColor, arm: float) -> None:
    for pen in (QPen(QColor(0, 0, 0, 190), 3.6), QPen(colour, 1.8)):
        painter.setPen(pen)
        painter.drawLine(at + QPointF(-arm, 0), at + QPointF(arm, 0))
        painter.drawLine(at + QPointF(0, -arm), at + QPointF(0, arm))


def _line(painter: QPainter, a: QPointF, b: QPointF, colour: QColor, scale: float) -> None:
    pen = QPen(colour, 1.2 * scale)
    pen.setStyle(Qt.PenStyle.DotLine)
    painter.setPen(pen)
    painter.drawLine(a, b)


def _chip(painter: QPainter, rect: QRectF, text: str, ground: QColor | None, theme: Theme) -> None:
    font = QFont(painter.font())
    font.setPointSizeF(8.0)
    font.setBold(True)
    painter.setFont(font)
    metrics = painter.fontMetrics()
    w, h = metrics.horizontalAdvance(text) + 10, metrics.height() + 2
    box = QRectF(rect.right() - w - 5, rect.bottom() - h - 5, w, h)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground if ground is not None else QColor(12, 14, 18, 200))
    painter.drawRoundedRect(box, 4, 4)
    painter.setPen(QColor(theme.on_accent) if ground is not None else QColor("#dfe4ec"))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def _note(painter: QPainter, rect: QRectF, text: str) -> None:
    painter.setPen(QColor("#dfe4ec"))
    painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, text)
