"""Many captures into a repository, one after another or several at a time, each whole before it is told of.

Each worker is a process that fits, encodes and adds one capture, in a transaction of its own; nothing but names and
errors goes between processes. What was added before a run is stopped stays, and the next run passes it over.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.api.errors import CondenseError, RepositoryError, ResourceError
from engine.api.jobs import finish
from engine.api.requests import EncodeViews, FindKeypoints, FitGrid, NameScene
from engine.captures import open_capture
from engine.driving import drive, open_session, progress_line
from engine.repository.adding import record_of
from engine.repository.cli import IndexAdd
from engine.repository.store import open_store


@dataclass(frozen=True)
class Outcome:
    """What became of a capture.

    Attributes:
        path: as it was given.
        name: of the capture; None: it could not be opened.
        added: or else it was there already, or failed.
        told: warnings of its making.
        error: parts of the error, by the names that ``CondenseError`` takes; empty: there was none.
        kind: of the error.
        fatal: no other capture will fare better.
    """

    path: str
    name: str | None = None
    added: bool = False
    told: str = ""
    error: dict[str, Any] | None = None
    kind: type[CondenseError] = CondenseError
    fatal: bool = False

    def raised(self) -> CondenseError:
        """The error."""
        parts = dict(self.error or {"what": "failed"})
        return self.kind(parts.pop("what"), **parts)


def outcomes(command: IndexAdd, paths: list[str]) -> Iterator[Outcome]:
    """Add captures by as many processes as the command says, and tell of each as it is done; how long the rest may take
    is shown meanwhile."""
    if command.cluster is not None:
        from engine.repository.cluster import spread

        yield from spread(command, paths, _quietly)
        return
    if min(command.workers, len(paths)) > 1:
        yield from _side_by_side(command, paths)
        return
    spent: list[float] = []
    for number, path in enumerate(paths, start=1):
        left = f", about {_about(sum(spent) / len(spent) * (len(paths) - number + 1))} left" if spent else ""
        print(f"{number} of {len(paths)}{left}: {path}", file=sys.stderr)
        begun = time.monotonic()
        outcome = add_one(command, path)
        if outcome.added:
            spent.append(time.monotonic() - begun)
        yield outcome


def add_one(command: IndexAdd, path: str) -> Outcome:
    """Fit, encode and add one capture, unless it is there."""
    name: str | None = None
    try:
        store = open_store(command.repository)
        capture = open_capture(Path(path))
        name = capture.name
        if not command.again and any(row.fingerprint == capture.fingerprint for row in store.rows()):
            return Outcome(path, name)
        session = open_session(command, path)
        steps = (FitGrid(seconds=command.seconds), EncodeViews(encoder=command.encoder), FindKeypoints(), NameScene())
        for request in steps:
            drive(session, request)
        try:
            store.add(finish(record_of(session.scene)))
        except RepositoryError as e:
            return Outcome(path, name, error=_parts(e), kind=type(e), fatal=e.path == str(store.path))
    except CondenseError as e:
        return Outcome(path, name, error=_parts(e), kind=type(e))
    return Outcome(path, name, added=True)


def _side_by_side(command: IndexAdd, paths: list[str]) -> Iterator[Outcome]:
    """As they are done, in any order.

    Raises:
        ResourceError: a worker died, most likely for want of memory.
    """
    workers = min(command.workers, len(paths))
    each = replace(command, threads=command.threads or max(1, (os.cpu_count() or 1) // workers))
    spawn = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin)
    try:
        with progress_line() as line:
            task = line.add_task(f"Adding, {workers} at a time", total=len(paths), note="")
            done = (future.result() for future in as_completed([pool.submit(_quietly, each, p) for p in paths]))
            for number, outcome in enumerate(done, start=1):
                line.update(task, completed=number, note=outcome.name or outcome.path)
                print(f"{outcome.told}{number} of {len(paths)} done: {outcome.path}", file=sys.stderr)
                yield outcome
    except BrokenProcessPool as e:
        mend = "the system may have run out of memory: use fewer --workers; run it again, and it goes on"
        raise ResourceError("a worker died; what was added is kept", mend=mend) from e
    finally:  # also when the caller is interrupted: a capture half done is given up, its transaction was not begun
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
            child.join()


def _begin() -> None:
    """A worker leaves Ctrl-C to the process that began it, and ends with that one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _quietly(command: IndexAdd, path: str) -> Outcome:
    """Lines of progress from several processes at once would be none."""
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        outcome = add_one(command, path)
    return replace(outcome, told=told.getvalue())


def _parts(e: CondenseError) -> dict[str, Any]:
    return {"what": e.what, "path": e.path, "found": e.found, "expected": e.expected, "mend": e.mend}


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
