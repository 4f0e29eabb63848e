"""A session driven to its end on this thread, with a line of progress in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from engine.api.errors import QueryError
from engine.api.jobs import Job, finish
from engine.api.jobs import Progress as Step
from engine.api.replies import Failed, JobProgress, Notice, Reply
from engine.api.requests import OpenCapture, Request
from engine.cli import Common
from engine.session import Session

T = TypeVar("T")


@contextmanager
def progress_line() -> Iterator[Progress]:
    """One line of progress on stderr with rate and ETA; nothing when stderr is no terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as line:
        yield line


def drive(session: Session, request: Request) -> list[Reply]:
    """Run one request to its end on this thread, with a progress line; returns the replies.

    Raises:
        CondenseError: what the request raised.
    """
    replies: list[Reply] = []
    with progress_line() as line:
        task = line.add_task(request.title or type(request).__name__, total=None, note="")
        for reply in session.handle(request):
            if isinstance(reply, JobProgress):
                line.update(task, completed=reply.done, total=reply.total or None, note=reply.note)
            elif isinstance(reply, Notice):
                print(f"warning: {reply.text}", file=sys.stderr)
            elif isinstance(reply, Failed):
                raise QueryError(reply.text)
            elif reply is not None:
                replies.append(reply)
    return replies


def open_session(command: Common, capture: str) -> Session:
    """A session with ``capture`` open; its warnings go to stderr."""
    session = Session(device=command.device, cache=command.cache, threads=command.threads, seed=command.seed)
    for _ in session.start():
        pass
    drive(session, OpenCapture(path=capture))
    for warning in session.scene.capture.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return session


def run_job(title: str, job: Job[T]) -> T:
    """Run a bare job with a progress line."""
    with progress_line() as line:
        task = line.add_task(title, total=None, note="")

        def show(step: Step) -> None:
            line.update(task, completed=step.done, total=step.total or None, note=step.note)

        return finish(job, show)
