"""Edits: deltas by hand, to bytes and back, hostile bytes, locked classes, 10,000 undone and redone."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.annotations.edits import Change, Edit, LabelDelta, decode, encode
from engine.annotations.state import AnnotationState
from engine.annotations.store import open_annotations
from engine.api.annotations import LabelClass, Landmark, Note, OrientedBox, Polyline
from engine.api.errors import AnnotationError
from tests.engine.annotations.made import CHAIR, TABLE, document, places


def some_classes(voxels: int = 50) -> AnnotationState:
    state = AnnotationState.empty(voxels)
    for c in (CHAIR, TABLE):
        state.apply(state.put(c))
    return state


def test_a_stroke_is_kept_as_runs() -> None:
    state = some_classes()
    edit = state.paint([3, 4, 5, 9, 5], 1, 7)
    assert edit.title == "Label chair"
    assert edit.labels is not None
    assert edit.labels.start.tolist() == [3, 9]
    assert edit.labels.length.tolist() == [3, 1]
    changed = state.apply(edit)
    assert changed.rows.tolist() == [3, 4, 5, 9]
    assert changed.labels.tolist() == [1] * 4
    assert changed.instances.tolist() == [7] * 4
    again = state.paint([4, 5, 6], 2, [1, 1, 2])
    assert again.labels is not None
    assert again.labels.start.tolist() == [4, 6]
    assert again.labels.old_label.tolist() == [1, 0]
    state.apply(again)
    undone = state.apply(again, forward=False)
    assert undone.undone
    assert undone.labels.tolist() == [1, 1, 0]
    assert state.paint([4], 1, 7).empty


def test_locked_classes_are_left_alone() -> None:
    state = some_classes()
    state.apply(state.paint(range(10), 1))
    state.apply(state.put(replace(CHAIR, locked=True)))
    edit = state.paint(range(5, 15), 2)
    assert edit.labels is not None
    assert edit.labels.rows().tolist() == [10, 11, 12, 13, 14]
    for refused in (lambda: state.paint([20], 1), lambda: state.remove("class", 1)):
        with pytest.raises(AnnotationError, match="chair is locked"):
            refused()
    with pytest.raises(AnnotationError, match="no such class"):
        state.paint([1], 9)
    for rows in ([50], [-1]):
        with pytest.raises(AnnotationError, match="not voxels of this scene"):
            state.paint(rows, 2)


def test_a_class_takes_its_labels_with_it_and_gives_its_key_away() -> None:
    state = some_classes()
    state.apply(state.paint(range(10), 1, 3))
    state.apply(state.put(OrientedBox(1, 1, (0, 0, 0), (1, 1, 1))))
    before = state.copy()
    edit = state.remove("class", 1)
    state.apply(edit)
    assert not state.labels.any()
    assert not state.instances.any()
    assert state.boxes[0].class_id == 0
    state.apply(edit, forward=False)
    assert state.same_as(before)
    state.apply(state.put(LabelClass(3, "lamp", (1, 2, 3), digit=1)))
    assert [(c.name, c.digit) for c in state.palette] == [("chair", None), ("table", 2), ("lamp", 1)]
    with pytest.raises(AnnotationError, match="of that name"):
        state.put(LabelClass(4, "Lamp", (1, 2, 3)))


@pytest.mark.parametrize(
    "thing",
    [
        OrientedBox(1, 0, (0, 0, 0), (1, -1, 1)),
        OrientedBox(1, 0, (0, 0, 0), (1, 1, 1), (1.0, 1.0, 0, 0)),
        Polyline(1, 0, ()),
        Landmark(1, 0, "nose", (0, float("nan"), 0)),
        Note(0, "text"),
        LabelClass(0, "nothing", (0, 0, 0)),
        LabelClass(1, "", (0, 0, 0)),
        LabelClass(1, "x", (0, 0, 256)),
        LabelClass(1, "x", (0, 0, 0), digit=10),
    ],
)
def test_things_that_make_no_sense_are_refused(thing: Note) -> None:
    with pytest.raises(AnnotationError, match="cannot be annotated"):
        AnnotationState.empty(5).put(thing)


floats = st.floats(-1e6, 1e6)
triples = st.tuples(floats, floats, floats)
things = st.one_of(
    st.builds(Landmark, st.integers(1, 9), st.just(0), st.text(st.characters(codec="utf-8"), max_size=9), triples),
    st.builds(Note, st.integers(1, 9), st.text(st.characters(codec="utf-8"), max_size=40), st.none() | triples),
    st.builds(Polyline, st.integers(1, 9), st.just(0), st.lists(triples, min_size=1, max_size=4).map(tuple)),
)


@given(st.data())
@settings(max_examples=60)
def test_edits_survive_as_bytes(data: st.DataObject) -> None:
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 99), max_size=40))), np.int64)
    values = [
        np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows))), t)
        for t in (np.uint16, np.uint16, np.uint32, np.uint32)
    ]
    delta = LabelDelta.of(rows, *values)
    thing = data.draw(things)
    edit = Edit("title ä", 12.5, delta, (Change(None, thing), Change(thing, None)))
    back = decode(encode(edit), 100)
    assert (back.title, back.at, back.changes) == (edit.title, edit.at, edit.changes)
    if delta is None:
        assert back.labels is None
        return
    assert back.labels is not None
    for a, b in zip(delta.columns(), back.labels.columns(), strict=True):
        assert a.dtype == b.dtype
        assert a.tolist() == b.tolist()
    labels, instances = np.zeros(100, np.uint16), np.zeros(100, np.uint32)
    labels[rows], instances[rows] = values[0], values[2]
    delta.apply(labels, instances, forward=True)
    assert labels[rows].tolist() == values[1].tolist()
    assert instances[rows].tolist() == values[3].tolist()


def test_bytes_of_no_edit_are_refused() -> None:
    state = some_classes()
    good = encode(state.paint([1, 2, 40], 1))
    decode(good, 50)
    with pytest.raises(ValueError, match="beyond the 40"):
        decode(good, 40)
    raw = zlib.decompress(good)
    for bad in (b"", good[:-3], b"junk", zlib.compress(raw[:-1]), zlib.compress(b"\xff" * 40), zlib.compress(raw[:8])):
        with pytest.raises(ValueError, match=r"edit|JSON|Error|Expecting|requires|bytes"):
            decode(bad, 50)


@pytest.mark.slow
def test_ten_thousand_edits_undone_and_redone_are_the_same_to_the_bit(tmp_path: Path) -> None:
    """Also states the memory: 8 bytes a step."""
    count = 20_000
    rng = np.random.default_rng(0)
    made = document(tmp_path / "a", count)
    kept: dict[int, AnnotationState] = {made.steps[0]: made.state.copy()}
    tracemalloc.start()
    for step in range(10_000):
        if step % 10 == 9:
            made.do(made.state.put(Landmark(int(rng.integers(1, 50)), 1, f"step {step}", tuple(rng.normal(size=3)))))
        else:
            first = int(rng.integers(count - 200))
            rows = first + np.flatnonzero(rng.random(200) < 0.7)
            made.do(made.state.paint(rows, int(rng.integers(3)), int(rng.integers(100))))
        if step == 999:
            before = tracemalloc.get_traced_memory()[0]
        if step % 1000 == 999:
            kept[made.steps[0]] = made.state.copy()
    grown = tracemalloc.get_traced_memory()[0] - before - 9 * 6 * count
    tracemalloc.stop()
    assert grown < 9_000 * 100
    last = made.state.copy()
    while made.undo() is not None:
        if made.steps[0] in kept:
            assert made.state.same_as(kept[made.steps[0]])
    assert made.steps == (0, made.steps[1])
    assert made.state.same_as(AnnotationState.empty(count))
    while made.redo() is not None:
        if made.steps[0] in kept:
            assert made.state.same_as(kept[made.steps[0]])
    assert made.state.same_as(last)
    steps = made.steps
    made.close()
    again = open_annotations(tmp_path / "a", places(count))
    assert again.state.same_as(last)
    assert again.steps == steps
    assert again.undo() is not None
    again.close()
