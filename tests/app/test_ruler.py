"""The ruler: lengths by hand, and by real clicks and keys."""

from __future__ import annotations

import pytest
from driving import MakeWindow, wait_ready
from fakes import FakeEngine
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot

from app.ruler import MOST, Ruler
from engine.api.requests import HoverQuery, MatchQuery


def test_lengths_by_hand() -> None:
    ruler = Ruler(on=True)
    assert "Click two points" in ruler.text()
    ruler = ruler.with_point((0.0, 0.0, 0.0))
    assert ruler.lengths == ()
    ruler = ruler.with_point((3.0, 4.0, 0.0)).with_point((3.0, 4.0, 1.5))
    assert ruler.lengths == (5.0, 1.5)
    assert ruler.text() == "5 + 1.5 = 6.5 units"
    metric = ruler.calibrated(3.0, "m")
    assert metric.text() == "10 + 3 = 13 m"
    assert metric.calibrated(1.5, "m").lengths == pytest.approx((5, 1.5))  # it can be said anew
    assert metric.without_last().text() == "10 m"
    for nonsense in (0.0, -1.0, float("nan"), float("inf")):
        assert ruler.calibrated(nonsense, "m") is ruler
    assert Ruler().calibrated(1.0, "m") == Ruler()
    assert ruler.with_point((3.0, 4.0, 1.5)).calibrated(1.0, "m").scale == 1.0  # the last stretch has no length
    for _ in range(MOST + 5):
        ruler = ruler.with_point((0.0, 0.0, 0.0))
    assert len(ruler.points_w) == MOST


def test_by_clicks_and_keys(make_window: MakeWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(count=4)
    window = make_window(engine)
    wait_ready(window, qtbot)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.controller.set_layer("frusta", visible=False)
    window.canvas.go_to("top", fly=False)

    def press(key: Qt.Key) -> None:
        QTest.keyClick(window.windowHandle(), key)

    press(Qt.Key.Key_M)
    bar = window.ruler_bar
    assert bar.isVisible()
    window.canvas.screenshot()
    camera = window.canvas.camera()
    spots = [QPoint(camera.width // 2 + dx, camera.height // 2) for dx in (-60, 60, 0)]
    for spot in spots:
        QTest.mouseMove(window.canvas.surface, spot)
        QTest.mouseClick(window.canvas.surface, Qt.MouseButton.LeftButton, pos=spot)
    ruler = window.controller.state.ruler
    assert len(ruler.points_w) == 3
    assert ruler.lengths[0] > 0
    assert bar.text.text() == ruler.text()
    assert not any(isinstance(r, MatchQuery | HoverQuery) for r in engine.requests)
    press(Qt.Key.Key_Backspace)
    assert len(window.controller.state.ruler.points_w) == 2
    window.controller.history.undo()
    assert len(window.controller.state.ruler.points_w) == 3
    window.controller.history.redo()
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("2,5 m", True))
    bar.true.click()
    assert bar.text.text() == "2.5 m"
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("long", True))
    bar.true.click()
    assert "no length" in bar.text.text()
    bar.copy.click()
    assert "long" in QGuiApplication.clipboard().text()
    press(Qt.Key.Key_Escape)
    assert not bar.isVisible()
    assert window.controller.state.ruler.points_w == ()
    assert window.controller.state.ruler.unit == "m"  # what was said stays for the next time
    QTest.mouseClick(window.canvas.surface, Qt.MouseButton.LeftButton, pos=spots[0])
    qtbot.waitUntil(lambda: any(isinstance(r, MatchQuery) for r in engine.requests), timeout=3_000)
