"""Connected places: parity with scipy's labels, and hysteresis by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from engine.grid.places import LEVELS, SMALLEST, grown, places
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec

TOUCHING = np.ones((3, 3, 3))


def grid_of(index: list[list[int]]) -> RadianceGrid:
    n = len(index)
    spec = GridSpec(np.zeros(3), 0.5, (12, 12, 12))
    return RadianceGrid.of(spec, np.array(index, np.int32), np.full((n, 3), 0.5), np.ones(n), np.full((1, 1, 3), 0.5))


def labels(dense: np.ndarray) -> np.ndarray:
    found: np.ndarray = ndimage.label(dense, TOUCHING)[0]
    return found


@settings(deadline=None)  # the kernel is compiled by the first
@given(arrays(np.uint8, (5, 4, 4), elements=st.integers(0, 10)), st.integers(0, 11))
def test_the_same_parts_and_growth_as_scipy(tenths: np.ndarray, threshold: int) -> None:
    index = np.argwhere(tenths > 0)
    if len(index) == 0:
        return
    grid = grid_of(index.tolist())
    where = tuple(grid.index.T)
    relevancy = (tenths[where] / 10).astype(np.float32)
    dense = np.zeros(grid.spec.dims, np.float32)
    dense[where] = relevancy

    least = np.float32(max(threshold / 10, 1e-6))
    part = labels(dense >= least)[where]
    expected = sorted(np.flatnonzero(part == n).tolist() for n in range(1, part.max(initial=0) + 1))
    expected = [rows for rows in expected if len(rows) >= SMALLEST]
    assert sorted(sorted(rows.tolist()) for rows in places(grid, relevancy, threshold / 10)) == expected

    wanted = relevancy.copy()
    for level in LEVELS:
        core, wide = labels(dense >= level)[where], labels(dense >= np.float32(0.6) * level)[where]
        for n in range(1, core.max(initial=0) + 1):
            if (core == n).sum() >= SMALLEST:
                mine = wide == wide[core == n][0]
                wanted[mine] = np.maximum(wanted[mine], level)
    np.testing.assert_array_equal(grown(grid, relevancy), wanted)


def test_a_place_is_found_whole_and_nothing_else_grows() -> None:
    rows = [[x, 1, 1] for x in range(8)] + [[x, 9, 9] for x in range(3)]
    grid = grid_of(rows)
    relevancy = np.array([0.04, 0.32, 0.62, 0.64, 0.66, 0.35, 0.2, 0.4, 0.45, 0.4, 0.1], np.float32)
    found = grown(grid, relevancy)
    # over .6 lie three that touch; what is beside them belongs to the place at thresholds of which it has .6
    np.testing.assert_allclose(found[:7], [0.04, 0.5, 0.62, 0.64, 0.66, 0.5, 0.3], atol=1e-6)
    np.testing.assert_allclose(found[8:], relevancy[8:])  # two are no place at .4, three at .1 have that already
    assert found.max() == relevancy.max()
    assert not grown(grid, np.zeros(11, np.float32)).any()
