"""From a mouse event over a pixel to the request, the reply, and what lights up."""

from __future__ import annotations

import time

import numpy as np
import pytest
from driving import MakeWindow, click, inside, wait_ready
from fakes import FakeEngine, cast_depth
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.window import Window
from engine.api.requests import HoverQuery, MatchQuery, PixelSource, PointSource

pytestmark = pytest.mark.qt_log_level_fail("WARNING")


def test_a_click_in_a_photo_lights_up_every_view_and_the_scene(
    window: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    grid = window.images.grid
    rect = grid.cell_rect(2)
    assert rect is not None
    x, y = click(grid.viewport(), inside(rect, 0.5, 0.6))

    (request,) = engine.sent(MatchQuery)
    assert isinstance(request.source, PixelSource)
    assert request.source.view == 2
    camera = engine.scene.views[2].camera
    # the pixel asked about is the one under the pointer, to a pixel of the widget
    assert request.source.x == pytest.approx((x - rect.left()) / rect.width() * camera.width, abs=camera.width / 150)
    assert request.source.y == pytest.approx((y - rect.top()) / rect.height() * camera.height, abs=camera.height / 110)
    assert window.controller.state.query is not None  # the pending mark shows before the answer

    qtbot.waitUntil(lambda: window.controller.state.pinned is not None)
    reply = window.controller.state.pinned.reply
    assert reply.id == request.id
    assert window.matches.model.rowCount() == len(engine.scene.views) - 1
    scores = [r.score for r in window.matches.model.rows]
    assert scores == sorted(scores, reverse=True)
    qtbot.waitUntil(lambda: window.canvas.renderer.heat.on)


def test_an_answer_is_drawn_without_marching_the_volume_again(window: Window, qtbot: QtBot) -> None:
    renderer, grid = window.canvas.renderer, window.images.grid
    qtbot.waitUntil(lambda: renderer._shown is not None and not renderer.unfinished, timeout=20_000)
    marched = renderer._shown
    marches: list[object] = []
    renderer.volume.draw = lambda *given: marches.append(given)
    for view in (2, 3):
        before = window.controller.state.pinned
        grid.scroll_to(view)
        click(grid.viewport(), inside(grid.cell_rect(view), 0.5, 0.6))
        qtbot.waitUntil(lambda before=before: window.canvas.heat_drawn not in (None, before))
        assert window.canvas.heat_drawn is window.controller.state.pinned
    assert marches == []
    assert renderer._shown is marched


def test_the_heat_changes_the_canvas_where_the_source_is(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.controller.look_through(2)
    window.controller.set_layer("photo", visible=False)
    qtbot.waitUntil(lambda: not window.canvas.navigator.moving(time.perf_counter()))
    camera = engine.scene.views[2].camera
    px = np.array([[320.0, 300.0]])
    pos_w = camera.unproject(px, cast_depth(camera, px))[0]
    before = window.canvas.screenshot().astype(int)
    window.controller.click_point(tuple(pos_w.tolist()))
    qtbot.waitUntil(lambda: window.canvas.renderer.heat.on)
    window.controller.set_layer("matches", visible=False)
    after = window.canvas.screenshot().astype(int)
    at = window.canvas.camera().project(pos_w[None])[0][0]
    off = np.array([14.0, 0.0])  # beside the mark itself
    x, y = (at + off).round().astype(int)
    hot = after[y, x, :3]
    assert hot[0] > hot[2] + 60  # inferno's upper half is red to yellow
    assert np.abs(after[y, x, :3] - before[y, x, :3]).max() > 40


def test_a_click_in_the_scene_asks_about_the_point_under_it(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    window.canvas.go_to("home", fly=False)
    window.controller.set_layer("frusta", visible=False)
    window.canvas.screenshot()
    target_w = np.array([[1.35, 0.7, 0.75]])  # the middle of the red box's top
    at = window.canvas.camera().project(target_w)[0][0]
    click(window.canvas.widget, QPointF(*at))
    (request,) = engine.sent(MatchQuery)
    assert isinstance(request.source, PointSource)
    # within a voxel along the surface and the rounding of the pointer to whole pixels
    assert np.abs(np.array(request.source.pos_w) - target_w[0]).max() < 0.08


def test_a_drag_is_not_a_click(window: Window, engine: FakeEngine) -> None:
    widget = window.canvas.widget
    yaw = window.canvas.navigator.orbit.yaw
    QTest.mousePress(widget, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    for i in range(1, 6):
        QTest.mouseMove(widget, QPoint(200 + 8 * i, 200))
    QTest.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(240, 200))
    assert not engine.sent(MatchQuery)
    assert window.canvas.navigator.orbit.yaw != yaw


def test_an_overtaken_answer_is_dropped(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8)
    window = make_window(engine)
    wait_ready(window, qtbot)
    engine.held = True
    window.controller.click_pixel(1, 100.0, 200.0)
    window.controller.click_pixel(2, 300.0, 250.0)
    first, second = engine.sent(MatchQuery)
    engine.answer(second)
    engine.answer(first)  # comes late
    qtbot.waitUntil(lambda: window.controller.state.pinned is not None)
    qtbot.wait(30)
    assert window.controller.state.pinned.reply.id == second.id


def test_escape_clears_and_a_late_answer_does_not_come_back(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8)
    window = make_window(engine)
    wait_ready(window, qtbot)
    engine.held = True
    window.controller.click_pixel(1, 100.0, 200.0)
    (request,) = engine.sent(MatchQuery)
    escape = window.actions_by_id["clear"]
    assert escape.shortcut().toString() == "Esc"
    escape.trigger()
    assert window.controller.state.query is None
    engine.answer(request)
    qtbot.wait(30)
    assert window.controller.state.pinned is None
    assert window.matches.model.rowCount() == 0


def test_hover_previews_until_something_is_pinned(window: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    grid = window.images.grid
    rect = grid.cell_rect(1)
    assert rect is not None
    QTest.mouseMove(grid.viewport(), inside(rect, 0.3, 0.5).toPoint())
    QTest.mouseMove(grid.viewport(), inside(rect, 0.4, 0.5).toPoint())
    qtbot.waitUntil(lambda: window.controller.state.preview is not None)
    qtbot.wait(200)
    sent = len(engine.sent(HoverQuery))
    click(grid.viewport(), inside(rect, 0.5, 0.5))
    qtbot.waitUntil(lambda: window.controller.state.pinned is not None)
    QTest.mouseMove(grid.viewport(), inside(rect, 0.2, 0.2).toPoint())
    qtbot.wait(80)
    assert len(engine.sent(HoverQuery)) == sent
