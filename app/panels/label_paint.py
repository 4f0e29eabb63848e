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
FILL, EDGE, LIT, LIT_EDGE = 0.62, 1.0, 0.5, 1.0
"""Opacities within a label and at its edge, and of what is selected."""

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
    there = thing > 0
    alpha = np.where(there, np.where(edges(thing), EDGE, FILL), 0.0)[..., None]
    return np.rint(np.concatenate([rgba[..., :3] * alpha, 255 * alpha], axis=-1)).astype(np.uint8)


def painted_lit(inside: Bool, theme: Theme) -> UInt8:
    """(h, w, 4) premultiplied, in the accent with a white rim."""
    accent = QColor(theme.accent)
    rim = inside & edges(inside)
    colour = np.where(rim[..., None], 255.0, np.array([accent.red(), accent.green(), accent.blue()], np.float64))
    alpha = np.where(rim, LIT_EDGE, np.where(inside, LIT, 0.0))[..., None]
    return np.rint(np.concatenate([colour * alpha, 255 * alpha], axis=-1)).astype(np.uint8)


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
