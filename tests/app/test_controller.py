"""Intents, replies and their order, without Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from fakes import FakeEngine, room_scene, room_volume, with_warnings

from app.controller import Controller
from app.photo_loader import IN_FLIGHT, PHOTO_SIDE, THUMBNAIL_SIDE
from app.state import AppState
from app.view_state import ViewState
from engine.api.replies import CaptureOpened, Failed, JobCancelled, JobFinished, JobProgress, PhotoLoaded, VolumeUpdated
from engine.api.requests import CancelJob, EncodeViews, FitGrid, LoadPhoto, MatchQuery, OpenCapture, Request


class Outbox:
    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.forgotten = 0

    def send(self, request: Request) -> None:
        self.sent.append(request)

    def forget_match(self) -> None:
        self.forgotten += 1

    def forget_hover(self) -> None: ...

    def of(self, kind: type) -> list[Any]:
        return [r for r in self.sent if type(r) is kind]


class Recorder:
    def __init__(self) -> None:
        self.parts: list[str] = []

    def show_part(self, name: str, part: Any, whole: ViewState) -> None:
        self.parts.append(name)


def opened(*, auto: bool = False) -> tuple[Controller, Outbox]:
    outbox = Outbox()
    controller = Controller(outbox, AppState(), auto=auto)
    controller.open("room")
    controller.receive(CaptureOpened(id=outbox.of(OpenCapture)[0].id, scene=room_scene(8)))
    return controller, outbox


def test_opening_fits_encodes_and_loads_a_few_photos() -> None:
    controller, outbox = opened(auto=True)
    assert len(outbox.of(FitGrid)) == len(outbox.of(EncodeViews)) == 1
    assert [r.view for r in outbox.of(LoadPhoto)] == list(range(IN_FLIGHT))
    assert [j.status for j in controller.state.jobs] == ["waiting", "waiting"]


def test_opening_by_hand_starts_nothing() -> None:
    _, outbox = opened(auto=False)
    assert not outbox.of(FitGrid)
    assert not outbox.of(EncodeViews)


def test_a_reply_to_an_earlier_opening_is_ignored() -> None:
    outbox = Outbox()
    controller = Controller(outbox, AppState())
    controller.open("a")
    controller.open("b")
    first, _ = outbox.of(OpenCapture)
    controller.receive(CaptureOpened(id=first.id, scene=room_scene(8)))
    assert controller.state.scene is None
    assert controller.state.opening == "b"


def test_photos_on_screen_load_before_the_rest() -> None:
    controller, outbox = opened()
    controller.want_thumbnails([6, 7])
    first = outbox.of(LoadPhoto)[0]
    controller.receive(PhotoLoaded(id=first.id, view=0, rgb=np.zeros((4, 4, 3), np.uint8)))
    assert outbox.of(LoadPhoto)[-1].view == 6
    assert outbox.of(LoadPhoto)[-1].max_side == THUMBNAIL_SIDE


def test_a_failed_photo_does_not_stop_the_others_nor_raise_a_banner() -> None:
    controller, outbox = opened()
    first = outbox.of(LoadPhoto)[0]
    controller.receive(Failed(id=first.id, what="0.jpg: truncated", text="0.jpg: truncated"))
    assert controller.state.banner is None
    assert controller.state.notice == "0.jpg: truncated"
    assert len(outbox.of(LoadPhoto)) == IN_FLIGHT + 1


def test_looking_through_a_view_loads_it_large_once() -> None:
    controller, outbox = opened()
    controller.look_through(3)
    controller.look_through(3)
    large = [r for r in outbox.of(LoadPhoto) if r.max_side == PHOTO_SIDE]
    assert [r.view for r in large] == [3]


def test_progress_after_the_end_does_not_revive_a_job() -> None:
    controller, outbox = opened(auto=True)
    fit = outbox.of(FitGrid)[0]
    controller.receive(JobFinished(id=fit.id, title="Fitting", seconds=3.0, metrics={"psnr": 27.5}))
    controller.receive(JobProgress(id=fit.id, title="Fitting", done=1, total=2, unit="s", rate=None, eta=None))
    job = next(j for j in controller.state.jobs if j.id == fit.id)
    assert job.status == "finished"
    assert controller.state.psnr == 27.5


def test_cancel_asks_the_engine_and_its_answer_ends_the_job() -> None:
    controller, outbox = opened(auto=True)
    fit = outbox.of(FitGrid)[0]
    controller.jobs.cancel(fit.id)
    assert [r.job_id for r in outbox.of(CancelJob)] == [fit.id]
    controller.receive(JobCancelled(id=fit.id, title="Fitting"))
    controller.jobs.cancel(fit.id)
    assert len(outbox.of(CancelJob)) == 1


def test_escape_goes_one_step_back_at_a_time() -> None:
    controller, outbox = opened()
    controller.look_through(2)
    controller.set_single(True)
    controller.click_pixel(2, 10, 10)
    controller.fail("no", "no")
    seen = []
    for _ in range(4):
        controller.escape()
        s = controller.state
        seen.append((s.banner is None, s.query is None, not s.single, s.through is None))
    assert [sum(step) for step in seen] == [1, 2, 3, 4]
    assert outbox.forgotten >= 1


def test_only_parts_that_changed_are_shown_again() -> None:
    controller, _ = opened()
    recorder = Recorder()
    controller.attach(recorder)
    recorder.parts.clear()
    controller.set(notice="hello")
    assert recorder.parts == ["status"]
    recorder.parts.clear()
    controller.set(notice="hello")
    assert recorder.parts == []
    controller.set_layer("grid", visible=False)
    assert set(recorder.parts) == {"canvas", "layers", "actions"}


def test_failed_opening_keeps_what_is_open() -> None:
    controller, outbox = opened()
    controller.open("broken")
    controller.receive(Failed(id=outbox.of(OpenCapture)[-1].id, what="no poses", text="no poses\n  to mend: add"))
    assert controller.state.scene is not None
    assert controller.state.opening is None
    assert controller.state.banner is not None
    assert controller.state.banner.error


def test_warnings_of_a_capture_become_one_notice() -> None:
    outbox = Outbox()
    controller = Controller(outbox, AppState(), auto=False)
    controller.open("room")
    scene = with_warnings(room_scene(8), "3 frames have no image", "1 photo is masked")
    controller.receive(CaptureOpened(id=outbox.of(OpenCapture)[0].id, scene=scene))
    banner = controller.state.banner
    assert banner is not None
    assert not banner.error
    assert "3 frames have no image" in banner.text
    assert "1 photo is masked" in banner.details


def test_an_answer_that_is_late_takes_the_one_before_it_off_the_screen() -> None:
    later: list[Callable[[], None]] = []
    outbox = Outbox()
    controller = Controller(outbox, AppState(), auto=False, later=lambda _ms, do: later.append(do))
    controller.open("room")
    controller.receive(CaptureOpened(id=outbox.of(OpenCapture)[0].id, scene=room_scene(8)))
    engine = FakeEngine(count=8)
    controller.receive(VolumeUpdated(id=1, volume=engine.volume, psnr=None, seconds=1.0))
    controller.click_pixel(2, 320.0, 300.0)
    first = outbox.of(MatchQuery)[-1]
    controller.receive(engine.match(first))
    later.pop()()
    assert controller.state.pinned is not None  # it answers what was asked
    controller.click_pixel(3, 100.0, 100.0)
    assert controller.state.pinned is not None  # no flicker while the next is on its way
    later.pop()()
    assert controller.state.pinned is None
    controller.receive(engine.match(outbox.of(MatchQuery)[-1]))
    assert controller.state.pinned is not None
    assert controller.state.pinned.volume is engine.volume


def test_a_click_is_not_asked_again_before_it_is_answered() -> None:
    controller, outbox = opened()
    engine = FakeEngine(count=8)
    controller.receive(VolumeUpdated(id=1, volume=engine.volume, psnr=None, seconds=1.0))
    controller.click_pixel(2, 320.0, 300.0)
    controller.receive(engine.match(outbox.of(MatchQuery)[0]))
    controller.click_pixel(3, 100.0, 100.0)
    controller.receive(VolumeUpdated(id=1, volume=room_volume(version=2), psnr=None, seconds=2.0))
    assert len(outbox.of(MatchQuery)) == 2  # asking anew would cancel the one that is being answered
    controller.receive(engine.match(outbox.of(MatchQuery)[1]))  # of volume 1
    assert controller.state.pinned is not None
    assert controller.state.pinned.volume is None
    assert len(outbox.of(MatchQuery)) == 3  # now its heat is asked for again, on the newer one


def test_a_new_volume_asks_again_for_what_is_pinned() -> None:
    controller, outbox = opened()
    engine = FakeEngine(count=8)
    controller.receive(VolumeUpdated(id=1, volume=engine.volume, psnr=None, seconds=1.0))
    controller.click_pixel(2, 320.0, 300.0)
    (asked,) = outbox.of(MatchQuery)
    controller.receive(engine.match(asked))
    newer = room_volume(version=2)
    controller.receive(VolumeUpdated(id=1, volume=newer, psnr=None, seconds=2.0))
    assert len(outbox.of(MatchQuery)) == 2
    assert outbox.of(MatchQuery)[1].source == asked.source
    assert controller.state.pinned is not None  # what is known stays until the new answer comes
    controller.receive(engine.match(asked))
    assert controller.state.pinned.reply.id == asked.id
