"""Annotating in the window, by real events on the fake engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, click, inside, wait_ready
from fakes import BOXES, FakeEngine
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from app.annotate import AnnotateDesk
from app.panels.label_paint import labels_of, lit_of
from app.theme import DARK
from app.window import Window
from engine.api.annotating import DrawStroke, ExportAnnotations, OpenAnnotations, PaintAt, PrepareAnnotating
from engine.api.annotations import LabelClass
from engine.api.requests import MatchQuery, PointSource

pytestmark = pytest.mark.qt_log_level_fail("WARNING")
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
TABLE_W = np.array([[3.9, 2.8, 0.72]])
SOFA_W = np.array([[1.35, 0.7, 0.75]])


def press(window: Window, key: Qt.Key, held: Qt.KeyboardModifier = NONE) -> None:
    QTest.keyClick(window.windowHandle(), key, held)


def desk(window: Window) -> AnnotateDesk:
    return window.annotate.desk


def labelled(window: Window, class_id: int) -> int:
    marks = desk(window).state.marks
    return 0 if marks is None else int((marks.labels == class_id).sum())


@pytest.fixture
def annotating(window: Window, qtbot: QtBot) -> Window:
    """The classes chair and table are there; smart select is in hand."""
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    press(window, Qt.Key.Key_F4)
    field = window.annotate.panel.field
    for name in ("chair", "table"):
        QTest.keyClicks(field, name)
        QTest.keyClick(field, Qt.Key.Key_Return)
    window.canvas.widget.setFocus()
    press(window, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: len(desk(window).state.photos) == 8)
    qtbot.waitUntil(lambda: len(desk(window).state.marks.things.palette) == 2)  # they come a few at a time
    qtbot.waitUntil(lambda: len(window.annotate.panel.rows) == 2)
    window.canvas.go_to("home", fly=False)
    return window


def click_scene(window: Window, pos_w: np.ndarray, held: Qt.KeyboardModifier = NONE) -> None:
    window.canvas.screenshot()
    at = window.canvas.camera().project(pos_w)[0][0]
    QTest.mouseClick(window.canvas.widget, LEFT, held, QPoint(*(round(float(v)) for v in at)))


def test_nothing_is_begun_until_it_is_wanted(window: Window, engine: FakeEngine) -> None:
    assert [r.begin for r in engine.sent(OpenAnnotations)] == [False]
    assert not engine.sent(PrepareAnnotating)
    assert not window.docks["annotate"].isVisible()
    window.trigger("annotate")
    assert window.annotate.panel.text.isVisible()
    assert "type a class" in window.annotate.panel.text.text()
    assert not engine.annotations.begun


def test_the_mode_shows_and_escape_ends_it(annotating: Window, engine: FakeEngine) -> None:
    bar, state = annotating.annotate.bar, desk(annotating).state
    assert engine.annotations.begun
    assert [c.name for c in state.marks.things.palette] == ["chair", "table"]
    assert state.class_in_hand.name == "table"  # the one that was added last
    assert bar.isVisible()
    assert (bar.tool.text(), bar.name.text()) == ("Smart select", "table")
    assert "Click a thing" in bar.hint.text()
    assert annotating.images.pane.cursor().shape() == Qt.CursorShape.BitmapCursor
    press(annotating, Qt.Key.Key_Escape)
    assert not bar.isVisible()
    assert annotating.images.pane.cursor().shape() == Qt.CursorShape.CrossCursor
    click_scene(annotating, SOFA_W)
    assert len(engine.sent(MatchQuery)) == 1


def test_a_click_in_the_scene_selects_and_a_digit_labels(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    assert not engine.sent(MatchQuery)  # the click is the tool's
    rows = desk(annotating).state.selection.rows
    assert set(rows) == set(engine.annotations.things[0])
    over = annotating.controller._shown.images.labels
    assert any(lit_of(over, v.index, DARK) is not None for v in engine.scene.views)
    before = annotating.canvas.screenshot().astype(int)
    press(annotating, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: labelled(annotating, 1) == len(rows))
    assert desk(annotating).state.selection is None
    assert engine.annotations.state.instances[rows].tolist() == [1] * len(rows)
    over = annotating.controller._shown.images.labels
    photo = next(v.index for v in engine.scene.views if np.isin(engine.annotations.rows(v.index), rows).any())
    assert labels_of(over, photo) is not None
    qtbot.waitUntil(lambda: not annotating.canvas.renderer.labels.busy)
    after = annotating.canvas.screenshot().astype(int)
    x, y = annotating.canvas.camera().project(SOFA_W)[0][0].round().astype(int)
    assert np.abs(after[y, x] - before[y, x]).max() > 30  # from the accent to the class's colour
    assert "1 · " in annotating.annotate.panel.rows[1].count.text()


def test_clicks_add_and_take_away_and_enter_labels(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    sofa, table = (set(engine.annotations.things[n]) for n in (0, 1))
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    click_scene(annotating, TABLE_W, SHIFT)
    qtbot.waitUntil(lambda: set(desk(annotating).state.selection.rows) == sofa | table)
    click_scene(annotating, SOFA_W, CTRL)
    qtbot.waitUntil(lambda: set(desk(annotating).state.selection.rows) == table - sofa)
    press(annotating, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: labelled(annotating, 2) == len(table - sofa))


def test_the_wheel_moves_the_threshold_and_does_not_zoom(annotating: Window, qtbot: QtBot) -> None:
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    few = len(desk(annotating).state.selection.rows)
    distance = annotating.canvas.navigator.orbit.distance
    centre = QPointF(annotating.canvas.widget.rect().center())

    def turn(held: Qt.KeyboardModifier, steps: int) -> None:
        event = QWheelEvent(
            centre, centre, QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton, held,
            Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(annotating.canvas.surface, event)

    turn(NONE, 1)
    qtbot.waitUntil(lambda: len(desk(annotating).state.selection.rows) == few + 50)
    turn(NONE, -1)
    qtbot.waitUntil(lambda: len(desk(annotating).state.selection.rows) == few)
    assert annotating.canvas.navigator.orbit.distance == distance
    turn(CTRL, 1)
    qtbot.waitUntil(lambda: annotating.canvas.navigator.orbit.distance < distance)


@pytest.mark.parametrize(("key", "kind"), [(Qt.Key.Key_B, "brush"), (Qt.Key.Key_L, "lasso"), (Qt.Key.Key_R, "box")])
def test_a_stroke_in_a_large_photo_is_one_step(
    annotating: Window, engine: FakeEngine, qtbot: QtBot, key: Qt.Key, kind: str
) -> None:
    press(annotating, key, SHIFT)
    annotating.controller.select(2)
    annotating.controller.set_single(True)
    pane = annotating.images.pane
    rect = pane.photo_rect()
    path = [inside(rect, *p).toPoint() for p in ((0.3, 0.6), (0.6, 0.62), (0.62, 0.9), (0.3, 0.88))]
    QTest.mousePress(pane, LEFT, NONE, path[0])
    for at in path[1:3] if kind == "box" else path[1:]:
        QTest.mouseMove(pane, at)
    assert annotating.annotate.pad.drawing
    QTest.mouseRelease(pane, LEFT, NONE, path[2] if kind == "box" else path[3])
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    (stroke,) = engine.sent(DrawStroke)
    assert (stroke.view, stroke.kind, stroke.use) == (2, kind, "label")
    camera = engine.scene.views[2].camera
    x = (path[0].x() - rect.left()) / rect.width() * camera.width
    assert stroke.path_px[0][0] == pytest.approx(x, abs=1e-6)
    assert pane._zoom == 1.0
    count, steps = labelled(annotating, 2), annotating.controller.state.undoable
    press(annotating, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: labelled(annotating, 2) == 0)
    press(annotating, Qt.Key.Key_Z, CTRL | SHIFT)
    qtbot.waitUntil(lambda: labelled(annotating, 2) == count)
    assert annotating.controller.state.undoable == steps
    QTest.mousePress(pane, LEFT, SHIFT, path[0])
    for at in path[1:3]:
        QTest.mouseMove(pane, at)
    QTest.mouseRelease(pane, LEFT, SHIFT, path[2])
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)  # Shift selects instead


def test_the_brush_paints_over_the_scene(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    press(annotating, Qt.Key.Key_B, SHIFT)
    widget, yaw = annotating.canvas.widget, annotating.canvas.navigator.orbit.yaw
    annotating.canvas.screenshot()
    x, y = annotating.canvas.camera().project(SOFA_W)[0][0].round().astype(int).tolist()
    QTest.mousePress(widget, LEFT, NONE, QPoint(x, y))
    for step in range(1, 6):
        QTest.mouseMove(widget, QPoint(x + 3 * step, y))
    QTest.mouseRelease(widget, LEFT, NONE, QPoint(x + 15, y))
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    (painted,) = engine.sent(PaintAt)
    assert len(painted.points_w) == 6
    assert np.abs(painted.points_w[0] - SOFA_W[0]).max() < 0.12
    assert annotating.canvas.navigator.orbit.yaw == yaw


def test_what_changed_is_drawn_as_if_all_were_drawn_anew(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    renderer = annotating.canvas.renderer
    loads: list[object] = []
    whole = renderer.labels.load
    click_scene(annotating, TABLE_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    press(annotating, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None and renderer.labels.on)
    qtbot.waitUntil(lambda: not renderer.labels.busy)
    renderer.labels.load = lambda *given: (loads.append(given), whole(*given))
    press(annotating, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: labelled(annotating, 1) > 0)
    part = annotating.canvas.screenshot()
    assert loads == []  # only the box about what changed was uploaded
    over = annotating.controller._shown.canvas.labels
    renderer.labels.clear()
    renderer.labels.set(over.volume, over.marks.colours[:-1], np.zeros(len(over.marks.labels), np.uint8))
    again = annotating.canvas.screenshot()
    assert len(loads) == 1
    np.testing.assert_array_equal(part, again)


def test_suggestions_are_accepted_and_refused_by_keys(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    press(annotating, Qt.Key.Key_2)
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    press(annotating, Qt.Key.Key_A, SHIFT)
    qtbot.waitUntil(lambda: desk(annotating).state.offer is not None)
    offer = desk(annotating).state.offer
    assert annotating.annotate.bar.refuse.isVisible()
    assert f"1 of {offer.total}" in annotating.annotate.bar.hint.text()
    first, second = (s.rows for s in offer.left[:2])
    press(annotating, Qt.Key.Key_Backspace)
    assert desk(annotating).state.lit.rows is second
    press(annotating, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: bool((engine.annotations.state.labels[second] == 2).all()))
    assert not engine.annotations.state.labels[np.setdiff1d(first, second)].any()
    press(annotating, Qt.Key.Key_Escape)
    assert desk(annotating).state.offer is None


def test_classes_are_changed_in_the_panel(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    row = annotating.annotate.panel.rows[1]
    QTest.mouseDClick(row, LEFT)
    row.field.setText("armchair")
    QTest.keyClick(row.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: row.name.text() == "armchair")
    click(row.lock, QPointF(5, 5))
    qtbot.waitUntil(lambda: engine.annotations.state.palette[0].locked)
    click(row.eye, QPointF(5, 5))
    qtbot.waitUntil(lambda: not engine.annotations.state.palette[0].visible)
    row.removed.emit(2)
    qtbot.waitUntil(lambda: list(annotating.annotate.panel.rows) == [1])
    press(annotating, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: list(annotating.annotate.panel.rows) == [1, 2])


def test_boxes_and_landmarks_are_drawn_listed_and_removed(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    press(annotating, Qt.Key.Key_O, SHIFT)
    press(annotating, Qt.Key.Key_Escape)
    press(annotating, Qt.Key.Key_K, SHIFT)
    click_scene(annotating, TABLE_W)
    things = annotating.annotate.panel.things
    qtbot.waitUntil(lambda: things.count() == 2)
    assert [things.item(n).text() for n in range(2)] == ["Box   table", "Landmark   table 1"]
    renderer = annotating.canvas.renderer
    annotating.canvas.screenshot()
    assert renderer.things._index is not None
    photo = next(
        v.index
        for v in engine.scene.views
        if np.isin(engine.annotations.rows(v.index), engine.annotations.things[0]).mean() > 0.05
    )
    annotating.controller.select(photo)
    annotating.controller.set_single(True)
    pane = annotating.images.pane
    qtbot.wait(50)
    shown = pane.grab().toImage()
    annotating.controller.set_layer("labels", visible=False)
    qtbot.wait(50)
    assert pane.grab().toImage() != shown
    annotating.annotate.panel.thing_removed.emit("box", 1)
    qtbot.waitUntil(lambda: things.count() == 1)
    press(annotating, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: things.count() == 2)


def test_a_refusal_of_a_click_is_told_in_the_status_bar(annotating: Window, qtbot: QtBot) -> None:
    desk(annotating).tools.click(PointSource((9.0, 9, 9)))
    qtbot.waitUntil(lambda: annotating.controller.state.notice.startswith("there is nothing"))
    assert annotating.controller.state.banner is None


def test_another_windows_annotations_can_be_looked_at_only(make_window: MakeWindow, qtbot: QtBot) -> None:
    engine = FakeEngine(count=8)
    engine.annotations.begun = True
    state = engine.annotations.state
    state.apply(state.put(LabelClass(1, "chair", (9, 200, 9))))
    state.apply(state.paint(engine.annotations.things[0], 1, 1))
    engine.annotations.problem = "another window has these annotations open"
    window = make_window(engine)
    wait_ready(window, qtbot)
    qtbot.waitUntil(lambda: labelled(window, 1) > 0)  # without having asked for it
    window.trigger("annotate")
    assert "another window" in window.annotate.panel.problem.text()
    assert not window.annotate.panel.field.isEnabled()
    assert not window.actions_by_id["annotate_brush"].isEnabled()
    assert window.controller.state.undoable == 0


def test_export_asks_for_file_and_format(
    annotating: Window, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: QtBot
) -> None:
    click_scene(annotating, SOFA_W)
    qtbot.waitUntil(lambda: desk(annotating).state.selection is not None)
    press(annotating, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: annotating.actions_by_id["annotations_export"].isEnabled())

    def chosen(_parent: object, _title: str, _name: str, filters: str) -> tuple[str, str]:
        return str(tmp_path / "room"), next(f for f in filters.split(";;") if f.startswith("COCO"))

    monkeypatch.setattr(QFileDialog, "getSaveFileName", chosen)
    annotating.trigger("annotations_export")
    (request,) = engine.sent(ExportAnnotations)
    assert (request.format, request.path) == ("coco", str(tmp_path / "room.coco.json"))


def test_every_box_of_the_room_is_a_thing(engine: FakeEngine) -> None:
    assert all(len(t) > 100 for t in engine.annotations.things)
    assert len(engine.annotations.things) == len(BOXES)
