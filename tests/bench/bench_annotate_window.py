"""How fast the window answers while annotating: clicks, strokes, undo, and frames while the scene turns.

python -m tests.bench.bench_annotate_window assets/demo
python -m tests.bench.bench_annotate_window assets/demo --cells 36000000   # fused so finely: 1.1 million voxels

All by mouse and key events in the real window, on a display of its own where there is none. Every wait ends when both
the canvas and the photos in sight have drawn what is new. Beside each wait stands the processor time that all threads
of the program spent on it (``cpu``), which says more where others are at work on the machine (``load``).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from app.__main__ import make_engine, share_the_interpreter
from app.annotate_state import AnnotateState, Marks, Selection, Tool
from app.bench_window import Lateness, live, percentile, ready_window, until
from app.display import virtual_display
from app.settings import Settings
from app.window import Window
from engine.captures import open_capture
from engine.cli import View
from engine.driving import run_job
from engine.results import ResultStore
from engine.scene_state import GRID_FILE
from engine.training.rooms.grid import fused_grid

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
PATIENCE_S, STEP_PATIENCE_S = 20.0, 1.0
REST_S, STEP_S = 0.35, 0.016
STEPS = 12
"""Of the pointer in a stroke."""
TURN_S = 6.0
CLASSES = ("chair", "table", "lamp")


@dataclass(frozen=True)
class Options:
    """Attributes:
    capture: to annotate.
    cells: of a grid that is fused for it from depth (36 million: 1.1 million voxels of the demo); 0: as it comes.
    rounds: of each measure.
    seed: of places.
    """

    capture: tyro.conf.Positional[Path] = Path("assets/demo")
    cells: int = 0
    rounds: int = 30
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Shown:
    """What was drawn last."""

    marks: Marks | None
    lit: Selection | None


@dataclass(frozen=True)
class Took:
    """Wall and processor time of all threads, milliseconds."""

    ms: float
    cpu_ms: float


class Watch(QObject):
    """Knows what the canvas drew last, and what the photos have painted."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self._window = window
        self.canvas = self.photos = Shown(None, None)
        self.frames: list[float] = []  # when each was done
        self.frame_ms: list[float] = []
        self.pads = 0  # how often a stroke in the large photo was painted
        window.canvas.drawn.connect(self._drew)
        for widget in (window.images.grid.viewport(), window.images.pane, window.annotate.pad):
            widget.installEventFilter(self)

    def _drew(self, seconds: float) -> None:
        self.frames.append(time.perf_counter())
        self.frame_ms.append(seconds * 1e3)
        renderer, view = self._window.canvas.renderer, self._window.canvas.shown
        if renderer is not None and view is not None and not renderer.labels.busy:
            self.canvas = Shown(view.labels.marks, view.labels.lit)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            if watched is self._window.annotate.pad:
                self.pads += 1
            elif isinstance(watched, QWidget) and watched.isVisible():
                s = self._window.controller.state.annotate
                self.photos = Shown(s.marks, s.lit)
        return False


