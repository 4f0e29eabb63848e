"""Boxes and lines of annotations as segments, and what a photo shows of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.boxes import UNKNOWN, box_edges_w, rotation, segments_w
from app.panels.thing_paint import before_the_eye
from engine.api.annotated import Things
from engine.api.annotations import LabelClass, OrientedBox, Polyline

number = st.floats(-1, 1).map(lambda x: round(x, 3))


def test_a_box_along_the_axes_has_its_twelve_edges() -> None:
    start, end = box_edges_w(OrientedBox(1, 1, (1.0, 2.0, 3.0), (2.0, 4.0, 6.0)))
    assert start.shape == end.shape == (12, 3)
    lengths = np.abs(end - start)
    assert sorted(lengths.max(axis=1).tolist()) == [2.0] * 4 + [4.0] * 4 + [6.0] * 4
    assert (np.count_nonzero(lengths, axis=1) == 1).all()
    corners = np.concatenate([start, end])
    np.testing.assert_array_equal(corners.min(axis=0), [0, 0, 0])
    np.testing.assert_array_equal(corners.max(axis=0), [2, 4, 6])


def test_a_quarter_turn_about_the_third_axis() -> None:
    half = float(np.sqrt(0.5))
    np.testing.assert_allclose(rotation((half, 0, 0, half)) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@given(st.tuples(number, number, number, number).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_every_rotation_keeps_lengths_and_hands(q: tuple[float, float, float, float]) -> None:
    w, x, y, z = np.array(q) / np.linalg.norm(q)
    r = rotation((float(w), float(x), float(y), float(z)))
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(r) > 0


def test_hidden_classes_are_left_out_and_orphans_are_grey() -> None:
    chair, table = LabelClass(1, "chair", (9, 8, 7)), LabelClass(2, "table", (1, 2, 3), visible=False)
    at = (0.0, 0.0, 0.0)
    boxes = tuple(OrientedBox(n, n, at, (1.0, 1.0, 1.0)) for n in (1, 2, 0))
    line = Polyline(1, 1, ((0, 0, 0), (1, 0, 0), (1, 1, 0)), closed=True)
    found = segments_w(Things((chair, table), boxes, (line,)))
    assert [rgb for _, _, rgb in found] == [(9, 8, 7), UNKNOWN, (9, 8, 7)]
    start, end, _ = found[-1]
    assert start.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert end.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_segments_are_cut_where_they_pass_the_eye() -> None:
    before, behind = np.array([0.0, 0.0, 4.0]), np.array([4.0, 0.0, -4.0])
    assert before_the_eye(behind, behind) is None
    p, q = before_the_eye(before, behind)
    assert p is before
    np.testing.assert_allclose(q, [2 - 0.002, 0, 0.004], atol=1e-9)  # half of the way, and a little before the eye
    q, p = before_the_eye(behind, before)
    assert p is before
    assert q[2] > 0
