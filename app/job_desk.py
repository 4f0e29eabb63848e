"""Long requests as the jobs panel shows them. Part of the controller; knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.state import Store, with_job
from engine.api.replies import JobCancelled, JobFinished, JobProgress, Reply
from engine.api.requests import CancelJob, Request


class JobDesk:
    """Follows and cancels jobs.

    Args:
        store: the window's state.
        send: takes requests.
    """

    def __init__(self, store: Store, send: Callable[[Request], None]) -> None:
        self._store = store
        self._send = send
        self._stops: dict[int, Callable[[], None]] = {}  # of jobs that are the window's own

    def begin(self, job_id: int, title: str, stop: Callable[[], None]) -> None:
        """A job of the window's own begins; ``stop`` cancels it."""
        self._stops[job_id] = stop
        self.change(job_id, title=title, status="running")

    def cancel(self, job_id: int) -> None:
        if any(j.id == job_id and j.live for j in self._store.state.jobs):
            stop = self._stops.pop(job_id, None)
            if stop is None:
                self._send(CancelJob(job_id=job_id))
            else:
                stop()

    def cancel_all(self, *, of_capture: bool = False) -> None:
        """Cancel those that run; ``of_capture``: but for those that go on when another capture is opened."""
        for job in self._store.state.jobs:
            if not (of_capture and job.outlives):
                self.cancel(job.id)

    def change(self, job_id: int, **changes: Any) -> None:
        """Change fields of one job, or begin it."""
        self._store.update(jobs=with_job(self._store.state.jobs, job_id, **changes))

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about a job."""
        match reply:
            case JobProgress():
                self.change(
                    reply.id, title=reply.title, status="running", done=reply.done, total=reply.total, unit=reply.unit,
                    rate=reply.rate, eta=reply.eta, note=reply.note,
                )  # fmt: skip
            case JobFinished():
                self.change(reply.id, title=reply.title, status="finished", seconds=reply.seconds, eta=None)
                if "psnr" in reply.metrics:
                    self._store.update(psnr=reply.metrics["psnr"])
            case JobCancelled():
                self.change(reply.id, title=reply.title, status="cancelled", eta=None)
            case _:
                return False
        return True
