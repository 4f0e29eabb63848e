"""What is told of a keypoint while the pointer is on it: numbers, names, how photos show it, and its feature."""

from __future__ import annotations

import html

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRect, Qt
from PySide6.QtGui import QColor, QImage, QImageWriter, QPainter

from app import colormaps
from app.glyphs import names, shown
from app.view_state import CanvasView, KeypointsView

PATCHES, PATCH_PX, PATCH_OF = 4, 58, 0.16
"""How many photos show it, how large they are drawn, and which part of a photo's longer side they are."""
BARS_PX = 40
GAP_PX = 4


def card(view: CanvasView, row: int) -> str:
    """As rich text."""
    k = view.keypoints
    assert k.found is not None
    seen = int(k.found.seen[row].sum())
    lines = [
        f"<b>Keypoint {row + 1:,}</b> of {shown(k):,} · score {k.found.score[row]:.2f} · "
        f"seen in {seen} photo{'s' if seen != 1 else ''}"
    ]
    told = names(k, row)
    if told:
        lines.append("perhaps " + ", ".join(f"{html.escape(name)} {chance:.0%}" for name, chance in told))
    patches = [crop for crop in (_patch(view, row, n) for n in _spread(k, row)) if crop is not None]
    if patches:
        lines.append(_image(_strip(patches)))
    lines.append(_image(bars(k.found.features[row], len(patches) or PATCHES)))
    return "<br>".join(lines)


def bars(feature: NDArray[np.float32], columns: int) -> QImage:
    """A feature (D,) as bars up and down from the middle, the longest as high as the picture."""
    width = columns * PATCH_PX + (columns - 1) * GAP_PX
    image = QImage(width, BARS_PX, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    level = feature / max(float(np.abs(feature).max(initial=0)), 1e-9)
    below, above = (QColor(code) for code in colormaps.prompt_colours()[:2])
    middle, step = BARS_PX / 2, width / max(len(level), 1)
    for n, value in enumerate(level):
        high = abs(float(value)) * (middle - 1)
        top = middle - high if value > 0 else middle
        box = QRect(round(n * step), round(top), max(1, round(step) - 1), max(1, round(high)))
        painter.fillRect(box, above if value > 0 else below)
    painter.end()
    return image


def _spread(k: KeypointsView, row: int) -> list[int]:
    """Places of some photos that see it, far apart in their order."""
    assert k.found is not None
    at = np.flatnonzero(k.found.seen[row])
    return [int(at[i]) for i in np.unique(np.linspace(0, len(at) - 1, PATCHES).round().astype(int))] if len(at) else []


def _patch(view: CanvasView, row: int, place: int) -> NDArray[np.uint8] | None:
    """(s, s, 3) of a photo around it; None while the photo is not loaded, or where it ends too near."""
    k = view.keypoints
    assert k.found is not None
    if view.scene is None or place >= len(view.scene.views):
        return None
    info = view.scene.views[place]
    photo = view.thumbnails.get(info.index)
    (px,), (depth,) = info.camera.project(k.found.pos_w[row : row + 1].astype(np.float64))
    if photo is None or depth <= 0:
        return None
    h, w, _ = photo.rgb.shape
    half = max(3, round(PATCH_OF * max(h, w) / 2))
    x, y = int(px[0] / info.camera.width * w), int(px[1] / info.camera.height * h)
    x, y = min(max(x, half), w - half), min(max(y, half), h - half)
    crop = photo.rgb[y - half : y + half, x - half : x + half]
    return np.ascontiguousarray(crop) if crop.shape == (2 * half, 2 * half, 3) else None


def _strip(patches: list[NDArray[np.uint8]]) -> QImage:
    width = len(patches) * PATCH_PX + (len(patches) - 1) * GAP_PX
    image = QImage(width, PATCH_PX, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    for n, patch in enumerate(patches):
        side = patch.shape[0]
        picture = QImage(patch.data, side, side, 3 * side, QImage.Format.Format_RGB888)
        painter.drawImage(QRect(n * (PATCH_PX + GAP_PX), 0, PATCH_PX, PATCH_PX), picture)
    painter.end()
    return image


def _image(image: QImage) -> str:
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    return f'<img src="data:image/png;base64,{bytes(data.toBase64().data()).decode()}">'