class Bench:
    """Works in one window.

    Args:
        app: the application.
        window: with everything ready.
        rounds, seed: see ``Options``.
    """

    def __init__(self, app: Any, window: Window, rounds: int, seed: int) -> None:
        self.app, self.window, self.rounds = app, window, rounds
        self.rng = np.random.default_rng(seed)
        self.watch = Watch(window)
        self.missed = 0

    @property
    def state(self) -> AnnotateState:
        return self.window.controller.state.annotate

    def press(self, key: Qt.Key, held: Qt.KeyboardModifier = NONE) -> None:
        QTest.keyClick(self.window.windowHandle(), key, held)

    def wait(self, shown: Callable[[], bool], patience_s: float = PATIENCE_S) -> Took | None:
        """Milliseconds from now until it is so; None: too long."""
        begun, own = time.perf_counter(), time.process_time()
        while not shown():
            if time.perf_counter() - begun > patience_s:
                self.missed += 1
                return None
            self.app.processEvents()
            time.sleep(0.0005)
        return Took((time.perf_counter() - begun) * 1e3, (time.process_time() - own) * 1e3)

    def until_drawn(self, act: Callable[[], None], *, marks: bool) -> Took | None:
        """Milliseconds from an act until canvas and photos show other labels (``marks``), or another selection."""
        before = self.state

        def there() -> bool:
            now = self.state
            if (now.marks is before.marks) if marks else (now.selection is before.selection or bool(now.waiting)):
                return False
            return all(x.marks is now.marks and x.lit is now.lit for x in (self.watch.canvas, self.watch.photos))

        begun, own = time.perf_counter(), time.process_time()
        act()
        spent = (time.perf_counter() - begun) * 1e3
        waited = self.wait(there)
        if waited is None:
            return None
        return Took(spent + waited.ms, (time.process_time() - own) * 1e3)

    def rest(self) -> None:
        live(self.app, REST_S)

    def take(self, tool: Tool) -> None:
        if self.state.tool != tool:
            self.window.trigger(f"annotate_{tool}")

    # --- the measures

    def begin(self) -> dict[str, Any]:
        """Classes typed, smart select in hand, photos and regions ready."""
        window = self.window
        window.activateWindow()
        window.trigger("annotate")
        for name in CLASSES:
            QTest.keyClicks(window.annotate.panel.field, name)
            QTest.keyClick(window.annotate.panel.field, Qt.Key.Key_Return)
        until(self.app, window, lambda s: s.annotate.class_in_hand is not None, "annotations")
        window.canvas.widget.setFocus()
        begun = time.perf_counter()
        self.take("select")
        scene = window.controller.state.scene
        assert scene is not None
        views = len(scene.views)
        until(self.app, window, lambda s: len(s.annotate.photos) == views, "photos")
        until(self.app, window, lambda s: not any(j.live for j in s.jobs), "regions")
        self.rest()
        return {"prepared_s": round(time.perf_counter() - begun - REST_S, 1)}

    def clicks(self) -> dict[str, Any]:
        """Smart select in the scene and in photos by turns, each click labelled, and every other label taken back."""
        selected: list[Took | None] = []
        labelled: list[Took | None] = []
        undone: list[Took | None] = []
        for n in range(self.rounds):
            widget, at = self._in_photo() if n % 2 else self._in_scene()
            selected.append(self.until_drawn(lambda w=widget, p=at: QTest.mouseClick(w, LEFT, NONE, p), marks=False))
            self.rest()
            if self.state.selection is None:
                continue
            digit = Qt.Key(Qt.Key.Key_1 + n % len(CLASSES))
            labelled.append(self.until_drawn(lambda d=digit: self.press(d), marks=True))
            self.rest()
            if n % 2:
                undone.append(self.until_drawn(lambda: self.press(Qt.Key.Key_Z, CTRL), marks=True))
                self.rest()
        return {**_told("click", selected), **_told("label", labelled), **_told("undo", undone)}

    def strokes(self) -> dict[str, Any]:
        """The brush in a large photo."""
        self.take("brush")
        window = self.window
        window.controller.select(0)
        window.controller.set_single(True)
        pane = window.images.pane
        self.wait(lambda: pane.isVisible() and pane.camera is not None)
        live(self.app, 1.5)  # the photo is read, and marched for strokes
        stroked: list[Took | None] = []
        steps: list[Took | None] = []
        for _ in range(self.rounds):
            rect = pane.photo_rect()
            start = rect.topLeft().toPoint() + QPoint(
                round(float(self.rng.uniform(0.15, 0.6)) * rect.width()),
                round(float(self.rng.uniform(0.4, 0.85)) * rect.height()),
            )
            stroked.append(self._stroke(pane, start, steps, lambda: self.watch.pads))
            self.rest()
        window.controller.set_single(False)
        self.rest()
        return {**_told("photo_stroke", stroked), **_told("photo_stroke_step", steps)}

    def painting(self) -> dict[str, Any]:
        """The brush over the scene."""
        self.take("brush")
        stroked: list[Took | None] = []
        steps: list[Took | None] = []
        for _ in range(self.rounds):
            widget, start = self._in_scene()
            stroked.append(self._stroke(widget, start, steps, lambda: len(self.watch.frames)))
            self.rest()
        return {**_told("scene_stroke", stroked), **_told("scene_stroke_step", steps)}

    def undoing(self) -> dict[str, Any]:
        """Strokes taken back."""
        waits: list[Took | None] = []
        for _ in range(self.rounds):
            waits.append(self.until_drawn(lambda: self.press(Qt.Key.Key_Z, CTRL), marks=True))
            self.rest()
        return _told("stroke_undo", waits)

    def turning(self) -> dict[str, Any]:
        """The scene is turned by a drag, with labels shown."""
        self.take("select")
        self.rest()
        widget = self.window.canvas.widget
        middle = widget.rect().center()
        first = len(self.watch.frames)
        begun = time.perf_counter()
        QTest.mousePress(widget, LEFT, NONE, middle)
        n = 0
        while time.perf_counter() - begun < TURN_S:
            n += 1
            QTest.mouseMove(widget, middle + QPoint(round(160 * np.sin(n / 60)), round(20 * np.sin(n / 90))))
            live(self.app, 0.008)
        QTest.mouseRelease(widget, LEFT, NONE, middle)
        frames, took = np.array(self.watch.frames[first:]), self.watch.frame_ms[first:]
        gaps = (np.diff(frames) * 1e3).tolist()
        return {
            "turning_fps": round(len(frames) / TURN_S, 1),
            "turning_gap_p95_ms": percentile(gaps, 95),
            "turning_frame_p50_ms": percentile(took, 50),
        }

    def _stroke(
        self, widget: QWidget, start: QPoint, steps: list[Took | None], drawn: Callable[[], int]
    ) -> Took | None:
        """A stroke to the right; what it took from its end until drawn. ``steps``: from a move to its ink."""
        QTest.mousePress(widget, LEFT, NONE, start)
        for n in range(1, STEPS + 1):
            before = drawn()
            QTest.mouseMove(widget, start + QPoint(4 * n, n))
            steps.append(self.wait(lambda b=before: drawn() > b, STEP_PATIENCE_S))
            live(self.app, STEP_S)
        end = start + QPoint(4 * STEPS, STEPS)
        return self.until_drawn(lambda: QTest.mouseRelease(widget, LEFT, NONE, end), marks=True)

    def _in_scene(self) -> tuple[QWidget, QPoint]:
        canvas = self.window.canvas
        while True:
            x, y = (float(v) for v in self.rng.uniform(0.25, 0.7, 2) * (canvas.widget.width(), canvas.widget.height()))
            if all(canvas.pick(x + dx, y) is not None for dx in (0, 4 * STEPS)):
                return canvas.widget, QPoint(round(x), round(y))

    def _in_photo(self) -> tuple[QWidget, QPoint]:
        grid, scene = self.window.images.grid, self.window.controller.state.scene
        assert scene is not None
        view = int(self.rng.integers(len(scene.views)))
        grid.scroll_to(view)
        self.rest()
        rect = grid.cell_rect(view)
        assert rect is not None
        x, y = self.rng.uniform(0.15, 0.8, 2) * (rect.width(), rect.height())
        return grid.viewport(), QPoint(round(rect.x() + x), round(rect.y() + y))


