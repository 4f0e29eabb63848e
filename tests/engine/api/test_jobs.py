"""Jobs: calls that cannot be cut, on a thread of their own."""

from __future__ import annotations

import threading

import pytest

from engine.api.jobs import Progress, aside, finish

AT = Progress(1, 2, "steps")


def test_the_result_comes_after_progress() -> None:
    release = threading.Event()
    job = aside(lambda: release.wait() and 7, AT)
    assert [next(job), next(job)] == [AT, AT]
    release.set()
    assert finish(job) == 7


@pytest.mark.parametrize("error", [ValueError, TimeoutError])
def test_what_the_call_raises_is_raised(error: type[Exception]) -> None:
    def fail() -> None:
        raise error("so")

    with pytest.raises(error, match="so"):
        finish(aside(fail, AT))


def test_a_job_that_is_closed_does_not_wait() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    job = aside(work, AT)
    next(job)
    job.close()
    assert not ended.is_set()
    release.set()
    assert ended.wait(10)
