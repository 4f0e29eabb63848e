"""The repository without Qt: what is asked, what answers change, where they lead, and that it can be undone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_repository import CAMERA, PAIR, PLACE
from fake_world import World, bare
from fakes import room_scene

from app.repository import eye_on, thing
from app.repository_state import reason, rejection, summary
from app.resolve import resolve
from app.resolve_repository import repository_actions, repository_view
from app.state import Job
from engine.api.replies import Failed, JobCancelled
from engine.api.repository import (
    AddCaptures,
    FindAlike,
    FindByPhoto,
    FindByWords,
    FindDuplicates,
    OpenRepository,
    ShowPair,
)
from engine.api.requests import OpenCapture


def test_opening_lists_scenes_and_is_remembered() -> None:
    world = World()
    assert world.names() == ["room", "again", "other"]
    assert set(world.desk.state.thumbnails) == {"key-room", "key-again", "key-other"}
    assert world.remembered == ["/repo"]
    assert repository_view(world.state).here == "key-room"


def test_what_cannot_be_opened_is_told_and_the_next_can() -> None:
    world = World()
    world.fake.problem = "/repo2: was written by a newer version of this program\n  found: format 9"
    world.desk.open("/repo2")
    assert world.desk.state.scenes is None
    assert world.desk.state.problem == world.fake.problem
    assert world.state.banner is None
    assert world.remembered == ["/repo"]
    world.fake.problem = ""
    world.desk.open("/repo3")
    assert world.names() == ["room", "again", "other"]
    assert world.desk.state.problem == ""


def test_answers_of_another_repository_are_dropped() -> None:
    world = World()
    late = world.fake.listed(10**6)
    world.desk.open("/other")
    world.controller.receive(replace(late, scenes=()))
    assert len(world.names()) == 3


def test_a_photo_is_found_and_laid_over_the_open_scene() -> None:
    world = World()
    world.controller.toggle_layer("photo")
    world.desk.find_photo("/photos/x.jpg")
    (request,) = world.outbox.of(FindByPhoto)
    assert (request.path, request.encoder) == ("/photos/x.jpg", "default")
    s = world.desk.state
    assert s.page == "answer"
    assert summary(s) == "1 scene · 12 ms"
    assert list(s.evidence) == ["key-room"]
    assert reason("photo", s.believed()[0]) == "40 of 60 matched keypoints agree on one camera"
    world.desk.go("key-room")
    assert world.outbox.of(OpenCapture)[1:] == []  # it is open already
    placed = world.state.placed
    assert placed is not None
    assert (placed.name, placed.scene, placed.inliers) == ("x.jpg", "room", 40)
    view = resolve(world.state)
    assert view.canvas.through is CAMERA
    assert view.canvas.photo.placed is placed
    assert view.canvas.photo.layer.visible
    assert view.placed.opacity == 0.5
    world.controller.escape()
    assert world.state.placed is None
    assert resolve(world.state).canvas.through is None
    world.controller.escape()
    assert world.desk.state.page == "scenes"
    assert "clear" not in resolve(world.state).actions.enabled


def test_a_scene_that_is_not_open_is_opened_first() -> None:
    world = World()
    world.fake.scenes = world.fake.scenes[1:]  # so that "again" is the best
    world.desk.open("/repo")
    world.desk.find_photo("x.jpg")
    world.desk.go("key-again")
    assert world.outbox.of(OpenCapture)[-1].path == "again"
    assert world.state.placed is None
    world.arrive("again")
    placed = world.state.placed
    assert placed is not None
    assert placed.scene == "again"
    assert world.desk.state.page == "answer"  # what belongs to the repository stays


def test_a_capture_that_cannot_be_opened_leads_nowhere() -> None:
    world = World()
    world.desk.find_photo("x.jpg")
    world.controller.close_capture()
    world.desk.go("key-room")
    request = world.outbox.of(OpenCapture)[-1]
    world.controller.receive(Failed(id=request.id, what="gone", text="room: gone"))
    world.controller.open("room")
    world.arrive("room")  # by hand, later
    assert world.state.placed is None


def test_looking_through_a_photo_takes_the_other_away() -> None:
    world = World()
    world.desk.find_photo("x.jpg")
    world.desk.go("key-room")
    world.controller.look_through(3)
    assert world.state.placed is None
    assert world.state.through == 3
    world.desk.go("key-room")
    assert world.state.through is None
    assert world.state.placed is not None


def test_nonsense_is_rejected_not_ranked() -> None:
    world = World()
    world.desk.find_photo("nothing.png")
    s = world.desk.state
    assert s.believed() == ()
    assert summary(s).startswith("Nothing found")
    assert rejection(s).startswith("Nothing here looks like that\nOf the nearest, room, only 5 keypoints")
    world.desk.find_words("piano")
    assert rejection(world.desk.state).startswith("No scene here holds “piano”")


def test_words_lead_to_the_thing_and_light_it_up() -> None:
    world = World()
    world.desk.find_words("  ")
    assert world.outbox.of(FindByWords) == []
    world.desk.find_words("sofa")
    world.desk.go("key-room")
    ((pos_w, eye_w),) = world.placed
    assert pos_w == PLACE
    scene = world.state.scene
    assert scene is not None
    assert eye_w is not None
    assert any(np.allclose(v.camera.centre_w, eye_w) for v in scene.views)
    assert [p.text for p in world.state.prompts] == ["sofa"]


@pytest.mark.parametrize(
    ("text", "what"), [("room with a piano", "piano"), ("the sofa", "sofa"), ("lamp", "lamp"), ("antelope", "antelope")]
)
def test_the_thing_in_words(text: str, what: str) -> None:
    assert thing(text) == what


def test_no_photo_has_a_far_place_in_sight() -> None:
    assert eye_on((500.0, 0.0, 9000.0), room_scene(8).views) is None


def test_a_refused_query_is_told_in_the_panel() -> None:
    world = World()
    world.fake.refusal = "the scenes were encoded by other weights\n  to mend: use theirs"
    world.desk.find_photo("x.jpg")
    assert world.desk.state.refusal == world.fake.refusal
    assert world.state.banner is None
    world.fake.refusal = ""
    world.desk.find_photo("x.jpg")
    assert world.desk.state.refusal == ""


def test_only_the_newest_question_is_answered() -> None:
    world = World()
    world.desk.find_photo("x.jpg")
    old = world.desk.state.found
    world.desk.find_words("sofa")
    assert old is not None
    world.controller.receive(old)
    found = world.desk.state.found
    assert found is not None
    assert found.photo is None


def test_a_pair_is_looked_at_over_the_middle_and_left_by_escape() -> None:
    world = World()
    world.desk.find_duplicates()
    world.desk.show_pair(PAIR)
    assert resolve(world.state).page == "pair"
    assert world.desk.state.aligned is not None
    world.desk.remove("key-again")
    pairs = world.desk.state.pairs
    assert pairs is not None
    assert pairs.pairs == ()
    world.controller.escape()
    assert resolve(world.state).page == "canvas"


def test_scenes_like_the_open_one_are_compared_with_it() -> None:
    world = World()
    world.desk.find_alike()
    assert [r.scene for r in world.outbox.of(FindAlike)] == ["key-room"]
    world.desk.select("key-other")  # meanwhile
    world.desk.compare("key-again")
    (request,) = world.outbox.of(ShowPair)
    assert (request.a, request.b) == ("key-room", "key-again")
    world.desk.compare("key-other")  # not believed
    assert len(world.outbox.of(ShowPair)) == 1


def test_adding_goes_on_while_another_capture_is_opened() -> None:
    world = World()
    world.fake.jobs_end = False
    world.desk.add(("/captures/a", "/captures/b"))
    (request,) = world.outbox.of(AddCaptures)
    world.controller.open("again")
    world.arrive("again")
    (job,) = world.state.jobs
    assert (job.id, job.status, job.done, job.outlives) == (request.id, "running", 0.5, True)
    assert repository_view(world.state).adding == job
    world.controller.close_capture()
    assert [j.id for j in world.state.jobs] == [request.id]
    world.controller.receive(JobCancelled(id=request.id, title=request.title))
    assert repository_view(world.state).adding is None


def test_what_could_not_be_added_is_told_whole() -> None:
    world = World()
    world.desk.add(("/captures/good", "/captures/bad"))
    assert world.names()[-1] == "good"
    banner = world.state.banner
    assert banner is not None
    assert banner.text == "1 capture could not be added; 1 added."
    assert "/captures/bad: is no capture" in banner.details
    world.desk.add(("/captures/fine",))
    assert world.state.notice == "Repository: 1 added."


def test_a_search_for_duplicates_that_is_cancelled_is_over() -> None:
    world = World()
    world.fake.answer = lambda request, reply: None  # type: ignore[method-assign]
    world.desk.find_duplicates()
    (request,) = world.outbox.of(FindDuplicates)
    world.controller.receive(JobCancelled(id=request.id, title=request.title))
    assert world.desk.state.looking == 0
    assert world.desk.state.page == "scenes"


def test_actions_follow_what_is_open() -> None:
    always = {"repository", "repository_open", "repository_make"}
    controller, _ = bare()
    assert repository_actions(controller.state) == always
    world = World(open_room=False)
    asking = {"repository_photo", "repository_words", "repository_duplicates"}
    assert repository_actions(world.state) == always | asking | {"repository_add_more"}
    world.desk.select("key-other")
    assert repository_actions(world.state) >= {"repository_alike", "repository_remove"}
    world.fake.writable = False
    world.desk.open("/locked")
    world.desk.select("key-other")
    assert repository_actions(world.state) == always | asking | {"repository_alike"}


def test_the_open_capture_can_be_added_once_and_not_in_mid_job() -> None:
    world = World()
    assert "repository_add" not in repository_actions(world.state)  # it is there
    world.controller.open("elsewhere")
    world.arrive("elsewhere")
    assert "repository_add" in repository_actions(world.state)
    world.controller.store.update(jobs=(Job(1, "Fitting", "running"),))
    assert "repository_add" not in repository_actions(world.state)
    world.controller.store.update(jobs=(Job(1, "Adding", "running", outlives=True),))
    world.desk.add_this()
    assert world.outbox.of(AddCaptures)[0].captures == ("elsewhere",)
    assert world.outbox.of(OpenRepository)[0].path == "/repo"
