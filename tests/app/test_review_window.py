"""Reviewing in the window, by real events on the fake engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from driving import click, inside, wait_ready
from fakes import FakeEngine
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog, QInputDialog
from pytestqt.qtbot import QtBot
from test_annotate_window import annotating, desk, labelled, press

from app.docks import in_front
from app.panels.label_paint import lit_of
from app.review_state import AGREE, ONLY_MINE, ONLY_THEIRS, OTHER
from app.theme import DARK
from app.window import Window
from engine.annotations.comparing import Theirs
from engine.annotations.state import AnnotationState
from engine.api.annotations import LabelClass
from engine.api.reviewing import FindConflicts, LabelAs, SettleConflict, StopComparing, SuggestFrom, TakeTheirs

pytestmark = pytest.mark.qt_log_level_fail("WARNING")
SHIFT, CTRL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
LEFT = Qt.MouseButton.LeftButton
__all__ = ["annotating"]


def review(window: Window):
    return window.controller.state.review


def stroke(window: Window, view: int, class_key: Qt.Key, lo: tuple[float, float], hi: tuple[float, float]) -> None:
    """A rectangle in a large photo, with the class of a key."""
    press(window, class_key)
    window.controller.select(view)
    window.controller.set_single(True)
    rect = window.images.pane.photo_rect()
    QTest.mousePress(window.images.pane, LEFT, Qt.KeyboardModifier.NoModifier, inside(rect, *lo).toPoint())
    QTest.mouseMove(window.images.pane, inside(rect, *hi).toPoint())
    QTest.mouseRelease(window.images.pane, LEFT, Qt.KeyboardModifier.NoModifier, inside(rect, *hi).toPoint())


@pytest.fixture
def contradicted(annotating: Window, qtbot: QtBot) -> Window:
    """Photo 2 says chair of a place, photo 3 table of most of it, and photo 1 chair elsewhere."""
    press(annotating, Qt.Key.Key_R, SHIFT)
    stroke(annotating, 2, Qt.Key.Key_1, (0.2, 0.45), (0.75, 0.95))
    qtbot.waitUntil(lambda: labelled(annotating, 1) > 0)
    stroke(annotating, 3, Qt.Key.Key_2, (0.2, 0.45), (0.75, 0.95))
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    press(annotating, Qt.Key.Key_Escape)
    annotating.controller.set_single(False)
    return annotating


def table_row(table, row: int) -> QPointF:
    rect = table.visualItemRect(table.item(row, 0))
    return QPointF(rect.left() + 10.0, rect.center().y())


def test_conflicts_are_listed_looked_at_and_settled_by_keys(
    contradicted: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    window, panel = contradicted, contradicted.review.panel
    press(window, Qt.Key.Key_C, SHIFT)
    qtbot.waitUntil(lambda: review(window).found is not None)
    assert in_front(window.docks["review"])
    listed = review(window).listed
    assert listed
    sizes = [len(c.rows) for c in listed]
    assert sizes[0] == max(sizes)
    assert {(c.a.view, c.a.name, c.b.view, c.b.name) for c in listed} == {(2, "chair", 3, "table")}
    assert panel.conflicts.table.rowCount() == len(listed)
    assert "chair · photo 2" in panel.conflicts.table.item(0, 0).text()
    assert panel.conflicts.detail.isHidden()
    before = window.canvas.navigator.orbit
    click(panel.conflicts.table.viewport(), table_row(panel.conflicts.table, 0))
    qtbot.waitUntil(lambda: review(window).looked is not None)
    looked = review(window).looked
    assert looked.views == (2, 3)
    assert min(looked.pixels) > 0
    qtbot.waitUntil(lambda: {2, 3} <= set(window.controller.state.photos))  # at display size
    qtbot.waitUntil(lambda: window.canvas.navigator.orbit is not before)
    assert all(crop.isVisible() and not crop._path.isEmpty() for crop in panel.conflicts.crops)
    assert "photo" not in panel.conflicts.buttons[0].text()
    assert panel.conflicts.buttons[0].text() == "chair  (A)"
    over = window.controller._shown.images.labels
    assert lit_of(over, 2, DARK) is not None  # outlined in all photos
    rows = looked.of.rows
    steps = window.controller.state.undoable
    press(window, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: bool((engine.annotations.state.labels[rows] == 1).all()))
    (request,) = engine.sent(SettleConflict)
    assert request.class_id == 1
    qtbot.waitUntil(lambda: len(review(window).listed) == len(listed) - 1)
    qtbot.waitUntil(lambda: window.controller.state.undoable == steps + 1)
    assert desk(window).state.tool is None  # A is not smart select here
    press(window, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: len(review(window).listed) == len(listed))
    assert (engine.annotations.state.labels[rows] == 2).all()
    click(panel.conflicts.table.viewport(), table_row(panel.conflicts.table, 0))
    press(window, Qt.Key.Key_B)  # what it is now: nothing but that it is settled
    qtbot.waitUntil(lambda: len(review(window).listed) == len(listed) - 1)
    assert window.controller.state.undoable == steps + 1


def test_skipping_goes_on_and_escape_ends(contradicted: Window, qtbot: QtBot) -> None:
    window = contradicted
    press(window, Qt.Key.Key_C, SHIFT)
    qtbot.waitUntil(lambda: bool(review(window).listed))
    for place in range(len(review(window).listed)):
        if place == 0:
            window.review.desk.look(0)
        assert review(window).looked.of is review(window).listed[place]
        press(window, Qt.Key.Key_Backspace)
    assert review(window).looked is None
    assert "were looked at" in window.controller.state.notice
    window.review.desk.look(0)
    press(window, Qt.Key.Key_Escape)
    assert review(window).looked is None
    assert review(window).found is not None


def test_crops_open_the_whole_photo_and_follow_the_theme(contradicted: Window, qtbot: QtBot) -> None:
    window = contradicted
    press(window, Qt.Key.Key_C, SHIFT)
    qtbot.waitUntil(lambda: bool(review(window).listed))
    window.review.desk.look(0)
    crop = window.review.panel.conflicts.crops[1]
    qtbot.waitUntil(lambda: crop.isVisible() and crop._picture is not None)
    window.toggle_theme()
    assert crop._theme.name == "light"
    click(crop, QPointF(20, 20))
    qtbot.waitUntil(lambda: window.controller.state.single and window.controller.state.selected == 3)


def test_without_conflicts_the_page_says_what_one_is(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    press(annotating, Qt.Key.Key_C, SHIFT)
    qtbot.waitUntil(lambda: review(annotating).found is not None)
    assert "No two photos contradict" in annotating.review.panel.text.text()
    jobs = [j for j in annotating.controller.state.jobs if j.title == FindConflicts.title]
    assert len(jobs) == 1
    assert len(engine.sent(FindConflicts)) == 1


def theirs(engine: FakeEngine) -> Theirs:
    """Chair on the first thing and half of the second, a lamp on the third."""
    things = engine.annotations.things
    state = AnnotationState.empty(len(engine.annotations.state.labels))
    for label in (LabelClass(4, "Chair", (9, 9, 9)), LabelClass(7, "lamp", (200, 200, 20))):
        state.apply(state.put(label))
    state.apply(state.paint(things[2], 7, 3))
    state.apply(state.paint(things[0], 4, 1))
    state.apply(state.paint(things[1][: len(things[1]) // 2], 4, 2))
    return Theirs("b.json", state, ("12 of 400 labelled points lie on no voxel of this scene and were left out.",))


@pytest.fixture
def compared(
    annotating: Window, engine: FakeEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Window:
    """The first thing is a chair and the second a table here; the other annotator's file is open."""
    for thing, key in ((0, Qt.Key.Key_1), (1, Qt.Key.Key_2)):
        desk(annotating).set(selection=_selection(engine, thing))
        press(annotating, key)
    qtbot.waitUntil(lambda: labelled(annotating, 2) > 0)
    press(annotating, Qt.Key.Key_Escape)
    engine.annotations.theirs = theirs(engine)
    answer = (str(tmp_path / "b.json"), "ConDense: everything, lossless (*.json)")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: answer)
    press(annotating, Qt.Key.Key_T, SHIFT)
    qtbot.waitUntil(lambda: review(annotating).compared is not None)
    return annotating


