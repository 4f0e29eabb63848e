"""Ray casting, views and what two views agree on."""

from __future__ import annotations

import numpy as np
import pytest

from engine.api.camera import Camera
from engine.api.jobs import finish
from engine.training.rooms import shapes
from engine.training.rooms.cells import SurfaceCells
from engine.training.rooms.light import RectLight, direct
from engine.training.rooms.mesh import Material, to_linear
from engine.training.rooms.render import LightSettings, light_scene, render, render_geometry, tone
from engine.training.rooms.scene import Room, RoomScene

COARSE = LightSettings(direct_cell=0.04, bounce_cell=0.12, bounces=1, rays=32)


def slab_depth(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Analytic depth along z and object id of the small room: the slab method for the cube, a plane for the floor."""
    o, d = camera.centre_w, camera.ray_z(camera.pixel_grid())
    with np.errstate(divide="ignore"):
        floor = np.where(d[:, 2] < 0, -o[2] / d[:, 2], np.inf)
        at = o + np.where(np.isfinite(floor), floor, 0)[:, None] * d
        floor[(np.abs(at[:, :2]) > 2).any(axis=1)] = np.inf
        a, b = ([-0.5, -0.5, 0] - o) / d, ([0.5, 0.5, 1] - o) / d
    enter, leave = np.minimum(a, b).max(axis=1), np.maximum(a, b).min(axis=1)
    cube = np.where((enter < leave) & (enter > 0), enter, np.inf)
    ids = np.where(cube < floor, 2, np.where(np.isfinite(floor), 1, 0))
    t = np.minimum(cube, floor)
    return np.where(np.isfinite(t), t, 0).reshape(camera.height, -1), ids.reshape(camera.height, -1)


def test_depth_and_ids_are_analytic(small_room: Room, two_cameras: list[Camera]) -> None:
    depth_z, ids = render_geometry(RoomScene(small_room), two_cameras[0])
    true_z, true_ids = slab_depth(two_cameras[0])
    same = ids == true_ids
    assert same.mean() > 0.999  # a ray along an edge may go either way
    np.testing.assert_allclose(depth_z[same], true_z[same], atol=1e-4)
    assert set(np.unique(ids)) == {0, 1, 2}


def test_same_seed_same_picture(small_room: Room, two_cameras: list[Camera], lamp: RectLight) -> None:
    scene = RoomScene(small_room)
    a, b, c = (
        render(finish(light_scene(scene, [lamp], two_cameras, COARSE, seed)), two_cameras[0]).rgb for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


def test_two_views_see_the_same_colours(small_room: Room, two_cameras: list[Camera], lamp: RectLight) -> None:
    """Warp every pixel of one view into the other by its depth: diffuse light makes the colours equal."""
    lit = finish(light_scene(RoomScene(small_room), [lamp], two_cameras, COARSE, 0))
    first, second = (render(lit, camera) for camera in two_cameras)
    px = two_cameras[0].pixel_grid()
    z = first.depth_z.ravel()
    there, z_there = two_cameras[1].project(two_cameras[0].unproject(px, z))
    keep = (z > 0) & two_cameras[1].contains(there)
    x, y = np.floor(there[keep]).astype(int).T
    visible = np.abs(second.depth_z[y, x] - z_there[keep]) < 0.02
    assert visible.sum() > 1500
    same = first.objects.ravel()[keep][visible] == second.objects[y, x][visible]
    assert same.mean() > 0.995  # where cube and floor meet, either is right
    difference = first.rgb.reshape(-1, 3)[keep][visible].astype(float) - second.rgb[y, x][visible]
    assert np.abs(difference).mean() < 4


def test_shadow_lies_under_the_light(small_room: Room, lamp: RectLight) -> None:
    """A board at half height hides the whole lamp from the floor below its middle, and nothing far beside it."""
    board = shapes.box([-0.4, -0.4, 1], [0.4, 0.4, 1.05], shapes.paint("board", 0.5, 0.5, 0.5))
    room = Room()
    room.add(small_room.meshes[0], "floor", "floor", creator="", licence="")
    room.add(board, "board", "table", creator="", licence="")
    scene = RoomScene(room)
    cells = SurfaceCells(scene.bounds(), 0.05)
    floor = np.array([[0, 0, 0], [1.8, 0, 0]], np.float32)
    cells.add(floor, np.array([[0, 0, 1], [0, 0, 1]], np.float32))
    dark, bright = direct(scene, [lamp], cells, np.random.default_rng(0))[:, 0]
    assert dark == 0
    # as from a point: L A cos^2 / d^2
    assert bright == pytest.approx(4 * 9 / (9 + 1.8**2) ** 2, rel=0.05)


def test_emitting_surface_shines_and_casts_no_shadow(small_room: Room) -> None:
    glow = Material("glow", to_linear([0, 0, 0]), None, np.ones(3, np.float32))
    small_room.add(shapes.box([0.8, -1, 0.5], [0.9, 1, 1.5], glow), "sign", "lamp", creator="", licence="")
    scene = RoomScene(small_room)
    o, d = np.array([[2, 0, 0.7]], np.float32), np.array([[-1, 0, 0]], np.float32)
    hits = scene.cast(o, d)
    assert hits.pos[0, 0] == pytest.approx(0.9)
    np.testing.assert_allclose(scene.reflectance(hits)[1], [[1, 1, 1]])
    assert not scene.blocked(o, d)[0]  # ends before the cube
    assert scene.blocked(o, 1.6 * d)[0]


def test_tone_rises_from_black_to_white() -> None:
    x = np.linspace(0, 2.4, 50, dtype=np.float32)
    y = tone(x, exposure=1.0, white=2.4)
    assert y[0] == 0
    assert y[-1] == pytest.approx(1)
    assert (np.diff(y) > 0).all()
