"""The canvas's native window: events of the window system reach it and go the way of every other widget's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, wait_ready
from fakes import FakeEngine
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.window import Window
from engine.api.requests import MatchQuery, OpenCapture

LEFT, NO_KEYS = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def spot(window: Window) -> QPoint:
    """Where there is a voxel and no camera before it."""
    window.controller.set_layer("frusta", visible=False)
    w, h = window.canvas.widget.width(), window.canvas.widget.height()
    for y in np.linspace(0.4, 0.7, 7) * h:
        for x in np.linspace(0.4, 0.6, 5) * w:
            if window.canvas.pick(float(x), float(y)) is not None:
                return QPoint(round(float(x)), round(float(y)))
    raise AssertionError("the room is not in sight")


def test_a_click_of_the_window_system_asks_and_takes_the_focus(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    before = len(engine.sent(MatchQuery))
    QTest.mouseClick(window.canvas.surface, LEFT, NO_KEYS, spot(window))
    qtbot.waitUntil(lambda: len(engine.sent(MatchQuery)) > before)
    qtbot.waitUntil(window.canvas.widget.hasFocus)


def test_shortcuts_work_after_a_click_on_the_canvas(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    QTest.mouseClick(window.canvas.surface, LEFT, NO_KEYS, spot(window))
    qtbot.waitUntil(lambda: window.controller.state.query is not None and window.isActiveWindow())
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: window.controller.state.query is None)


def test_a_drag_turns_the_camera(window: Window, qtbot: QtBot) -> None:
    before = window.canvas.camera().c2w.copy()
    surface, at = window.canvas.surface, spot(window)
    QTest.mousePress(surface, LEFT, NO_KEYS, at)
    for k in range(1, 6):
        QTest.mouseMove(surface, at + QPoint(12 * k, 0), 10)
    QTest.mouseRelease(surface, LEFT, NO_KEYS, at + QPoint(60, 0))
    qtbot.waitUntil(lambda: not np.allclose(window.canvas.camera().c2w, before))


def test_a_folder_dropped_on_the_canvas_is_opened(make_window: MakeWindow, qtbot: QtBot, tmp_path: Path) -> None:
    engine = FakeEngine(count=8)
    window = make_window(engine)
    wait_ready(window, qtbot)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, LEFT, NO_KEYS)
    QApplication.sendEvent(window.canvas.surface, enter)
    assert enter.isAccepted()
    drop = QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, LEFT, NO_KEYS)
    QApplication.sendEvent(window.canvas.surface, drop)
    assert engine.sent(OpenCapture)[-1].path == str(tmp_path)


def test_the_pointer_that_leaves_ends_the_hover(window: Window, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.canvas.hover_ended):
        QApplication.sendEvent(window.canvas.surface, QEvent(QEvent.Type.Leave))


@pytest.mark.parametrize("end", ["window.close()", "window.close(); window.deleteLater()", "window.deleteLater()", ""])
def test_the_program_ends_cleanly(end: str, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from PySide6.QtWidgets import QApplication
from fakes import FakeEngine
from app.settings import Settings
from app.window import Window
def main():
    app = QApplication([])
    window = Window(FakeEngine(count=4), Settings(Path({str(tmp_path / "s.ini")!r})), "room")
    window.show()
    while window.controller.state.voxel_features is None or window.canvas.renderer is None:
        app.processEvents()
    {end}
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
