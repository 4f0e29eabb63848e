"""The feature bank against naive numpy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.queries.bank import MUTUAL_RADIUS, FeatureBank, peak, sample_bilinear, sample_many


def unit_maps(seed: int, shapes: list[tuple[int, int]], dim: int = 16) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    maps = [rng.normal(size=(h, w, dim)).astype(np.float32) for h, w in shapes]
    return [m / np.linalg.norm(m, axis=-1, keepdims=True) for m in maps]


def test_samples_cell_centres_exactly_and_halfway_by_the_mean() -> None:
    features = np.zeros((2, 2, 2), np.float32)
    features[0, 0] = features[1, 0] = [1, 0]
    features[0, 1] = features[1, 1] = [0, 1]
    assert sample_bilinear(features, (0.25, 0.25)).tolist() == [1, 0]
    assert sample_bilinear(features, (0.0, 0.9)).tolist() == [1, 0]  # clamped at the border
    np.testing.assert_allclose(sample_bilinear(features, (0.5, 0.5)), [0.5**0.5] * 2, rtol=1e-6)


def test_single_cell_map() -> None:
    assert sample_bilinear(np.array([[[0.0, 2.0]]], np.float32), (0.9, 0.1)).tolist() == [0, 1]


@given(st.floats(1.5, 6.5), st.floats(1.5, 4.5))
def test_peak_finds_the_top_of_a_paraboloid(x: float, y: float) -> None:
    i, j = np.mgrid[0:6, 0:8] + 0.5
    rx, ry, value = peak((1 - 0.01 * (j - x) ** 2 - 0.01 * (i - y) ** 2).astype(np.float32))
    assert rx * 8 == pytest.approx(x, abs=2e-3)
    assert ry * 6 == pytest.approx(y, abs=2e-3)
    assert value <= 1


def test_peak_at_the_border_stays_on_its_cell() -> None:
    heat = np.zeros((3, 4), np.float32)
    heat[0, 3] = 1
    assert peak(heat) == (3.5 / 4, 0.5 / 3, 1.0)


def test_heat_equals_naive_cosines_for_maps_of_different_sizes() -> None:
    maps = unit_maps(0, [(4, 5), (3, 7), (6, 2)])
    bank = FeatureBank(16)
    for view, m in zip((3, 0, 8), maps, strict=True):
        bank.add_view(view, m)
    assert bank.views() == [3, 0, 8]
    assert 0 in bank
    assert 1 not in bank
    query = maps[1][2, 3]
    heat = bank.heat(query)
    for view, m in zip((3, 0, 8), maps, strict=True):
        np.testing.assert_allclose(heat[view], bank.map(view) @ query, atol=1e-6)
        np.testing.assert_allclose(heat[view], m @ query, atol=0.02)
        np.testing.assert_allclose(bank.map(view), m, atol=0.01)
    best = bank.best(heat)
    assert best[0].view == 0
    assert best[0].score == pytest.approx(1, abs=1e-3)
    naive = sorted((float((bank.map(v) @ query).max()) for v in (3, 0, 8)), reverse=True)
    assert [b.score for b in best] == pytest.approx(naive, abs=1e-6)


def test_mutual_by_hand() -> None:
    # The source cell's twin is in view 1; view 2 holds only something that resembles another source cell.
    e = np.eye(4, dtype=np.float32)
    source = np.stack([e[0], e[1], e[2], e[3]] * 10).reshape(1, 40, 4)[:, :4]
    bank = FeatureBank(4)
    bank.add_view(0, np.ascontiguousarray(source))
    bank.add_view(1, e[None, [1, 0]])
    mixed = (0.6 * e[0] + 0.8 * e[3])[None, None]
    bank.add_view(2, np.ascontiguousarray(mixed))
    rel = (0.5 / 4, 0.5)
    query = bank.feature(0, rel)
    assert query.tolist() == [1, 0, 0, 0]
    best = [b for b in bank.best(bank.heat(query)) if b.view != 0]
    assert [(b.view, round(b.score, 2)) for b in best] == [(1, 1.0), (2, 0.6)]
    assert bank.mutual(best, 0, rel) == [True, False]
    assert bank.mutual([], 0, rel) == []


@given(st.integers(0, 1000))
def test_mutual_agrees_with_a_naive_search(seed: int) -> None:
    shapes = [(5, 6), (4, 4), (7, 3)]
    maps = unit_maps(seed, shapes, dim=3)
    bank = FeatureBank(3)
    for view, m in enumerate(maps):
        bank.add_view(view, m)
    rel = (0.31, 0.77)
    best = [b for b in bank.best(bank.heat(bank.feature(0, rel))) if b.view != 0]
    for match, said in zip(best, bank.mutual(best, 0, rel), strict=True):
        back = bank.map(0) @ sample_bilinear(bank.map(match.view), match.rel)
        i, j = np.unravel_index(back.argmax(), back.shape)
        away = np.hypot(j + 0.5 - rel[0] * 6, i + 0.5 - rel[1] * 5) / np.hypot(5, 6)
        assert said == (away <= MUTUAL_RADIUS)


def test_misfits_are_refused() -> None:
    bank = FeatureBank(4)
    bank.add_view(0, np.zeros((2, 2, 4), np.float32))
    with pytest.raises(ValueError, match="does not fit"):
        bank.add_view(0, np.zeros((2, 2, 4), np.float32))
    with pytest.raises(ValueError, match="does not fit"):
        bank.add_view(1, np.zeros((2, 2, 5), np.float32))


@given(st.integers(0, 100), st.integers(1, 6), st.integers(1, 6))
def test_many_samples_are_single_samples(seed: int, h: int, w: int) -> None:
    (features,) = unit_maps(seed, [(h, w)], dim=4)
    rel = np.random.default_rng(seed).uniform(-0.1, 1.1, (20, 2))
    many = sample_many(features, rel)
    for one, at in zip(many, rel, strict=True):
        np.testing.assert_allclose(one, sample_bilinear(features, (at[0], at[1])), atol=1e-6)
