"""The pieces of the fit, each against a plain version: distances, Adam, smoothing, resampling, fusion, fog."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_cdt

from engine.api.camera import Camera, look_at
from engine.captures import Photo
from engine.grid.environment import Environment
from engine.grid.fuse import DepthFusion
from engine.grid.level import Level, Rates, Voxels, draw, lattice
from engine.grid.photos import PhotoBank, ReadingPlan
from engine.grid.skip import build_tables, chessboard_slices
from engine.grid.spec import GridSpec
from engine.grid.start import FOG, NEAR, fog_slices, nested_specs

BOX = GridSpec(np.zeros(3), 0.1, (20, 20, 20))
FRONT = look_at([1.0, 1.0, -2.0], [1, 1, 1], [0, -1, 0], fov_y=50, width=80, height=80)


def exhaust(slices: Iterator[None]) -> None:
    for _ in slices:
        pass


def level_of(parts: list[Voxels], threads: int = 1) -> Level:
    out: list[Level] = []
    exhaust(Level.make(parts, threads, out))
    return out[0]


def voxels(index: Any, spec: GridSpec = BOX, seed: int = 0) -> Voxels:
    index = np.array(index, np.int32).reshape(-1, 3)
    values = np.random.default_rng(seed).random((len(index), 4)).astype(np.float32)
    return Voxels(spec, index, values)


def bank_of(camera: Camera, rgb: np.ndarray) -> PhotoBank:
    views = (SimpleNamespace(camera=camera),)
    bank = PhotoBank(SimpleNamespace(views=views), ReadingPlan((0,), max(rgb.shape)))  # type: ignore[arg-type]
    bank.add(Photo(camera, rgb))
    return bank


# -- tables -----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(2, 12)] * 3), st.floats(0, 0.2), st.integers(0, 99))
def test_distances_are_those_of_scipy(dims: tuple[int, int, int], share: float, seed: int) -> None:
    occupied = np.random.default_rng(seed).random(dims) < share
    d = np.where(occupied, 0, 255).astype(np.uint8)
    exhaust(chessboard_slices(d))
    expected = distance_transform_cdt(~occupied, metric="chessboard") if occupied.any() else np.full(dims, 255)
    np.testing.assert_array_equal(d, expected)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(2, 9)] * 3), st.floats(0, 0.3), st.integers(0, 99))
def test_tables_know_every_voxel_and_every_cell_with_a_corner(
    dims: tuple[int, int, int], share: float, seed: int
) -> None:
    active = np.random.default_rng(seed).random(dims) < share
    index = np.argwhere(active).astype(np.int32)
    lut, skip = build_tables(index, dims)
    assert (lut[tuple(index.T)] == np.arange(len(index))).all()
    assert (lut < 0).sum() == lut.size - len(index)
    padded = np.pad(active, ((0, 1),) * 3)
    corner = np.zeros(dims, np.bool_)
    for a in (0, 1):
        for b in (0, 1):
            for c in (0, 1):
                corner |= padded[a : a + dims[0], b : b + dims[1], c : c + dims[2]]
    np.testing.assert_array_equal(skip == 0, corner)


def test_two_voxels_in_one_cell_are_refused() -> None:
    with pytest.raises(ValueError, match="share a cell"):
        build_tables(np.array([[1, 1, 1], [1, 1, 1]], np.int32), (4, 4, 4))


@pytest.mark.parametrize("high", [[0.0, 0, 0], [1.0, -1, 1], [np.nan, 1, 1], [np.inf, 1, 1]])
def test_a_grid_over_no_box_is_refused(high: list[float]) -> None:
    with pytest.raises(ValueError, match="empty or not finite"):
        GridSpec.over([[0, 0, 0], high], 1000)


def test_a_flat_box_gets_a_thin_grid() -> None:
    spec = GridSpec.over([[0, 0, 1], [4, 2, 1]], 10_000)
    assert spec.cells <= 10_000
    assert (spec.bounds_w[0] <= [0, 0, 1]).all()
    assert (spec.bounds_w[1] >= [4, 2, 1]).all()


# -- levels -----------------------------------------------------------------------------------------------------------


def test_adam_is_adam_where_there_is_gradient() -> None:
    """Two steps by the equations of Kingma and Ba; the voxel without gradient stays where it is."""
    level = level_of([voxels([[3, 3, 3], [5, 5, 5]])], threads=2)
    start = level.packed.copy()
    environment = Environment(4, 2)
    m, v, expected = np.zeros(4), np.zeros(4), start[0].astype(np.float64)
    rate = np.array([0.01, 0.01, 0.01, 0.2])
    for t, gradient in enumerate(np.array([[1.0, -2, 0.5, 3], [0.5, 1, 1, -1]]), 1):
        level.gradient[0, 0] = 0.25 * gradient
        level.gradient[1, 0] = 0.75 * gradient
        level.gradient[0, -1] = 7.0  # the empty voxel's, which must stay empty
        level.step(environment, Rates(0.01, 0.2, 0.01))
        m, v = 0.9 * m + 0.1 * gradient, 0.99 * v + 0.01 * gradient**2
        expected -= rate * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.99**t))
    np.testing.assert_allclose(level.packed[0], np.clip(expected, [0, 0, 0, -10], [1, 1, 1, 20]), rtol=1e-4)
    np.testing.assert_array_equal(level.packed[1:], start[1:])
    assert (level.gradient == 0).all()


def test_what_was_seen_fades_and_is_kept_through_pruning() -> None:
    level = level_of([voxels([[3, 3, 3], [5, 5, 5], [7, 7, 7]])], threads=2)
    environment = Environment(4, 2)
    level.most[0, 0], level.most[1, 0], level.most[1, 2] = 0.2, 0.6, 0.1
    level.step(environment, Rates(0.01, 0.2, 0.01))
    np.testing.assert_allclose(level.seen, [0.6, 0, 0.1])
    level.step(environment, Rates(0.01, 0.2, 0.01))
    np.testing.assert_allclose(level.seen, [0.594, 0, 0.099])
    out: list[Level] = []
    values = level.packed.copy()
    exhaust(level.keep(level.seen > 0, out))
    np.testing.assert_allclose(out[0].seen, [0.594, 0.099])
    np.testing.assert_array_equal(out[0].packed, values[[0, 2, 3]])
    np.testing.assert_array_equal(out[0].parts[0].index, [[3, 3, 3], [7, 7, 7]])


def test_smoothing_moves_to_the_mean_of_active_neighbours() -> None:
    level = level_of([voxels([[3, 3, 3], [3, 3, 4], [3, 4, 3], [9, 9, 9], [0, 0, 0], [19, 19, 19]])])
    before = level.packed.copy()
    level.smooth(0.5, 0.25)
    mean = (before[1] + before[2]) / 2
    np.testing.assert_allclose(level.packed[0, :3], (before[0, :3] + mean[:3]) / 2, rtol=1e-5)
    np.testing.assert_allclose(level.packed[0, 3], before[0, 3] + 0.25 * (mean[3] - before[0, 3]), rtol=1e-5)
    np.testing.assert_array_equal(level.packed[3:], before[3:])  # alone, and at the corners of the grid


def test_a_finer_level_interpolates_and_keeps_the_light() -> None:
    """A uniform block at half the voxel size: the same colour, half the optical thickness a voxel, room for more."""
    block = np.argwhere(np.ones((6, 6, 6))) + 5
    values = np.tile(np.array([0.2, 0.4, 0.6, np.log(np.expm1(1.0))], np.float32), (len(block), 1))
    level = level_of([Voxels(BOX, block.astype(np.int32), values)])
    out: list[Level] = []
    exhaust(level.refine([GridSpec(np.zeros(3), 0.05, (40, 40, 40))], out))
    fine = out[0]
    deep = ((fine.parts[0].index >= 12) & (fine.parts[0].index < 20)).all(axis=1)
    assert deep.sum() == 8**3
    np.testing.assert_allclose(fine.packed[:-1][deep, :3], [[0.2, 0.4, 0.6]] * deep.sum(), atol=1e-5)
    np.testing.assert_allclose(np.log1p(np.exp(fine.packed[:-1][deep, 3])), 0.5, rtol=1e-4)
    assert fine.count > 8 * 5**3


def test_nested_levels_share_one_table() -> None:
    inner, outer = (
        voxels([[1, 2, 3]], seed=1),
        voxels([[4, 5, 6], [7, 8, 9]], GridSpec(np.full(3, -5.0), 0.5, (24, 24, 24))),
    )
    level = level_of([inner, outer])
    np.testing.assert_array_equal(level.first, [0, 1, 3])
    assert level.lut[np.ravel_multi_index((1, 2, 3), BOX.dims)] == 0
    assert level.lut[BOX.cells + np.ravel_multi_index((7, 8, 9), (24, 24, 24))] == 2
    grid = level.grid(Environment(4, 1), {"psnr": 1.0})
    assert len(grid.shells) == 1
    np.testing.assert_array_equal(grid.shells[0].index, outer.index)
    np.testing.assert_allclose(grid.rgb, inner.values[:, :3], atol=1 / 255)


def test_learning_lowers_the_error() -> None:
    index = np.argwhere(np.ones((12, 12, 3))) + np.array([4, 4, 8])
    level = level_of([Voxels(BOX, index.astype(np.int32), np.full((len(index), 4), 0.5, np.float32))], threads=2)
    rgb = np.zeros((80, 80, 3), np.uint8)
    rgb[20:60, 20:40] = [250, 30, 30]
    bank = bank_of(FRONT, rgb)
    environment = Environment(8, 2)
    rng = np.random.default_rng(0)
    every = np.concatenate(list(lattice(bank, 10**9)))
    before = level.error(bank, every, environment)
    assert before[1] == 80 * 80
    for _ in range(40):
        rays = draw(bank, rng, 2048)
        level.differentiate(bank, rays, rng.random(len(rays), np.float32), environment)
        level.step(environment, Rates(0.05, 0.5, 0.05))
    assert level.error(bank, every, environment)[0] < 0.2 * before[0]


def test_rays_are_drawn_inside_the_photo_in_tiles() -> None:
    bank = bank_of(FRONT, np.zeros((80, 80, 3), np.uint8))
    rays = draw(bank, np.random.default_rng(0), 512)
    assert rays.shape == (512, 2)
    assert (rays[:, 1] >= 0).all()
    assert (rays[:, 1] < 80 * 80).all()
    first = rays[:8, 1].reshape(2, 4)
    np.testing.assert_array_equal(np.diff(first, axis=1), 1)
    np.testing.assert_array_equal(first[1] - first[0], 80)


# -- the environment --------------------------------------------------------------------------------------------------


def test_a_fixed_environment_never_moves() -> None:
    environment = Environment(1, 1, fixed=np.ones((1, 1, 3), np.float32))
    environment.gradient[:] = 5
    environment.update(0.1)
    assert (environment.map == 1).all()
    assert (environment.gradient == 0).all()


def test_only_texels_with_gradient_move() -> None:
    environment = Environment(2, 2)
    environment.gradient[1, 0, 1] = [1, -1, 0]
    environment.update(0.1)
    np.testing.assert_allclose(environment.map[0, 1], [0.4, 0.6, 0.5], atol=1e-5)
    assert (np.delete(environment.map.reshape(-1, 3), 1, axis=0) == 0.5).all()


# -- beginnings -------------------------------------------------------------------------------------------------------


def test_fusion_finds_a_wall_where_the_depth_says() -> None:
    """Depth 3.05 from z = -2: the wall is at z = 1.05, the centre of layer 10; red on the left, green on the right."""
    fusion = DepthFusion(BOX)
    rgba = np.zeros((80, 80, 4), np.uint8)
    rgba[:, :40, 0] = rgba[:, 40:, 1] = 200
    rgba[..., 3] = 1
    fusion.add(FRONT, np.full((80, 80), 3.05, np.float32), rgba)
    found: list[Any] = []
    exhaust(fusion.extract(found))
    index, values = found[0]
    assert set(index[:, 2]) == {9, 10, 11}  # within 1.8 voxels of it
    s = {z: values[index[:, 2] == z, 3].mean() for z in (9, 10, 11)}
    assert s[9] < 0 < s[10] < s[11]
    px, _ = FRONT.project(BOX.to_world(index + 0.5))
    left = px[:, 0] < 39
    np.testing.assert_allclose(values[left, :3], [[200 / 255, 0, 0]] * left.sum(), atol=1e-5)
    free = fusion.free()
    assert free[10, 10, 2]
    assert not free[10, 10, 10:].any()


def test_pixels_without_depth_or_not_valid_are_not_fused() -> None:
    fusion = DepthFusion(BOX)
    depth_z = np.full((80, 80), 3.05, np.float32)
    depth_z[:40] = 0
    rgba = np.ones((80, 80, 4), np.uint8)
    rgba[:, :40, 3] = 0
    fusion.add(FRONT, depth_z, rgba)
    found: list[Any] = []
    exhaust(fusion.extract(found))
    px, _ = FRONT.project(BOX.to_world(found[0][0] + 0.5))
    assert len(px) > 0
    assert (px >= 40).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 1e35])
def test_impossible_depth_is_no_depth(bad: float) -> None:
    fusion = DepthFusion(BOX)
    rgba = np.ones((80, 80, 4), np.uint8)
    fusion.add(FRONT, np.full((80, 80), bad, np.float32), rgba)
    found: list[Any] = []
    exhaust(fusion.extract(found))
    assert len(found[0][0]) == 0


def test_fog_fills_what_enough_cameras_see_and_none_from_too_near() -> None:
    middle = np.ones(3)
    eyes = [[1.0 + 0.3 * i, 1.0, -0.5] for i in range(4)]
    cameras = [look_at(e, middle, [0, -1, 0], fov_y=40, width=40, height=40) for e in eyes]
    out: list[Voxels] = []
    exhaust(fog_slices(BOX, cameras, middle, None, out))
    filled = np.zeros(BOX.dims, np.bool_)
    filled[tuple(out[0].index.T)] = True
    assert (out[0].values[:, 3] == FOG).all()
    centres = BOX.to_world(np.argwhere(np.ones(BOX.dims)) + 0.5)
    seen, near = np.zeros(len(centres), int), np.zeros(len(centres), np.bool_)
    for camera in cameras:
        px, z = camera.project(centres)
        seen += (z > 0) & camera.contains(np.nan_to_num(px, nan=-1.0))
        reach = NEAR * np.linalg.norm(middle - camera.centre_w)
        near |= np.linalg.norm(centres - camera.centre_w, axis=1) < reach
    expected = ((seen >= 3) & ~near).reshape(BOX.dims)
    assert 0 < expected.sum() < expected.size
    assert (filled != expected).mean() < 0.002  # a centre on the very edge may round either way


def test_shells_enclose_each_other() -> None:
    bounds = np.array([[0.0, 0, 0], [4, 2, 1]])
    assert len(nested_specs(bounds, True, 1e5, 1.0)) == 1
    specs = nested_specs(bounds, False, 1e5, 0.1)
    assert len(specs) == 4
    for inner, outer in itertools.pairwise(specs):
        assert (outer.bounds_w[0] < inner.bounds_w[0]).all()
        assert (outer.bounds_w[1] > inner.bounds_w[1]).all()
        assert outer.voxel > inner.voxel
