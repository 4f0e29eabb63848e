"""Points of two scenes in one world: normals, blocks of voxels, and a stored grid moved by a similarity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from engine.api.repository import AlignedPoints
from engine.grid.stored import FORMAT
from engine.repository.occupancy import FREE, SOLID, Occupancy
from engine.repository.pairs import Cells, blocks, differing, means, normals, scene_points
from engine.repository.record import SceneRecord
from engine.results import ResultStore
from engine.scene_state import GRID_FILE
from engine.storage import write_tensors
from tests.engine.repository.made import record


def test_normals_of_a_plane_are_its_own() -> None:
    x, y = np.meshgrid(np.arange(12.0), np.arange(12.0))
    plane = np.stack([x.ravel(), y.ravel(), 0.5 * x.ravel()], axis=1)
    found = normals(KDTree(plane), plane)
    np.testing.assert_allclose(np.abs(found @ [-1, 0, 2]) / np.sqrt(5), 1, atol=1e-9)


def test_voxels_are_joined_until_there_are_few_enough() -> None:
    index = np.array([[0, 0, 0], [1, 1, 1], [2, 0, 0], [7, 7, 7]], np.int32)
    assert blocks(index, 4)[1] == 1
    block, size = blocks(index, 3)
    assert size == 2
    assert block.tolist() == [0, 0, 1, 2]
    np.testing.assert_allclose(means(index, block), [[0.5, 0.5, 0.5], [2, 0, 0], [7, 7, 7]])
    assert blocks(index, 1)[1] == 8


@given(st.integers(0, 1000), st.integers(1, 40))
def test_blocks_are_never_too_many_and_lose_no_voxel(seed: int, most: int) -> None:
    index = np.random.default_rng(seed).integers(0, 30, (60, 3)).astype(np.int32)
    block, size = blocks(index, most)
    assert block.max() + 1 <= most
    assert np.bincount(block).sum() == 60
    for b in range(block.max() + 1):
        assert np.ptp(index[block == b], axis=0).max() < size


def points_of(scene: SceneRecord, cache: Path, to: np.ndarray, differ: Cells | None = None) -> AlignedPoints:
    job = scene_points(scene, cache, to, differ)
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value


def write_floor(scene: SceneRecord, cache: Path) -> None:
    """A red floor of 8 x 8 voxels of edge 0.5 at z = 1.75, seen from above, as ``RadianceGrid.save`` writes it."""
    x, y = np.meshgrid(np.arange(8), np.arange(8))
    tensors = {
        "background": np.zeros((1, 1, 3), np.uint8),
        "index_0": np.stack([x.ravel(), y.ravel(), np.full(64, 3)], axis=1).astype(np.uint16),
        "rgb_0": np.tile(np.array([200, 10, 10], np.uint8), (64, 1)),
        "tau_0": np.full(64, 5.0, np.float16),
    }
    specs = [{"lo_w": [0.0, 0.0, 0.0], "voxel": 0.5, "dims": [8, 8, 8]}]
    header = {"format": FORMAT, "grids": specs, "meta": {"capture": scene.fingerprint}}
    write_tensors(ResultStore.of(scene.fingerprint, Path(scene.path), cache).write_path(GRID_FILE), tensors, header)


def test_a_stored_grid_is_shown_in_its_colours_and_moved(tmp_path: Path) -> None:
    above = np.eye(4, dtype=np.float32)
    above[:3, 3] = (2.0, 2.0, 6.0)
    scene = replace(record(0), path=str(tmp_path / "capture"), cameras=above[None])
    to = np.diag([2.0, 2.0, 2.0, 1.0])
    to[:3, 3] = (10.0, 0.0, 0.0)
    bare = points_of(scene, tmp_path / "cache", to)
    assert bare.rgb is None  # nothing is stored: its keypoints
    np.testing.assert_allclose(bare.pos_w, 2 * scene.pos_w + [10, 0, 0], rtol=1e-5)
    write_floor(scene, tmp_path / "cache")
    found = points_of(scene, tmp_path / "cache", to)
    assert found.rgb is not None
    assert (found.rgb == [200, 10, 10]).all()
    assert found.spacing_w == pytest.approx(1.0)
    np.testing.assert_allclose(found.pos_w[:, 2], 3.5, atol=1e-6)
    np.testing.assert_allclose(found.pos_w.min(axis=0), [10.5, 0.5, 3.5], atol=1e-6)
    np.testing.assert_allclose(found.facing_w, np.tile([0, 0, 1], (64, 1)), atol=1e-6)
    assert points_of(replace(scene, fingerprint="other"), tmp_path / "cache", to).rgb is None


def test_what_only_one_scan_has_is_marked_in_it(tmp_path: Path) -> None:
    """Two floors of 4 x 4, one with a box of 1 x 1 on it; the other's world is twice as large."""
    states = np.full((16, 16, 8), FREE, np.uint8)
    states[:, :, 0] = SOLID
    boxed = states.copy()
    boxed[4:8, 4:8, 1:5] = SOLID
    small, large = np.diag([0.25, 0.25, 0.25, 1.0]), np.diag([0.5, 0.5, 0.5, 1.0])
    pos_w = np.float32([[1.5, 1.5, 0.8], [1.5, 1.5, 0.1], [3.5, 3.5, 0.1], [9, 9, 9]])
    a = replace(record(0, keypoints=4), pos_w=pos_w, occupancy=Occupancy(boxed, small))
    b = replace(record(1, keypoints=4), pos_w=2 * pos_w, occupancy=Occupancy(states, large))
    to = np.diag([2.0, 2, 2, 1])
    assert points_of(a, tmp_path, to, differing(a, b, to)).changed.tolist() == [True, False, False, False]
    assert not points_of(b, tmp_path, np.eye(4), differing(b, a, np.linalg.inv(to))).changed.any()
    assert differing(a, replace(b, occupancy=None), to) is None
    assert not points_of(a, tmp_path, to).changed.any()
