"""Captures over a cluster, by a Ray that only pretends: what is said of deaths, of several machines, and of none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.api.errors import QueryError, ResourceError
from engine.repository.cli import IndexAdd
from engine.repository.cluster import spread
from engine.repository.many import Outcome


class RayError(Exception):
    pass


class Pretended:
    """Runs tasks as they are asked for; the last begun is done first."""

    exceptions = SimpleNamespace(RayError=RayError)

    def __init__(self, machines: int = 1) -> None:
        self.machines, self.asked, self.stopped = machines, {}, False

    def init(self, **asked: Any) -> None:
        if asked["address"] == "nowhere:1":
            raise ConnectionError("no answer")
        self.asked = asked

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}] * self.machines + [{"Alive": False}]

    def remote(self, **resources: Any) -> Callable[[Any], Any]:
        self.resources = resources
        return lambda work: SimpleNamespace(remote=lambda *args: (work, args))

    def wait(self, refs: list[Any], num_returns: int) -> tuple[list[Any], list[Any]]:
        assert num_returns == 1
        return [refs[-1]], refs[:-1]

    def get(self, ref: Any) -> Outcome:
        work, args = ref
        return work(*args)

    def shutdown(self) -> None:
        self.stopped = True


def work(command: IndexAdd, path: str) -> Outcome:
    assert command.cluster is None
    assert Path(path).is_absolute()
    if path.endswith("dies"):
        raise RayError("killed by the system\nmore")
    return Outcome(path, Path(path).name, added=True)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    found = Pretended()
    monkeypatch.setitem(sys.modules, "ray", found)
    return found


def command(repository: str = "repo", cluster: str = "local", **more: Any) -> IndexAdd:
    return IndexAdd(repository=repository, captures=(), cluster=cluster, **more)


def test_each_is_told_of_as_it_is_done_and_a_death_is_an_error(ray: Pretended) -> None:
    found = list(spread(command(threads=3), ["a", "dies", "c"], work))
    assert [(o.path, o.added) for o in found] == [("c", True), ("dies", False), ("a", True)]
    assert "killed by the system" in found[1].raised().text()
    assert ray.resources == {"num_cpus": 3, "max_retries": 1}
    assert ray.stopped


def test_several_machines_want_object_storage(ray: Pretended) -> None:
    ray.machines = 2
    with pytest.raises(QueryError, match="s3://"):
        next(spread(command(), ["a"], work))
    assert ray.stopped
    assert next(spread(command("s3://bucket/x"), ["a"], work)).added


def test_no_cluster_and_no_ray(ray: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ResourceError, match="ray start --head"):
        next(spread(command(cluster="nowhere:1"), ["a"], work))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ResourceError, match=r"condense-studio\[cluster\]"):
        next(spread(command(), ["a"], work))
