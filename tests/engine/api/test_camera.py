"""Camera: hand-computed projections and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.camera import Camera, look_at

coordinate = st.floats(-5, 5)
points = st.tuples(coordinate, coordinate, coordinate)


def test_projects_by_hand() -> None:
    k = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    camera = Camera(k, np.eye(4), 100, 80)
    px, z = camera.project([[0, 0, 2], [1, 0.5, 4], [0, 0, -1]])
    assert px[:2].tolist() == [[50, 40], [75, 52.5]]
    assert z.tolist() == [2, 4, -1]
    assert np.isnan(px[2]).all()
    assert camera.contains(px).tolist() == [True, True, False]


def test_look_at_axes() -> None:
    camera = look_at([0, -3, 0], [0, 0, 0], [0, 0, 1], fov_y=90, width=40, height=20)
    np.testing.assert_allclose(camera.forward_w, [0, 1, 0])
    np.testing.assert_allclose(camera.c2w[:3, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(camera.c2w[:3, 1], [0, 0, -1], atol=1e-12)  # y is down
    assert camera.intrinsics[0, 0] == pytest.approx(10)
    np.testing.assert_allclose(camera.project([[0, 0, 1]])[0], [[20, 10 - 10 / 3]])


def test_look_at_along_up_is_still_rigid() -> None:
    r = look_at([0, 0, 5], [0, 0, 0], [0, 0, 1], fov_y=50, width=8, height=8).c2w[:3, :3]
    np.testing.assert_allclose(r.T @ r, np.eye(3), atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1)


def test_scaling_keeps_the_image_edges() -> None:
    camera = look_at([1, 2, 3], [0, 0, 0], [0, 0, 1], fov_y=50, width=640, height=480)
    small = camera.fitted(320)
    assert (small.width, small.height) == (320, 240)
    p = np.array([[0.3, -0.2, 0.1]])
    np.testing.assert_allclose(small.project(p)[0] * 2, camera.project(p)[0])
    assert camera.fitted(10_000).width == 640


def test_pixel_centres_are_at_half() -> None:
    camera = look_at([1, 2, 3], [0, 0, 0], [0, 0, 1], fov_y=50, width=3, height=2)
    assert camera.pixel_grid().tolist() == [[0.5, 0.5], [1.5, 0.5], [2.5, 0.5], [0.5, 1.5], [1.5, 1.5], [2.5, 1.5]]


@given(points, points, st.floats(0.1, 20), st.floats(0, 64), st.floats(0, 48))
def test_unproject_undoes_project(eye: tuple, target: tuple, depth: float, x: float, y: float) -> None:
    if np.linalg.norm(np.subtract(eye, target)) < 1e-2:
        return
    camera = look_at(eye, target, [0, 0, 1], fov_y=60, width=64, height=48)
    pos_w = camera.unproject([[x, y]], [depth])
    px, z = camera.project(pos_w)
    np.testing.assert_allclose(px, [[x, y]], atol=1e-6)
    np.testing.assert_allclose(z, [depth], rtol=1e-9)
    o, d = camera.rays([[x, y]])
    np.testing.assert_allclose(np.linalg.norm(d, axis=1), 1)
    np.testing.assert_allclose(np.cross(pos_w - o, d), 0, atol=1e-8)


def test_arrays_are_read_only_and_checked() -> None:
    camera = Camera(np.eye(3), np.eye(4), 1, 1)
    with pytest.raises(ValueError, match="read-only"):
        camera.c2w[0, 0] = 2
    with pytest.raises(ValueError, match=r"\(4, 4\)"):
        Camera(np.eye(3), np.eye(3), 1, 1)
