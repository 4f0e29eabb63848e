"""Reviews by hand: progress, two annotators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.annotations.comparing import Theirs, compared, taken
from engine.annotations.review import difference, progress
from engine.annotations.reviewing import labelled_as
from engine.annotations.state import AnnotationState
from engine.api.annotations import LabelClass, Landmark, OrientedBox
from engine.api.errors import AnnotationError
from engine.api.reviewing import LabelAs
from tests.engine.annotations.made import CHAIR, TABLE, cuboid, places, solid


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


def theirs() -> Theirs:
    """Of 100 voxels: chairs on 5 to 14 as two things, a lamp on 30 to 33, nothing on 15 to 19."""
    made = AnnotationState.empty(100)
    for c in (LabelClass(6, "Chair", (0, 0, 9)), LabelClass(7, "lamp", CHAIR.rgb)):
        made.apply(made.put(c))
    made.apply(made.paint(range(5, 10), 6, 1))
    made.apply(made.paint(range(10, 15), 6, 2))
    made.apply(made.paint(range(30, 34), 7, 3))
    return Theirs("b.json", made, ("one line",))


def test_two_annotators_class_by_class_and_place_by_place() -> None:
    mine = state((range(20), 1, 1), (range(30, 34), 2, 2))
    grid = solid(cuboid((0, 0, 0), (25, 4, 1)))
    job = compared(7, 3, grid, mine, theirs())
    try:
        while True:
            assert next(job) is None
    except StopIteration as stop:
        found = stop.value
    assert (found.id, found.version, found.name, found.told) == (7, 3, "b.json", ("one line",))
    assert [(c.name, c.mine, c.theirs, c.both, c.iou) for c in found.classes] == [
        ("chair", 20, 10, 10, 0.5), ("lamp", 0, 4, 0, 0.0), ("table", 4, 0, 0, 0.0),
    ]  # fmt: skip
    assert found.mine.tolist() == [1] * 20 + [0] * 10 + [3] * 4 + [0] * 66
    assert found.theirs.tolist() == [0] * 5 + [1] * 10 + [0] * 15 + [2] * 4 + [0] * 66
    told = [(p.rows.tolist(), p.a.name, p.b.name, p.a.class_id, p.b.class_id, p.scattered) for p in found.places]
    assert told == [  # what lies apart is small, and one place
        ([*range(5), *range(15, 20)], "chair", "unlabelled", 1, 0, True),
        (list(range(30, 34)), "table", "lamp", 2, 0, False),
    ]  # fmt: skip
    assert found.differ == 14


def test_theirs_is_taken_over_as_one_step() -> None:
    mine = state((range(20), 1, 4), (range(30, 34), 2, 2))
    before = mine.copy()
    edit, told = taken(mine, theirs(), np.array([*range(3, 18), *range(30, 34)]))
    assert told == ()
    mine.apply(edit)
    assert [c.name for c in mine.palette] == ["chair", "table", "lamp"]
    wanted = before.labels.copy()
    wanted[[3, 4, 15, 16, 17]] = 0
    wanted[30:34] = 7
    assert mine.labels.tolist() == wanted.tolist()
    assert set(mine.instances[5:15].tolist()) == {4}  # both say chair: it stays one thing
    assert set(mine.instances[30:34].tolist()) == {5}
    mine.apply(edit, forward=False)
    assert mine.same_as(before)
    mine.apply(mine.put(replace(CHAIR, locked=True)))
    edit, told = taken(mine, theirs(), np.arange(100))
    assert told == ("10 voxels of locked classes stay as they are.",)
    mine.apply(edit)
    assert (mine.labels[:20] == 1).all()
    assert taken(mine, theirs(), np.arange(3))[0].empty
    with pytest.raises(AnnotationError, match="not voxels"):
        taken(mine, theirs(), np.array([-1]))


def test_a_name_brings_its_class() -> None:
    mine = state((range(20), 1, 4))
    edit = labelled_as(mine, LabelAs(rows=np.arange(18, 30), name="lamp", rgb=(1, 2, 3)))
    mine.apply(edit)
    assert (mine.palette[2].name, mine.palette[2].rgb, mine.palette[2].digit) == ("lamp", (1, 2, 3), 3)
    assert set(mine.labels[18:30].tolist()) == {3}
    assert set(mine.instances[18:30].tolist()) == {5}
    again = labelled_as(mine, LabelAs(rows=np.arange(40, 44), name=" LAMP ", rgb=(9, 9, 9)))
    assert again.changes == ()
    mine.apply(edit, forward=False)
    assert len(mine.palette) == 2
    with pytest.raises(AnnotationError, match="needs a name"):
        labelled_as(mine, LabelAs(rows=np.arange(3), name=" ", rgb=(0, 0, 0)))
