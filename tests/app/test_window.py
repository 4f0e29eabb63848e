"""The window's life: empty, opening, failing, dropping, closing; and what it must not import."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, click, inside, wait_ready
from fakes import FakeEngine
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.actions import ACTIONS
from app.resolve import resolve
from app.settings import Settings
from app.window import Window
from engine.api.replies import JobProgress
from engine.api.requests import CancelJob, EncodeViews, FitGrid, MatchQuery, OpenCapture

pytestmark = pytest.mark.qt_log_level_fail("WARNING")
ERROR = "transforms.json: frame 3 has no pose\n  found:    NaN\n  expected: a rigid 4x4 matrix\n  to mend:  remove it"


def test_the_empty_window_says_what_to_do(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8)
    window = make_window(engine, path=None)
    assert window.stack.currentWidget() is window.empty
    assert window.empty.open_button.isVisible()
    QTest.mouseClick(window.empty.demo_button, Qt.MouseButton.LeftButton)
    (request,) = engine.sent(OpenCapture)
    assert request.path.endswith("demo")
    wait_ready(window, qtbot)
    assert window.stack.currentWidget() is window.canvas.widget
    assert window.windowTitle() == "room — ConDense Studio"


def test_an_error_is_shown_whole_and_can_be_copied_and_dismissed(make_window: MakeWindow, qtbot: QtBot) -> None:
    window = make_window(FakeEngine(failure=ERROR))
    qtbot.waitUntil(window.banner.isVisible)
    assert window.banner.text.text() == "transforms.json: frame 3 has no pose"
    assert "to mend:  remove it" in window.banner.details.text()
    QTest.mouseClick(window.banner.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == ERROR
    QTest.mouseClick(window.banner.dismiss, Qt.MouseButton.LeftButton)
    assert not window.banner.isVisible()
    assert window.empty.open_button.isEnabled()  # the window goes on


def test_a_dropped_folder_is_opened(make_window: MakeWindow, tmp_path: Path) -> None:
    engine = FakeEngine(count=8, held=True)
    window = make_window(engine, path=None)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(50, 50), Qt.DropAction.CopyAction, data, buttons, keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, buttons, keys))
    assert [r.path for r in engine.sent(OpenCapture)] == [str(tmp_path)]


def test_fit_and_encode_start_by_themselves_and_can_be_cancelled(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8, jobs_end=False)
    window = make_window(engine)
    qtbot.waitUntil(lambda: len(engine.sent(EncodeViews)) == 1)
    (fit,) = engine.sent(FitGrid)
    qtbot.waitUntil(lambda: fit.id in window.jobs.rows and window.jobs.rows[fit.id].bar.value() == 500)
    QTest.mouseClick(window.jobs.rows[fit.id].stop, Qt.MouseButton.LeftButton)
    assert [r.job_id for r in engine.sent(CancelJob)] == [fit.id]
    qtbot.waitUntil(lambda: "cancelled" in window.jobs.rows[fit.id].note.text())


def test_each_layer_changes_pixels(window: Window, qtbot: QtBot) -> None:
    window.canvas.go_to("home", fly=False)
    window.controller.click_pixel(2, 320.0, 300.0)
    qtbot.waitUntil(lambda: window.canvas.renderer.heat.on)
    whole = window.canvas.screenshot().astype(int)
    for name in ("volume", "heat", "frusta", "matches", "grid"):
        window.controller.toggle_layer(name)
        without = window.canvas.screenshot().astype(int)
        assert (np.abs(whole - without).max(axis=2) > 8).sum() > 30, name
        window.controller.toggle_layer(name)
    assert np.abs(window.canvas.screenshot().astype(int) - whole).max() <= 1  # all back as it was
    window.controller.toggle_layer("points")
    assert (np.abs(window.canvas.screenshot().astype(int) - whole).max(axis=2) > 8).sum() > 200


def test_colouring_and_cutaway_change_the_volume(window: Window) -> None:
    window.canvas.go_to("home", fly=False)
    seen = [window.canvas.screenshot()]
    for change in ({"colouring": "features"}, {"colouring": "spread"}, {"colouring": "colour", "cutaway": False}):
        window.controller.set(**change)
        seen.append(window.canvas.screenshot())
    for a in range(4):
        for b in range(a):
            differs = np.abs(seen[a].astype(int) - seen[b].astype(int)).max(axis=2) > 12
            assert differs.mean() > 0.02


def test_looking_through_a_photo_lays_it_exactly_over_the_scene(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    window.controller.look_through(2)
    window.controller.set_layer("photo", opacity=1.0)
    qtbot.waitUntil(lambda: 2 in window.controller.state.photos)
    qtbot.wait(600)  # the flight
    camera, view = window.canvas.camera(), engine.scene.views[2].camera
    assert np.allclose(camera.c2w, view.c2w)
    # the red box is where both the photo and the voxels have it
    red = np.array([[1.35, 1.1, 0.4]])
    at = camera.project(red)[0][0].round().astype(int)
    ratio = window.canvas.widget.devicePixelRatioF()
    x, y = (at * ratio).astype(int)
    photo = window.canvas.screenshot()[y, x].astype(int)
    window.controller.set_layer("photo", visible=False)
    scene = window.canvas.screenshot()[y, x].astype(int)
    for pixel in (photo, scene):
        assert pixel[0] > pixel[1] + 40
        assert pixel[0] > pixel[2] + 40
    # a click on the overlay asks about the photo's own pixel
    window.controller.set_layer("photo", visible=True)
    click(window.canvas.widget, QPointF(float(at[0]), float(at[1])))
    source = engine.sent(MatchQuery)[-1].source
    expected = view.project(red)[0][0]
    assert source.view == 2
    assert np.hypot(source.x - expected[0], source.y - expected[1]) < 2.0
    # turning steps out of the photo
    widget = window.canvas.widget
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    QTest.mouseMove(widget, QPoint(130, 110))
    QTest.mouseMove(widget, QPoint(140, 120))
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(140, 120))
    assert window.controller.state.through is None


def test_the_image_panel_switches_modes_and_opens_one_photo(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    grid = window.images.grid
    seen = []
    window.controller.click_pixel(2, 320.0, 300.0)
    qtbot.waitUntil(lambda: window.controller.state.pinned is not None)
    for mode in ("photo", "features", "heat"):
        QTest.mouseClick(window.images.modes.button(mode), Qt.MouseButton.LeftButton)
        assert window.controller.state.panel_mode == mode
        seen.append(grid.grab().toImage())
    assert seen[0] != seen[1] != seen[2]
    rect = grid.cell_rect(1)
    assert rect is not None
    centre = inside(rect, 0.5, 0.5).toPoint()
    QTest.mouseDClick(grid.viewport(), Qt.MouseButton.LeftButton, pos=centre)
    qtbot.waitUntil(lambda: window.images.stack.currentWidget() is window.images.pane)
    qtbot.waitUntil(lambda: 1 in window.controller.state.photos)
    before = len(engine.sent(MatchQuery))
    photo = window.images.pane.photo_rect()
    x, y = click(window.images.pane, inside(photo, 0.25, 0.5))
    assert len(engine.sent(MatchQuery)) == before + 1
    source = engine.sent(MatchQuery)[-1].source
    assert source.x == pytest.approx((x - photo.left()) / photo.width() * 640, abs=0.01)
    assert source.y == pytest.approx((y - photo.top()) / photo.height() * 480, abs=0.01)


def test_a_click_on_a_camera_looks_through_it(window: Window, engine: FakeEngine) -> None:
    window.canvas.go_to("home", fly=False)
    window.canvas.screenshot()
    quads = window.canvas.quads
    camera = window.canvas.camera()
    for view, quad in quads.items():
        at = camera.project(quad.mean(axis=0)[None])[0][0]
        if window.canvas._hand._view_under(float(at[0]), float(at[1])) == view:
            click(window.canvas.widget, QPointF(float(at[0]), float(at[1])))
            assert window.controller.state.through == view
            return
    pytest.fail("no frustum is in sight")


def test_theme_layout_and_recent_captures_are_remembered(make_window: MakeWindow, qtbot: QtBot, tmp_path: Path) -> None:
    engine = FakeEngine(count=8)
    folder = tmp_path / "garden"
    folder.mkdir()
    engine.scene = replace(engine.scene, path=str(folder))
    window = make_window(engine)
    wait_ready(window, qtbot)
    window.toggle_theme()
    window.docks["jobs"].hide()
    window.close()
    again = make_window(FakeEngine(count=8), path=None)
    assert again.controller.state.theme == "light"
    assert again.controller.state.recent == (str(folder),)
    assert not again.docks["jobs"].isVisible()


def test_settings_survive_nonsense(tmp_path: Path) -> None:
    file = tmp_path / "s.ini"
    file.write_text("[General]\ntheme=@Invalid()\nrecent=@ByteArray(\\0)\nauto=maybe\n[layout]\ngeometry=12\n")
    settings = Settings(file)
    assert settings.theme == "dark"
    assert settings.recent == ()
    assert settings.auto
    assert settings.layout() is None


def test_every_action_has_a_menu_and_shortcuts_do_not_clash(window: Window) -> None:
    keys = [a.shortcut for a in ACTIONS if a.shortcut]
    assert len(keys) == len(set(keys))
    shown = {a for menu in window.menuBar().actions() for a in menu.menu().actions()}
    assert all(window.actions_by_id[a.id] in shown for a in ACTIONS)
    known = resolve(window.controller.state).actions.enabled
    assert known <= {a.id for a in ACTIONS}


def test_the_shortcut_sheet_opens_and_closes(window: Window) -> None:
    window.actions_by_id["shortcuts"].trigger()
    assert window.sheet.isVisible()
    centre = window.geometry().center()
    assert window.sheet.isWindow()  # a child of the window would lie behind the native canvas
    assert window.sheet.geometry().contains(centre)
    QTest.mouseClick(window.sheet, Qt.MouseButton.LeftButton)
    assert not window.sheet.isVisible()


def test_escape_closes_the_sheet_and_leaves_the_match(window: Window, qtbot: QtBot) -> None:
    with qtbot.assertNotEmitted(window.actions_by_id["clear"].triggered):
        window.actions_by_id["shortcuts"].trigger()
        QTest.keyClick(window, Qt.Key.Key_Escape)
    assert not window.sheet.isVisible()


def test_closing_in_mid_job_and_late_replies_do_no_harm(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8, jobs_end=False)
    window = make_window(engine)
    qtbot.waitUntil(lambda: len(engine.sent(FitGrid)) == 1)
    window.close()
    assert engine.closed
    fit = engine.sent(FitGrid)[0]
    engine.reply(JobProgress(id=fit.id, title="", done=1, total=2, unit="s", rate=None, eta=None))
    qtbot.wait(20)


@pytest.mark.slow
def test_twenty_windows_open_and_close_without_leaking(qtbot: QtBot, tmp_path: Path) -> None:
    threads = threading.active_count()
    windows = _windows()
    for i in range(20):
        engine = FakeEngine(count=8)
        window = Window(engine, Settings(tmp_path / f"{i}.ini"), "room")
        with qtbot.waitExposed(window):
            window.show()
        qtbot.waitUntil(lambda w=window: w.controller.state.scene is not None, timeout=10_000)
        window.close()
        window.deleteLater()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QApplication.processEvents()
    del window
    gc.collect()
    assert threading.active_count() == threads
    assert _windows() <= windows


def _windows() -> int:
    return sum(isinstance(w, Window) for w in QApplication.topLevelWidgets())


def test_the_window_imports_no_torch() -> None:
    code = (
        "import sys, app.window, app.__main__; "
        "bad = sorted(m for m in sys.modules if m.split('.')[0] in ('torch', 'numba', 'open3d', 'transformers')); "
        "bad += sorted(m for m in sys.modules if m.startswith('engine.') and not m.startswith('engine.api')); "
        "print(bad)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The command line's shape: it imports no more than engine.api.
    shape = ["engine.annotations", "engine.annotations.cli", "engine.cli", "engine.cli_common", "engine.repository"]
    shape.append("engine.repository.cli")
    assert out.stdout.strip() == str(shape)


def test_each_colouring_says_what_its_colours_mean(window: Window) -> None:
    layers = window.layers
    assert not layers.spread_scale.isVisible()
    assert not layers.features_hint.isVisible()
    window.controller.set_colouring("spread")
    assert layers.spread_scale.isVisible()
    colours = {
        layers.spread_scale.grab().toImage().pixelColor(x, 6).name() for x in (3, layers.spread_scale.width() - 4)
    }
    assert len(colours) == 2
    window.controller.set_colouring("features")
    assert layers.features_hint.isVisible()
    assert not layers.spread_scale.isVisible()
