"""The engine thread: one inbox, one owner of the models.

Requests are served by priority; a job is a generator that gives way at each yield, so a click waits for one slice of
whatever runs. Jobs of equal priority take turns, slice by slice. A newer request with the same key replaces the older
one, queued or running. This module imports no torch: the window must paint before it is loaded.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from engine.api.client import OnReply
from engine.api.errors import CondenseError
from engine.api.replies import Failed, JobCancelled, JobPaused, Reply, VolumeUpdated
from engine.api.requests import CancelJob, GiveWay, OpenCapture, PauseJob, Priority, Request

log = logging.getLogger(__name__)

STARTUP = 0  # the request id under which the libraries load; nothing cancels it
REST_S = 0.1
"""After a click's answer photos and jobs leave the cores to the window for so long, so that it is on screen at once."""

FIRST_REST_S = 0.5
"""The same after a stored scene; without a graphics card the window has its shaders to compile then."""

MOST_REST_S = 0.4
"""While the user goes on and on, jobs get a turn after so long all the same."""

RESTING = (Priority.IMAGE, Priority.JOB)

OUT_OF_MEMORY = "close other programs, fit with fewer voxels (--voxels), or use --device cpu"


class Handler(Protocol):
    """What the thread runs; ``engine.session.Session`` is the real one."""

    def start(self) -> Iterator[Reply | None]:
        """Load the libraries; runs first, gives way like a job."""
        ...

    def prepare(self) -> Iterator[Reply | None]:
        """Load what first use would load, so that nobody waits for it then; runs beside jobs."""
        ...

    def handle(self, request: Request) -> Iterator[Reply | None]:
        """Serve one request; yields a reply, or None just to give way."""
        ...

    def close(self) -> None: ...


@dataclass
class _Task:
    request: Request
    steps: Iterator[Reply | None]

    def close(self) -> None:
        close = getattr(self.steps, "close", None)
        if close is not None:
            close()


