"""Grids in blocks."""

from __future__ import annotations

import numpy as np
import pytest

from engine.grid.coarse import coarsened
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec


def grid_of(index: np.ndarray, rgb: np.ndarray, tau: np.ndarray) -> RadianceGrid:
    return RadianceGrid.of(GridSpec(np.zeros(3), 0.5, (8, 8, 8)), index, rgb, tau, np.full((1, 1, 3), 0.5))


def test_a_small_grid_stays_itself() -> None:
    grid = grid_of(np.array([[0, 0, 0], [7, 7, 7]]), np.zeros((2, 3)), np.ones(2))
    coarse = coarsened(grid, 2)
    assert coarse.grid is grid
    assert coarse.parent.tolist() == [0, 1]


def test_blocks_by_hand() -> None:
    """Two voxels share a block; a block of one full voxel in eight is an eighth as thick, over twice the way."""
    index = np.array([[0, 0, 0], [1, 1, 1], [6, 7, 7]])
    rgb = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    grid = grid_of(index, rgb, np.array([1.0, 1.0, 2.0]))
    coarse, parent = coarsened(grid, 2)
    assert coarse.index.tolist() == [[0, 0, 0], [3, 3, 3]]
    assert parent.tolist() == [0, 0, 1]
    assert (coarse.spec.voxel, coarse.spec.dims) == (1.0, (4, 4, 4))
    assert coarse.tau == pytest.approx([2 / 8 * 2, 2 / 8 * 2], rel=1e-3)
    assert coarse.rgb[0] == pytest.approx([0.5, 0.5, 0], abs=0.01)
    np.testing.assert_allclose(coarse.spec.lo_w, grid.spec.lo_w)


def test_a_solid_box_keeps_its_thickness_and_its_place() -> None:
    index = np.argwhere(np.ones((8, 8, 8), bool))
    grid = grid_of(index, np.full((512, 3), 0.25), np.full(512, 0.3))
    coarse, parent = coarsened(grid, 10)
    assert len(coarse.index) == 8
    assert coarse.sigma == pytest.approx(grid.sigma[0], rel=1e-2)  # density is what stays
    assert (coarse.index[parent] == index // 4).all()
