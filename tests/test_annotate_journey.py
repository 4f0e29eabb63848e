"""A newcomer's road in the real window with the real engine: three classes, a chair by a click and a correction, a
carpet by a lasso in a photo, undo, redo, a rectangle over the scene, a line along the carpet, COCO; and all of it is
there when the capture is opened again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.__main__ import make_engine
from app.settings import Settings
from app.window import Window, demo_path
from engine.api.annotating import ExportAnnotations
from engine.api.requests import FitGrid
from engine.captures import open_capture
from engine.cli import View
from engine.grid.radiance import RadianceGrid

PATIENCE_MS = 120_000
FRAMES = 14
CHAIR, RUG = "lounge chair", "oriental rug"
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


def part_of_demo(folder: Path) -> Path:
    """The demo's first frames with depth and object ids."""
    demo, capture = demo_path(), folder / "room"
    told = json.loads((demo / "transforms.json").read_text())
    told["frames"] = told["frames"][:FRAMES]
    for frame in told["frames"]:
        for key in ("file_path", "depth_file_path", "object_file_path"):
            (capture / frame[key]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(demo / frame[key], capture / frame[key])
    (capture / "transforms.json").write_text(json.dumps(told))
    return capture


def object_ids(view: int, width: int, height: int) -> np.ndarray:
    """(h, w) ids of a photo of the demo."""
    with Image.open(demo_path() / "objects" / f"{view:03}.png") as image:
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


def true_ids(grid: RadianceGrid, folder: Path) -> np.ndarray:
    """(V,) id of the object that most photos show at each voxel, 0 where none does."""
    capture, centres_w = open_capture(folder), grid.centres_w()
    votes = np.zeros((len(centres_w), 256), np.int32)
    for view in capture.views:
        photo = capture.read(view.index, depth=True)
        assert photo.depth_z is not None
        px, z = photo.camera.project(centres_w)
        inside = photo.camera.contains(px) & (z > 0)
        column, row = np.where(inside[:, None], px, 0).astype(int).T
        seen = inside & (np.abs(photo.depth_z[row, column] - z) <= 1.5 * grid.spec.voxel)
        ids = object_ids(view.index, photo.camera.width, photo.camera.height)
        np.add.at(votes, (np.flatnonzero(seen), ids[row, column][seen]), 1)
    votes[:, 0] = 0
    return np.where(votes.any(axis=1), votes.argmax(axis=1), 0)


def iou(a: np.ndarray, b: np.ndarray, known: np.ndarray) -> float:
    return float((a & b & known).sum() / max(1, ((a | b) & known).sum()))


@pytest.mark.slow
def test_a_newcomer_labels_a_chair_and_a_carpet(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = part_of_demo(tmp_path)
    objects = {o["name"]: o["id"] for o in json.loads((demo_path() / "objects.json").read_text())}

    def opened() -> Window:
        engine = make_engine(View(device="cpu", cache=tmp_path / "cache"), spare_core=True)
        window = Window(engine, Settings(tmp_path / "window.ini"), str(folder))
        qtbot.addWidget(window)
        window.resize(1280, 820)
        window.controller.auto = False
        with qtbot.waitExposed(window):
            window.show()
        window.activateWindow()
        return window

    window = opened()
    c, desk, panel = window.controller, window.annotate.desk, window.annotate.panel

    def wait(what: object) -> None:
        def met() -> bool:
            banner = c.state.banner
            assert banner is None or not banner.error, banner.details
            assert callable(what)
            return bool(what())

        qtbot.waitUntil(met, timeout=PATIENCE_MS)

    def press(key: Qt.Key, held: Qt.KeyboardModifier = NONE) -> None:
        QTest.keyClick(window.windowHandle(), key, held)

    wait(lambda: c.state.scene is not None)
    c._start(FitGrid(seconds=10))
    wait(lambda: c.state.volume is not None and not any(j.live for j in c.state.jobs))
    c.encode()
    wait(lambda: c.state.voxel_features is not None and not any(j.live for j in c.state.jobs))

    # three classes, typed
    press(Qt.Key.Key_F4)
    assert panel.text.isVisible()
    for name in ("chair", "carpet", "lamp"):
        QTest.keyClicks(panel.field, name)
        QTest.keyClick(panel.field, Qt.Key.Key_Return)
    wait(lambda: len(panel.rows) == 3)
    window.canvas.widget.setFocus()
    press(Qt.Key.Key_A)
    wait(lambda: len(desk.state.photos) == FRAMES and not any(j.live for j in c.state.jobs))

    grid = window.bridge._engine._handler.scene.grid  # type: ignore[attr-defined]  # the truth is of its voxels
    ids = true_ids(grid, folder)
    chair, rug, known = ids == objects[CHAIR], ids == objects[RUG], ids > 0

    # a click in a large photo, and a correction at the middle of what is wrong
    c.select(4)
    press(Qt.Key.Key_Space)
    pane = window.images.pane
    wait(lambda: pane.isVisible() and pane.view == 4)
    qtbot.wait(200)  # the panel takes its new shape
    camera = pane.camera
    assert camera is not None

    def on_pane(px: np.ndarray) -> QPoint:
        rect = pane.photo_rect()
        scale = rect.width() / camera.width
        return QPoint(round(rect.left() + px[0] * scale), round(rect.top() + px[1] * scale))

    shown = desk.state.photos[4].rows
    visible = np.zeros(len(ids), bool)
    visible[shown[shown >= 0]] = True

    def click(rows: np.ndarray, held: Qt.KeyboardModifier = NONE) -> None:
        """In the middle of where the photo shows these voxels, as far from others as may be."""
        there = np.where(shown >= 0, rows[shown], False).astype(np.uint8)
        inside = cv2.distanceTransform(np.pad(there, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
        row, column = np.unravel_index(inside.argmax(), shown.shape)
        px = (np.array([column, row]) + 0.5) * camera.width / shown.shape[1]
        QTest.mouseClick(pane, LEFT, held, on_pane(px))

    click(chair)
    wait(lambda: desk.state.selection is not None)
    chosen = np.zeros(len(ids), bool)
    chosen[desk.state.selection.rows] = True
    first = iou(chosen, chair, known)
    missing, extra = chair & ~chosen & visible, chosen & ~chair & known & visible
    before = desk.state.selection
    if missing.sum() >= extra.sum():
        click(missing, SHIFT)
    else:
        click(extra, CTRL)
    wait(lambda: desk.state.selection is not before and not desk.state.waiting)
    press(Qt.Key.Key_1)
    wait(lambda: desk.state.marks.labelled > 0)
    second = iou(desk.state.marks.labels == 1, chair, known)
    print(f"\nchair: IoU {first:.3f} after one click, {second:.3f} after a correction")
    assert first > 0.4
    assert second > 0.4
    assert desk.state.selection is None

    # a lasso around the carpet where the photo shows it
    press(Qt.Key.Key_2)
    press(Qt.Key.Key_L, SHIFT)
    mask = (object_ids(4, camera.width, camera.height) == objects[RUG]).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)[:, 0]
    mask = cv2.fillPoly(np.zeros_like(mask), [outline], 1)  # a table stands on it and divides it
    path = [on_pane(p) for p in outline[:: max(1, len(outline) // 80)]]
    labelled = desk.state.marks.labelled
    QTest.mousePress(pane, LEFT, NONE, path[0])
    for at in path[1:]:
        QTest.mouseMove(pane, at)
    QTest.mouseRelease(pane, LEFT, NONE, path[-1])
    wait(lambda: desk.state.marks.labelled > labelled)
    carpet = desk.state.marks.labels == 2
    inside = np.zeros(len(ids), bool)
    inside[np.unique(shown[cv2.resize(mask, shown.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0])] = True
    share = float((carpet & rug).sum() / max(1, carpet.sum()))
    covered = float((carpet & inside & rug).sum() / max(1, (inside & rug).sum()))
    print(f"carpet: {share:.3f} of what the lasso labelled is carpet, it labelled {covered:.3f} of what it goes around")
    assert share > 0.6
    assert covered > 0.6

    # one step each way
    after = desk.state.marks.labels.copy()
    press(Qt.Key.Key_Z, CTRL)
    wait(lambda: not (desk.state.marks.labels == 2).any())
    assert desk.state.marks.labelled == labelled
    press(Qt.Key.Key_Z, CTRL | SHIFT)
    wait(lambda: np.array_equal(desk.state.marks.labels, after))

    # a rectangle over the scene takes what shows there, and no more than that
    press(Qt.Key.Key_R, SHIFT)
    canvas = window.canvas
    corners = [QPoint(round(canvas.widget.width() * f), round(canvas.widget.height() * f)) for f in (0.4, 0.6)]
    QTest.mousePress(canvas.widget, LEFT, SHIFT, corners[0])
    QTest.mouseMove(canvas.widget, corners[1])
    QTest.mouseRelease(canvas.widget, LEFT, SHIFT, corners[1])
    wait(lambda: desk.state.selection is not None and not desk.state.waiting)
    px, z = canvas.camera().project(grid.centres_w()[desk.state.selection.rows])
    hits = [canvas.pick(*p) for p in px[::50].tolist()]
    found = np.array([(np.nan,) * 3 if h is None else h for h in hits])
    near = np.abs(canvas.camera().to_camera(found)[:, 2] - z[::50]) <= 3 * grid.spec.voxel
    print(f"rectangle: {len(px)} voxels, {near.mean():.3f} of them where a click there hits the scene")
    assert near.mean() > 0.8
    press(Qt.Key.Key_Escape)

    # a line between two places of the carpet that the photo shows
    press(Qt.Key.Key_P, SHIFT)
    for at in (path[0], path[len(path) // 2]):
        before = len(desk.state.draft)
        QTest.mouseClick(pane, LEFT, NONE, at)
        wait(lambda b=before: len(desk.state.draft) == b + 1)
    press(Qt.Key.Key_Return)
    wait(lambda: len(desk.state.marks.things.polylines) == 1)
    line = desk.state.marks.things.polylines[0]
    assert line.name == "carpet 1"

    # out to COCO
    out = tmp_path / "room.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(out), args[3].split(";;")[0]))
    press(Qt.Key.Key_E, CTRL | Qt.KeyboardModifier.AltModifier)
    wait(lambda: any(j.title == ExportAnnotations.title and j.status == "finished" for j in c.state.jobs))
    told = json.loads(out.read_text())
    assert [x["name"] for x in told["categories"]] == ["chair", "carpet", "lamp"]
    assert len(told["images"]) == FRAMES
    assert {x["category_id"] for x in told["annotations"]} == {1, 2}
    window.close()

    # the labels are back without having been asked for
    window = opened()
    c, desk = window.controller, window.annotate.desk
    wait(lambda: c.state.scene is not None)
    c.fit()
    c.encode()
    wait(lambda: desk.state.marks is not None)
    np.testing.assert_array_equal(desk.state.marks.labels, after)
    assert desk.state.marks.things.polylines == (line,)
    assert c.state.undoable == 6  # three classes, a chair, a carpet, a line
    window.close()
