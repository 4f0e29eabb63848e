"""Sessions in the window: saved by keys, reopened in another window, the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, wait_ready
from fakes import FakeEngine
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.canvas.home import Orbit
from app.edits import edits_of
from app.window import Window

CONTROL, SHIFT, ALT = (
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.AltModifier,
)


def settled(window: Window, qtbot: QtBot) -> np.ndarray:
    """The picture once all answers are there and nothing moves."""

    def still() -> bool:
        s, r = window.controller.state, window.canvas.renderer
        asked = s.prompts == () or s.prompted is not None
        return asked and r is not None and not r.busy and (s.query is None or s.answered)

    qtbot.waitUntil(still, timeout=10_000)
    qtbot.wait(700)  # flights
    qtbot.waitUntil(still, timeout=10_000)
    return window.canvas.screenshot()


def test_saved_changed_and_reopened(
    make_window: MakeWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    capture = tmp_path / "room"
    capture.mkdir()
    window = make_window(FakeEngine(count=8), path=str(capture))
    wait_ready(window, qtbot)
    c = window.controller
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    c.prompts.enter("chair, -table")
    c.click_point((1.0, 1.0, 0.4))
    c.set_threshold(0.2)
    window.canvas.look_from(Orbit((2.0, 2.0, 1.0), 1.0, 0.6, 5.0))
    settled(window, qtbot)
    edits = edits_of(c.state)
    file = tmp_path / "mine.condense"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(file), ""))
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_S, CONTROL | ALT)
    qtbot.waitUntil(file.exists, timeout=3_000)

    again = make_window(FakeEngine(count=8))
    wait_ready(again, qtbot)
    again.activateWindow()
    qtbot.waitUntil(again.isActiveWindow)
    assert again.controller.state.prompts == ()
    QTest.keyClick(again.windowHandle(), Qt.Key.Key_O, CONTROL | ALT)
    qtbot.waitUntil(lambda: again.controller.state.prompts != (), timeout=10_000)
    wait_ready(again, qtbot)
    before, after = settled(window, qtbot), settled(again, qtbot)
    assert edits_of(again.controller.state) == edits
    assert again.controller.state.undoable == 0
    assert after.shape == before.shape
    difference = np.abs(after.astype(int) - before.astype(int)).max(axis=2)
    assert (difference > 24).mean() < 0.01


def test_undo_by_keys(make_window: MakeWindow, qtbot: QtBot) -> None:
    window = make_window(FakeEngine(count=8))
    wait_ready(window, qtbot)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_N)
    assert not window.controller.state.layers["grid"].visible
    assert window.actions_by_id["undo"].isEnabled()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Z, CONTROL)
    assert window.controller.state.layers["grid"].visible
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Z, CONTROL | SHIFT)
    assert not window.controller.state.layers["grid"].visible


def test_a_session_that_is_none_is_told(make_window: MakeWindow, qtbot: QtBot, tmp_path: Path) -> None:
    bad = tmp_path / "bad.condense"
    bad.write_text("{}")
    window = make_window(FakeEngine(count=8), path=str(bad))
    qtbot.waitUntil(lambda: window.controller.state.banner is not None, timeout=10_000)
    assert window.controller.state.opening is None
    assert "is no session" in str(window.controller.state.banner)
