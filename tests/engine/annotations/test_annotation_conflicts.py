"""Photos that contradict, by hand: the later stroke, the imported mask, and what settles it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.annotations.conflicts import LEAST_VOXELS, Found, find_conflicts
from engine.annotations.edits import Edit, decode, encode
from engine.annotations.reviewing import settled
from engine.annotations.said import Said, rows_of, runs_of, said_of_json
from engine.annotations.state import AnnotationState
from engine.api.annotations import LabelClass
from engine.api.jobs import finish
from tests.engine.annotations.made import CHAIR, TABLE, cuboid, solid

LAMP = LabelClass(3, "lamp", (40, 200, 40))
GRID = solid(cuboid((0, 0, 0), (32, 2, 1)))
"""Two rows of 32 voxels along x: voxel (x, y) is row 2 x + y."""


class Annotated:
    """What is annotated, and the edits that made it."""

    def __init__(self) -> None:
        self.state = AnnotationState.empty(len(GRID.index))
        self.edits: list[Edit] = []
        for c in (CHAIR, TABLE, LAMP):
            self.do(self.state.put(c))

    def do(self, edit: Edit) -> None:
        self.state.apply(edit)
        self.edits.append(edit)

    def stroke(self, view: int, class_id: int, rows: range) -> None:
        edit = self.state.paint(rows, class_id, 1)
        self.do(replace(edit, said=(Said.of(view, class_id, rows),)))

    def masks(self, *said: tuple[int, int, range], elected: tuple[range, int]) -> None:
        rows, class_id = elected
        edit = self.state.paint(rows, class_id, 1)
        self.do(replace(edit, said=tuple(Said.of(v, c, r, mask=True) for v, c, r in said)))

    def found(self) -> Found:
        return finish(find_conflicts(self.state, reversed(self.edits), GRID))

    def told(self) -> list[tuple[int | None, str, int | None, str, list[int]]]:
        return [(c.a.view, c.a.name, c.b.view, c.b.name, c.rows.tolist()) for c in self.found().conflicts]


def test_the_later_stroke_of_another_photo_contradicts() -> None:
    made = Annotated()
    made.stroke(3, 1, range(20))
    made.stroke(5, 2, range(10, 40))
    assert made.told() == [(3, "chair", 5, "table", list(range(10, 20)))]
    (conflict,) = made.found().conflicts
    assert conflict.a.rgb == CHAIR.rgb
    assert not conflict.scattered
    assert made.found().voxels == 10


def test_a_photo_that_corrects_itself_does_not_contradict() -> None:
    made = Annotated()
    made.stroke(3, 1, range(20))
    made.stroke(3, 2, range(10, 40))
    assert made.told() == []
    made.stroke(4, 1, range(60))  # against what photo 3 said last
    assert made.told() == [(3, "table", 4, "chair", list(range(10, 40)))]


def test_what_is_decided_in_the_scene_ends_it_and_what_is_erased() -> None:
    made = Annotated()
    made.stroke(3, 1, range(30))
    made.stroke(5, 2, range(30))
    made.do(made.state.paint(range(20), 3, 2))
    assert made.told() == [(3, "chair", 5, "table", list(range(20, 30)))]
    made.do(made.state.paint(range(20, 30), 0))
    assert made.told() == []
    made.stroke(7, 1, range(20, 30))
    assert made.told() == []  # older photos no longer count


def test_settling_is_one_step_that_can_be_taken_back() -> None:
    for class_id in (1, 2):
        made = Annotated()
        made.stroke(3, 1, range(20))
        made.stroke(5, 2, range(20))
        before = made.state.copy()
        (conflict,) = made.found().conflicts
        edit = settled(GRID, made.state, conflict.rows, class_id)
        assert not edit.empty
        assert decode(encode(edit), len(GRID.index)).said[0].view is None  # kept though no label may change
        made.do(edit)
        assert (made.state.labels[:20] == class_id).all()
        assert made.told() == []
        made.state.apply(made.edits.pop(), forward=False)
        assert made.state.same_as(before)
        assert len(made.told()) == 1


def test_imported_masks_contradict_each_other_and_the_scene() -> None:
    made = Annotated()
    made.do(made.state.paint(range(40, 60), 3, 7))  # in the scene, before
    # two of three photos say chair where one says table; the scene said lamp where one says chair
    made.masks(
        (0, 1, range(20)), (1, 1, range(20)), (2, 2, range(20)), (4, 1, range(40, 50)),
        elected=(range(20), 1),
    )  # fmt: skip
    assert made.told() == [(2, "table", 1, "chair", list(range(20))), (4, "chair", None, "lamp", list(range(40, 50)))]
    made = Annotated()
    made.do(made.state.paint(range(40, 60), 3, 7))
    made.masks((4, 1, range(40, 50)), elected=(range(40, 50), 1))
    assert made.told() == [(None, "lamp", 4, "chair", list(range(40, 50)))]
    (conflict,) = made.found().conflicts
    assert conflict.b.mask
    made = Annotated()
    made.stroke(9, 3, range(40, 60))  # a photo said it first: it is that photo's
    made.masks((4, 1, range(40, 50)), elected=(range(40, 50), 1))
    assert made.told() == [(9, "lamp", 4, "chair", list(range(40, 50)))]


def test_places_apart_are_apart_and_small_ones_are_one() -> None:
    made = Annotated()
    made.stroke(3, 1, range(64))
    for rows in (range(12), range(20, 36), range(40, 42), range(50, 53)):
        made.stroke(5, 2, rows)
    assert LEAST_VOXELS == 8
    assert [(len(c.rows), c.scattered) for c in made.found().conflicts] == [(16, False), (12, False), (5, True)]
    made.do(made.state.remove("class", 1))
    assert made.told() == []  # nobody says chair any more


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 56), st.integers(1, 8)), max_size=8))
def test_as_by_plain_books(strokes: list[tuple[int, int, int, int]]) -> None:
    """The last word of each photo at each voxel, against the last word of all."""
    made = Annotated()
    last: dict[tuple[int, int], int] = {}
    for view, class_id, start, length in strokes:
        made.stroke(view, class_id, range(start, start + length))
        last |= {(row, view): class_id for row in range(start, start + length)}
    wanted = {(row, view, c) for (row, view), c in last.items() if made.state.labels[row] != c}
    found = {(row, c.a.view, c.a.class_id) for c in made.found().conflicts for row in c.rows.tolist()}
    assert found == wanted
    for c in made.found().conflicts:
        assert all(last[row, c.b.view] == c.b.class_id == made.state.labels[row] for row in c.rows.tolist())


@given(st.sets(st.integers(0, 99)))
def test_runs_and_rows_are_inverse(rows: set[int]) -> None:
    start, length = runs_of(np.array(sorted(rows), np.int64))
    assert rows_of(start, length).tolist() == sorted(rows)
    said = said_of_json(Said.of(4, 2, list(rows), mask=True).to_json(), 100)
    assert (said.view, said.class_id, said.mask, said.rows().tolist()) == (4, 2, True, sorted(rows))


@pytest.mark.parametrize(
    "told",
    [
        [], {}, {"view": -1}, {"view": True}, {"view": 1.5}, {"class": 0}, {"class": 1 << 16}, {"mask": 1},
        {"runs": "abc"}, {"runs": "$$$$"}, {"runs": 7}, {"runs": "AAAA"},
        {"runs": Said.of(0, 1, [99]).to_json()["runs"]},
    ],
)  # fmt: skip
def test_damaged_voices_are_refused(told: object) -> None:
    good = Said.of(1, 1, [3, 4, 9]).to_json()
    said_of_json(good, 10)
    bad = {**good, **told} if isinstance(told, dict) and told else told
    with pytest.raises(ValueError, match=r"photo|runs"):
        said_of_json(bad, 10)
