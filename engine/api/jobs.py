"""Long work as generators: every ``yield`` is progress and a chance to cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

SLICE_ROWS = 1 << 14
SLICE_S = 0.02
"""Between two looks at a call that runs aside."""


@dataclass(frozen=True)
class Progress:
    """One step of a job: ``done`` of ``total`` ``unit``s (total 0 = unknown), and a short note."""

    done: float
    total: float
    unit: str
    note: str = ""


Job = Generator[Progress, None, T]
"""A job yields progress at least every 50 ms of work and returns its result."""


def finish(job: Job[T], on_progress: Callable[[Progress], None] | None = None) -> T:
    """Run a job to its end on this thread and return its result (the command line and tests do so)."""
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            return stop.value
        if on_progress is not None:
            on_progress(progress)


def told_as(work: Generator[object, None, T], progress: Progress) -> Job[T]:
    """``work``, a part of something longer, with the same ``progress`` at each of its yields."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value
        yield progress


def aside(work: Callable[[], T], progress: Progress) -> Job[T]:
    """``work``, one long call of a library that cannot be cut, on a thread of its own, with the same ``progress`` until
    it is done. A job that is closed meanwhile does not wait, nor does the end of the program: the call ends unheard."""
    done: Future[T] = Future()

    def call() -> None:
        try:
            done.set_result(work())
        except BaseException as e:  # raised by the job
            done.set_exception(e)

    threading.Thread(target=call, name="condense-aside", daemon=True).start()
    while True:
        try:
            return done.result(SLICE_S)
        except TimeoutError:
            if done.done():
                raise  # the call's own
            yield progress


def row_slices(count: int) -> Iterator[slice]:
    """``count`` rows in pieces, so many voxels as are worked on between two yields."""
    for start in range(0, count, SLICE_ROWS):
        yield slice(start, min(start + SLICE_ROWS, count))
