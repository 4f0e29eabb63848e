"""Undo and redo: what counts as one change, what is asked again, and what is no change of the user's."""

from __future__ import annotations

from test_controller import Outbox, opened

from app.controller import Controller
from app.edits import edits_of
from engine.api.requests import MatchQuery, PixelSource, PointSource, PromptQuery


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def timed() -> tuple[Controller, Outbox, Clock]:
    controller, outbox = opened()
    clock = Clock()
    controller.history._clock = clock
    return controller, outbox, clock


def test_each_change_is_taken_back_and_made_again() -> None:
    controller, _, _ = timed()
    begin = edits_of(controller.state)
    controller.set_mode("features")
    controller.toggle_layer("grid")
    controller.prompts.enter("chair, -wall")
    end = edits_of(controller.state)
    assert controller.state.undoable == 3
    for _ in range(5):
        controller.history.undo()
    assert edits_of(controller.state) == begin
    assert (controller.state.undoable, controller.state.redoable) == (0, 3)
    for _ in range(5):
        controller.history.redo()
    assert edits_of(controller.state) == end


def test_a_dragged_slider_is_one_change() -> None:
    controller, _, clock = timed()
    for value in (0.5, 0.6, 0.7):
        controller.set_threshold(value)
        clock.now += 0.1
    assert controller.state.undoable == 1
    clock.now += 5
    controller.set_threshold(0.9)
    controller.history.undo()
    assert controller.state.threshold == 0.7
    controller.history.undo()
    assert controller.state.threshold == 0.4


def test_a_change_forgets_what_was_undone() -> None:
    controller, _, _ = timed()
    controller.set_mode("features")
    controller.history.undo()
    controller.set_mode("photo")  # no change
    assert controller.state.redoable == 1
    controller.set_threshold(0.9)
    assert controller.state.redoable == 0
    controller.history.redo()
    assert controller.state.panel_mode == "photo"


def test_clicks_are_asked_again_each_of_them() -> None:
    controller, outbox, _ = timed()
    controller.click_pixel(1, 20.0, 30.0)
    controller.click_point((1.0, 1.0, 1.0))
    assert controller.state.undoable == 2
    controller.history.undo()
    assert outbox.of(MatchQuery)[-1].source == PixelSource(1, 20.0, 30.0)
    controller.history.undo()
    assert controller.state.query is None
    controller.history.redo()
    controller.history.redo()
    assert outbox.of(MatchQuery)[-1].source == PointSource((1.0, 1.0, 1.0))
    assert controller.state.redoable == 0


def test_prompts_are_asked_again() -> None:
    from test_prompts import ready

    controller, outbox, _ = ready()
    controller.prompts.enter("chair")
    controller.prompts.remove("chair")
    before = len(outbox.of(PromptQuery))
    controller.history.undo()
    assert [p.text for p in controller.state.prompts] == ["chair"]
    assert len(outbox.of(PromptQuery)) == before + 1
    controller.history.undo()
    assert controller.state.prompts == ()
    assert controller.state.prompted is None


def test_another_capture_has_a_history_of_its_own() -> None:
    controller, _, _ = timed()
    controller.set_mode("features")
    controller.close_capture()
    assert (controller.state.undoable, controller.state.redoable) == (0, 0)
    controller.history.undo()


def test_looking_elsewhere_is_no_change() -> None:
    controller, _, _ = timed()
    controller.look_through(2)
    controller.select(3)
    controller.set(notice="something")
    controller.set(colouring="features")  # as a training does
    assert controller.state.undoable == 0
    controller.set_colouring("spread")
    assert controller.state.undoable == 1