def _told(name: str, took: list[Took | None]) -> dict[str, Any]:
    known = [x for x in took if x is not None]
    ms, own = [x.ms for x in known], [x.cpu_ms for x in known]
    return {
        f"{name}_p50_ms": percentile(ms, 50), f"{name}_p95_ms": percentile(ms, 95),
        f"{name}_cpu_p50_ms": percentile(own, 50), f"{name}_cpu_p95_ms": percentile(own, 95),
        f"{name}_count": len(known),
    }  # fmt: skip


def fused(capture: Path, cells: int, cache: Path) -> None:
    """Keep a grid of the capture, fused from its depth, where the window finds it as a fit of its own."""
    found = open_capture(capture)
    grid = run_job("Fusing", fused_grid(found, cells))
    grid.meta["capture"] = found.fingerprint
    path = ResultStore.of(found.fingerprint, capture, cache).write_path(GRID_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    grid.save(path)


def main(options: Options) -> dict[str, Any]:
    share_the_interpreter()
    with virtual_display(), tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        if options.cells:
            fused(options.capture, options.cells, cache)
        engine = make_engine(View(device="cpu", cache=cache, seed=options.seed), spare_core=True)
        settings = Settings(Path(folder) / "window.ini")
        load = [os.getloadavg()[0]]
        with ready_window(engine, settings, str(options.capture)) as (app, window):
            volume, renderer = window.controller.state.volume, window.canvas.renderer
            assert volume is not None
            assert renderer is not None
            bench = Bench(app, window, options.rounds, options.seed)
            found = {"voxels": len(volume.index), **bench.begin()}
            late = Lateness()
            for measure in (bench.clicks, bench.turning, bench.strokes, bench.painting, bench.undoing):
                found |= measure()
                print(json.dumps(found), file=sys.stderr, flush=True)
                load.append(os.getloadavg()[0])
            late.stop()
            size = window.canvas.surface.physical_size
            found |= {"gui_late_p99_ms": percentile(late.ms, 99), "missed": bench.missed}
            found |= {"canvas": f"{size.width()} x {size.height()}", "load": [round(x, 2) for x in load]}
        app.shutdown()  # before the virtual display goes
    return found


if __name__ == "__main__":
    print(json.dumps(main(tyro.cli(Options)), indent=1))
