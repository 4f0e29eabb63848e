"""What is under a pixel, against what was put there."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import BOXES, ROOM_HI, ROOM_LO, cast_depth, room_views, room_volume
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canvas import dense
from app.canvas.picking import VolumePicker, inside_quad, nearest_point
from engine.api.camera import look_at
from engine.api.scene import Volume


def picker_of(volume: Volume, cameras: list | None = None) -> VolumePicker:
    box = dense.Box.around(volume)
    return VolumePicker(box, box.sorted(volume.rgba[:, 3]), dense.facing(box, cameras or []))


def test_surface_agrees_with_ray_casting_through_every_view() -> None:
    volume = room_volume(0.05)
    picker = picker_of(volume)
    rng = np.random.default_rng(0)
    errors = []
    for view in room_views(8):
        pixels = rng.uniform([20, 20], [620, 460], (25, 2))
        depth = cast_depth(view.camera, pixels)
        for px, z in zip(pixels, depth, strict=True):
            hit = picker.surface(view.camera, (px[0], px[1]), cutaway=False)
            assert hit is not None
            errors.append(abs(view.camera.to_camera(hit[None])[0, 2] - z))
            # the point lies on the ray
            assert np.abs(view.camera.project(hit[None])[0][0] - px).max() < 1e-6
    # a silhouette may fall to either side; the rest agrees to a voxel along the ray
    assert np.median(errors) < 0.05
    assert np.mean(np.array(errors) < 0.16) > 0.95


def test_cutaway_looks_through_the_near_wall_onto_the_furniture() -> None:
    volume = room_volume(0.05)
    picker = picker_of(volume, [v.camera for v in room_views(16)])
    low, high, _ = BOXES[1]
    top = np.array([[(low[0] + high[0]) / 2, (low[1] + high[1]) / 2 - 0.2, high[2]]])
    camera = look_at([2.5, -6, 7], [2.5, 2, 0.5], [0, 0, 1], fov_y=45, width=640, height=480)
    px = camera.project(top)[0][0]
    through = picker.surface(camera, (px[0], px[1]), cutaway=True)
    blocked = picker.surface(camera, (px[0], px[1]), cutaway=False)
    assert through is not None
    assert blocked is not None
    assert np.linalg.norm(through - top[0]) < 0.12
    inside = (blocked > ROOM_LO) & (blocked < ROOM_HI)
    assert not inside.all()  # the wall or ceiling


def test_nothing_is_found_where_nothing_is() -> None:
    picker = picker_of(room_volume(0.1))
    away = look_at([0, 0, 30], [0, 0, 60], [0, 1, 0], fov_y=40, width=64, height=48)
    assert picker.surface(away, (32.0, 24.0), cutaway=False) is None


def test_an_empty_volume_has_no_surface() -> None:
    empty = Volume(np.zeros(3), 0.1, (4, 4, 4), np.zeros((0, 3), np.int32), np.zeros((0, 4), np.uint8), 1)
    camera = look_at([1, 1, 1], [0, 0, 0], [0, 0, 1], fov_y=40, width=64, height=48)
    assert picker_of(empty).surface(camera, (32.0, 24.0), cutaway=True) is None


def test_the_frontmost_of_two_points_on_one_ray_is_taken() -> None:
    camera = look_at([0, 0, 0], [1, 0, 0], [0, 0, 1], fov_y=60, width=200, height=100)
    points = np.array([[4.0, 0, 0], [2.0, 0, 0], [-2.0, 0, 0], [2.0, 1.0, 0]])
    assert nearest_point(camera, points, (100.0, 50.0), 5.0) == 1
    assert nearest_point(camera, points, (5.0, 5.0), 5.0) is None
    assert nearest_point(camera, np.zeros((0, 3)), (5.0, 5.0), 5.0) is None


@pytest.mark.parametrize("turn", [1, -1])
def test_inside_quad_for_either_winding(turn: int) -> None:
    quad = np.array([[0.0, 0], [10, 0], [10, 10], [0, 10]])[::turn]
    assert inside_quad(quad, (5.0, 5.0))
    assert not inside_quad(quad, (15.0, 5.0))
    assert not inside_quad(quad + np.nan, (5.0, 5.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 20)] * 3), min_size=1, max_size=60, unique=True), st.randoms())
def test_slabs_scatter_every_voxel_to_its_place(places: list[tuple[int, int, int]], random: object) -> None:
    index = np.array(places, np.int32)
    rgba = np.arange(4 * len(index), dtype=np.uint8).reshape(-1, 4)
    volume = Volume(np.zeros(3), 1.0, (21, 21, 21), index, rgba, 1)
    box = dense.Box.around(volume)
    whole = np.concatenate([slab for _, slab in dense.slabs(box, box.sorted(rgba))])
    assert whole.shape == (*box.dims, 4)
    at = index - box.lo
    assert np.array_equal(whole[tuple(at.T)], rgba)
    assert whole.astype(int).sum() == rgba.astype(int).sum()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 40)] * 3), min_size=1, max_size=20, unique=True))
def test_leaps_never_pass_an_occupied_cell(places: list[tuple[int, int, int]]) -> None:
    index = np.array(places, np.int32)
    volume = Volume(np.zeros(3), 1.0, (41, 41, 41), index, np.full((len(index), 4), 255, np.uint8), 1)
    box = dense.Box.around(volume)
    leap = dense.leaps(box)
    occupied = np.unique((index - box.lo) // dense.CELL, axis=0)
    cells = np.argwhere(leap >= 0)
    nearest = np.abs(cells[:, None] - occupied[None]).max(axis=2).min(axis=1)
    assert (leap[tuple(cells.T)] <= np.maximum(nearest, 0)).all()
    assert (leap[tuple(occupied.T)] == 0).all()
