"""Prompts in the window: how they are read, when they are asked, what they say and show, and where Enter goes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driving import MakeWindow, wait_ready
from fake_prompts import VOCABULARY, named, prompted
from fakes import THINGS, FakeEngine, featured, room_scene
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot
from test_controller import Outbox, opened

from app import colormaps
from app.canvas.look import rgb
from app.controller import Controller
from app.menus import EncoderMenu
from app.panels.prompt_paint import painted
from app.prompt_state import MOST, SOFTNESS, Prompt, added, parse
from app.resolve import resolve
from app.window import Window
from engine.api.replies import Failed, JobFinished, Region
from engine.api.requests import THRESHOLD, MatchQuery, NameScene, PictureExample, PromptQuery, RegionExample


def test_what_is_typed_is_parted_at_commas_and_minuses() -> None:
    assert parse("chair, red  table;lamp") == [("chair", False), ("red table", False), ("lamp", False)]
    assert parse("chair -armchair") == [("chair", False), ("armchair", True)]
    assert parse("-wall, −floor") == [("wall", True), ("floor", True)]
    assert parse("high-chair") == [("high-chair", False)]
    assert parse(" , ;\n -") == [("-", False)]
    assert parse("") == []
    assert len(parse("x" * 5000)[0][0]) == 120


def test_each_has_a_colour_of_its_own_and_there_are_no_more_than_colours() -> None:
    some = added((), ", ".join(f"thing {n}" for n in "abcdefghij"))
    assert [p.colour for p in some] == list(range(MOST))
    assert len(colormaps.prompt_colours()) >= MOST
    fewer = tuple(p for p in some if p.colour != 2)
    assert added(fewer, "another, -wall")[-2:] == (Prompt("another", colour=2), Prompt("wall", negative=True))
    assert added(some[:1], "Thing A") == some[:1]


def ready() -> tuple[Controller, Outbox, FakeEngine]:
    """A capture that is open, with features, and named since the cursor came to the bar."""
    controller, outbox = opened()
    featured(controller)
    assert not outbox.of(NameScene)
    controller.prompts.ready()
    (request,) = outbox.of(NameScene)
    volume = controller.state.volume
    assert volume is not None
    controller.receive(named(volume, request.id))
    controller.receive(JobFinished(id=request.id, title=request.title, seconds=1.0))
    return controller, outbox, FakeEngine(count=4)


def answer(controller: Controller, outbox: Outbox) -> None:
    volume = controller.state.volume
    assert volume is not None
    controller.receive(prompted(room_scene(4), volume, outbox.of(PromptQuery)[-1], THINGS))


def test_they_are_asked_as_they_are_typed_and_kept_on_enter() -> None:
    controller, outbox, _ = ready()
    controller.prompts.type("chair")
    assert outbox.of(PromptQuery)[-1].prompts == ("chair",)
    answer(controller, outbox)
    (row,) = resolve(controller.state).prompts.rows
    assert row.prompt.draft
    assert row.message == "1 place, best 0.80"
    controller.prompts.enter("chair, table, -wall")
    last = outbox.of(PromptQuery)[-1]
    assert (last.prompts, last.negatives) == (("chair", "table"), ("wall",))
    assert [p.text for p in controller.state.prompts] == ["chair", "table", "wall"]
    assert controller.state.prompt_history == ("chair, table, -wall",)
    assert controller.state.draft == ""


def test_an_older_answer_does_not_replace_a_newer_question() -> None:
    controller, outbox, _ = ready()
    controller.prompts.type("chai")
    old = outbox.of(PromptQuery)[-1]
    controller.prompts.type("chair")
    answer(controller, outbox)
    shown = controller.state.prompted
    volume = controller.state.volume
    assert volume is not None
    controller.receive(prompted(room_scene(4), volume, old, THINGS))
    assert controller.state.prompted is shown


def test_words_and_what_comes_of_them() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair, nonsense")
    answer(controller, outbox)
    chair, nonsense = resolve(controller.state).prompts.rows
    assert "no word of this is known; did you mean chair?" in nonsense.message
    assert nonsense.regions == ()
    assert len(chair.regions) == 1
    controller.prompts.set_threshold("chair", 0.9)
    answer(controller, outbox)
    assert resolve(controller.state).prompts.rows[0].message == "nothing here looks like that (best 0.80)"
    assert resolve(controller.state).prompts.rows[0].regions == ()
    assert "3 names" in resolve(controller.state).prompts.hint


def test_a_moved_threshold_shows_at_once_and_asks_nothing_for_the_picture() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair")
    answer(controller, outbox)
    shown = resolve(controller.state).canvas.prompts
    controller.prompts.set_threshold("chair", 0.7)
    moved = resolve(controller.state).canvas.prompts
    assert moved.answer is shown.answer
    assert [p.threshold for p in moved.shown] == [0.7]


def test_an_answer_that_comes_after_all_were_cleared_shows_nothing() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair")
    late = outbox.of(PromptQuery)[-1]
    controller.prompts.clear()
    volume = controller.state.volume
    assert volume is not None
    controller.receive(prompted(room_scene(4), volume, late, THINGS))
    assert controller.state.prompted is None
    assert resolve(controller.state).canvas.prompts.answer is None


def test_a_threshold_that_is_moved_leads_nowhere() -> None:
    controller, outbox, _ = ready()
    went: list[Region] = []
    controller.prompts._on_found = went.append
    controller.prompts.enter("chair")
    controller.prompts.set_threshold("chair", 0.1)
    answer(controller, outbox)
    assert went == []
    controller.prompts.enter("table")
    answer(controller, outbox)
    assert len(went) == 1


def test_places_like_one_that_was_found() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair -table")
    answer(controller, outbox)
    assert controller.state.prompted is not None
    region = controller.state.prompted.by_text["chair"].regions[0]
    controller.prompts.look_like(region)
    request = outbox.of(PromptQuery)[-1]
    assert request.prompts == ("chair", "like chair")
    assert request.examples == (None, RegionExample("chair", region.centre_w, THRESHOLD, ("table",)))
    controller.prompts.look_like(region)
    assert [p.text for p in controller.state.prompts] == ["chair", "table", "like chair", "like chair 2"]
    controller.prompts.look_for("/some/crop.png")
    assert outbox.of(PromptQuery)[-1].examples[-1] == PictureExample("/some/crop.png")
    controller.prompts.look_like(replace(region, size=0.5))  # a place that is no more
    assert len(controller.state.prompts) == 5
    controller.prompts.opened()  # another capture has not this place, but may show what the picture does
    assert [p.text for p in controller.state.prompts] == ["chair", "table", "like crop.png"]
    for n in range(5):
        controller.prompts.look_for(f"/{n}.png")
    assert len(controller.state.prompts) == 7
    assert "forget one" in controller.state.notice


def test_an_example_that_cannot_be_looked_for_says_why() -> None:
    controller, outbox, _ = ready()
    controller.prompts.look_for("/gone.png")
    volume = controller.state.volume
    assert volume is not None
    reply = prompted(room_scene(4), volume, outbox.of(PromptQuery)[-1], THINGS)
    (found,) = reply.found
    controller.receive(replace(reply, found=(replace(found, trouble="the image cannot be read"),)))
    assert resolve(controller.state).prompts.rows[0].message == "the image cannot be read"


def test_softness_shows_without_asking() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair")
    answer(controller, outbox)
    before = len(outbox.of(PromptQuery))
    controller.prompts.set_softness("chair", 0.4)
    assert len(outbox.of(PromptQuery)) == before
    (shown,) = resolve(controller.state).canvas.prompts.shown
    assert (shown.threshold, shown.softness) == (THRESHOLD, 0.4)
    controller.history.undo()
    assert controller.state.prompts[0].softness == SOFTNESS


def test_negatives_alone_ask_nothing() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("-chair")
    assert not outbox.of(PromptQuery)
    assert resolve(controller.state).prompts.rows[0].message == "not this"
    assert controller.state.prompted is None


def test_a_match_goes_first_and_comes_off_again() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair")
    answer(controller, outbox)
    assert resolve(controller.state).canvas.prompts.answer is not None
    engine = FakeEngine(count=4)
    controller.click_point((1.0, 1.0, 1.0))
    request = outbox.of(MatchQuery)[-1]
    volume = controller.state.volume
    assert volume is not None
    controller.receive(replace(engine.match(request), version=volume.version))
    assert resolve(controller.state).canvas.prompts.answer is None
    controller.escape()
    assert resolve(controller.state).canvas.prompts.answer is not None


def test_a_newer_volume_is_named_and_asked_anew() -> None:
    controller, outbox, _ = ready()
    controller.prompts.enter("chair")
    answer(controller, outbox)
    featured(controller, version=2)
    assert resolve(controller.state).canvas.prompts.answer is None
    request = outbox.of(NameScene)[-1]
    assert len(outbox.of(NameScene)) == 2
    before = len(outbox.of(PromptQuery))
    volume = controller.state.volume
    assert volume is not None
    controller.receive(named(volume, request.id))
    assert len(outbox.of(PromptQuery)) == before + 1
    answer(controller, outbox)
    assert resolve(controller.state).canvas.prompts.answer is not None


def test_naming_that_failed_is_tried_again_only_when_asked() -> None:
    controller, outbox = opened()
    featured(controller)
    controller.prompts.type("chair")
    (request,) = outbox.of(NameScene)
    controller.receive(Failed(id=request.id, what="no", text="no"))
    assert len(outbox.of(NameScene)) == 1
    assert "Enter" in resolve(controller.state).prompts.hint
    controller.prompts.enter("chair")
    assert len(outbox.of(NameScene)) == 2


def test_prompts_are_kept_for_the_next_capture() -> None:
    controller, _, _ = ready()
    controller.prompts.enter("chair")
    controller.close_capture()
    assert controller.state.prompted is None
    assert [p.text for p in controller.state.prompts] == ["chair"]


def test_photos_blend_as_the_scene_does() -> None:
    one = np.array([[0, 51, 128, 255]], np.uint8)
    pixels = painted([one, one[:, ::-1]], [Prompt("a", threshold=0.3, colour=0), Prompt("b", threshold=0.9, colour=1)])
    assert pixels.shape == (1, 4, 4)
    assert not pixels[0, 1].any()
    first = np.round(255 * np.array(rgb(colormaps.prompt_colours()[0])) * 0.85)
    np.testing.assert_allclose(pixels[0, 3, :3], first, atol=2)
    assert pixels[0, 2, 3] == round(255 * 0.85 * (0.55 + 0.45 * 128 / 255))
    assert 0 < pixels[0, 0, 3] < 255 * 0.85


@pytest.fixture
def asked(make_window: MakeWindow, qtbot: QtBot) -> tuple[Window, FakeEngine]:
    engine = FakeEngine(count=8)
    window = make_window(engine)
    wait_ready(window, qtbot)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.ask_bar.field.hasFocus(), timeout=3_000)
    return window, engine


def coloured(window: Window, colour: int) -> int:
    """Pixels of the canvas that are nearer to a prompt's colour than to any grey."""
    flat = window.canvas.screenshot()[..., :3].reshape(-1, 3).astype(float) / 255
    return int((np.abs(flat - np.array(rgb(colormaps.prompt_colours()[colour]))).max(axis=1) < 0.2).sum())


