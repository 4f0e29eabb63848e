"""Reviews by hand: progress, contradicting photos, two annotators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.annotations.review import conflicts, difference, progress
from engine.annotations.state import AnnotationState
from engine.annotations.strokes import ViewHits
from engine.api.annotations import LabelClass, Landmark, OrientedBox
from engine.api.camera import look_at
from engine.api.errors import AnnotationError
from tests.engine.annotations.made import CHAIR, TABLE, places


def state(*painted: tuple[range, int, int], voxels: int = 100) -> AnnotationState:
    out = AnnotationState.empty(voxels)
    for c in (CHAIR, TABLE):
        out.apply(out.put(c))
    for rows, class_id, instance in painted:
        out.apply(out.paint(rows, class_id, instance))
    return out


def test_progress_counts() -> None:
    made = state((range(10), 1, 1), (range(10, 15), 1, 2), (range(50, 90), 2, 0))
    made.apply(made.put(OrientedBox(1, 1, (0, 0, 0), (1, 1, 1))))
    made.apply(made.put(Landmark(1, 2, "leg", (0, 0, 0))))
    found = progress(made, places(100, voxel=0.5))
    assert (found.voxels, found.labelled, found.share) == (100, 55, 0.55)
    table, chair = found.classes
    assert (table.name, table.voxels, table.instances, table.landmarks, table.boxes) == ("table", 40, 0, 1, 0)
    assert (chair.name, chair.voxels, chair.instances, chair.boxes) == ("chair", 15, 2, 1)
    assert chair.volume_w == pytest.approx(15 / 8)
    seen = np.zeros(100, np.bool_)
    seen[:20] = True
    assert progress(made, places(100), seen).share == 0.75
    nothing = progress(AnnotationState.empty(0), places(1))
    assert (nothing.share, nothing.classes) == (0.0, ())


def hits(rows: list[list[int]]) -> ViewHits:
    camera = look_at((0, -1, 0), (0, 0, 0), (0, 0, 1), fov_y=50, width=len(rows[0]), height=len(rows))
    seen = np.array(rows)
    empty = np.zeros(seen.shape, np.float32)
    return ViewHits(camera, seen, empty, np.zeros((100, 2), np.float32), np.zeros(100, np.bool_), np.zeros(100, int))


def test_contradictions_of_photos_by_hand() -> None:
    """Voxel 0: labelled 1, all say 1. Voxel 1: labelled 1, two of three say 2. Voxel 2: labelled 1, one says 1, one 2.
    Voxel 3: one photo alone speaks. Voxel 50: no label."""
    made = state((range(4), 1, 0))
    views = [
        (hits([[0, 0, 1, 1, 1], [2, 3, 50, -1, -1]]), np.array([[1, 1, 2, 2, 1], [1, 2, 2, 1, 1]])),
        (hits([[0, 1, 2, 50, -1]]), np.array([[1, 2, 2, 2, 0]])),
        (hits([[1, 0]]), np.array([[1, 0]])),
    ]
    found = conflicts(made, views)
    assert found.rows.tolist() == [1, 2]
    assert found.said.tolist() == [2, 1]
    assert found.share.tolist() == pytest.approx([2 / 3, 0.5])
    assert found.views.tolist() == [3, 2]
    assert len(conflicts(made, []).rows) == 0


def test_two_annotators_by_hand() -> None:
    a = state((range(10), 1, 1), (range(10, 20), 1, 2), (range(30, 40), 2, 0))
    b = AnnotationState.empty(100)
    for c in (LabelClass(5, "Table", (0, 0, 0)), LabelClass(6, "chair", (0, 0, 0)), LabelClass(7, "lamp", (0, 0, 0))):
        b.apply(b.put(c))
    b.apply(b.paint(range(5, 15), 6, 9))
    b.apply(b.paint(range(15, 20), 6, 8))
    b.apply(b.paint(range(30, 38), 5))
    b.apply(b.paint(range(38, 42), 7))
    d = difference(a, b)
    assert d.iou == {"chair": 15 / 20, "lamp": 0.0, "table": 0.8}
    # instance 1 (0..9) meets 9 (5..14): 5 of 15; 2 (10..19) meets 9 in 5 of 15, and 8 in 5 of 10
    assert d.instance_iou["chair"] == pytest.approx((5 / 15 + 5 / 10) / 2)
    assert d.differ == 5 + 2 + 2
    assert d.agreed == pytest.approx(23 / 32)
    # both labelled on 25: 15 chair-chair, 8 table-table, 2 table-lamp
    chance = (15 / 25) * (15 / 25) + (10 / 25) * (8 / 25)
    assert d.kappa == pytest.approx((23 / 25 - chance) / (1 - chance))
    same = difference(a, a)
    assert set(same.iou.values()) == {1.0}
    assert (same.agreed, same.differ, same.kappa) == (1.0, 0, 1.0)
    with pytest.raises(AnnotationError, match="different voxels"):
        difference(a, AnnotationState.empty(3))
    assert difference(AnnotationState.empty(3), AnnotationState.empty(3)).kappa is None
    assert replace(d, differ=0).iou == d.iou
