"""What is done to a repository is undone with all else, in its order."""

from __future__ import annotations

from collections.abc import Callable

from fake_repository import PAIR
from fake_world import World

from app.resolve_repository import repository_view
from engine.api.replies import Failed
from engine.api.repository import DecidePair, PairDecision, RemoveScenes, RestoreScenes


def test_removal_is_undone_and_done_again() -> None:
    world = World()
    world.desk.select("key-again")
    world.desk.remove()
    assert world.names() == ["room", "other"]
    assert world.desk.state.selected is None
    assert "Ctrl+Z" in world.state.notice
    assert world.state.undoable == 1
    world.controller.history.undo()
    assert world.names() == ["room", "other", "again"]
    assert (world.state.undoable, world.state.redoable) == (0, 1)
    world.controller.history.redo()
    assert world.names() == ["room", "other"]
    assert [len(world.outbox.of(kind)) for kind in (RemoveScenes, RestoreScenes)] == [2, 1]


def test_a_removal_that_fails_is_no_change_to_undo() -> None:
    world = World()
    answer: Callable[..., None] = world.fake.answer
    world.fake.answer = lambda request, reply: reply(  # type: ignore[method-assign]
        Failed(id=request.id, what="nothing can be written here", text="/repo: nothing can be written here")
    )
    world.desk.remove("key-room")
    world.fake.answer = answer  # type: ignore[method-assign]
    assert world.state.banner is not None
    assert world.state.undoable == 0
    assert len(world.names()) == 3


def test_undo_goes_through_edits_and_deeds_in_their_order() -> None:
    world = World()
    world.controller.toggle_layer("grid")
    world.desk.remove("key-other")
    world.controller.toggle_layer("frusta")
    for expected in ((True, 2), (True, 3), (True, 3)):
        world.controller.history.undo()
        assert (world.state.layers["frusta"].visible, len(world.names())) == expected
    assert world.state.layers["grid"].visible
    for _ in range(3):
        world.controller.history.redo()
    assert not world.state.layers["grid"].visible
    assert len(world.names()) == 2


def test_deeds_outlive_the_capture_but_not_the_repository() -> None:
    world = World()
    world.controller.toggle_layer("grid")
    world.desk.remove("key-other")
    world.controller.open("again")
    world.arrive("again")
    assert world.state.undoable == 1
    world.desk.open("/another")
    assert world.state.undoable == 0


def test_decisions_are_taken_back_by_undo_and_by_a_second_click() -> None:
    world = World()
    world.desk.find_duplicates()
    assert world.desk.state.page == "pairs"
    world.desk.decide(PAIR, "duplicate")
    assert world.desk.state.decision("key-again", "key-room") == "duplicate"
    scene = world.desk.state.scene("key-again")
    assert scene is not None
    assert repository_view(world.state).note(scene) == ("duplicate of room", True)
    world.desk.decide(PAIR, "different")
    world.controller.history.undo()
    assert world.desk.state.decisions == (PairDecision("key-again", "key-room", "duplicate"),)
    world.controller.history.undo()
    assert world.desk.state.decisions == ()
    world.desk.decide(PAIR, "duplicate")
    world.desk.decide(PAIR, "duplicate")
    assert world.desk.state.decisions == ()
    assert len(world.outbox.of(DecidePair)) == 6
