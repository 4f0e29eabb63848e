"""Outlines over the scene, lines on it, and the keys of both, by real events on the fake engine."""

from __future__ import annotations

import numpy as np
import pytest
from driving import inside
from fakes import FakeEngine
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QKeySequence, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QInputDialog
from pytestqt.qtbot import QtBot
from test_annotate_window import CTRL, LEFT, NONE, SHIFT, SOFA_W, TABLE_W, click_scene, desk, labelled, press
from test_annotate_window import annotating as annotating  # a fixture

from app.actions import ACTIONS
from app.clip import Clip
from app.panels.shortcuts import ShortcutSheet
from app.resolve_annotate import TOOLS
from app.window import Window
from engine.api.annotating import DrawOver, FindPlace, PutPolyline
from engine.api.requests import MatchQuery

pytestmark = pytest.mark.qt_log_level_fail("WARNING")


def around(window: Window, pos_w: np.ndarray, radius: float) -> list[QPoint]:
    """A ring of places on the canvas."""
    window.canvas.screenshot()
    x, y = window.canvas.camera().project(pos_w)[0][0]
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [QPoint(round(x + radius * np.cos(a)), round(y + radius * np.sin(a))) for a in angles]


def grabbed(window: Window, at: np.ndarray) -> np.ndarray:
    """(3,) colour of a pixel of the canvas."""
    return window.canvas.screenshot()[at[1], at[0], :3].astype(int)


def draw(window: Window, path: list[QPoint], held: Qt.KeyboardModifier = NONE, *, release: bool = True) -> None:
    widget = window.canvas.widget
    QTest.mousePress(widget, LEFT, held, path[0])
    for at in path[1:]:
        QTest.mouseMove(widget, at)
    if release:
        QTest.mouseRelease(widget, LEFT, held, path[-1])


