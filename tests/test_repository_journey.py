"""The whole road in the real window with the real engine: a capture is added to a new repository, and a photo held out
of it is dropped, found, opened, flown to and laid over the scene."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QWidget
from pytestqt.qtbot import QtBot

from app.__main__ import make_engine
from app.settings import Settings
from app.window import Window, demo_path
from engine.api.requests import FitGrid
from engine.cli import View

PATIENCE_MS = 120_000
HELD_OUT = 4
FRAMES = 15
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def part_of_demo(folder: Path) -> tuple[Path, Path, np.ndarray]:
    """The demo's first frames but for one; that photo, and its pose (4, 4), camera-to-world with OpenCV axes."""
    demo = demo_path()
    transforms = json.loads((demo / "transforms.json").read_text())
    frames = transforms["frames"][:FRAMES]
    held = frames.pop(HELD_OUT)
    capture = folder / "room"
    for frame in frames:
        for name in (frame["file_path"], frame["depth_file_path"]):
            (capture / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(demo / name, capture / name)
    (capture / "transforms.json").write_text(json.dumps({**transforms, "frames": frames}))
    photo = folder / "holiday.jpg"
    shutil.copy(demo / held["file_path"], photo)
    return capture, photo, np.array(held["transform_matrix"]) @ np.diag([1.0, -1.0, -1.0, 1.0])


def drop(widget: QWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    QApplication.sendEvent(widget, QDragEnterEvent(QPoint(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE))
    QApplication.sendEvent(widget, QDropEvent(QPointF(60, 60), Qt.DropAction.CopyAction, data, LEFT, NONE))


@pytest.mark.slow
def test_a_photo_is_dropped_found_opened_flown_to_and_overlaid(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture, photo, truth = part_of_demo(tmp_path)
    engine = make_engine(View(device="cpu", cache=tmp_path / "cache"), spare_core=True)
    window = Window(engine, Settings(tmp_path / "window.ini"), str(capture))
    qtbot.addWidget(window)
    window.resize(1280, 820)
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()
    c, desk, panel = window.controller, window.repository.desk, window.repository.panel
    c.auto = False

    def wait(what: object) -> None:
        def met() -> bool:
            banner = c.state.banner
            assert banner is None or not banner.error, banner.details
            assert callable(what)
            return bool(what())

        qtbot.waitUntil(met, timeout=PATIENCE_MS)

    wait(lambda: c.state.scene is not None)
    c._start(FitGrid(seconds=5))
    c.encode()
    wait(lambda: c.state.voxel_features is not None and not any(j.live for j in c.state.jobs))

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "repository"))
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F7)
    QTest.mouseClick(panel.start.first, LEFT)  # New repository…
    wait(lambda: desk.state.scenes == () and panel.start.first.text() == "Add room")
    QTest.mouseClick(panel.start.first, LEFT)
    wait(lambda: desk.state.scenes and not any(j.live for j in c.state.jobs) and desk.state.thumbnails)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)  # close the capture
    assert c.state.scene is None

    drop(panel, photo)
    wait(lambda: desk.state.evidence and panel.answer.cards)
    card = panel.answer.cards[0]
    assert card.sure
    assert card.name.text() == "room"
    assert card.picture.isVisible()
    (evidence,) = desk.state.evidence.values()
    assert evidence.view
    assert np.isfinite(evidence.view_px[evidence.inliers]).all(axis=1).sum() >= 10
    QTest.mouseClick(card, LEFT, pos=QPoint(card.width() // 2, 16))
    wait(lambda: c.state.placed is not None and c.state.volume is not None and window.repository.bar.isVisible())
    wait(lambda: window.canvas.renderer is not None and window.canvas.renderer.volume.ready)
    qtbot.wait(700)  # the flight

    camera, scene = window.canvas.camera(), c.state.scene
    assert scene is not None
    extent = float(np.linalg.norm(scene.bounds_w[1] - scene.bounds_w[0]))
    assert np.linalg.norm(camera.centre_w - truth[:3, 3]) < 0.03 * extent
    turned = np.degrees(np.arccos(np.clip((np.trace(camera.c2w[:3, :3].T @ truth[:3, :3]) - 1) / 2, -1, 1)))
    assert turned < 2

    # at full opacity the canvas shows the photo itself, where it lies
    window.repository.bar.slider.setValue(100)
    shown = window.canvas.screenshot()[..., :3].astype(float)
    h, w = shown.shape[:2]
    side = 0.94 * min(w / 640, h / 480)  # as much of the canvas as a photo fills
    with Image.open(photo) as image:
        wanted = np.asarray(image.resize((round(640 * side), round(480 * side)))).astype(float)
    top, left = (h - wanted.shape[0]) // 2, (w - wanted.shape[1]) // 2
    assert np.abs(shown[top : top + wanted.shape[0], left : left + wanted.shape[1]] - wanted).mean() < 8
    window.repository.bar.slider.setValue(0)
    scene_alone = window.canvas.screenshot()[..., :3].astype(float)
    inside = scene_alone[top : top + wanted.shape[0], left : left + wanted.shape[1]]
    assert 2 < np.abs(inside - wanted).mean() < 40  # the scene from there looks like the photo, but is not it

    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
    assert c.state.placed is None
    noise = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)).save(noise)
    drop(panel, noise)
    wait(lambda: panel.answer.summary.text().startswith("Nothing found"))
    assert panel.answer.cards == []
    assert not any(p.name.startswith(("repository", "decisions")) for p in capture.iterdir())
    window.close()
