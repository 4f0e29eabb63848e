"""Light against closed forms, and the cells that carry it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.training.rooms import shapes
from engine.training.rooms.cells import SurfaceCells, tangents
from engine.training.rooms.light import BallLight, RectLight, Sun, direct, gather
from engine.training.rooms.scene import Room, RoomScene

UP = np.array([0, 0, 1], np.float32)


def floor_scene() -> tuple[RoomScene, SurfaceCells]:
    """A 4 x 4 floor and one cell at the origin."""
    room = Room()
    room.add(
        shapes.quad([-2, -2, 0], [4, 0, 0], [0, 4, 0], shapes.paint("f", 0.5, 0.5, 0.5)),
        "f",
        "f",
        creator="",
        licence="",
    )
    cells = SurfaceCells(np.array([[-2, -2, 0], [2, 2, 0]], np.float32), 0.1)
    cells.add(np.zeros((1, 3), np.float32), UP[None])
    return RoomScene(room), cells


def test_ball_light_follows_the_inverse_square() -> None:
    scene, cells = floor_scene()
    light = BallLight(np.array([0, 0, 2], np.float32), 0.01, np.full(3, 8.0, np.float32))
    e = direct(scene, [light], cells, np.random.default_rng(0))
    np.testing.assert_allclose(e[0], 8 / 4, rtol=0.01)


def test_sun_follows_the_cosine() -> None:
    scene, cells = floor_scene()
    light = Sun(np.array([1, 0, 1], np.float32), np.full(3, 2.0, np.float32))
    np.testing.assert_allclose(direct(scene, [light], cells, np.random.default_rng(0))[0], np.sqrt(2), rtol=1e-3)


def test_rect_light_agrees_with_its_form_factor() -> None:
    """A square of side 2 parallel to the receiver at distance 1, centred: E = L * 4 * integral over a quarter."""
    scene, cells = floor_scene()
    light = RectLight(*(np.array(a, np.float32) for a in ([-1, -1, 1], [0, 2, 0], [2, 0, 0], [1, 1, 1])), grid=(24, 24))
    a = 1 / np.sqrt(2)  # Siegel & Howell: factor of a rectangle a x b at distance c, seen from under its corner
    quarter = (a * np.arctan(a) + a * np.arctan(a)) / (2 * np.pi)
    expected = np.pi * 4 * quarter
    np.testing.assert_allclose(direct(scene, [light], cells, np.random.default_rng(0))[0], expected, rtol=0.01)
    upward = RectLight(light.corner, light.v, light.u, light.radiance)
    assert not direct(scene, [upward], cells, np.random.default_rng(0)).any()


def test_gather_in_a_closed_box_returns_albedo_times_light() -> None:
    """The white furnace: where every surface sends the same, what arrives is the same times the reflectance."""
    room = Room()
    grey = shapes.paint("grey", 0.6, 0.6, 0.6)
    room.add(shapes.box([-1, -1, -1], [1, 1, 1], grey), "box", "box", creator="", licence="")
    scene = RoomScene(room)
    cells = SurfaceCells(scene.bounds(), 0.25)
    rng = np.random.default_rng(0)
    d = rng.normal(size=(4000, 3)).astype(np.float32)
    hits = scene.cast(np.zeros_like(d), d)
    cells.add(hits.pos, hits.normal)
    arriving = gather(scene, cells, np.full((len(cells.pos), 3), 2.0, np.float32), 64, rng)
    np.testing.assert_allclose(arriving, 2 * float(grey.albedo[0]), rtol=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 99))
def test_cells_do_not_depend_on_how_points_arrive(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    pos = rng.random((100, 3)).astype(np.float32)
    normal = rng.normal(size=(100, 3)).astype(np.float32)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    bounds = np.array([[0, 0, 0], [1, 1, 1]], np.float32)
    whole, split = SurfaceCells(bounds, 0.2), SurfaceCells(bounds, 0.2)
    whole.add(pos, normal)
    split.add(pos[:cut], normal[:cut])
    split.add(pos[cut:], normal[cut:])
    np.testing.assert_array_equal(whole.pos, split.pos)
    np.testing.assert_array_equal(whole.normal, split.normal)
    constant = np.full((len(whole.pos), 3), 0.7, np.float32)
    np.testing.assert_allclose(whole.lookup(constant, pos, normal), 0.7, rtol=1e-5)
    np.testing.assert_allclose(whole.smoothed(constant, 2), 0.7, rtol=1e-5)


def test_lookup_interpolates_along_a_plane() -> None:
    g = np.arange(0.05, 2, 0.1)
    x, y = (a.ravel() for a in np.meshgrid(g, g))
    pos = np.stack([x, y, np.zeros_like(x)], axis=1).astype(np.float32)
    cells = SurfaceCells(np.array([[0, 0, 0], [2, 2, 0]], np.float32), 0.1)
    cells.add(pos, np.tile(UP, (len(pos), 1)))
    values = np.repeat(3 * cells.pos[:, :1] - cells.pos[:, 1:2], 3, axis=1)
    at = np.random.default_rng(0).uniform(0.2, 1.8, (200, 3)).astype(np.float32) * [1, 1, 0]
    found = cells.lookup(values, at.astype(np.float32), np.tile(UP, (200, 1)))
    np.testing.assert_allclose(found[:, 0], 3 * at[:, 0] - at[:, 1], atol=0.12)


def test_lookup_ignores_the_other_side_of_a_wall() -> None:
    cells = SurfaceCells(np.array([[0, 0, 0], [1, 1, 1]], np.float32), 0.1)
    pos = np.full((2, 3), 0.55, np.float32)
    cells.add(pos, np.stack([UP, -UP]))
    values = np.array([[1, 1, 1], [5, 5, 5]], np.float32)
    np.testing.assert_allclose(cells.lookup(values, pos, np.stack([UP, -UP]))[:, 0], [1, 5])


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_tangents_complete_a_frame(v: tuple[float, float, float]) -> None:
    n = (np.array(v) / np.linalg.norm(v)).astype(np.float32)
    t1, t2 = tangents(n[None])
    frame = np.stack([t1[0], t2[0], n])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(frame) == pytest.approx(1, abs=1e-4)