def on_canvas(window: Window, pos_w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return window.canvas.camera().project(pos_w)


def test_a_lasso_over_the_scene_labels_what_shows(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    press(annotating, Qt.Key.Key_L, SHIFT)
    yaw = annotating.canvas.navigator.orbit.yaw
    path = around(annotating, SOFA_W, 40)
    middle = np.mean([(p.x(), p.y()) for p in path], axis=0).round().astype(int)
    plain = grabbed(annotating, middle)
    draw(annotating, path, release=False)
    assert annotating.annotate.scene_pad.drawing
    inked = grabbed(annotating, middle)
    assert np.abs(inked - plain).max() > 20
    QTest.mouseRelease(annotating.canvas.widget, LEFT, NONE, path[-1])
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    (drawn,) = engine.sent(DrawOver)
    assert (drawn.kind, drawn.use, drawn.through, drawn.clip_w) == ("lasso", "label", False, None)
    assert annotating.canvas.navigator.orbit.yaw == yaw
    rows = np.flatnonzero(engine.annotations.state.labels == 2)
    px, z = on_canvas(annotating, engine.volume.centres_w()[rows].astype(np.float64))
    assert np.linalg.norm(px - middle, axis=1).max() <= 41.5
    hits = [annotating.canvas.pick(float(x), float(y)) for x, y in px]
    picked = annotating.canvas.camera().to_camera(np.array([(np.nan,) * 3 if h is None else h for h in hits]))[:, 2]
    on_surface = np.abs(picked - z) <= 2.5 * engine.volume.voxel
    assert on_surface.mean() > 0.95  # but for some at edges
    assert not annotating.annotate.scene_pad.drawing
    qtbot.waitUntil(lambda: not annotating.canvas._inked)
    qtbot.waitUntil(lambda: np.abs(grabbed(annotating, middle) - plain).max() > 20)  # the label
    steps, count = annotating.controller.state.undoable, labelled(annotating, 2)
    press(annotating, Qt.Key.Key_Z, CTRL)  # one step
    qtbot.waitUntil(lambda: labelled(annotating, 2) == 0)
    assert annotating.controller.state.undoable == steps - 1
    press(annotating, Qt.Key.Key_Z, CTRL | SHIFT)
    qtbot.waitUntil(lambda: labelled(annotating, 2) == count)


def test_an_outline_selects_takes_away_and_erases(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    press(annotating, Qt.Key.Key_R, SHIFT)
    path = around(annotating, SOFA_W, 40)
    box = [path[15], path[3]]  # opposite corners
    draw(annotating, box, SHIFT)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    all_rows = desk(annotating).state.selection.rows
    half = [path[15], QPoint(path[3].x(), (path[15].y() + path[3].y()) // 2)]
    draw(annotating, half, CTRL)
    qtbot.waitUntil(lambda: 0 < len(desk(annotating).state.selection.rows) < len(all_rows))
    press(annotating, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: labelled(annotating, 1) > 0)
    draw(annotating, box, CTRL)
    qtbot.waitUntil(lambda: labelled(annotating, 1) == 0)
    assert [r.use for r in engine.sent(DrawOver)] == ["add", "subtract", "erase"]


def test_all_depths_takes_what_is_hidden_but_not_what_is_clipped(
    annotating: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    press(annotating, Qt.Key.Key_R, SHIFT)
    assert "Shift+D: all depths" in annotating.annotate.bar.hint.toolTip()
    path = around(annotating, TABLE_W, 40)
    draw(annotating, [path[15], path[3]], SHIFT)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    shown = set(desk(annotating).state.selection.rows)
    press(annotating, Qt.Key.Key_Escape)
    assert annotating.annotate.bar.through.isVisible()
    press(annotating, Qt.Key.Key_D, SHIFT)
    assert annotating.annotate.bar.through.isChecked()
    assert annotating.actions_by_id["annotate_through"].isChecked()
    draw(annotating, [path[15], path[3]], SHIFT)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    deep = set(desk(annotating).state.selection.rows)
    assert shown < deep
    press(annotating, Qt.Key.Key_Escape)
    annotating.controller.set(clip=Clip(on=True, lo=(0.0, 0.0, 0.2)))
    annotating.canvas.screenshot()
    draw(annotating, [path[15], path[3]], SHIFT)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    low_w = engine.sent(DrawOver)[-1].clip_w[0, 2]
    clipped = desk(annotating).state.selection.rows
    assert engine.volume.centres_w()[clipped][:, 2].min() >= low_w
    assert set(clipped) < deep


def test_escape_cancels_an_outline_and_keeps_the_tool(annotating: Window, engine: FakeEngine) -> None:
    press(annotating, Qt.Key.Key_L, SHIFT)
    path = around(annotating, SOFA_W, 40)
    draw(annotating, path, release=False)
    press(annotating, Qt.Key.Key_Escape)
    assert not annotating.annotate.scene_pad.drawing
    QTest.mouseMove(annotating.canvas.widget, path[3])
    QTest.mouseRelease(annotating.canvas.widget, LEFT, NONE, path[3])
    assert desk(annotating).state.tool == "lasso"
    assert not engine.sent(DrawOver)
    assert not engine.sent(MatchQuery)
    annotating.controller.select(2)
    annotating.controller.set_single(True)
    pane = annotating.images.pane
    rect = pane.photo_rect()
    QTest.mousePress(pane, LEFT, NONE, inside(rect, 0.3, 0.3).toPoint())
    QTest.mouseMove(pane, inside(rect, 0.6, 0.6).toPoint())
    press(annotating, Qt.Key.Key_Escape)
    assert not annotating.annotate.pad.drawing
    assert desk(annotating).state.tool == "lasso"
    QTest.mouseRelease(pane, LEFT, NONE, inside(rect, 0.6, 0.6).toPoint())
    press(annotating, Qt.Key.Key_Escape)
    assert desk(annotating).state.tool is None


def test_a_line_is_drawn_in_scene_and_photo(
    annotating: Window, engine: FakeEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = desk(annotating)
    press(annotating, Qt.Key.Key_P, SHIFT)
    steps = annotating.controller.state.undoable
    click_scene(annotating, SOFA_W)
    click_scene(annotating, TABLE_W, SHIFT)
    qtbot.waitUntil(lambda: len(state.state.draft) == 2)
    assert [r.snap for r in engine.sent(FindPlace)] == [True, False]
    assert annotating.annotate.bar.line.isVisible()
    annotating.canvas.screenshot()
    assert annotating.canvas.renderer.traces._index is not None
    annotating.controller.select(2)
    annotating.controller.set_single(True)
    pane, camera = annotating.images.pane, engine.scene.views[2].camera
    rect, (px,) = pane.photo_rect(), camera.project(SOFA_W)[0]
    at = inside(rect, px[0] / camera.width, px[1] / camera.height).toPoint()
    plain = pane.grab().toImage()
    QTest.mouseClick(pane, LEFT, NONE, at)
    qtbot.waitUntil(lambda: len(state.state.draft) == 3)
    assert pane.grab().toImage() != plain
    press(annotating, Qt.Key.Key_Backspace)
    assert len(state.state.draft) == 2
    assert annotating.controller.state.undoable == steps
    press(annotating, Qt.Key.Key_Return)
    things = annotating.annotate.panel.things
    qtbot.waitUntil(lambda: things.count() == 1)
    assert things.item(0).text() == "Line   table 1"
    assert state.state.draft == ()
    assert annotating.controller.state.undoable == steps + 1
    (line,) = engine.annotations.state.polylines
    assert (line.name, line.class_id, line.closed, len(line.points_w)) == ("table 1", 2, False, 2)
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("cable", True))
    annotating.annotate.panel.thing_renamed.emit("polyline", line.id)
    qtbot.waitUntil(lambda: things.item(0).text() == "Line   cable")
    press(annotating, Qt.Key.Key_Z, CTRL)
    press(annotating, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: things.count() == 0)
    press(annotating, Qt.Key.Key_Z, CTRL | SHIFT)
    qtbot.waitUntil(lambda: things.count() == 1)
    annotating.annotate.panel.thing_removed.emit("polyline", line.id)
    qtbot.waitUntil(lambda: things.count() == 0)


def test_a_line_ends_by_a_double_click_or_at_its_beginning(
    annotating: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    press(annotating, Qt.Key.Key_P, SHIFT)
    widget, distance = annotating.canvas.widget, annotating.canvas.navigator.orbit.distance
    annotating.canvas.screenshot()
    sofa, table = (QPoint(*p.round().astype(int)) for p in on_canvas(annotating, np.concatenate([SOFA_W, TABLE_W]))[0])
    QTest.mouseClick(widget, LEFT, NONE, sofa)
    qtbot.waitUntil(lambda: len(desk(annotating).state.draft) == 1)
    QTest.mouseClick(widget, LEFT, NONE, table)
    QTest.mouseDClick(widget, LEFT, NONE, table)
    qtbot.waitUntil(lambda: len(engine.annotations.state.polylines) == 1)
    assert len(engine.annotations.state.polylines[0].points_w) == 2
    assert not annotating.canvas.navigator.moving(0.0) or annotating.canvas.navigator.orbit.distance == distance
    for at in (sofa, table, sofa + QPoint(14, 0), sofa):
        before = len(desk(annotating).state.draft)
        QTest.mouseClick(widget, LEFT, NONE, at)
        qtbot.waitUntil(lambda b=before: len(desk(annotating).state.draft) != b)
    qtbot.waitUntil(lambda: len(engine.annotations.state.polylines) == 2)
    closed = engine.annotations.state.polylines[1]
    assert (closed.closed, len(closed.points_w)) == (True, 3)


def test_escape_gives_a_line_up_and_a_lone_point_is_none(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    press(annotating, Qt.Key.Key_P, SHIFT)
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: len(desk(annotating).state.draft) == 1)
    press(annotating, Qt.Key.Key_Return)
    assert "two points" in annotating.controller.state.notice
    assert len(desk(annotating).state.draft) == 1
    press(annotating, Qt.Key.Key_Escape)
    assert desk(annotating).state.draft == ()
    assert desk(annotating).state.tool == "polyline"
    for place in (SOFA_W, TABLE_W):
        click_scene(annotating, place)
    qtbot.waitUntil(lambda: len(desk(annotating).state.draft) == 2)
    press(annotating, Qt.Key.Key_Z, CTRL)  # a point, not what was done before
    assert len(desk(annotating).state.draft) == 1
    assert len(desk(annotating).state.marks.things.palette) == 2
    click_scene(annotating, TABLE_W)
    qtbot.waitUntil(lambda: len(desk(annotating).state.draft) == 2)
    press(annotating, Qt.Key.Key_A)  # another tool: the line is kept
    qtbot.waitUntil(lambda: len(engine.sent(PutPolyline)) == 1)


def test_keys_size_the_brush_and_move_the_threshold(annotating: Window, qtbot: QtBot) -> None:
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    few = len(desk(annotating).state.selection.rows)
    press(annotating, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: len(desk(annotating).state.selection.rows) == few + 50)
    press(annotating, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: len(desk(annotating).state.selection.rows) == few)
    press(annotating, Qt.Key.Key_Escape)
    press(annotating, Qt.Key.Key_B, SHIFT)
    press(annotating, Qt.Key.Key_Plus)
    assert desk(annotating).state.brush_px == pytest.approx(12 * 1.15)
    press(annotating, Qt.Key.Key_Minus)
    assert desk(annotating).state.brush_px == pytest.approx(12)
    centre, distance = QPointF(annotating.canvas.widget.rect().center()), annotating.canvas.navigator.orbit.distance
    event = QWheelEvent(
        centre, centre, QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton, SHIFT, Qt.ScrollPhase.NoScrollPhase, False
    )
    QApplication.sendEvent(annotating.canvas.surface, event)
    assert desk(annotating).state.brush_px == pytest.approx(12 * 1.15)
    assert annotating.canvas.navigator.orbit.distance == distance


def test_every_tool_has_a_key_that_is_told(annotating: Window) -> None:
    keys = [a.shortcut for a in ACTIONS if a.shortcut]
    assert len(keys) == len(set(keys))
    sheet = ShortcutSheet(annotating)
    told = {label.text() for label in sheet.findChildren(type(annotating.annotate.bar.hint))}
    for name in (*TOOLS, "annotate_through"):
        action = annotating.actions_by_id[name]
        native = action.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        assert native
        assert native in action.toolTip()
        assert {native, action.text().replace("&", "")} <= told
        press(annotating, Qt.Key.Key_Escape)
