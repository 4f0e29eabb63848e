"""The repository in the window, by real events on the fake engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, click, wait_ready
from fake_repository import CAMERA, PAIR
from fakes import FakeEngine
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRectF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel, QWidget
from pytestqt.qtbot import QtBot

from app.panels.answer import AnswerPage
from app.panels.pairs import agreement
from app.repository_ui import captures_in
from app.window import Window
from engine.api.repository import AddCaptures, FindByPhoto, FindByWords, OpenRepository, RemoveScenes, ScenePair
from engine.api.requests import CancelJob, OpenCapture

pytestmark = pytest.mark.qt_log_level_fail("WARNING")
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


def drop(widget: QWidget, *paths: object) -> bool:
    """Drag files over a widget and let go; whether it takes them."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(p)) for p in paths])
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, LEFT, NONE)
    enter.ignore()
    QApplication.sendEvent(widget, enter)
    if enter.isAccepted():
        QApplication.sendEvent(widget, QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, LEFT, NONE))
    return enter.isAccepted()


@pytest.fixture(autouse=True)
def _active(request: pytest.FixtureRequest, qtbot: QtBot) -> None:
    """Shortcuts are an active window's."""
    if "window" in request.fixturenames:
        window: Window = request.getfixturevalue("window")
        window.activateWindow()
        qtbot.waitUntil(window.isActiveWindow)


@pytest.fixture
def repository(window: Window, tmp_path: Path, qtbot: QtBot) -> Window:
    """The panel is open, with three scenes."""
    window.trigger("repository")
    window.repository.desk.open(str(tmp_path))
    qtbot.waitUntil(lambda: len(window.repository.desk.state.thumbnails) == 3)
    return window


def answer(window: Window) -> AnswerPage:
    return window.repository.panel.answer


def test_the_panel_is_hidden_until_asked_for_and_says_what_to_do(window: Window) -> None:
    dock, start = window.docks["repository"], window.repository.panel.start
    assert not dock.isVisible()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F7)
    assert dock.isVisible()
    assert start.isVisible()
    assert "which scene does this photo show" in start.text.text()
    assert not window.actions_by_id["repository_photo"].isEnabled()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F7)
    assert not dock.isVisible()


def test_one_is_made_in_a_folder_of_its_own_and_remembered(
    make_window: MakeWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("mine")
    engine = FakeEngine(count=8)
    window = make_window(engine, path=None)
    window.trigger("repository")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(full))
    QTest.mouseClick(window.repository.panel.start.first, LEFT)
    (request,) = engine.sent(OpenRepository)
    assert (request.path, request.make) == (str(full / "repository"), True)
    qtbot.waitUntil(lambda: window.repository.panel.grid.isVisible())
    (full / "repository").mkdir()  # the fake engine makes none
    window.close()
    again_engine = FakeEngine(count=8)
    again = make_window(again_engine, path=None)
    if not again.docks["repository"].isVisible():
        again.trigger("repository")
    qtbot.waitUntil(lambda: len(again_engine.sent(OpenRepository)) == 1)
    assert again_engine.sent(OpenRepository)[0].path == str((full / "repository").resolve())
    assert not again_engine.sent(OpenRepository)[0].make


def test_what_cannot_be_opened_is_shown_and_the_window_goes_on(window: Window, engine: FakeEngine) -> None:
    engine.repository.problem = "/r: is damaged\n  found:    malformed\n  to mend:  bring back a copy"
    window.trigger("repository")
    window.repository.desk.open("/r")
    qt = window.repository.panel.start
    QApplication.processEvents()
    assert qt.problem.isVisible()
    assert qt.problem.text() == engine.repository.problem
    assert qt.first.isVisible()
    assert qt.first.isEnabled()
    assert not window.banner.isVisible()


