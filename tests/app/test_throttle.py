"""No more than one call an interval, and the newest wins."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from app.throttle import Throttle


def test_the_first_runs_at_once_then_only_the_newest(qtbot: QtBot) -> None:
    calls: list[int] = []
    throttle = Throttle(30)
    for i in range(10):
        throttle.offer(lambda i=i: calls.append(i))
    assert calls == [0]
    qtbot.waitUntil(lambda: len(calls) == 2)
    assert calls == [0, 9]
    qtbot.wait(80)
    assert calls == [0, 9]


def test_what_is_dropped_does_not_run(qtbot: QtBot) -> None:
    calls: list[int] = []
    throttle = Throttle(30)
    throttle.offer(lambda: calls.append(0))
    throttle.offer(lambda: calls.append(1))
    throttle.drop()
    qtbot.wait(80)
    assert calls == [0]
