"""The whole road in the real window with the real engine: open, fit, encode, click in a photo and in the scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.__main__ import make_engine
from app.settings import Settings
from app.window import Window
from engine.api.requests import FitGrid, PixelSource, PointSource
from engine.captures import open_capture
from engine.captures.export_colmap import export_colmap
from engine.cli import View
from tests.conftest import write_tiny_capture

PATIENCE_MS = 120_000


def open_window(qtbot: QtBot, capture: Path, folder: Path) -> Window:
    engine = make_engine(View(device="cpu", cache=folder / "cache"), spare_core=True)
    window = Window(engine, Settings(folder / "window.ini"), str(capture))
    qtbot.addWidget(window)
    window.resize(1180, 760)
    with qtbot.waitExposed(window):
        window.show()
    return window


def wait_settled(window: Window, qtbot: QtBot) -> None:
    def settled() -> bool:
        s = window.controller.state
        assert s.banner is None or not s.banner.error, s.banner.details
        return s.voxel_features is not None and not any(j.live for j in s.jobs)

    qtbot.waitUntil(settled, timeout=PATIENCE_MS)


@pytest.mark.parametrize("layout", ["nerfstudio", "colmap"])
def test_open_fit_encode_click(qtbot: QtBot, tmp_path: Path, layout: str) -> None:
    capture = write_tiny_capture(tmp_path / "tiny")
    if layout == "colmap":
        export_colmap(open_capture(capture), tmp_path / "colmap")
        capture = tmp_path / "colmap"
    window = open_window(qtbot, capture, tmp_path)
    window.controller.auto = False
    qtbot.waitUntil(lambda: window.controller.state.scene is not None, timeout=PATIENCE_MS)
    # the encoding takes its turns within these seconds; without depth a scene of fog cannot be clicked
    window.controller._start(FitGrid(seconds=5 if layout == "nerfstudio" else 20))
    window.controller.encode()
    qtbot.waitUntil(lambda: window.controller.state.volume is not None, timeout=PATIENCE_MS)
    wait_settled(window, qtbot)
    window.controller.set_layer("frusta", visible=False)

    grid = window.images.grid
    grid.scroll_to(0)
    rect = grid.cell_rect(0)
    assert rect is not None
    at = QPoint(round(rect.x() + rect.width() / 2), round(rect.y() + rect.height() * 0.55))
    QTest.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert window.controller.state.query is not None  # the pending mark is there at once
    qtbot.waitUntil(lambda: window.controller.state.pinned is not None, timeout=20_000)
    pinned = window.controller.state.pinned
    assert pinned is not None
    source = pinned.reply.source
    assert isinstance(source, PixelSource)
    assert source.x == pytest.approx(48, abs=1)
    assert len(pinned.reply.matches) == 7
    assert sorted(pinned.reply.view_heat) == list(range(8))
    assert pinned.reply.voxel_heat is not None
    if layout == "nerfstudio":  # with depth the surface is there after seconds, so the truth is known
        assert any(m.true_px is not None for m in pinned.reply.matches)

    spot = next(
        (x, y)
        for y in np.linspace(0.4, 0.7, 7) * window.canvas.widget.height()
        for x in np.linspace(0.4, 0.6, 5) * window.canvas.widget.width()
        if window.canvas.pick(float(x), float(y)) is not None
    )
    QTest.mouseClick(window.canvas.widget, Qt.MouseButton.LeftButton, pos=QPoint(round(spot[0]), round(spot[1])))
    qtbot.waitUntil(
        lambda: (p := window.controller.state.pinned) is not None and isinstance(p.reply.source, PointSource),
        timeout=20_000,
    )
    answer = window.controller.state.pinned
    assert answer is not None
    assert len(answer.reply.matches) == 8
    window.close()
    assert not window.bridge._engine._thread.is_alive()  # type: ignore[attr-defined]


def test_a_broken_capture_leaves_the_window_alive(qtbot: QtBot, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "transforms.json").write_text('{"frames": [')
    window = open_window(qtbot, broken, tmp_path)
    qtbot.waitUntil(lambda: window.controller.state.banner is not None, timeout=PATIENCE_MS)
    banner = window.controller.state.banner
    assert banner is not None
    assert banner.error
    assert "transforms.json" in banner.details
    window.controller.open(str(write_tiny_capture(tmp_path / "tiny")))
    qtbot.waitUntil(lambda: window.controller.state.scene is not None, timeout=PATIENCE_MS)
    window.close()


def test_bare_geometry_is_photographed_and_opened(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = trimesh.creation.box((2, 1, 1))
    colours = np.repeat([[200, 60, 40, 255], [40, 90, 200, 255]], 6, axis=0)
    box.visual = trimesh.visual.ColorVisuals(box, face_colors=colours)
    box.export(tmp_path / "box.ply")
    window = open_window(qtbot, tmp_path / "box.ply", tmp_path)
    window.controller.auto = False
    qtbot.waitUntil(lambda: window.controller.state.scene is not None, timeout=PATIENCE_MS)
    banner = window.controller.state.banner
    assert banner is not None
    assert "bare geometry" in banner.text
    action = window.actions_by_id["photograph"]
    assert action.isEnabled()
    folder = tmp_path / "box-photos"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(folder), ""))
    action.trigger()
    qtbot.waitUntil(
        lambda: (s := window.controller.state.scene) is not None and s.path == str(folder), timeout=PATIENCE_MS
    )
    scene = window.controller.state.scene
    assert scene is not None
    assert len(scene.views) > 8
    assert not action.isEnabled()
    window.close()