def test_a_dropped_photo_is_found_opened_and_overlaid(repository: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window, panel = repository, repository.repository.panel
    assert drop(panel, "/photos/x.jpg")
    assert [r.path for r in engine.sent(FindByPhoto)] == ["/photos/x.jpg"]
    qtbot.waitUntil(lambda: bool(answer(window).cards) and answer(window).cards[0].picture.isVisible())
    card = answer(window).cards[0]
    assert card.name.text() == "room"
    assert card.figure.text() == "98%"
    assert [c.sure for c in answer(window).cards] == [True, False, False]
    assert panel.stack.currentWidget() is answer(window)
    picture = card.picture.grab().toImage()
    colours = {picture.pixelColor(x, y).name() for x in range(picture.width()) for y in range(0, picture.height(), 2)}
    assert len(colours) > 20  # lines over the pictures
    click(card, QPointF(card.width() / 2, 14))
    qtbot.waitUntil(window.repository.bar.isVisible)
    assert "x.jpg in room" in window.repository.bar.text.text()
    qtbot.wait(600)  # the flight
    camera = window.canvas.camera()
    assert np.allclose(camera.c2w, CAMERA.c2w)
    # the photo is grey all over: at full opacity so is the middle of the canvas
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_B)  # the overlay's layer: off
    bare = window.canvas.screenshot()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_B)
    window.repository.bar.slider.setValue(100)
    h, w = bare.shape[:2]
    assert (np.abs(window.canvas.screenshot()[h // 2, w // 2, :3].astype(int) - 120) <= 2).all()
    window.repository.bar.slider.setValue(0)
    assert np.abs(window.canvas.screenshot().astype(int) - bare).max() <= 2
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
    assert not window.repository.bar.isVisible()
    assert window.controller.state.placed is None


def test_turning_away_takes_the_photo_off(repository: Window, qtbot: QtBot) -> None:
    window = repository
    window.repository.desk.find_photo("x.jpg")
    window.repository.desk.go("key-room")
    qtbot.wait(600)
    canvas = window.canvas.widget
    QTest.mousePress(canvas, LEFT, pos=QPoint(200, 200))
    QTest.mouseMove(canvas, QPoint(240, 210))
    QTest.mouseMove(canvas, QPoint(280, 220))
    QTest.mouseRelease(canvas, LEFT, pos=QPoint(280, 220))
    qtbot.waitUntil(lambda: window.controller.state.placed is None)
    assert not window.repository.bar.isVisible()


def test_nonsense_gets_a_message_and_no_list(repository: Window, qtbot: QtBot) -> None:
    drop(repository.repository.panel, "/photos/nothing.png")
    page = answer(repository)
    qtbot.waitUntil(lambda: page.summary.text().startswith("Nothing found"))
    assert page.cards == []


def test_words_are_typed_and_lead_to_the_thing(repository: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window = repository
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    field = window.repository.panel.field
    QTest.keyClicks(field, "sofa")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert [r.text for r in engine.sent(FindByWords)] == ["sofa"]
    qtbot.waitUntil(lambda: len(answer(window).cards) == 1)
    card = answer(window).cards[0]
    assert card.why.text() == "sofa 90%"
    before = window.canvas.camera().c2w
    click(card, QPointF(card.width() / 2, 14))
    qtbot.wait(600)
    assert not np.allclose(window.canvas.camera().c2w, before)
    px, depth = window.canvas.camera().project(np.array([[1.3, 0.7, 0.4]]))
    assert depth[0] > 0
    assert np.allclose(px[0], [window.canvas.widget.width() / 2, window.canvas.widget.height() / 2], atol=2)


def test_scenes_are_chosen_removed_and_put_back_by_keys(repository: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window, grid = repository, repository.repository.panel.grid
    rect = grid.cell_rect("key-again")
    assert rect is not None
    click(grid.viewport(), rect.center())
    assert window.repository.desk.state.selected == "key-again"
    QTest.keyClick(grid, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: len(engine.sent(RemoveScenes)) == 1 and grid.cell_rect("key-again") is None)
    assert "Ctrl+Z" in window.controller.state.notice
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: grid.cell_rect("key-again") is not None)
    QTest.keyClick(grid, Qt.Key.Key_Right)
    assert window.repository.desk.state.selected == "key-room"
    QTest.keyClick(grid, Qt.Key.Key_Right)
    QTest.keyClick(grid, Qt.Key.Key_Return)
    assert engine.sent(OpenCapture)[-1].path == "other"


def test_captures_are_added_with_progress_and_can_be_cancelled(
    repository: Window, engine: FakeEngine, tmp_path: Path, qtbot: QtBot
) -> None:
    engine.repository.jobs_end = False
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        (folder / "images").mkdir(parents=True)
    panel = repository.repository.panel
    assert drop(panel, *folders)
    (request,) = engine.sent(AddCaptures)
    assert request.captures == tuple(map(str, folders))
    qtbot.waitUntil(lambda: panel.job_row is not None and "left" in panel.job_row.note.text())
    row = panel.job_row
    assert row is not None
    QTest.mouseClick(row.stop, LEFT)
    assert [r.job_id for r in engine.sent(CancelJob)] == [request.id]
    qtbot.waitUntil(lambda: panel.job_row is None)


def test_pairs_are_swiped_and_decided(repository: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window = repository
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_D, Qt.KeyboardModifier.ControlModifier)
    pairs = window.repository.panel.pairs
    qtbot.waitUntil(lambda: len(pairs.cards) == 1)
    click(pairs.cards[0], QPointF(20, 20))
    page = window.repository.pair_page
    qtbot.waitUntil(lambda: page.isVisible() and bool(page.view._images))
    assert window.stack.currentWidget() is page
    assert not window.ask_bar.isVisible()

    def reds(part: QRectF) -> int:
        image = page.view.grab(part.toRect()).toImage()
        every = [image.pixelColor(x, y) for x in range(0, image.width(), 4) for y in range(0, image.height(), 4)]
        return sum(c.red() > 150 and c.blue() < 90 for c in every)

    def pinks() -> int:
        image = page.view.grab().toImage()
        every = [image.pixelColor(x, y) for x in range(0, image.width(), 4) for y in range(0, image.height(), 4)]
        return sum(c.red() > 100 and c.blue() > 1.5 * c.green() > 0 for c in every)

    assert page.changes.isEnabled()
    assert pinks() > 0  # what the second scan has not
    QTest.mouseClick(page.changes, LEFT, pos=QPoint(8, page.changes.height() // 2))
    assert pinks() == 0
    whole = QRectF(page.view.rect())
    right = QRectF(whole.center().x() + 12, 0, whole.width() / 2 - 12, whole.height())
    assert reds(whole) > 0
    assert reds(right) == 0  # the second scene, which is blue
    middle = page.view.rect().center()
    QTest.mousePress(page.view, LEFT, pos=middle)
    QTest.mouseMove(page.view, middle + QPoint(120, 0))
    QTest.mouseMove(page.view, QPoint(page.view.width() - 3, middle.y()))
    QTest.mouseRelease(page.view, LEFT)
    assert page.slider.value() > 950
    assert reds(right) > 0
    before = page.view.camera()
    assert before is not None
    QTest.mousePress(page.view, LEFT, pos=QPoint(60, 60))
    QTest.mouseMove(page.view, QPoint(90, 70))
    QTest.mouseRelease(page.view, LEFT)
    after = page.view.camera()
    assert after is not None
    assert not np.allclose(before.c2w, after.c2w)

    QTest.mouseClick(page.buttons.mark, LEFT)
    qtbot.waitUntil(lambda: window.repository.desk.state.decision(PAIR.a, PAIR.b) == "duplicate")
    assert page.buttons.mark.isChecked()
    assert "marked as duplicate" in pairs.cards[0].why.text()
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not page.buttons.mark.isChecked())
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_Escape)
    assert window.stack.currentWidget() is window.canvas.widget


def test_both_themes_paint_every_page(repository: Window, qtbot: QtBot) -> None:
    window, desk = repository, repository.repository.desk
    for ask in (lambda: desk.find_photo("x.jpg"), desk.find_alike, desk.find_duplicates, desk.back):
        ask()
        QApplication.processEvents()
        dark = window.repository.panel.grab().toImage()
        window.trigger("theme")
        QApplication.processEvents()
        light = window.repository.panel.grab().toImage()
        window.trigger("theme")
        QApplication.processEvents()
        assert light.pixelColor(3, light.height() - 3).lightness() > 200
        assert dark.pixelColor(3, dark.height() - 3).lightness() < 60


def test_a_session_brings_the_repository_back(make_window: MakeWindow, tmp_path: Path, qtbot: QtBot) -> None:
    room, folder = tmp_path / "room", tmp_path / "repository"
    room.mkdir()
    folder.mkdir()
    window = make_window(FakeEngine(count=8), path=str(room))
    wait_ready(window, qtbot)
    window.repository.desk.open(str(folder))
    qtbot.waitUntil(lambda: window.repository.desk.state.scenes is not None)
    window.repository.show()
    window.sessions.save(tmp_path / "a.condense")
    window.repository.desk.open(str(room))  # the one that the next window remembers
    qtbot.waitUntil(lambda: window._settings.repository == str(room))
    engine = FakeEngine(count=8)
    again = make_window(engine, path=None)
    again.sessions.open(tmp_path / "a.condense")
    qtbot.waitUntil(lambda: [r.path for r in engine.sent(OpenRepository)][-1:] == [str(folder)])
    assert again.docks["repository"].isVisible()


def test_folders_of_captures_are_told_from_captures(tmp_path: Path) -> None:
    for name in ("a/images", "a/depth", "b/sparse"):
        (tmp_path / name).mkdir(parents=True)
    assert captures_in(tmp_path) == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert captures_in(tmp_path / "a") == [str(tmp_path / "a")]
    assert captures_in(tmp_path / "b") == [str(tmp_path / "b")]
    (tmp_path / "mesh.ply").write_text("")
    assert captures_in(tmp_path / "mesh.ply") == [str(tmp_path / "mesh.ply")]
    assert captures_in(tmp_path) == [str(tmp_path)]


def test_the_sheet_of_keys_lists_the_repository(window: Window) -> None:
    labels = {label.text() for label in window.sheet.findChildren(QLabel)}
    assert {"Repository", "Find scenes by words", "Scenes like this one", "Find duplicates"} <= labels


def test_a_photo_dropped_on_an_empty_window_is_asked_of_the_repository(
    make_window: MakeWindow, tmp_path: Path, qtbot: QtBot
) -> None:
    engine = FakeEngine(count=8)
    window = make_window(engine, path=None)
    window.repository.desk.open(str(tmp_path))
    qtbot.waitUntil(lambda: bool(window.repository.desk.state.scenes))
    assert drop(window, "/photos/x.jpg")
    assert [r.path for r in engine.sent(FindByPhoto)] == ["/photos/x.jpg"]
    assert window.docks["repository"].isVisible()
    assert engine.sent(OpenCapture) == []


def test_a_pair_tells_whether_things_were_moved() -> None:
    same = ScenePair("a", "b", 0.99, 200, 0.9)
    assert agreement(same) == "200 keypoints agree · 90% overlaps"
    assert "moved or replaced" in agreement(replace(same, changed=True))
