"""Work on many items over processes, one core each, answers in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from engine.api.errors import ResourceError

AHEAD = 3
"""Items given to each worker in advance: enough that none waits, few enough that a stop comes soon."""

_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Tell:
    """Says on stderr how many rooms are done and how long the rest will take.

    Args:
        total: rooms.
        kept: done before.
    """

    def __init__(self, total: int, kept: int) -> None:
        self.total, self.kept, self.done = total, kept, kept
        self.start = time.monotonic()

    def __call__(self) -> None:
        self.done += 1
        pace = (time.monotonic() - self.start) / (self.done - self.kept)
        left = f"{pace:.1f} s each, {pace * (self.total - self.done):.0f} s left"
        print(f"\r{self.done} of {self.total} rooms, {left}     ", end="", file=sys.stderr, flush=True)


T = TypeVar("T")
S = TypeVar("S")


def in_order(
    work: Callable[[S], T], items: Sequence[S], workers: int, start: Callable[..., None], *with_: object
) -> Iterator[T]:
    """``work`` of each item, by spawned processes in each of which ``start(*with_)`` is called first.

    Raises:
        ResourceError: a worker was killed.
    """
    workers = max(1, min(workers, len(items)))
    context = multiprocessing.get_context("spawn")
    before = {key: os.environ.get(key) for key in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # read by the libraries as the workers start
    pool = ProcessPoolExecutor(workers, context, start, with_)
    try:
        waiting: list[Future[T]] = []
        todo = iter(items)
        for _ in items:
            while len(waiting) < AHEAD * workers and (item := next(todo, None)) is not None:
                waiting.append(pool.submit(work, item))
            yield waiting.pop(0).result()
    except BrokenProcessPool as e:
        mend = "lower --workers; what is finished is kept"
        raise ResourceError("a worker was killed, perhaps for want of memory", mend=mend) from e
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value
