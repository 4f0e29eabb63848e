"""Cameras of the canvas: frames, flights and gestures."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import room_scene, room_views
from hypothesis import given, settings
from hypothesis import strategies as st

from app.canvas.camera_sync import clip_matrix, photo_rect, ray_matrix, through_view, to_view_px
from app.canvas.home import named_view
from app.canvas.navigator import FLIGHT_S, Navigator, between
from engine.api.camera import Camera, look_at


def scene_navigator() -> Navigator:
    n = Navigator()
    n.resize(800, 600)
    n.set_scene(np.array([0.0, 0, 1]), 7.0)
    n.goto(named_view(room_scene(8), "home", 8 / 6), 0.0, fly=False)
    return n


def test_clip_space_agrees_with_projection_for_an_off_centre_lens() -> None:
    k = np.array([[500.0, 0, 300], [0, 520, 200], [0, 0, 1]])
    camera = Camera(k, look_at([1, 2, 3], [0, 0, 0], [0, 0, 1], fov_y=40, width=4, height=3).c2w, 640, 480)
    points = np.random.default_rng(0).normal(size=(50, 3))
    q = np.concatenate([points, np.ones((50, 1))], axis=1) @ clip_matrix(camera).astype(np.float64).T
    ndc = q[:, :2] / q[:, 3:]
    px, depth = camera.project(points)
    assert np.allclose(q[:, 3], depth, atol=1e-5)
    assert np.allclose((ndc[:, 0] + 1) / 2 * 640, px[:, 0], atol=1e-2)
    assert np.allclose((1 - ndc[:, 1]) / 2 * 480, px[:, 1], atol=1e-2)


def test_rays_of_the_shader_hit_what_projects_there() -> None:
    camera = room_views(8)[3].camera
    point = np.array([[1.0, 0.7, 0.75]])
    px, depth = camera.project(point)
    u, v = px[0] / [camera.width, camera.height]
    assert np.allclose(camera.centre_w + depth[0] * (ray_matrix(camera) @ [u, v, 1]), point[0])


@settings(max_examples=50, deadline=None)
@given(st.integers(100, 2000), st.integers(100, 2000), st.floats(0, 640), st.floats(0, 480))
def test_looking_through_a_photo_keeps_its_pixels(width: int, height: int, x: float, y: float) -> None:
    view = room_views(8)[1].camera
    shown = through_view(view, width, height)
    left, top, right, bottom = photo_rect(view, shown)
    assert -1e-6 <= left <= right <= width + 1e-6
    assert -1e-6 <= top <= bottom <= height + 1e-6
    assert (right - left) / (bottom - top) == pytest.approx(view.width / view.height)
    point = view.unproject(np.array([[x, y]]), np.array([2.0]))
    at = shown.project(point)[0][0]
    assert np.allclose(to_view_px(view, shown, float(at[0]), float(at[1])), (x, y), atol=1e-6)


@pytest.mark.parametrize("name", ["home", "top", "front", "side"])
def test_named_views_show_the_whole_scene(name: str) -> None:
    scene = room_scene(8)
    n = scene_navigator()
    n.goto(named_view(scene, name, 8 / 6), 0.0, fly=False)
    corners = np.array(np.meshgrid(*scene.bounds_w.T)).reshape(3, -1).T
    px, depth = n.camera(0.0).project(corners)
    assert (depth > 0).all()
    assert n.camera(0.0).contains(px).all()


def test_up_stays_up() -> None:
    n = scene_navigator()
    px, _ = n.camera(0.0).project(np.array([n.orbit.target_w, np.add(n.orbit.target_w, (0, 0, 0.5))]))
    assert px[1, 1] < px[0, 1]
    assert px[1, 0] == pytest.approx(px[0, 0])


def test_zooming_keeps_what_is_under_the_pointer() -> None:
    n = scene_navigator()
    at = (250.0, 410.0)
    camera = n.camera(0.0)
    point = camera.centre_w + camera.ray_z(np.array([at]))[0] * n.orbit.distance
    n.zoom(3, at, 0.0)
    assert np.allclose(n.camera(0.0).project(point[None])[0][0], at, atol=0.5)
    assert n.orbit.distance < np.linalg.norm(camera.centre_w - n.orbit.target_w)


def test_panning_moves_the_target_with_the_pointer() -> None:
    n = scene_navigator()
    before = np.array([n.orbit.target_w])
    n.pan(40, -25, 0.0)
    assert np.allclose(n.camera(0.0).project(before)[0][0], [440, 275], atol=0.5)


def test_a_flight_begins_and_ends_where_it_should() -> None:
    n = scene_navigator()
    start = n.camera(0.0)
    view = room_views(8)[2].camera
    n.look_through(view, 10.0)
    assert np.allclose(n.camera(10.0).c2w, start.c2w)
    assert n.moving(10.1)
    assert np.allclose(n.camera(10.0 + FLIGHT_S + 0.01).c2w, view.c2w)
    assert not n.moving(10.0 + FLIGHT_S + 0.01)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 7), st.integers(0, 7), st.floats(0, 1))
def test_in_between_cameras_are_rigid(i: int, j: int, s: float) -> None:
    views = room_views(8)
    r = between(views[i].camera, views[j].camera, s).c2w[:3, :3]
    assert np.allclose(r @ r.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(r) == pytest.approx(1)


def test_turning_steps_out_of_a_photo_at_the_same_place() -> None:
    n = scene_navigator()
    view = room_views(8)[2].camera
    n.look_through(view, 0.0, fly=False)
    n.rotate(0, 0, 0.0)
    assert n.through is None
    assert np.allclose(n.camera(1.0).centre_w, view.centre_w, atol=1e-6)
    assert np.allclose(n.camera(1.0).forward_w, view.forward_w, atol=1e-6)


def test_flying_keeps_the_eye_while_looking_round_and_moves_with_keys() -> None:
    n = scene_navigator()
    n.mode = "fly"
    eye = n.camera(0.0).centre_w
    n.rotate(50, 20, 0.0)
    assert np.allclose(n.camera(0.0).centre_w, eye)
    ahead = n.camera(0.0).forward_w
    n.hold("w", True, 1.0)
    moved = n.camera(1.1).centre_w - eye
    n.hold("w", False, 1.1)
    assert np.allclose(moved / np.linalg.norm(moved), ahead)
    assert np.allclose(n.camera(2.0).centre_w - eye, moved)
