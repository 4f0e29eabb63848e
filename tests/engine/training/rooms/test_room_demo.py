"""The demo command's progress line."""

import pytest

from engine.api.jobs import Progress
from engine.training.rooms.demo import Reporter


def test_time_left_follows_the_pace_of_the_stage(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 6.0, 100.0, 104.0])
    say = Reporter(lambda: next(clock))
    lines = []
    for note, done in (("lighting", 0), ("lighting", 2), ("rendering", 1), ("rendering", 2)):
        say(Progress(done, 10, "views", note))
        lines.append(capsys.readouterr().err)
    assert "left" not in lines[0]
    assert "2 of 10 views, 24 s left" in lines[1]  # 3 s each, 8 to go
    assert "left" not in lines[2]  # a new stage has no pace yet
    assert "32 s left" in lines[3]  # 4 s each, 8 to go