def test_typed_in_the_window_it_lights_up_scene_and_photos(asked: tuple[Window, FakeEngine], qtbot: QtBot) -> None:
    window, engine = asked
    before, photo = coloured(window, 0), window.images.grid.grab().toImage()
    QTest.keyClicks(window.ask_bar.field, "chair")
    qtbot.waitUntil(lambda: window.controller.state.prompted is not None, timeout=5_000)
    assert coloured(window, 0) > before + 200
    assert window.images.grid.grab().toImage() != photo
    QTest.keyClick(window.ask_bar.field, Qt.Key.Key_Return)
    assert window.ask_bar.field.text() == ""
    qtbot.waitUntil(lambda: window.found.list.count() == 1, timeout=5_000)
    chip = window.ask_bar.chips[0]
    assert chip.label.text() == "chair"
    chip.slider.setValue(95)
    assert coloured(window, 0) <= before + 50
    chip.slider.setValue(30)
    assert coloured(window, 0) > before + 200
    window.controller.toggle_layer("prompts")
    assert coloured(window, 0) <= before + 50
    window.controller.toggle_layer("prompts")
    QTest.mouseClick(chip.close_button, Qt.MouseButton.LeftButton)
    assert window.controller.state.prompts == ()
    assert coloured(window, 0) <= before + 50
    assert engine.sent(NameScene)


