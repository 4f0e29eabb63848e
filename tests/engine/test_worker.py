"""The engine thread without any model: order, replacement, cancelling, faults."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest

from engine.api.errors import QueryError
from engine.api.replies import EngineReady, Failed, JobCancelled, JobFinished, JobPaused, Notice, Reply
from engine.api.repository import FindByWords
from engine.api.requests import (
    CancelJob,
    EncodeViews,
    FindKeypoints,
    FitGrid,
    GiveWay,
    HoverQuery,
    MatchQuery,
    OpenCapture,
    PauseJob,
    PixelSource,
    Request,
)
from engine.worker import MOST_REST_S, EngineThread


@dataclass
class Scripted:
    """A handler whose jobs step when told to, and that notes what it did in what order."""

    gate: threading.Semaphore
    log: list[str]

    def start(self) -> Iterator[Reply | None]:
        yield EngineReady(id=0, device="cpu", encoders=("default",))

    def prepare(self) -> Iterator[Reply | None]:
        yield None

    def handle(self, request: Request) -> Iterator[Reply | None]:
        match request:
            case FitGrid() | EncodeViews():
                return self._job(request)
            case FindKeypoints():
                return self._long(request)
            case OpenCapture(path="bad"):
                raise QueryError("no such thing", mend="open another")
            case OpenCapture(path="bug"):
                return self._bug()
            case OpenCapture(path="memory"):
                return self._memory()
            case _:
                return self._query(request)

    def _job(self, request: Request) -> Iterator[Reply | None]:
        try:
            while True:
                assert self.gate.acquire(timeout=10)
                self.log.append(type(request).__name__)
                yield None
        finally:
            self.log.append(f"closed {type(request).__name__}")

    def _long(self, request: Request) -> Iterator[Reply | None]:
        while True:
            time.sleep(0.02)
            self.log.append(type(request).__name__)
            yield None

    def _query(self, request: Request) -> Iterator[Reply | None]:
        self.log.append(type(request).__name__)
        yield Notice(id=request.id, text="answered")

    def _bug(self) -> Iterator[Reply | None]:
        raise ZeroDivisionError("oops")
        yield None

    def _memory(self) -> Iterator[Reply | None]:
        raise MemoryError
        yield None

    def close(self) -> None:
        self.log.append("closed")


class Running:
    def __init__(self) -> None:
        self.handler = Scripted(threading.Semaphore(0), [])
        self.replies: list[Reply] = []
        self.thread = EngineThread(self.handler)
        self.thread.start(self.replies.append)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, (self.handler.log, self.replies)
            time.sleep(0.002)

    def wait_reply(self, request: Request, kind: type[Reply]) -> Reply:
        found: list[Reply] = []
        self.wait(lambda: bool(found) or bool(found.extend(self._of(request, kind)) or found))
        return found[0]

    def _of(self, request: Request, kind: type[Reply]) -> list[Reply]:
        return [r for r in self.replies if r.id == request.id and isinstance(r, kind)]


@pytest.fixture
def engine() -> Iterator[Running]:
    running = Running()
    yield running
    running.handler.gate.release(1000)
    running.thread.close()
    assert not running.thread._thread.is_alive()


def click() -> MatchQuery:
    return MatchQuery(source=PixelSource(0, 1, 1))


def click_that_lasts() -> Request:
    return FindByWords(text="sofa")


def test_says_ready_first(engine: Running) -> None:
    engine.wait(lambda: bool(engine.replies))
    assert isinstance(engine.replies[0], EngineReady)


def test_click_goes_between_two_slices_of_a_job(engine: Running) -> None:
    job, query = FitGrid(), click()
    engine.thread.send(job)
    engine.handler.gate.release(1)
    engine.wait(lambda: engine.handler.log == ["FitGrid"])
    engine.thread.send(query)
    engine.handler.gate.release(1)  # the slice that was waiting when the click came
    engine.wait_reply(query, Notice)
    assert engine.handler.log == ["FitGrid", "FitGrid", "MatchQuery"]


def test_jobs_take_turns(engine: Running) -> None:
    engine.thread.send(FitGrid())
    engine.handler.gate.release(1)
    engine.wait(lambda: engine.handler.log == ["FitGrid"])
    engine.thread.send(EncodeViews())
    engine.handler.gate.release(5)
    engine.wait(lambda: len(engine.handler.log) == 6)
    assert engine.handler.log[2:] in (["EncodeViews", "FitGrid"] * 2, ["FitGrid", "EncodeViews"] * 2)


def test_newest_query_replaces_queued_one_and_click_precedes_hover(engine: Running) -> None:
    engine.thread.send(FitGrid())
    engine.handler.gate.release(1)
    engine.wait(lambda: engine.handler.log == ["FitGrid"])
    hover, old, new = HoverQuery(source=PixelSource(0, 0, 0)), click(), click()
    for request in (hover, old, new):
        engine.thread.send(request)
    engine.handler.gate.release(1)
    engine.wait_reply(hover, Notice)
    assert engine.handler.log[-2:] == ["MatchQuery", "HoverQuery"]
    assert not [r for r in engine.replies if r.id == old.id]
    assert [r.id for r in engine.replies if isinstance(r, Notice)] == [new.id, hover.id]


def test_cancel_closes_the_generator_and_says_so(engine: Running) -> None:
    job = FitGrid()
    engine.thread.send(job)
    engine.handler.gate.release(1)
    engine.wait(lambda: engine.handler.log == ["FitGrid"])
    engine.thread.send(CancelJob(job_id=job.id))
    engine.handler.gate.release(1)
    reply = engine.wait_reply(job, JobCancelled)
    assert isinstance(reply, JobCancelled)
    assert reply.title == "Fitting radiance grid"
    assert engine.handler.log[-1] == "closed FitGrid"


def test_a_paused_job_rests_until_it_goes_on_and_can_be_cancelled_meanwhile(engine: Running) -> None:
    job = FitGrid()

    def pause(paused: bool) -> None:
        request = PauseJob(job_id=job.id, paused=paused)
        engine.thread.send(request)
        engine.handler.gate.release(1)  # ends the slice that waits
        reply = engine.wait_reply(request, JobPaused)
        assert isinstance(reply, JobPaused)
        assert (reply.job_id, reply.paused) == (job.id, paused)

    engine.thread.send(job)
    engine.handler.gate.release(1)
    engine.wait(lambda: engine.handler.log == ["FitGrid"])
    pause(True)
    query = click()
    engine.thread.send(query)
    engine.wait_reply(query, Notice)
    assert engine.handler.log == ["FitGrid", "FitGrid", "MatchQuery"]
    pause(False)
    engine.handler.gate.release(2)
    engine.wait(lambda: engine.handler.log.count("FitGrid") >= 4)
    pause(True)
    engine.thread.send(CancelJob(job_id=job.id))
    engine.wait_reply(job, JobCancelled)
    assert engine.handler.log[-1] == "closed FitGrid"


def test_newer_job_of_a_kind_replaces_the_running_one(engine: Running) -> None:
    first, second = FitGrid(), FitGrid()
    engine.thread.send(first)
    engine.handler.gate.release(1)
    engine.wait(lambda: engine.handler.log == ["FitGrid"])
    engine.thread.send(second)
    engine.handler.gate.release(1)
    engine.wait_reply(first, JobCancelled)


def test_opening_cancels_all_jobs(engine: Running) -> None:
    fit, encode = FitGrid(), EncodeViews()
    engine.thread.send(fit)
    engine.thread.send(encode)
    engine.handler.gate.release(2)
    engine.wait(lambda: set(engine.handler.log) == {"FitGrid", "EncodeViews"})
    opening = OpenCapture(path="fine")
    engine.thread.send(opening)
    engine.handler.gate.release(2)
    engine.wait_reply(opening, Notice)
    engine.wait_reply(fit, JobCancelled)
    engine.wait_reply(encode, JobCancelled)


@dataclass(frozen=True, kw_only=True)
class Lasting(FitGrid):
    outlives: ClassVar[bool] = True


def test_opening_leaves_alone_what_outlives_the_capture(engine: Running) -> None:
    running, waiting = Lasting(), click_that_lasts()
    engine.thread.send(running)
    engine.handler.gate.release(1)
    engine.wait(lambda: "Lasting" in engine.handler.log)
    opening = OpenCapture(path="fine")
    engine.thread.send(waiting)
    engine.thread.send(opening)
    engine.handler.gate.release(1)
    engine.wait_reply(opening, Notice)
    engine.wait_reply(waiting, Notice)
    engine.handler.gate.release(3)
    engine.wait(lambda: engine.handler.log.count("Lasting") >= 3)
    assert not engine._of(running, JobCancelled)
    engine.thread.send(CancelJob(job_id=running.id))
    engine.handler.gate.release(1)
    engine.wait_reply(running, JobCancelled)


@pytest.mark.parametrize(
    ("path", "says"), [("bad", "no such thing"), ("bug", "ZeroDivisionError: oops"), ("memory", "Out of memory")]
)
def test_a_failing_request_is_answered_and_the_thread_lives_on(
    engine: Running, path: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    request = OpenCapture(path=path)
    engine.thread.send(request)
    reply = engine.wait_reply(request, Failed)
    assert isinstance(reply, Failed)
    assert reply.what == says
    assert ("failed" in caplog.text) == (path == "bug")
    after = click()
    engine.thread.send(after)
    engine.wait_reply(after, Notice)


def test_closing_in_mid_job_closes_job_and_handler() -> None:
    running = Running()
    running.thread.send(FitGrid())
    running.handler.gate.release(1)
    running.wait(lambda: running.handler.log == ["FitGrid"])
    threading.Timer(0.05, running.handler.gate.release).start()
    running.thread.close()
    assert running.handler.log[-2:] == ["closed FitGrid", "closed"]
    assert not any(isinstance(r, JobFinished) for r in running.replies)


def test_imports_no_torch() -> None:
    code = "import engine.worker, engine.session, sys; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_jobs_wait_a_moment_after_a_click_but_other_requests_do_not(engine: Running) -> None:
    engine.handler.gate.release(1000)
    query, late = click(), EncodeViews()
    engine.thread.send(query)
    engine.wait_reply(query, Notice)
    engine.thread._rest_until = time.monotonic() + 3600
    engine.thread.send(late)
    hover = HoverQuery(source=PixelSource(0, 1, 1))
    engine.thread.send(hover)
    engine.wait_reply(hover, Notice)
    assert "EncodeViews" not in engine.handler.log
    engine.thread._rest_until = 0.0
    engine.thread.send(click())  # wakes the thread
    engine.wait(lambda: "EncodeViews" in engine.handler.log)


def test_jobs_wait_while_the_user_is_at_work_but_get_a_turn_now_and_then(engine: Running) -> None:
    engine.thread.send(FindKeypoints())
    engine.wait(lambda: "FindKeypoints" in engine.handler.log)
    begun, first = time.monotonic(), engine.handler.log.count("FindKeypoints")
    while engine.handler.log.count("FindKeypoints") < first + 3:  # however often it is asked to give way
        engine.thread.send(GiveWay(seconds=3600))
        assert time.monotonic() - begun < 60
        time.sleep(0.005)
    assert engine.thread._rest_until - engine.thread._last_turn <= MOST_REST_S + 0.05
    query = click()
    engine.thread.send(query)
    engine.wait_reply(query, Notice)
