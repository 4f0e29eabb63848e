"""Keypoints from scores: hand-made maps and voxels, and what holds for all of them."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.keypoints import keypoints_2d, keypoints_3d


def test_maxima_by_hand() -> None:
    s = torch.full((12, 16), -8.0)
    s[3, 4], s[3, 6], s[9, 12] = 2.0, 1.0, 1.5
    pos, score = keypoints_2d(s, 3, radius=2)
    np.testing.assert_allclose(pos[:2], [[4.5, 3.5], [12.5, 9.5]], atol=0.06)  # the one beside a higher one is gone
    assert pos[0, 0] > 4.5 - 0.06
    np.testing.assert_allclose(score[:2], [1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-1.5))], rtol=1e-5)
    near, _ = keypoints_2d(s, 3, radius=1)
    assert {(int(x), int(y)) for x, y in near} == {(4, 3), (12, 9), (6, 3)}
    only, _ = keypoints_2d(s, 1, radius=1)
    assert len(only) == 1


def test_the_place_is_finer_than_a_pixel() -> None:
    y, x = np.mgrid[:20, :30] + 0.5
    s = torch.tensor(-((x - 11.3) ** 2) - (y - 7.9) ** 2)
    pos, _ = keypoints_2d(s, 1)
    np.testing.assert_allclose(pos, [[11.3, 7.9]], atol=1e-4)


def test_equals_and_what_is_not_finite() -> None:
    pos, _ = keypoints_2d(torch.zeros(9, 9), 100, radius=3)
    assert {(int(x), int(y)) for x, y in pos} == {(x, y) for x in (0, 4, 8) for y in (0, 4, 8)}
    s = torch.full((6, 6), torch.nan)
    assert len(keypoints_2d(s, 5)[0]) == 0
    s[2, 3] = 0.0
    pos, score = keypoints_2d(s, 5)
    np.testing.assert_allclose(pos, [[3.5, 2.5]])
    assert score == pytest.approx([0.5])


MAPS = arrays(np.float32, (13, 17), elements=st.integers(-3, 3).map(float))


@settings(max_examples=60, deadline=None)
@given(MAPS, st.integers(1, 4), st.integers(1, 40))
def test_no_two_maxima_see_each_other(scores: np.ndarray, radius: int, count: int) -> None:
    pos, value = keypoints_2d(torch.from_numpy(scores), count, radius)
    everything, _ = keypoints_2d(torch.from_numpy(scores), 10_000, radius)
    np.testing.assert_array_equal(everything[:count], pos)
    assert (np.diff(value) <= 0).all()
    assert value[0] == pytest.approx(1 / (1 + np.exp(-scores.max())), rel=1e-5)
    cell = np.round(everything - 0.5 - 1e-9)
    gap = np.abs(cell[:, None] - cell[None]).max(axis=2) + 99 * np.eye(len(cell))
    assert (gap >= radius).all()  # more than the radius before refining, which moves each by half a pixel at most


CLOUD = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, (n, 3), elements=st.integers(0, 9).map(float)),
        arrays(np.float64, (n,), elements=st.integers(0, 5).map(float)),
    )
)


@settings(max_examples=60, deadline=None)
@given(CLOUD, st.floats(0.5, 4), st.integers(1, 30))
def test_voxels_are_apart_and_whatever_is_dropped_is_near_a_higher_one(
    cloud: tuple[np.ndarray, np.ndarray], radius: float, count: int
) -> None:
    pos, score = cloud
    rows = keypoints_3d(pos, score, count, radius)
    everything = keypoints_3d(pos, score, len(pos), radius)
    np.testing.assert_array_equal(everything[:count], rows)
    assert score[rows[0]] == score.max()
    assert (np.diff(score[everything]) <= 0).all()
    distance = np.linalg.norm(pos[:, None] - pos[everything], axis=2)
    among = distance[everything] + 99 * np.eye(len(everything))
    assert (among > radius).all()
    for row in set(range(len(pos))) - set(everything.tolist()):
        assert (score[everything][distance[row] <= radius] >= score[row]).any()


def test_voxels_by_hand() -> None:
    pos = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 0, 0], [9, 9, 9]], np.float32)
    score = np.array([1, 2, 1.5, np.nan, 0.1], np.float32)
    assert keypoints_3d(pos, score, 9, 1.0).tolist() == [1, 4]
    assert keypoints_3d(pos, score, 9, 0.5).tolist() == [1, 2, 0, 4]
    assert keypoints_3d(pos, score, 2, 0.5).tolist() == [1, 2]
    assert keypoints_3d(pos[:0], score[:0], 5, 1.0).tolist() == []
    assert keypoints_3d(pos, score, 0, 1.0).tolist() == []
    assert keypoints_3d(pos, np.ones(5), 9, 1.5).tolist() == [0, 2, 3, 4]


def test_a_quarter_of_a_million_voxels_take_a_moment() -> None:
    rng = np.random.default_rng(0)
    index = rng.choice(128**3, 250_000, replace=False)
    pos = np.stack(np.unravel_index(index, (128, 128, 128)), axis=1).astype(np.float32)
    score = rng.random(len(pos)).astype(np.float32)
    start = time.perf_counter()
    rows = keypoints_3d(pos, score, 4096, 3.0)
    assert time.perf_counter() - start < 3.0  # 0.2 s on an idle machine
    assert len(rows) == 4096
