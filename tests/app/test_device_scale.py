"""Clicks and pixels agree at every device scale, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, tempfile
from pathlib import Path
sys.path.insert(0, {folder!r})
import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
app = QApplication([])
from fakes import FakeEngine, room_views
from app.settings import Settings
from app.window import Window
from engine.api.requests import (MatchQuery)
engine = FakeEngine(count=8)
window = Window(engine, Settings(Path(tempfile.mkdtemp()) / "s.ini"), "room")
for dock in window.docks.values():
    dock.hide()
window.resize(700, 480)
window.show()
def until(done):
    for _ in range(2000):
        app.processEvents()
        if done():
            return
        QTest.qWait(5)
    raise SystemExit("timed out")
until(lambda: window.canvas.renderer is not None and window.canvas.renderer.volume.ready)
ratio = window.canvas.widget.devicePixelRatioF()
assert abs(ratio - {scale}) < 1e-6, ratio
for name in ("frusta", "grid", "matches"):
    window.controller.set_layer(name, visible=False)
window.canvas.go_to("home", fly=False)
image = window.canvas.screenshot()
w, h = window.canvas.widget.width(), window.canvas.widget.height()
assert abs(image.shape[1] - w * ratio) <= 1 and abs(image.shape[0] - h * ratio) <= 1, (image.shape, w, h)
target = np.array([[1.35, 0.7, 0.75]])  # top of the red box
at = window.canvas.camera().project(target)[0][0]
pixel = image[int(at[1] * ratio), int(at[0] * ratio)].astype(int)
assert pixel[0] > pixel[1] + 50 and pixel[0] > pixel[2] + 50, pixel
QTest.mouseClick(window.canvas.widget, Qt.MouseButton.LeftButton, pos=QPoint(*np.round(at).astype(int).tolist()))
source = engine.sent(MatchQuery)[-1].source
assert np.abs(np.array(source.pos_w) - target[0]).max() < 0.09, source
window.close()
print("ok")
"""


@pytest.mark.parametrize("scale", ["1", "1.25", "1.5", "2"])
def test_clicks_and_pixels_agree(scale: str, qapp: object) -> None:
    code = SCRIPT.format(folder=str(Path(__file__).parent), scale=scale)
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "QT_SCALE_FACTOR": scale},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert out.stdout.strip().endswith("ok"), out.stderr[-2000:]
