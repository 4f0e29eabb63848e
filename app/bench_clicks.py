"""Clicks through the real window while a fit or a training runs: time until the answer shows, how late the GUI is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.settings import Settings
from app.state import Answer, AppState
from app.window import Window
from engine.api.client import EngineClient
from engine.api.errors import CondenseError, QueryError

TICK_MS = 10
PATIENCE = 900.0  # seconds for fit and encoding before the clicks


def bench_clicks(
    client: EngineClient, settings: Settings, capture: str, clicks: int, seed: int, *, training: bool = False
) -> dict[str, Any]:
    """Open ``capture``, wait until it is fitted and encoded, start fitting anew (or ``training``), and click.

    Half of the clicks go to photos in the image panel, half to the scene. A click's latency runs from the mouse event
    until both the canvas has drawn the heat over the scene and the image panel has painted it over the views.

    Returns:
        ``clicks``, ``p50_ms``, ``p95_ms``, ``gui_late_p99_ms`` (a timer's lateness meanwhile), and what was measured:
        ``answered_p95_ms`` until the answer reached the window, ``engine_p95_ms`` the engine's own work on it.

    Raises:
        CondenseError: the capture cannot be opened, or has no photos.
    """
    app = QApplication.instance() or QApplication([])
    window = Window(client, settings, capture)
    window.controller.auto = True
    window.show()
    try:
        _until(app, window, lambda s: s.scene is not None, "opening")
        if not window.controller.state.scene or not window.controller.state.scene.views:
            raise QueryError("there are no photos to click", found=capture)
        _until(app, window, _settled, "fit and encode")
        _until(app, window, lambda _: _drawn(window), "drawing the scene")
        window.controller.set_layer("frusta", visible=False)  # a click on a camera looks through it and asks nothing
        if training:
            window.controller.training.start()
            _until(app, window, lambda s: s.training is not None and s.training.step > 0, "the training's first step")
        else:
            window.controller.fit(refit=True)
            _until(app, window, lambda s: any(j.live for j in s.jobs), "the fit")
        first = 0 if not training else _step(window)
        found = _measure(app, window, clicks, seed, training)
        return found | ({"steps": _step(window) - first} if training else {})
    finally:
        window.close()
        app.processEvents()


def _settled(state: AppState) -> bool:
    return state.voxel_features is not None and not any(j.live for j in state.jobs)


def _step(window: Window) -> int:
    training = window.controller.state.training
    return 0 if training is None else training.step


def _drawn(window: Window) -> bool:
    renderer = window.canvas.renderer
    return renderer is not None and renderer.volume.ready and not renderer.busy


def _until(app: Any, window: Window, ready: Callable[[AppState], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not ready(window.controller.state):
        app.processEvents()
        banner = window.controller.state.banner
        if banner is not None and banner.error:
            raise CondenseError(banner.details)
        if time.monotonic() > end:
            raise QueryError(f"{what} took longer than {PATIENCE:.0f} s")
        time.sleep(0.002)


def _measure(app: Any, window: Window, clicks: int, seed: int, training: bool) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    late: list[float] = []
    last = [time.perf_counter()]

    def tick() -> None:
        now = time.perf_counter()
        late.append((now - last[0]) * 1e3 - TICK_MS)
        last[0] = now

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(TICK_MS)
    painted = _Painted(window)
    waits: list[float] = []
    answered: list[float] = []
    engine: list[float] = []
    missed = 0
    during = 0
    for n in range(clicks):
        if not any(j.live for j in window.controller.state.jobs):
            if training:
                window.controller.training.start()
            else:
                window.controller.fit(refit=True)
        place = _photo_place(window, rng) if n % 2 else _scene_place(window, rng)
        if place is None:
            missed += 1
            continue
        before = window.controller.state.pinned
        start = time.perf_counter()
        QTest.mouseClick(place[0], Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place[1])
        answer = None
        while time.perf_counter() - start < 10:
            app.processEvents()
            if answer is None and window.controller.state.pinned not in (None, before):
                answer = window.controller.state.pinned
                answered.append((time.perf_counter() - start) * 1e3)
            if painted.answer not in (None, before) and window.canvas.heat_drawn not in (None, before):
                break  # a newer answer to the same question counts too
            time.sleep(0.0005)
        else:
            missed += 1
            continue
        assert answer is not None
        waits.append((time.perf_counter() - start) * 1e3)
        engine.append(answer.reply.milliseconds)
        during += any(j.live for j in window.controller.state.jobs)
        pause = time.perf_counter() + float(rng.uniform(0.1, 0.4))
        while time.perf_counter() < pause:
            app.processEvents()
            time.sleep(0.001)
    timer.stop()
    if not waits:
        raise QueryError("no click was answered")
    return {
        "clicks": len(waits),
        "missed": missed,
        "during_work": during,
        "p50_ms": round(float(np.percentile(waits, 50)), 1),
        "p95_ms": round(float(np.percentile(waits, 95)), 1),
        "answered_p95_ms": round(float(np.percentile(answered, 95)), 1),
        "engine_p95_ms": round(float(np.percentile(engine, 95)), 1),
        "gui_late_p99_ms": round(float(np.percentile(late, 99)), 1),
        "gui_late_max_ms": round(float(np.max(late)), 1),
    }


class _Painted(QObject):
    """Which answer the image panel painted last."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self.answer: Answer | None = None
        window.images.grid.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            self.answer = self._window.controller.state.pinned
        return False


def _photo_place(window: Window, rng: np.random.Generator) -> tuple[QWidget, QPoint] | None:
    """A random point of a random photo that is in sight in the image panel."""
    grid = window.images.grid
    scene = window.controller.state.scene
    if scene is None:
        return None
    view = int(rng.integers(len(scene.views)))
    grid.scroll_to(view)
    rect = grid.cell_rect(view)
    if rect is None:
        return None
    x = rect.x() + rect.width() * float(rng.uniform(0.15, 0.85))
    y = rect.y() + rect.height() * float(rng.uniform(0.15, 0.7))
    return grid.viewport(), QPoint(round(x), round(y))


def _scene_place(window: Window, rng: np.random.Generator) -> tuple[QWidget, QPoint] | None:
    """A random point of the canvas under which there is a voxel."""
    widget = window.canvas.widget
    for _ in range(50):
        x, y = float(rng.uniform(0.2, 0.8)) * widget.width(), float(rng.uniform(0.2, 0.8)) * widget.height()
        if window.canvas.pick(x, y) is not None:
            return widget, QPoint(round(x), round(y))
    return None
