"""Ask, adjust, click a keypoint, inspect, undo, save, reopen: real window, engine, weights and demo, real events."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.edits import edits_of
from app.window import Window, demo_path
from engine.api.requests import FitGrid, PointSource
from tests.test_journey import PATIENCE_MS, open_window, wait_settled

CONTROL, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier


def press(window: Window, key: Qt.Key, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(window.windowHandle(), key, modifiers)


def picture(window: Window, qtbot: QtBot) -> NDArray[np.uint8]:
    """The canvas once every answer is on it and nothing moves."""

    def still() -> bool:
        s, r = window.controller.state, window.canvas.renderer
        assert s.banner is None or not s.banner.error, s.banner.details
        asked = not s.prompts or (s.prompted is not None and s.prompted.reply.id == s.prompt_query)
        return asked and r is not None and not r.busy and (s.query is None or s.answered)

    qtbot.waitUntil(still, timeout=60_000)
    qtbot.wait(800)
    qtbot.waitUntil(still, timeout=60_000)
    return window.canvas.screenshot()


def active(window: Window, qtbot: QtBot) -> None:
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=10_000)


@pytest.mark.slow
def test_ask_adjust_inspect_undo_save_and_reopen(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = open_window(qtbot, demo_path(), tmp_path)
    c = window.controller
    c.auto = False
    qtbot.waitUntil(lambda: c.state.scene is not None, timeout=PATIENCE_MS)
    c._start(FitGrid(seconds=10))
    c.encode()
    qtbot.waitUntil(lambda: c.state.volume is not None, timeout=PATIENCE_MS)
    wait_settled(window, qtbot)
    active(window, qtbot)

    press(window, Qt.Key.Key_F, CONTROL)
    qtbot.waitUntil(window.ask_bar.field.hasFocus, timeout=5_000)
    QTest.keyClicks(window.ask_bar.field, "couch")
    qtbot.waitUntil(lambda: c.state.named is not None and not any(j.live for j in c.state.jobs), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: c.state.prompted is not None, timeout=10_000)  # as it is typed
    QTest.keyClick(window.ask_bar.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: [p.text for p in c.state.prompts] == ["couch"], timeout=5_000)
    lit = picture(window, qtbot)
    answer = c.state.prompted
    assert answer is not None
    found = answer.by_text["couch"]
    assert found.within
    assert found.best > 0.3
    assert found.regions

    slider = window.ask_bar.chips[0].slider
    slider.setValue(90)
    dimmed = picture(window, qtbot)
    assert (np.abs(lit.astype(int) - dimmed).max(axis=2) > 24).mean() > 0.001
    press_escape = window.ask_bar.field
    QTest.keyClick(press_escape, Qt.Key.Key_Escape)
    press(window, Qt.Key.Key_K)
    qtbot.waitUntil(lambda: c.state.keypoints is not None, timeout=PATIENCE_MS)
    press(window, Qt.Key.Key_C)  # no cameras under the pointer
    picture(window, qtbot)
    camera = window.canvas.camera()
    assert c.state.keypoints is not None
    px, depth = camera.project(c.state.keypoints.pos_w.astype(np.float64))
    inside = (px > 60).all(axis=1) & (px[:, 0] < camera.width - 60) & (px[:, 1] < camera.height - 60) & (depth > 0)
    spot = next(p for p in px[inside] if window.canvas.pick(float(p[0]), float(p[1])) is not None)
    QTest.mouseClick(window.canvas.widget, Qt.MouseButton.LeftButton, pos=QPoint(round(spot[0]), round(spot[1])))
    qtbot.waitUntil(lambda: c.state.query is not None and c.state.answered, timeout=20_000)
    assert isinstance(c.state.query.source if c.state.query else None, PointSource)

    press(window, Qt.Key.Key_4, CONTROL)  # agreement
    qtbot.waitUntil(lambda: len(c.state.compared) > 0, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not any(j.live for j in c.state.jobs), timeout=PATIENCE_MS)
    assert c.state.panel_mode == "agreement"

    press(window, Qt.Key.Key_Z, CONTROL)
    assert c.state.panel_mode == "photo"
    press(window, Qt.Key.Key_Z, CONTROL)
    assert c.state.query is None
    shown, edits = picture(window, qtbot), edits_of(c.state)

    file = tmp_path / "mine.condense"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file), ""))
    press(window, Qt.Key.Key_S, CONTROL | ALT)
    qtbot.waitUntil(file.exists, timeout=5_000)
    window.close()

    again = open_window(qtbot, file, tmp_path)
    again.controller.auto = True
    qtbot.waitUntil(lambda: again.controller.state.scene is not None, timeout=PATIENCE_MS)
    wait_settled(again, qtbot)
    qtbot.waitUntil(lambda: again.controller.state.prompted is not None, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: again.controller.state.keypoints is not None, timeout=PATIENCE_MS)
    reopened = picture(again, qtbot)
    assert edits_of(again.controller.state) == edits
    assert shown.shape[0] == reopened.shape[0]
    width = min(shown.shape[1], reopened.shape[1])  # docks may come back some pixels wider or narrower
    assert width > 0.97 * max(shown.shape[1], reopened.shape[1])
    a, b = (x[:, (x.shape[1] - width) // 2 :][:, :width].astype(int) for x in (shown, reopened))
    assert (np.abs(a - b).max(axis=2) > 24).mean() < 0.02
    again.close()
