"""Paints labels and selection over a photo, from the voxels that its pixels show."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor, QImage

from app.annotate_state import Marks, Selection
from app.theme import Theme
from app.view_state import LabelsOver
from engine.api.annotated import PhotoVoxels

UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]
FILL, LIT = 158, 128
"""Opacities of 256 within a label and within what is selected; their edges are opaque."""

_labels: WeakKeyDictionary[PhotoVoxels, tuple[Marks, QImage]] = WeakKeyDictionary()
_lit: WeakKeyDictionary[PhotoVoxels, tuple[Selection, str, QImage | None]] = WeakKeyDictionary()


def labels_of(over: LabelsOver, view: int) -> QImage | None:
    """A translucent picture of a photo's labels, made once for each change of them; None where there is none."""
    photo = over.photos.get(view)
    if photo is None or over.marks is None or photo.version != over.marks.version:
        return None
    found = _labels.get(photo)
    if found is None or found[0] is not over.marks:
        found = over.marks, _image(painted_labels(photo.rows, over.marks))
        _labels[photo] = found
    return found[1]


def lit_of(over: LabelsOver, view: int, theme: Theme) -> QImage | None:
    """The same of what is selected."""
    photo, lit = over.photos.get(view), over.lit
    if photo is None or lit is None or over.marks is None or photo.version != over.marks.version:
        return None
    found = _lit.get(photo)
    if found is None or found[0] is not lit or found[1] != theme.accent:
        inside = lit.mask[photo.rows] > 0
        found = lit, theme.accent, _image(painted_lit(inside, theme)) if inside.any() else None
        _lit[photo] = found
    return found[2]


def painted_labels(rows: NDArray[np.int32], marks: Marks) -> UInt8:
    """(h, w, 4) premultiplied: fill, and a stronger edge where another thing begins."""
    rgba = marks.colours[rows]
    thing = np.where(rgba[..., 3] > 0, marks.labels[rows].astype(np.int64) << 32 | marks.instances[rows], 0)
    fill = (rgba.astype(np.uint16) * FILL >> 8).astype(np.uint8)
    return np.where(edges(thing)[..., None], rgba, fill)


def painted_lit(inside: Bool, theme: Theme) -> UInt8:
    """(h, w, 4) premultiplied, in the accent with a white rim."""
    accent = QColor(theme.accent)
    fill = np.array([accent.red(), accent.green(), accent.blue(), 255]) * LIT // 256
    table = np.array([[0] * 4, fill, [255] * 4], np.uint8)
    return table[inside.astype(np.uint8) + (inside & edges(inside))]


def edges(values: NDArray[np.int64] | Bool) -> Bool:
    """(h, w) pixels of which one of the four neighbours is another."""
    out = np.zeros(values.shape, np.bool_)
    across, down = values[:, 1:] != values[:, :-1], values[1:] != values[:-1]
    out[:, 1:] |= across
    out[:, :-1] |= across
    out[1:] |= down
    out[:-1] |= down
    return out


def _image(pixels: UInt8) -> QImage:
    data = np.ascontiguousarray(pixels)
    h, w, _ = data.shape
    return QImage(data.data, w, h, 4 * w, QImage.Format.Format_RGBA8888_Premultiplied).copy()
