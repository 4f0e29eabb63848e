"""Bare geometry in the window: what can be done with it is said once, and its photos are opened."""

from __future__ import annotations

from app.geometry import BARE, GeometryDesk
from app.state import AppState, Store
from engine.api.replies import JobCancelled, JobFinished
from engine.api.requests import PhotographGeometry, Request


def test_the_hint_is_given_once() -> None:
    desk = GeometryDesk(Store(AppState()), lambda _: None, lambda _: None)
    assert [desk.hint(), desk.hint()] == [BARE, None]


def test_only_finished_photos_are_opened() -> None:
    sent: list[Request] = []
    opened: list[str] = []
    desk = GeometryDesk(Store(AppState()), sent.append, opened.append)
    desk.photograph("a")
    desk.photograph("b")
    first, second = sent
    assert isinstance(second, PhotographGeometry)
    for reply in (
        JobFinished(id=first.id, title="", seconds=1.0),  # no longer asked for
        JobCancelled(id=second.id, title=""),
    ):
        assert not desk.receive(reply)
    assert opened == []
    desk.photograph("c")
    assert not desk.receive(JobFinished(id=sent[-1].id, title="", seconds=1.0))
    assert opened == ["c"]
