"""Rows beside a place, by hand and against a search over all voxels."""

from __future__ import annotations

import numpy as np

from engine.carry import rows_beside


def test_own_cell_first_then_neighbours_then_none() -> None:
    lut = np.full((6, 6, 6), -1, np.int32)
    lut[1, 1, 1], lut[1, 1, 3] = 7, 9
    places = np.array(
        [[1.5, 1.5, 1.5], [1.2, 1.2, 2.4], [0.5, 0.5, 0.5], [4.5, 4.5, 4.5], [-3.0, 9.0, 0.0]], np.float32
    )
    rows = rows_beside(places, lut)
    assert rows[0] == 7
    assert rows[1] in (7, 9)
    assert rows[2] == 7  # a diagonal away
    assert rows[3:].tolist() == [-1, -1]


def test_every_found_row_is_within_a_cell() -> None:
    rng = np.random.default_rng(0)
    cells = np.argwhere(rng.random((9, 8, 7)) < 0.05)
    lut = np.full((9, 8, 7), -1, np.int32)
    lut[tuple(cells.T)] = np.arange(len(cells))
    places = (rng.random((500, 3)) * [9, 8, 7]).astype(np.float32)
    rows = rows_beside(places, lut)
    apart = np.abs(np.floor(places)[:, None] - cells[None]).max(axis=2)
    found = rows >= 0
    assert (apart[found, rows[found]] <= 1).all()
    assert (apart[~found] > 1).all()
