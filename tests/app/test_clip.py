"""The clip box: its faces, what it hides from eye and pointer, undo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from driving import MakeWindow, wait_ready
from fakes import ROOM_HI, ROOM_LO, FakeEngine, room_volume
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from test_picking import picker_of

from app.canvas import under
from app.clip import LEAST, Box, Clip
from app.window import Window
from engine.api.camera import look_at

BOUNDS_W = np.array([[0.0, 0, 0], [4, 2, 1]])


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.floats(-1, 2)), max_size=8))
def test_faces_never_meet(moves: list[tuple[int, bool, float]]) -> None:
    clip = Clip(on=True)
    for axis, upper, share in moves:
        clip = clip.moved(axis, upper, share)
        lo, hi = np.array(clip.lo), np.array(clip.hi)
        assert (lo >= 0).all()
        assert (hi <= 1).all()
        assert (hi - lo >= LEAST - 1e-9).all()


def test_a_face_at_the_end_hides_nothing() -> None:
    assert Clip(on=True).box_w(BOUNDS_W) is None
    half = Clip(True, hi=(0.5, 1.0, 1.0))
    assert replace(half, on=False).box_w(BOUNDS_W) is None
    box = half.box_w(BOUNDS_W)
    assert box == Box((-np.inf, -np.inf, -np.inf), (2.0, np.inf, np.inf))
    assert box.holds(np.array([[1.9, -50, 50], [2.1, 0, 0]])).tolist() == [True, False]
    start, end = box.edges_w(BOUNDS_W)
    assert len(start) == 12
    assert np.abs(end - start).sum(axis=1).tolist() == [2] * 4 + [2] * 4 + [1] * 4
    assert np.concatenate([start, end]).max(axis=0).tolist() == [2, 2, 1]


def test_the_pointer_does_not_meet_what_is_hidden() -> None:
    volume = room_volume(0.05)
    picker = picker_of(volume)
    middle = (np.array(ROOM_LO) + ROOM_HI) / 2
    above = look_at([middle[0], middle[1] - 0.01, 9.0], middle, [0, 1, 0], fov_y=40, width=64, height=48)
    top = picker.surface(above, (32.0, 24.0), cutaway=False)
    assert top is not None
    cut = Box((-np.inf, -np.inf, -np.inf), (np.inf, np.inf, float(top[2]) - 0.3))
    below = picker.surface(above, (32.0, 24.0), cutaway=False, clip=cut)
    assert below is not None
    assert below[2] <= cut.hi_w[2] + 1e-6
    nothing = Box((-np.inf, -np.inf, 50.0), (np.inf, np.inf, np.inf))
    assert picker.surface(above, (32.0, 24.0), cutaway=False, clip=nothing) is None


@pytest.fixture
def standing(make_window: MakeWindow, qtbot: QtBot) -> Window:
    window = make_window(FakeEngine(count=4))
    wait_ready(window, qtbot)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def test_by_key_and_sliders_in_the_window(standing: Window, qtbot: QtBot) -> None:
    window, controls = standing, standing.layers.clip
    window.controller.set_layer("frusta", visible=False)
    window.controller.set_layer("grid", visible=False)
    window.canvas.go_to("top", fly=False)
    whole = window.canvas.screenshot().astype(int)
    assert not controls.faces.isVisible()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_X, Qt.KeyboardModifier.ShiftModifier)
    assert controls.faces.isVisible()
    assert np.abs(window.canvas.screenshot() - whole).max() <= 2  # it hides nothing yet
    controls.sliders[0, True].setValue(60)
    cut = window.canvas.screenshot().astype(int)
    changed = np.abs(cut - whole).max(axis=2) > 24
    assert changed.mean() > 0.05
    camera, view, renderer = window.canvas.camera(), window.canvas.view, window.canvas.renderer
    assert view is not None
    assert renderer is not None
    assert view.volume.clip is not None
    seen = [under.surface(view, renderer, camera, (x, y)) for x in range(20, camera.width, 40) for y in (200, 300, 400)]
    hits = np.array([hit for hit in seen if hit is not None])
    assert len(hits) > 5
    assert hits[:, 0].max() <= view.volume.clip.hi_w[0] + 1e-6
    qtbot.wait(900)  # what follows at once is one drag
    controls.reset_button.click()
    assert np.abs(window.canvas.screenshot() - whole).max() <= 2
    window.controller.history.undo()
    assert window.controller.state.clip.hi[0] == pytest.approx(0.3)
    window.controller.history.undo()
    window.controller.history.undo()
    assert not window.controller.state.clip.on


def test_keypoints_and_points_outside_are_hidden(standing: Window, qtbot: QtBot) -> None:
    window = standing
    window.controller.toggle_layer("keypoints")
    window.controller.toggle_layer("points")
    qtbot.waitUntil(lambda: window.controller.state.keypoints is not None, timeout=5_000)
    window.canvas.screenshot()
    renderer = window.canvas.renderer
    assert renderer is not None
    assert renderer.points.pos_w is not None
    before = len(renderer.points.pos_w)
    window.controller.set(clip=Clip(True, hi=(0.4, 1.0, 1.0)))
    window.canvas.screenshot()
    view = window.canvas.view
    assert view is not None
    assert view.volume.clip is not None
    assert 0 < len(renderer.points.pos_w) < before
    assert view.volume.clip.holds(renderer.points.pos_w).all()
    found = view.keypoints.found
    assert found is not None
    camera = window.canvas.camera()
    hidden = found.pos_w[~view.volume.clip.holds(found.pos_w)][:40]
    for px in camera.project(hidden.astype(np.float64))[0]:
        row = under.keypoint(view, renderer, camera, (px[0], px[1]), None)
        assert row is None or view.volume.clip.holds(found.pos_w[row : row + 1]).all()