def test_more_than_three_share_the_picture(asked: tuple[Window, FakeEngine], qtbot: QtBot) -> None:
    window, _ = asked
    window.ask_bar.entered.emit("a, b, c, table, chair")
    qtbot.waitUntil(lambda: window.controller.state.prompted is not None, timeout=5_000)
    window.canvas.go_to("home", fly=False)  # Enter flies to one of them
    assert [p.colour for p in window.controller.state.prompts] == [0, 1, 2, 3, 4]
    assert coloured(window, 3) > 200
    assert coloured(window, 4) > 200


def test_enter_goes_to_the_best_place_and_a_line_goes_to_its_own(
    asked: tuple[Window, FakeEngine], qtbot: QtBot
) -> None:
    window, _ = asked
    before = window.canvas.navigator.orbit
    QTest.keyClicks(window.ask_bar.field, "table")
    QTest.keyClick(window.ask_bar.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.canvas.navigator.orbit != before, timeout=5_000)
    centre = (np.array(THINGS["table"][0]) + np.array(THINGS["table"][1])) / 2
    np.testing.assert_allclose(window.canvas.navigator.orbit.target_w, centre, atol=1e-6)
    window.go_to("home")
    assert window.found.list.count() == 1
    window.found.list.itemClicked.emit(window.found.list.item(0))
    np.testing.assert_allclose(window.canvas.navigator.orbit.target_w, centre, atol=1e-6)


