"""Lifting feature maps onto voxels."""

from __future__ import annotations

import numpy as np
import pytest

from engine.api.camera import look_at
from engine.api.jobs import finish
from engine.grid import LiftAccumulator, RadianceGrid, lift_features
from engine.grid.spec import GridSpec

FRONT = look_at([-2.0, 1.0, 1.0], [1, 1, 1], [0, 0, 1], fov_y=50, width=64, height=64)
BACK = look_at([4.0, 1.0, 1.0], [1, 1, 1], [0, 0, 1], fov_y=50, width=64, height=64)
ASIDE = look_at([-2.0, 1.0, 1.3], [1, 1, 1], [0, 0, 1], fov_y=50, width=64, height=64)
DIRECTION = np.array([0.6, 0.0, 0.8], np.float32)


def wall() -> RadianceGrid:
    """Opaque voxels 8 <= i < 12 over most of a box 0 … 2 of edge 0.1."""
    index = np.argwhere(np.ones((4, 14, 14), np.bool_)) + np.array([8, 3, 3])
    count = len(index)
    spec = GridSpec(np.zeros(3), 0.1, (20, 20, 20))
    return RadianceGrid.of(spec, index, np.full((count, 3), 0.5), np.full(count, 12.0), np.zeros((1, 1, 3)))


def constant(feature: np.ndarray, size: int = 8) -> np.ndarray:
    return np.broadcast_to(feature, (size, size, len(feature))).astype(np.float32)


def test_a_constant_map_lifts_to_itself() -> None:
    grid = wall()
    lifted = finish(lift_features(grid, [FRONT, ASIDE, BACK], [constant(DIRECTION)] * 3))
    seen = lifted.weight > 0
    assert seen[grid.index[:, 0] == 8].all()
    assert seen[grid.index[:, 0] == 11].all()
    np.testing.assert_allclose(lifted.mean[seen], np.broadcast_to(DIRECTION, (seen.sum(), 3)), atol=1e-5)
    np.testing.assert_allclose(lifted.spread, 0, atol=1e-5)


def test_hidden_voxels_get_nothing() -> None:
    grid = wall()
    lifted = finish(lift_features(grid, [FRONT], [constant(DIRECTION)]))
    hidden = grid.index[:, 0] >= 10  # two opaque voxels lie before them
    assert (lifted.weight[hidden] == 0).all()
    assert (lifted.mean[hidden] == 0).all()
    assert (lifted.spread[hidden] == 0).all()
    np.testing.assert_allclose(lifted.weight[grid.index[:, 0] == 8], 1, atol=0.05)


def test_voxels_outside_the_image_get_nothing() -> None:
    away = look_at([-2.0, 1.0, 1.0], [-5, 1, 1], [0, 0, 1], fov_y=50, width=64, height=64)
    lifted = finish(lift_features(wall(), [away], [constant(DIRECTION)]))
    assert (lifted.weight == 0).all()


def test_views_that_disagree_spread() -> None:
    grid = wall()
    x, y = np.eye(3, dtype=np.float32)[:2]
    lifted = finish(lift_features(grid, [FRONT, FRONT], [constant(x), constant(y)]))
    front = grid.index[:, 0] == 8
    # |x + y| / 2 = 1 / sqrt 2 where both views weigh the same, and the mean lies half way between them
    np.testing.assert_allclose(lifted.spread[front], 1 - 0.5**0.5, atol=1e-4)
    np.testing.assert_allclose(lifted.mean[front], np.broadcast_to((x + y) / 2**0.5, (front.sum(), 3)), atol=1e-4)
    opposed = finish(lift_features(grid, [FRONT, FRONT], [constant(x), constant(-x)]))
    np.testing.assert_allclose(opposed.spread[front], 1, atol=1e-4)


def test_each_side_of_a_wall_takes_its_own_view() -> None:
    grid = wall()
    x, y = np.eye(3, dtype=np.float32)[:2]
    lifted = finish(lift_features(grid, [FRONT, BACK], [constant(x), constant(y)]))
    near, far = grid.index[:, 0] == 8, grid.index[:, 0] == 11
    np.testing.assert_allclose(lifted.mean[near], np.broadcast_to(x, (near.sum(), 3)), atol=1e-5)
    np.testing.assert_allclose(lifted.mean[far], np.broadcast_to(y, (far.sum(), 3)), atol=1e-5)


def test_maps_are_sampled_bilinearly_at_the_projection() -> None:
    grid = wall()
    size = 16
    cell = (np.arange(size) + 0.5) / size
    # unit vectors whose angle grows along x: bilinear sampling keeps the angle to second order
    angle = np.broadcast_to(cell[None, :], (size, size))
    ramp = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
    lifted = finish(lift_features(grid, [FRONT], [ramp]))
    seen = lifted.weight > 0
    px, _ = FRONT.project(grid.centres_w()[seen])
    found = np.arctan2(lifted.mean[seen, 1], lifted.mean[seen, 0])
    np.testing.assert_allclose(found, px[:, 0] / FRONT.width, atol=1e-3)


def test_view_by_view_is_the_same_as_at_once() -> None:
    grid = wall()
    rng = np.random.default_rng(0)
    cameras = [FRONT, ASIDE, BACK]
    maps = [rng.standard_normal((6, 8, 5)).astype(np.float32) for _ in cameras]
    maps = [m / np.linalg.norm(m, axis=2, keepdims=True) for m in maps]
    at_once = finish(lift_features(grid, cameras, maps))
    lift = LiftAccumulator(grid, 5)
    for camera, features in zip(cameras, maps, strict=True):
        lift.add(camera, features)
        assert np.isfinite(lift.result().mean).all()
    assert lift.views == 3
    last = lift.result()
    for name in ("mean", "spread", "weight"):
        np.testing.assert_array_equal(getattr(last, name), getattr(at_once, name))
    backwards = finish(lift_features(grid, cameras[::-1], maps[::-1]))
    np.testing.assert_allclose(backwards.mean, at_once.mean, atol=1e-5)
    norm = np.linalg.norm(last.mean, axis=1)
    np.testing.assert_allclose(norm[last.weight > 0], 1, atol=1e-5)


def test_maps_that_do_not_fit_are_refused() -> None:
    grid = wall()
    with pytest.raises(ValueError, match="cameras"):
        finish(lift_features(grid, [FRONT], []))
    with pytest.raises(ValueError, match="channels"):
        finish(lift_features(grid, [FRONT, BACK], [constant(DIRECTION), np.zeros((4, 4, 5), np.float32)]))
