"""Tasks in the real window with the real engine: class folders are learnt, a mistake is found in the matrix and opened;
scans are learnt, the open room is named by the head, kept as labels, and that is undone class by class."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from app.__main__ import make_engine
from app.annotate_state import Marks
from app.settings import Settings
from app.window import Window, demo_path
from engine.api.requests import FitGrid
from engine.cli import View
from engine.tasks import classify as classifying
from tests.engine.tasks.made import KINDS, class_folder
from tests.engine.tasks.made_scans import KINDS as KINDS_OF_POINTS
from tests.engine.tasks.made_scans import annotated

PATIENCE_MS = 120_000
FRAMES = 8
LEFT = Qt.MouseButton.LeftButton
Wait = Callable[[Callable[[], object]], None]


@pytest.fixture(autouse=True)
def few_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifying, "LEAST_VIEWS", 1)
    monkeypatch.setattr(classifying, "MOST_VIEWS", 1)
    monkeypatch.setattr(classifying, "TURNS", 1)


def opened(qtbot: QtBot, tmp_path: Path, capture: Path | None = None) -> tuple[Window, Wait]:
    engine = make_engine(View(device="cpu", cache=tmp_path / "cache"), spare_core=True)
    window = Window(engine, Settings(tmp_path / "window.ini"), None if capture is None else str(capture))
    qtbot.addWidget(window)
    window.resize(1280, 900)
    window.controller.auto = False
    with qtbot.waitExposed(window):
        window.show()
    window.activateWindow()

    def wait(what: Callable[[], object]) -> None:
        def met() -> bool:
            banner = window.controller.state.banner
            assert banner is None or not banner.error, banner.details
            return bool(what())

        qtbot.waitUntil(met, timeout=PATIENCE_MS)

    wait(lambda: window.controller.state.device is not None)
    return window, wait


def learn(window: Window, wait: Wait, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose a folder and one seed, and press the button."""
    setup, desk = window.tasks.panel.setup, window.tasks.desk
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(data))
    QTest.mouseClick(setup.data, LEFT)
    assert setup.data.text() == data.name
    setup.seeds.setFocus()
    setup.seeds.selectAll()
    QTest.keyClicks(setup.seeds, "1")
    QTest.keyClick(setup.seeds, Qt.Key.Key_Return)
    assert desk.state.setup.seeds == 1
    QTest.mouseClick(setup.run, LEFT)
    assert setup.stop.isVisible()
    wait(lambda: desk.state.learnt is not None and not desk.state.learnt.live)
    learnt = desk.state.learnt
    assert learnt is not None
    assert learnt.ending == "finished", learnt.error


def test_objects_are_learnt_and_what_was_tested_is_opened(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, wait = opened(qtbot, tmp_path)
    panel, desk, c = window.tasks.panel, window.tasks.desk, window.controller
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F3)
    assert panel.setup.hint.isVisible()  # says what to do
    assert not panel.setup.run.isEnabled()

    QTest.keyClicks(panel.setup.labels.lineEdit(), "x")
    QTest.keyClick(panel.setup.labels.lineEdit(), Qt.Key.Key_Return)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "nowhere"))
    QTest.mouseClick(panel.setup.data, LEFT)
    QTest.mouseClick(panel.setup.run, LEFT)
    qtbot.waitUntil(panel.setup.error.isVisible, timeout=PATIENCE_MS)
    assert "no share of labels" in panel.setup.error.text()
    desk.choose_labels("100%")

    data = class_folder(tmp_path / "things", 2, 2)
    (data / "ball" / "test" / "cut.off").write_text("OFF\n9")
    learn(window, wait, data, monkeypatch)
    assert not panel.setup.error.isVisible()
    assert "3 classes · 6 to learn from, 6 to test on · 1 could not be read" in panel.setup.read.text()
    assert "cut.off" in panel.setup.read.toolTip()
    assert panel.results.which.count() == 2
    learnt = desk.state.learnt
    assert learnt is not None
    run = learnt.runs[0]
    assert (run.init, panel.results.which.currentText()) == ("condense-s", "condense-s, seed 0")

    # a cell of the matrix, then the object behind it
    matrix, table = panel.results.matrix, panel.results.table
    true, said = (int(n) for n in np.argwhere(run.confusion)[0])
    panel.ensureWidgetVisible(matrix)
    assert f"of {KINDS[true]}" in matrix.told((true, said))
    QTest.mouseClick(matrix, LEFT, pos=matrix.rect_of((true, said)).center().toPoint())
    assert desk.state.cell == (true, said)
    assert table.rowCount() == run.confusion[true, said]
    assert table.item(0, 1).text() == f"{KINDS[true]} → {KINDS[said]}"
    panel.ensureWidgetVisible(table)
    QTest.mouseClick(table.viewport(), LEFT, pos=table.visualItemRect(table.item(0, 0)).center())
    wait(lambda: c.state.scene is not None)
    assert c.state.scene is not None
    assert Path(c.state.scene.path).name == table.item(0, 0).text()
    assert desk.state.learnt is learnt  # it stays, whatever is open

    # the head is saved, and loaded again
    head = tmp_path / "head"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(head), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (f"{head}.safetensors", ""))
    panel.ensureWidgetVisible(panel.head.buttons["task_save"])
    QTest.mouseClick(panel.head.buttons["task_save"], LEFT)
    wait(lambda: head.with_suffix(".safetensors").is_file() and "Saved the head" in c.state.notice)
    QTest.mouseClick(panel.head.buttons["task_load"], LEFT)
    wait(lambda: panel.head.name.text() == "head.safetensors")
    assert "whole objects" in panel.head.obstacle.text()


