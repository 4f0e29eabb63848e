"""How fast the window answers while a training runs: prompts, thresholds, hovering, a moving camera."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from app.bench_window import Lateness, live, percentile, ready_window, train, trained_steps, until
from app.prompt_state import PromptAnswer
from app.settings import Settings
from app.window import Window
from engine.api.client import EngineClient

PROMPTS = (
    "sofa",
    "lamp",
    "bookcase",
    "piano",
    "chair",
    "rug",
    "window",
    "picture",
    "cushion",
    "plant",
    "table",
    "wall",
)
HOVER_S, MOVE_S = 8.0, 8.0
PATIENCE_S = 10.0


def bench_latency(client: EngineClient, settings: Settings, capture: str, rounds: int, seed: int) -> dict[str, Any]:
    """Open ``capture``, wait until it is fitted, encoded and named, start a training, and use the window.

    Returns:
        ``prompt_p95_ms`` from Enter until the canvas has drawn what the prompt lights up; ``typed_p95_ms`` from the
        last key, with the pause that the window waits for more; ``threshold_p95_ms`` from a moved slider until the
        canvas has drawn it, ``threshold_frames_p95`` the frames that are drawn until then, the one that shows it
        included, and ``frame_p95_ms``, what a frame takes meanwhile; ``hovers_per_s`` answers shown while
        the pointer moves; ``moving_fps`` frames of features drawn while the camera turns; ``gui_late_p99_ms`` over all
        of it; ``steps`` that the training made.

    Raises:
        CondenseError: the capture cannot be opened, or has no photos.
    """
    with ready_window(client, settings, capture) as (app, window):
        window.activateWindow()
        window.controller.prompts.ready()
        until(app, window, lambda s: s.named is not None and not any(j.live for j in s.jobs), "naming")
        window.controller.set_layer("frusta", visible=False)
        train(app, window)
        first, late = trained_steps(window), Lateness()
        found = {
            **_prompts(app, window, rounds),
            **_thresholds(app, window, rounds),
            **_hovering(app, window, seed),
            **_moving(app, window),
        }
        late.stop()
        lateness = {"gui_late_p99_ms": percentile(late.ms, 99), "gui_late_max_ms": percentile(late.ms, 100)}
        return {**found, **lateness, "steps": trained_steps(window) - first}


class _Frames:
    """Notes when the canvas draws what."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self.ms: list[float] = []
        self.answer: PromptAnswer | None = None
        self.thresholds: tuple[float, ...] = ()
        window.canvas.drawn.connect(self._note)

    def _note(self, seconds: float) -> None:
        self.ms.append(seconds * 1e3)
        canvas = self._window.canvas
        renderer, view = canvas.renderer, canvas.shown
        if renderer is None or view is None or renderer.answering:
            return
        self.answer, self.thresholds = view.prompts.answer, tuple(p.threshold for p in view.prompts.shown)

    def stop(self) -> None:
        self._window.canvas.drawn.disconnect(self._note)


def _wait(app: Any, begun: float, shown: Callable[[], bool]) -> float | None:
    """Milliseconds since ``begun`` until it is shown."""
    while not shown():
        if time.perf_counter() - begun > PATIENCE_S:
            return None
        app.processEvents()
        time.sleep(0.0005)
    return (time.perf_counter() - begun) * 1e3


def _prompts(app: Any, window: Window, rounds: int) -> dict[str, Any]:
    frames, field = _Frames(window), window.ask_bar.field
    entered: list[float | None] = []
    typed: list[float | None] = []
    for n in range(rounds):
        word = PROMPTS[n % len(PROMPTS)]
        window.controller.prompts.clear()
        live(app, 0.15)

        def shows(word: str = word) -> bool:
            return frames.answer is not None and word in frames.answer.by_text

        window.ask_bar.focus()
        QTest.keyClicks(field, word)
        typed.append(_wait(app, time.perf_counter(), shows))
        window.controller.prompts.clear()
        live(app, 0.15)
        frames.answer = None
        field.setText(word)
        begun = time.perf_counter()
        QTest.keyClick(field, Qt.Key.Key_Return)
        entered.append(_wait(app, begun, shows))
    frames.stop()
    return {
        "prompts": rounds,
        "missed": sum(x is None for x in (*entered, *typed)),
        "prompt_p50_ms": percentile([x for x in entered if x is not None], 50),
        "prompt_p95_ms": percentile([x for x in entered if x is not None], 95),
        "typed_p95_ms": percentile([x for x in typed if x is not None], 95),
    }


def _thresholds(app: Any, window: Window, rounds: int) -> dict[str, Any]:
    frames, waits, drawn = _Frames(window), list[float | None](), list[float]()
    slider = window.ask_bar.chips[0].slider
    for n in range(rounds):
        value = 20 + (7 * n) % 60
        begun, before = time.perf_counter(), len(frames.ms)
        slider.setValue(value)

        def shows(value: int = value) -> bool:
            return any(abs(threshold - value / 100) < 1e-6 for threshold in frames.thresholds)

        waits.append(_wait(app, begun, shows))
        drawn.append(len(frames.ms) - before)
        live(app, 0.05)
    frames.stop()
    return {
        "threshold_p50_ms": percentile([x for x in waits if x is not None], 50),
        "threshold_p95_ms": percentile([x for x in waits if x is not None], 95),
        "threshold_frames_p95": percentile(drawn, 95),
        "frame_p50_ms": percentile(frames.ms, 50),
        "frame_p95_ms": percentile(frames.ms, 95),
    }


def _hovering(app: Any, window: Window, seed: int) -> dict[str, Any]:
    window.controller.prompts.clear()
    window.controller.clear_query()
    window.ask_bar.close_list()  # while it is open, it has the pointer
    window.ask_bar.field.clearFocus()
    window.canvas.go_to("home", fly=False)
    live(app, 1.0)
    rng = np.random.default_rng(seed)
    seen: set[int] = set()
    widget = window.canvas.widget
    begun = time.perf_counter()
    phase = float(rng.uniform(0, 6))
    while (now := time.perf_counter() - begun) < HOVER_S:
        x = widget.width() * (0.5 + 0.25 * np.cos(phase + 1.3 * now))
        y = widget.height() * (0.55 + 0.2 * np.sin(phase + 1.7 * now))
        QTest.mouseMove(widget, QPoint(round(x), round(y)))
        live(app, 0.008)
        if window.controller.state.preview is not None:
            seen.add(window.controller.state.preview.reply.id)
    return {"hovers_per_s": round(len(seen) / HOVER_S, 1)}


def _moving(app: Any, window: Window) -> dict[str, Any]:
    window.controller.end_hover()
    window.controller.set_colouring("features")
    live(app, 1.0)
    frames, canvas = _Frames(window), window.canvas
    begun = time.perf_counter()
    while time.perf_counter() - begun < MOVE_S:
        canvas.pointer.rotated.emit(3.0, 0.0)
        live(app, 0.008)
    frames.stop()
    return {"moving_fps": round(len(frames.ms) / MOVE_S, 1), "moving_frame_p95_ms": percentile(frames.ms, 95)}