def _selection(engine: FakeEngine, thing: int):
    from app.annotate_state import Selection

    return Selection(len(engine.annotations.state.labels), engine.annotations.things[thing])


def test_another_annotator_is_compared_and_coloured(compared: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    page, r = compared.review.panel.compare, review(compared)
    assert in_front(compared.docks["review"])
    assert "b.json" in page.summary.text()
    assert "left out" in page.told.text()
    assert page.legend.isVisible()
    names = [page.table.item(n, 0).text() for n in range(page.table.rowCount())]
    assert set(names) == {"Chair", "table", "lamp"} or set(names) == {"chair", "table", "lamp"}
    things = engine.annotations.things
    over = compared.controller._shown.canvas.labels
    assert over.marks is r.marks
    first = np.setdiff1d(things[0], things[2])
    assert set(over.marks.labels[first].tolist()) == {AGREE}
    assert {OTHER, ONLY_MINE, ONLY_THEIRS} <= set(over.marks.labels.tolist())
    lamp = names.index("lamp")
    click(page.table.viewport(), table_row(page.table, lamp))
    qtbot.waitUntil(lambda: review(compared).only == lamp + 1)
    shown = np.flatnonzero(compared.controller._shown.canvas.labels.marks.labels)
    assert set(shown) <= set(things[2].tolist())
    assert all("lamp" in (p.a.name, p.b.name) for p in review(compared).listed)
    click(page.table.viewport(), table_row(page.table, lamp))  # again: all
    qtbot.waitUntil(lambda: review(compared).only == 0)


def test_theirs_is_taken_by_class_and_by_place(compared: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    page, state = compared.review.panel.compare, engine.annotations.state
    names = [page.table.item(n, 0).text() for n in range(page.table.rowCount())]
    steps, before = compared.controller.state.undoable, state.copy()
    click(page.table.viewport(), table_row(page.table, names.index("lamp")))
    assert page.take.text() == "Take theirs for lamp"
    click(page.take, QPointF(8, 8))
    qtbot.waitUntil(lambda: compared.controller.state.undoable == steps + 1)
    assert [c.name for c in state.palette] == ["chair", "table", "lamp"]
    qtbot.waitUntil(lambda: "lamp" not in {p.b.name for p in review(compared).compared.places})
    assert next(c.iou for c in review(compared).compared.classes if c.name == "lamp") == 1.0
    press(compared, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: state.same_as(before))
    qtbot.waitUntil(lambda: "lamp" in {p.b.name for p in review(compared).compared.places})
    compared.review.desk.isolate(review(compared).only)
    click(page.places.table.viewport(), table_row(page.places.table, 0))
    qtbot.waitUntil(lambda: review(compared).looked is not None)
    assert page.places.buttons[1].text() == "Take theirs  (B)"
    rows, count = review(compared).looked.of.rows, len(review(compared).listed)
    press(compared, Qt.Key.Key_A)  # mine is kept: on to the next
    assert len(engine.sent(TakeTheirs)) == 1
    compared.review.desk.look(0)
    press(compared, Qt.Key.Key_B)
    qtbot.waitUntil(lambda: len(review(compared).listed) == count - 1)
    np.testing.assert_array_equal(engine.sent(TakeTheirs)[-1].rows, rows)
    click(page.stop, QPointF(8, 8))
    qtbot.waitUntil(lambda: review(compared).compared is None)
    assert engine.sent(StopComparing)
    assert compared.controller._shown.canvas.labels.marks is desk(compared).state.marks


def test_a_file_of_another_capture_can_be_compared_by_position(
    compared: Window, engine: FakeEngine, qtbot: QtBot
) -> None:
    engine.annotations.of_elsewhere = True
    press(compared, Qt.Key.Key_T, SHIFT)
    page = compared.review.panel.compare
    qtbot.waitUntil(lambda: page.by_position.isVisible())
    assert "another capture" in page.text.text()
    assert review(compared).compared is None
    click(page.by_position, QPointF(8, 8))
    qtbot.waitUntil(lambda: review(compared).compared is not None)
    assert not page.by_position.isVisible()


def test_a_file_that_cannot_be_read_is_told(compared: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    engine.annotations.theirs = None
    press(compared, Qt.Key.Key_T, SHIFT)
    qtbot.waitUntil(lambda: compared.controller.state.banner is not None)
    assert "no such file" in compared.controller.state.banner.text
    assert not review(compared).comparing


def test_what_has_no_label_is_gone_through(annotating: Window, engine: FakeEngine, qtbot: QtBot) -> None:
    press(annotating, Qt.Key.Key_Escape)
    press(annotating, Qt.Key.Key_V, SHIFT)
    page = annotating.review.panel.progress
    qtbot.waitUntil(lambda: page.table.rowCount() == 2)
    assert "0.0% of the voxels labelled" in page.share.text()
    assert page.parts.count() == len(engine.annotations.things)
    assert page.photos.count() == 6
    press(annotating, Qt.Key.Key_U)
    offer = desk(annotating).state.offer
    assert offer is not None
    assert "Not labelled yet: 1 of" in annotating.annotate.bar.hint.text()
    first, second = (s.rows for s in offer.left[:2])
    press(annotating, Qt.Key.Key_U)  # the next one
    assert desk(annotating).state.lit.rows is second
    press(annotating, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: bool((engine.annotations.state.labels[second] == 1).all()))
    assert not engine.annotations.state.labels[np.setdiff1d(first, second)].any()
    qtbot.waitUntil(lambda: page.table.item(0, 0).text() == "chair" and page.table.item(0, 1).text() != "0")
    press(annotating, Qt.Key.Key_Escape)
    press(annotating, Qt.Key.Key_U, SHIFT)
    state = annotating.controller.state
    assert state.single
    most = state.selected
    press(annotating, Qt.Key.Key_U, SHIFT)
    assert annotating.controller.state.selected != most
    item = page.parts.item(0)
    before = annotating.canvas.navigator.orbit
    click(page.parts.viewport(), QPointF(page.parts.visualItemRect(item).center()))
    qtbot.waitUntil(lambda: annotating.canvas.navigator.orbit is not before)


def test_a_class_is_carried_to_another_scene(
    annotating: Window, engine: FakeEngine, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert not annotating.actions_by_id["review_carry"].isEnabled()
    desk(annotating).set(selection=_selection(engine, 0))
    press(annotating, Qt.Key.Key_1)
    qtbot.waitUntil(lambda: labelled(annotating, 1) > 0)
    annotating.repository.desk.open(str(tmp_path), make=True)
    qtbot.waitUntil(lambda: bool(annotating.controller.state.repository.scenes))
    qtbot.waitUntil(lambda: annotating.actions_by_id["review_carry"].isEnabled())
    names: list[str] = []

    def choose(parent: object, title: str, label: str, items: list[str], *rest: object) -> tuple[str, bool]:
        names.extend(items)
        return items[0], True

    monkeypatch.setattr(QInputDialog, "getItem", choose)
    there = next(s for s in annotating.controller.state.repository.scenes if s.name == "again")
    engine.annotations.state = AnnotationState.empty(len(engine.annotations.state.labels))  # nothing is labelled there
    engine.annotations.done.clear()
    engine.annotations.begun = False
    annotating.trigger("review_carry")
    qtbot.waitUntil(lambda: annotating.controller.state.scene.path == there.path)
    wait_ready(annotating, qtbot)
    qtbot.waitUntil(lambda: desk(annotating).state.offer is not None)
    assert names == ["again", "other"]  # not the open one
    (asked,) = engine.sent(SuggestFrom)
    assert asked.encoder == "fake"
    offer = desk(annotating).state.offer
    assert offer.carried.name == "chair"
    assert annotating.annotate.bar.name.text() == "chair"
    assert "Like chair of room" in annotating.annotate.bar.hint.text()
    first, second = (s.rows for s in offer.left[:2])
    annotating.canvas.widget.setFocus()
    press(annotating, Qt.Key.Key_Return)
    state = engine.annotations.state
    qtbot.waitUntil(lambda: [c.name for c in state.palette] == ["chair"])
    (made,) = engine.sent(LabelAs)
    assert made.rgb == offer.carried.rgb
    qtbot.waitUntil(lambda: annotating.controller.state.undoable == 1)  # class and labels are one step
    press(annotating, Qt.Key.Key_Backspace)
    assert not state.labels[np.setdiff1d(second, first)].any()
    press(annotating, Qt.Key.Key_Z, CTRL)
    qtbot.waitUntil(lambda: not state.palette and not state.labels.any())
