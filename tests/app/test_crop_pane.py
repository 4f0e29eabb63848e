"""Which part of a photo is seen, and the outline in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPointF, QRectF
from pytestqt.qtbot import QtBot

from app.annotate_state import Marks
from app.panels.crop_pane import LEAST, ROOM, outline, shown_part
from app.review_state import looked_at, photos_left
from engine.api.annotated import PhotoVoxels, Things
from engine.api.reviewing import Disagreement, Side

UNIT, SIZE = st.floats(0, 1), st.floats(0.001, 1)


@given(UNIT, UNIT, SIZE, SIZE, st.floats(0.3, 3), st.floats(0.3, 3))
def test_what_is_meant_is_in_sight_and_undistorted(
    x: float, y: float, w: float, h: float, aspect: float, wanted: float
) -> None:
    box = QRectF(x * (1 - w), y * (1 - h), w, h)
    part = shown_part(box, aspect, wanted)
    assert part.adjusted(-1e-6, -1e-6, 1e-6, 1e-6).contains(box) or box.isEmpty()
    assert part.width() * aspect / part.height() == pytest.approx(wanted, rel=1e-6)
    if part.width() <= 1:
        assert -1e-6 <= part.left() <= part.right() <= 1 + 1e-6


def test_a_small_place_is_seen_with_room_about_it() -> None:
    part = shown_part(QRectF(0.4, 0.4, 0.2, 0.2), 1.0, 1.0)
    assert (part.width(), part.height()) == pytest.approx((0.2 * ROOM, 0.2 * ROOM))
    assert shown_part(QRectF(0.5, 0.5, 0.01, 0.01), 1.0, 1.0).width() == pytest.approx(LEAST)
    assert shown_part(QRectF(0, 0, 0.1, 0.1), 1.0, 1.0).left() == 0


def test_the_outline_is_that_of_the_pixels(qtbot: QtBot) -> None:
    inside = np.zeros((30, 40), bool)
    inside[10:20, 8:24] = True
    inside[13:16, 12:15] = False
    path, box = outline(inside)
    assert (box.left(), box.top(), box.right(), box.bottom()) == pytest.approx((0.2, 1 / 3, 0.6, 2 / 3))
    for row, column in ((10, 8), (19, 23), (12, 13), (14, 13), (9, 8), (20, 20), (15, 24)):
        assert path.contains(QPointF((column + 0.5) / 40, (row + 0.5) / 30)) == inside[row, column]
    many = np.zeros((60, 60), bool)
    many[10:50, 10:50] = True
    many[20, 20] = False  # a speck between voxels
    assert outline(many)[0].contains(QPointF(20.5 / 60, 20.5 / 60))


def photo(view: int, rows: list[list[int]]) -> PhotoVoxels:
    return PhotoVoxels(id=1, version=1, view=view, rows=np.array(rows, np.int32))


def test_photos_beside_a_place_speak_or_show_most() -> None:
    photos = {0: photo(0, [[0, 1, -1]]), 1: photo(1, [[0, 0, 1]]), 2: photo(2, [[5, 5, 5]]), 3: photo(3, [[0, 4, 4]])}
    widths = dict.fromkeys(photos, 6)
    chair, nobody = Side(3, 1, "chair", (1, 2, 3)), Side(None, 2, "table", (4, 5, 6))
    looked = looked_at(Disagreement(np.array([0, 1]), chair, nobody), 6, photos, widths)
    assert looked.views == (3, 1)  # the one that speaks; of the others the one that shows most
    assert looked.pixels == (1 * 4, 3 * 4)
    assert looked_at(Disagreement(np.array([0, 1]), nobody, nobody), 6, photos, widths).views == (1, 0)
    assert looked_at(Disagreement(np.array([2]), nobody, nobody), 6, photos, widths).views == (None, None)


def test_photos_are_told_by_what_is_left_of_them() -> None:
    labels = np.array([1, 0, 0, 0, 0, 1], np.uint16)
    marks = Marks.of(1, labels, np.zeros(6, np.uint32), Things())
    photos = {0: photo(0, [[0, 1, -1]]), 1: photo(1, [[5, 5, 0]]), 2: photo(2, [[2, 3, 4]])}
    assert photos_left(marks, photos) == [(2, 1.0), (0, 0.5), (1, 0.0)]
