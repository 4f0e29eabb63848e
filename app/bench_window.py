"""What the benches through the real window share: a window with everything ready, and how late its timers are."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.settings import Settings
from app.state import AppState
from app.window import Window
from engine.api.client import EngineClient
from engine.api.errors import CondenseError, QueryError

TICK_MS = 10
PATIENCE = 900.0  # seconds for fit and encoding before anything is measured


@contextmanager
def ready_window(client: EngineClient, settings: Settings, capture: str) -> Generator[tuple[Any, Window]]:
    """The application and a window in which ``capture`` is fitted, encoded and drawn.

    Raises:
        CondenseError: the capture cannot be opened, or has no photos.
    """
    app = QApplication.instance() or QApplication([])
    window = Window(client, settings, capture)
    window.controller.auto = True
    window.show()
    try:
        until(app, window, lambda s: s.scene is not None, "opening")
        if not window.controller.state.scene or not window.controller.state.scene.views:
            raise QueryError("there are no photos", found=capture)
        until(app, window, settled, "fit and encode")
        until(app, window, lambda _: drawn(window), "drawing the scene")
        yield app, window
    finally:
        window.close()
        app.processEvents()


def train(app: Any, window: Window) -> None:
    """Start a training and wait for its first step."""
    window.controller.training.start()
    until(app, window, lambda s: s.training is not None and s.training.step > 0, "the training's first step")


def settled(state: AppState) -> bool:
    """Fitted and encoded."""
    return state.voxel_features is not None and not any(j.live for j in state.jobs)


def drawn(window: Window) -> bool:
    """Whether the scene is on the canvas."""
    renderer = window.canvas.renderer
    return renderer is not None and renderer.volume.ready and not renderer.busy


def trained_steps(window: Window) -> int:
    """Of the training that runs."""
    training = window.controller.state.training
    return 0 if training is None else training.step


def until(app: Any, window: Window, ready: Callable[[AppState], bool], what: str) -> None:
    """Let the window live until the state is so.

    Raises:
        CondenseError: an error was shown, or it took too long.
    """
    end = time.monotonic() + PATIENCE
    while not ready(window.controller.state):
        app.processEvents()
        banner = window.controller.state.banner
        if banner is not None and banner.error:
            raise CondenseError(banner.details)
        if time.monotonic() > end:
            raise QueryError(f"{what} took longer than {PATIENCE:.0f} s")
        time.sleep(0.002)


def live(app: Any, seconds: float) -> None:
    """Let the window live for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        app.processEvents()
        time.sleep(0.001)


class Lateness(QObject):
    """How late a timer of the GUI thread is, from now on."""

    def __init__(self) -> None:
        super().__init__()
        self.ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.ms.append((now - self._last) * 1e3 - TICK_MS)
        self._last = now

    def stop(self) -> None:
        """No more."""
        self._timer.stop()


def percentile(values: list[float], part: float) -> float | None:
    """Of milliseconds, to a tenth; None of none."""
    return round(float(np.percentile(values, part)), 1) if values else None
