"""A window on the fake engine, painted and ready; Qt warnings fail its tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

sys.path.insert(0, str(Path(__file__).parent))  # for the modules that these tests share

from driving import MakeWindow, wait_ready
from fakes import FakeEngine

from app.settings import Settings
from app.window import Window


@pytest.fixture
def make_window(qtbot: QtBot, tmp_path: Path) -> Iterator[MakeWindow]:
    """Make windows of one size on an engine; they are closed at the end."""
    made: list[Window] = []

    def make(engine: FakeEngine, path: str | None = "room", size: tuple[int, int] = (1180, 760)) -> Window:
        window = Window(engine, Settings(tmp_path / "settings.ini"), path)
        made.append(window)
        window.resize(*size)
        with qtbot.waitExposed(window):
            window.show()
        qtbot.waitUntil(lambda: engine.started, timeout=10_000)
        return window

    yield make
    for window in made:
        window.close()
        window.deleteLater()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(count=8)


@pytest.fixture
def window(make_window: MakeWindow, engine: FakeEngine, qtbot: QtBot) -> Window:
    """The room is open, fitted, encoded and drawn."""
    window = make_window(engine)
    wait_ready(window, qtbot)
    return window