def test_softness_and_likeness_by_the_window(asked: tuple[Window, FakeEngine], qtbot: QtBot) -> None:
    window, engine = asked
    QTest.keyClicks(window.ask_bar.field, "chair")
    QTest.keyClick(window.ask_bar.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: window.found.list.count() == 1, timeout=5_000)
    qtbot.waitUntil(lambda: not window.canvas.navigator.moving(time.perf_counter()), timeout=5_000)
    window.ask_bar.chips[0].softness.setValue(1)
    sharp = coloured(window, 0)
    window.ask_bar.chips[0].softness.setValue(60)
    assert coloured(window, 0) < sharp
    QTest.keyClick(window.windowHandle(), Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(window.controller.state.prompts) == 2, timeout=5_000)
    request = next(r for r in reversed(engine.requests) if isinstance(r, PromptQuery))
    assert isinstance(request.examples[1], RegionExample)


def test_a_picture_that_is_dropped_is_looked_for(asked: tuple[Window, FakeEngine], qtbot: QtBot) -> None:
    window, _ = asked
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile("/pictures/crop.PNG")])
    none, left = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    window.dropEvent(QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, left, none))
    assert [p.example for p in window.controller.state.prompts] == [PictureExample("/pictures/crop.PNG")]


def test_prompts_that_were_entered_are_remembered(make_window: MakeWindow, tmp_path: Path) -> None:
    first = make_window(FakeEngine(count=2))
    first.controller.prompts.enter("chair")
    first.controller.prompts.enter("blue sofa, lamp")
    first.close()
    second = make_window(FakeEngine(count=2))
    assert second.controller.state.prompt_history == ("blue sofa, lamp", "chair")


def test_escape_clears_the_field_first(asked: tuple[Window, FakeEngine], qtbot: QtBot) -> None:
    window, _ = asked
    QTest.keyClicks(window.ask_bar.field, "chair")
    qtbot.waitUntil(lambda: window.controller.state.prompted is not None, timeout=5_000)
    QTest.keyClick(window.ask_bar.field, Qt.Key.Key_Escape)
    assert window.ask_bar.field.text() == ""
    qtbot.waitUntil(lambda: window.controller.state.prompted is None, timeout=5_000)


def test_what_it_knows_is_offered(asked: tuple[Window, FakeEngine], qtbot: QtBot) -> None:
    window, _ = asked
    qtbot.waitUntil(lambda: window.controller.state.named is not None, timeout=5_000)
    completer = window.ask_bar.field.completer()
    assert completer is not None
    offered = [completer.model().index(n, 0).data() for n in range(completer.model().rowCount())]
    assert set(VOCABULARY) <= set(offered)


def test_an_encoder_of_texts_is_chosen_by_name_and_takes_any_words(
    asked: tuple[Window, FakeEngine], qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    window, _ = asked
    chosen: list[str] = []
    menu = EncoderMenu(chosen.append, window)
    qtbot.addWidget(menu)
    menu.show_encoders(("default",), "default", None)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: (" clip:/models/small ", True))
    menu.actions()[-1].trigger()
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("", True))
    menu.actions()[-1].trigger()
    assert chosen == ["clip:/models/small"]
    controller, _, _ = ready()
    state = controller.state
    assert state.named is not None
    said = replace(state, named=replace(state.named, open_words="clip:/models/small"))
    assert resolve(said).prompts.hint == "Any words will do, in the space of clip:/models/small."
