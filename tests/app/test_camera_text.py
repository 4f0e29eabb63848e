"""Cameras through the clipboard: there and back, and nothing else gets in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fakes import room_views
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.camera_text import camera_text, read_camera
from app.window import Window
from engine.api.camera import look_at
from engine.api.errors import QueryError

PLACE = st.floats(-1e4, 1e4)


@given(eye=st.tuples(PLACE, PLACE, PLACE), ahead=st.tuples(*[st.floats(-1, 1)] * 3), fov=st.floats(10, 120))
def test_there_and_back(eye: tuple[float, ...], ahead: tuple[float, ...], fov: float) -> None:
    forward = np.array(ahead)
    if np.linalg.norm(np.cross(forward, [0, 0, 1])) < 0.1:
        return
    camera = look_at(eye, np.array(eye) + forward, [0, 0, 1], fov_y=fov, width=640, height=480)
    back = read_camera(camera_text(camera))
    np.testing.assert_allclose(back.c2w, camera.c2w, atol=1e-6)
    np.testing.assert_allclose(back.intrinsics, camera.intrinsics, rtol=1e-6)
    assert (back.width, back.height) == (640, 480)


def changed(**changes: Any) -> str:
    raw = json.loads(camera_text(room_views(1)[0].camera))
    return json.dumps({**raw, **changes})


MIRRORED = np.diag([-1.0, 1, 1, 1]).tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("hello", "Expecting value"),
        ("[1, 2]", "indices"),
        ("{}", "camera_to_world"),
        (changed(camera_to_world=[[1, 2], [3, 4]]), "4 x 4"),
        (changed(camera_to_world=[[1]]), "4 x 4"),
        (changed(camera_to_world=[[float("nan")] * 4] * 4), "finite"),
        (changed(camera_to_world=(2 * np.eye(4)).tolist()), "rotation"),
        (changed(camera_to_world=MIRRORED), "rotation"),
        (changed(fl_x=0), "focal"),
        (changed(w=10**9), "pixels"),
        (changed(h=None), "int"),
        (changed(w=float("inf")), "infinity"),
        ("[" * 9000, "recursion"),
        ("x" * 20_000, "20000 characters"),
    ],
)
def test_what_is_no_camera_is_refused_in_words(text: str, says: str) -> None:
    with pytest.raises(QueryError, match="clipboard holds no camera") as e:
        read_camera(text)
    assert says in e.value.text()


def test_copied_and_pasted_in_the_window(window: Window, qtbot: QtBot) -> None:
    window.canvas.go_to("top", fly=False)
    before = window.canvas.camera()
    window.actions_by_id["copy_camera"].trigger()
    assert json.loads(QApplication.clipboard().text())["w"] == before.width
    window.canvas.go_to("front", fly=False)
    assert np.linalg.norm(window.canvas.camera().centre_w - before.centre_w) > 0.5
    window.actions_by_id["paste_camera"].trigger()
    qtbot.waitUntil(lambda: np.allclose(window.canvas.camera().centre_w, before.centre_w, atol=1e-5), timeout=3_000)
    np.testing.assert_allclose(window.canvas.camera().forward_w, before.forward_w, atol=1e-5)
    QApplication.clipboard().setText("no camera")
    window.actions_by_id["paste_camera"].trigger()
    banner = window.controller.state.banner
    assert banner is not None
    assert banner.error
    assert banner.text == "The clipboard holds no camera"


def test_pasting_leaves_the_photo_that_was_looked_through(window: Window, qtbot: QtBot) -> None:
    window.actions_by_id["copy_camera"].trigger()
    window.controller.look_through(2)
    window.actions_by_id["paste_camera"].trigger()
    qtbot.waitUntil(lambda: window.controller.state.through is None, timeout=3_000)