class EngineThread:
    """Runs a handler on a thread of its own; the ``EngineClient`` of the window and of long-lived scripts."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._on_reply: OnReply | None = None
        self._wake = threading.Condition()
        self._inbox: list[tuple[int, int, Request]] = []
        self._order = itertools.count()
        self._running: dict[Priority, deque[_Task]] = {p: deque() for p in Priority}
        self._paused: deque[_Task] = deque()
        self._stopping = False
        self._rest_until = self._last_turn = 0.0  # the end of the last turn that a photo or job had
        self._thread = threading.Thread(target=self._run, name="condense-engine", daemon=True)

    def start(self, on_reply: OnReply) -> None:
        self._on_reply = on_reply
        self._thread.start()

    def send(self, request: Request) -> None:
        with self._wake:
            if isinstance(request, OpenCapture):
                self._inbox = [e for e in self._inbox if e[2].outlives]
            self._inbox = [e for e in self._inbox if e[2].key != request.key]
            heapq.heapify(self._inbox)
            heapq.heappush(self._inbox, (int(request.priority), next(self._order), request))
            self._wake.notify()

    def close(self, timeout: float = 10.0) -> None:
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        # Loading libraries gives way too, so that a stored scene shows before torch is imported.
        self._running[Priority.IMAGE].append(_Task(Request(id=STARTUP), self._handler.start()))
        self._running[Priority.JOB].append(_Task(Request(id=STARTUP), self._handler.prepare()))
        while True:
            with self._wake:
                while not self._stopping and not self._inbox and not self._most_urgent():
                    self._wake.wait(self._rest())
                if self._stopping:
                    break
            self._admit()
            queue = self._most_urgent()
            if queue:
                task = queue.popleft()
                if self._step(task):
                    queue.append(task)
                if task.request.priority is Priority.CLICK:
                    self._leave_cores(REST_S)
                elif task.request.priority is Priority.HOVER:
                    self._give_way(REST_S)
                elif task.request.priority in RESTING:
                    self._last_turn = time.monotonic()
        for queue in self._queues():
            for task in queue:
                task.close()
        self._handler.close()

    def _queues(self) -> list[deque[_Task]]:
        return [*self._running.values(), self._paused]

    def _most_urgent(self) -> deque[_Task] | None:
        awake = [p for p in Priority if p not in RESTING or time.monotonic() >= self._rest_until]
        return next((self._running[p] for p in awake if self._running[p]), None)

    def _leave_cores(self, seconds: float) -> None:
        self._rest_until = max(self._rest_until, time.monotonic() + seconds)

    def _give_way(self, seconds: float) -> None:
        """The same, for what comes again and again."""
        self._leave_cores(min(seconds, self._last_turn + MOST_REST_S - time.monotonic()))

    def _rest(self) -> float | None:
        """Seconds that photos and jobs wait still while the window draws; None when there are none."""
        waiting = any(self._running[p] for p in RESTING)
        return max(0.0, self._rest_until - time.monotonic()) if waiting else None

    def _admit(self) -> None:
        """Move every request from the inbox to the running tasks; control requests act at once."""
        while True:
            with self._wake:
                if not self._inbox:
                    return
                _, _, request = heapq.heappop(self._inbox)
            if isinstance(request, CancelJob):
                self._cancel(lambda t, job_id=request.job_id: t.request.id == job_id)
                continue
            if isinstance(request, GiveWay):
                self._give_way(request.seconds)
                continue
            if isinstance(request, PauseJob):
                self._pause(request)
                continue
            if isinstance(request, OpenCapture):
                self._cancel(lambda t: t.request.id != STARTUP and not t.request.outlives)
            else:
                self._cancel(lambda t, key=request.key: t.request.key == key)
            self._running[request.priority].append(_Task(request, self._steps(request)))

    def _steps(self, request: Request) -> Iterator[Reply | None]:
        """The handler's steps; a refusal raised at once becomes one raised by the first step."""
        yield from self._handler.handle(request)

    def _pause(self, request: PauseJob) -> None:
        """Move a job between those that run and those that rest; one that is gone is left alone."""
        jobs = self._running[Priority.JOB]
        source, target = (jobs, self._paused) if request.paused else (self._paused, jobs)
        for task in [t for t in source if t.request.id == request.job_id]:
            source.remove(task)
            target.append(task)
            self._reply(JobPaused(id=request.id, job_id=request.job_id, paused=request.paused))

    def _cancel(self, matches: Callable[[_Task], bool]) -> None:
        for queue in self._queues():
            for task in [t for t in queue if matches(t)]:
                queue.remove(task)
                task.close()
                if task.request.priority is Priority.JOB:
                    self._reply(JobCancelled(id=task.request.id, title=task.request.title))

    def _step(self, task: _Task) -> bool:
        """Run one slice; whether there is more to do."""
        try:
            reply = next(task.steps)
        except StopIteration:
            return False
        except CondenseError as e:
            self._reply(Failed(id=task.request.id, what=e.what, text=e.text()))
            return False
        except Exception as e:
            advice = _advice(e)
            if advice is None:
                log.exception("request %s failed", task.request)
                advice = f"{type(e).__name__}: {e}\nThis is a fault of the program; the log holds the details."
            self._reply(Failed(id=task.request.id, what=advice.splitlines()[0], text=advice))
            return False
        if reply is not None:
            self._reply(reply)
        return True

    def _reply(self, reply: Reply) -> None:
        if isinstance(reply, VolumeUpdated) and reply.stored:
            self._leave_cores(FIRST_REST_S)
        if self._on_reply is not None and not self._stopping:
            with contextlib.suppress(RuntimeError):  # the receiver may be gone while closing
                self._on_reply(reply)


def _advice(e: Exception) -> str | None:
    """Out of memory, on any device, becomes advice."""
    text = str(e)
    if isinstance(e, MemoryError) or "out of memory" in text.lower() or "can't allocate memory" in text.lower():
        return f"Out of memory\n  found:    {text or type(e).__name__}\n  to mend:  {OUT_OF_MEMORY}"
    return None
