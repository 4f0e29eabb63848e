"""Clicks through the real window while a fit or a training runs: time until the answer shows, how late the GUI is."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.bench_window import Lateness, live, percentile, ready_window, train, trained_steps, until
from app.settings import Settings
from app.state import Answer
from app.window import Window
from engine.api.client import EngineClient
from engine.api.errors import QueryError


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
    with ready_window(client, settings, capture) as (app, window):
        window.controller.set_layer("frusta", visible=False)  # a click on a camera looks through it and asks nothing
        if training:
            train(app, window)
        else:
            window.controller.fit(refit=True)
            until(app, window, lambda s: any(j.live for j in s.jobs), "the fit")
        first = 0 if not training else trained_steps(window)
        found = _measure(app, window, clicks, seed, training)
        return found | ({"steps": trained_steps(window) - first} if training else {})


def _measure(app: Any, window: Window, clicks: int, seed: int, training: bool) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    late = Lateness()
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
        live(app, float(rng.uniform(0.1, 0.4)))
    late.stop()
    if not waits:
        raise QueryError("no click was answered")
    return {
        "clicks": len(waits),
        "missed": missed,
        "during_work": during,
        "p50_ms": percentile(waits, 50),
        "p95_ms": percentile(waits, 95),
        "answered_p95_ms": percentile(answered, 95),
        "engine_p95_ms": percentile(engine, 95),
        "gui_late_p99_ms": percentile(late.ms, 99),
        "gui_late_max_ms": percentile(late.ms, 100),
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
