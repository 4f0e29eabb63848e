"""Captures spread over a Ray cluster: a task for each, which fits, encodes and adds it where there are cores free.

Tasks are given cores, not GPUs. Nothing but names and errors comes back. A task whose machine goes down is begun once
more elsewhere; one that fails again is told of, and the next run adds what is missing.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api.errors import QueryError, ResourceError
from engine.driving import progress_line
from engine.repository.cli import IndexAdd

if TYPE_CHECKING:
    from engine.repository.many import Outcome

LOCAL = "local"
AGAIN = 1
"""Times a task is begun anew when its worker dies."""

Work = Callable[[IndexAdd, str], "Outcome"]


def spread(command: IndexAdd, paths: list[str], work: Work) -> Iterator[Outcome]:
    """``work`` of each capture, told of as they are done, in any order.

    Raises:
        ResourceError: Ray is not installed, or there is no cluster at that address.
        QueryError: the repository is a folder, and the cluster has several machines.
    """
    ray = _ray()
    threads = command.threads or 1
    each = replace(command, repository=_seen(command.repository), threads=threads, cluster=None)
    each = replace(each, cache=None if command.cache is None else command.cache.absolute())
    try:
        ray.init(address=command.cluster, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError) as e:
        mend = "start it by `ray start --head`, or give --cluster local"
        raise ResourceError(
            "there is no such Ray cluster", found=str(e)[:200], expected=command.cluster, mend=mend
        ) from e
    try:
        machines = sum(bool(node["Alive"]) for node in ray.nodes())
        if machines > 1 and "://" not in command.repository:
            mend = "give a repository in object storage, s3://bucket/prefix"
            raise QueryError("several machines cannot write into one folder", path=command.repository, mend=mend)
        yield from _done(ray, ray.remote(num_cpus=threads, max_retries=AGAIN)(work), each, paths, machines)
    finally:  # also when the caller is interrupted: the cluster gives up what it has of this run
        ray.shutdown()


def _done(ray: Any, task: Any, each: IndexAdd, paths: list[str], machines: int) -> Iterator[Outcome]:
    """Begin all tasks, and tell of each as it is done."""
    from engine.repository.many import Outcome

    waiting = {task.remote(each, str(Path(path).absolute())): path for path in paths}
    begun = time.monotonic()
    with progress_line() as line:
        shown = line.add_task(f"Adding, {machines} machines", total=len(paths), note="")
        for number in range(1, len(paths) + 1):
            (ready,), _ = ray.wait(list(waiting), num_returns=1)
            path = waiting.pop(ready)
            try:
                outcome = replace(ray.get(ready), path=path)
            except ray.exceptions.RayError as e:
                error = {"what": "its worker died", "path": path, "found": str(e).splitlines()[0][:200]}
                error["mend"] = "perhaps for want of memory: give each more --threads; run it again, and it goes on"
                outcome = Outcome(path, error=error, kind=ResourceError)
            left = (time.monotonic() - begun) / number * (len(paths) - number)
            line.update(shown, completed=number, note=outcome.name or path)
            print(f"{outcome.told}{number} of {len(paths)} done, about {left:.0f} s left: {path}", file=sys.stderr)
            yield outcome


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report home
    try:
        import ray
    except ImportError as e:
        mend = 'pip install "condense-studio[cluster]"'
        raise ResourceError("a cluster needs Ray", found=str(e), mend=mend) from e
    return ray


def _seen(repository: str) -> str:
    """From another working directory."""
    return repository if "://" in repository else str(Path(repository).absolute())