def test_learning_is_stopped(qtbot: QtBot, tmp_path: Path) -> None:
    window, wait = opened(qtbot, tmp_path)
    panel, desk = window.tasks.panel, window.tasks.desk
    desk.choose_data(str(class_folder(tmp_path / "things", 2, 1)))
    desk.choose_mode("finetune")
    window.trigger("task_run")
    wait(lambda: desk.state.learnt is not None and len(desk.state.learnt.losses))
    assert panel.results.loss.isVisible()
    assert "steps" not in panel.setup.where.text()
    QTest.mouseClick(panel.setup.stop, LEFT)
    wait(lambda: desk.state.learnt is not None and desk.state.learnt.ending == "stopped")
    assert panel.setup.run.isVisible()
    assert [j.status for j in window.controller.state.jobs] == ["cancelled"]


def part_of_demo(folder: Path) -> Path:
    """The demo's first frames with depth."""
    told = json.loads((demo_path() / "transforms.json").read_text())
    told["frames"] = told["frames"][:FRAMES]
    for frame in told["frames"]:
        for key in ("file_path", "depth_file_path"):
            (folder / frame[key]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(demo_path() / frame[key], folder / frame[key])
    (folder / "transforms.json").write_text(json.dumps(told))
    return folder


@pytest.mark.slow
def test_a_room_is_named_and_kept_as_labels(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window, wait = opened(qtbot, tmp_path, part_of_demo(tmp_path / "room"))
    panel, c = window.tasks.panel, window.controller

    def marks() -> Marks | None:
        return c.state.annotate.marks

    wait(lambda: c.state.scene is not None)
    c._start(FitGrid(seconds=3))
    wait(lambda: c.state.volume is not None and not any(j.live for j in c.state.jobs))
    c.encode()
    wait(lambda: c.state.voxel_features is not None and not any(j.live for j in c.state.jobs))

    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F3)
    learn(window, wait, annotated(tmp_path / "scans"), monkeypatch)
    button = panel.head.buttons["task_name"]
    assert button.isEnabled()
    panel.ensureWidgetVisible(button)
    QTest.mouseClick(button, LEFT)
    wait(lambda: window.tasks.desk.state.named is not None)
    over, volume = window.tasks.desk.state.over, c.state.volume
    assert over is not None
    assert volume is not None
    assert len(over.labels) == len(volume.index)
    assert {row[0] for row in panel.head.legend.rows} <= set(KINDS_OF_POINTS)
    sure = over.labelled
    slider = panel.head.slider
    panel.ensureWidgetVisible(slider)
    QTest.mouseClick(slider, LEFT, pos=QPoint(slider.width() - 3, slider.height() // 2))  # surer
    QTest.keyClick(slider, Qt.Key.Key_Home)  # all of it
    over = window.tasks.desk.state.over
    assert over is not None
    assert over.labelled == len(volume.index) >= sure

    keep = panel.head.buttons["task_keep"]
    wait(keep.isEnabled)
    panel.ensureWidgetVisible(keep)
    QTest.mouseClick(keep, LEFT)
    wait(lambda: marks() is not None and marks().labelled == over.labelled)
    names = {k.name: k.id for k in marks().things.palette}
    assert names
    assert set(names) <= set(KINDS_OF_POINTS)
    steps = len(names)
    for left in range(steps - 1, -1, -1):
        QTest.keyClick(window.windowHandle(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        wait(lambda left=left: len(marks().things.palette) == left)
    assert marks().labelled == 0
