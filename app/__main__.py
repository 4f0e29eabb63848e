"""Composition root: the command line, the window first, then the engine on its thread."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api.client import EngineClient
from engine.api.errors import QueryError
from engine.cli import BenchClicks, BenchLatency, Common, Snapshot, View
from engine.cli import main as run_command

if TYPE_CHECKING:
    from app.settings import Settings


def run_window(engine: EngineClient, path: str | None = None) -> int:
    """Show the window, run until it is closed, and return the exit code; ``path``: a capture to open."""
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QApplication

    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setApplicationName("ConDense Studio")

    from app.settings import Settings
    from app.window import Window

    share_the_interpreter()
    window = Window(engine, Settings(), path)
    window.show()
    signal.signal(signal.SIGINT, lambda _number, _frame: window.close())
    tick = QTimer()  # lets Python see the signal while Qt waits
    tick.start(200)
    tick.timeout.connect(lambda: None)
    return app.exec()


def share_the_interpreter() -> None:
    """Let the GUI thread have the interpreter sooner while the engine computes (default: 5 ms)."""
    sys.setswitchinterval(0.0005)


def make_engine(command: Common, *, spare_core: bool) -> EngineClient:
    """The engine on its thread, not started yet; ``spare_core`` leaves one core to the GUI."""
    from engine.session import Session
    from engine.worker import EngineThread

    threads = command.threads
    if threads is None and spare_core:
        threads = max(1, (os.cpu_count() or 2) - 1)
    session = Session(device=command.device, cache=command.cache, threads=threads, seed=command.seed)
    return EngineThread(session)


def view(command: View) -> None:
    """``condense view``: the window."""
    from app.display import has_display

    if not has_display():
        raise QueryError(
            "there is no display to open a window on",
            mend="use `condense snapshot CAPTURE OUT.png`, or run it on a desktop",
        )
    if run_window(make_engine(command, spare_core=True), command.capture) != 0:
        sys.exit(1)


def snapshot(command: Snapshot) -> dict[str, Any]:
    """``condense snapshot``: the canvas to a PNG."""
    import io

    from PIL import Image

    from app.headless import snapshot as draw
    from engine.storage import write_atomic

    rgba = draw(
        make_engine(command, spare_core=False),
        command.capture,
        layer=command.layer,
        view=command.view,
        size=command.size,
        theme=command.theme,
        seconds=command.seconds,
        pixel=command.pixel,
        query_view=command.query_view,
        cameras=command.cameras,
        prompts=command.prompts,
    )
    png = io.BytesIO()
    Image.fromarray(rgba).convert("RGB").save(png, "PNG")

    def write(path: Path) -> None:
        path.write_bytes(png.getvalue())

    write_atomic(command.out, write)
    return {"picture": str(command.out)}


def clicks(command: BenchClicks) -> dict[str, Any]:
    """``condense bench clicks``: the real window, on a virtual display if there is no other."""

    def measure(engine: EngineClient, settings: Settings) -> dict[str, Any]:
        from app.bench_clicks import bench_clicks

        return bench_clicks(engine, settings, command.capture, command.clicks, command.seed, training=command.training)

    return _in_window(command, measure)


def latency(command: BenchLatency) -> dict[str, Any]:
    """``condense bench latency``: likewise."""

    def measure(engine: EngineClient, settings: Settings) -> dict[str, Any]:
        from app.bench_latency import bench_latency

        return bench_latency(engine, settings, command.capture, command.rounds, command.seed)

    return _in_window(command, measure)


def _in_window(command: Common, measure: Callable[[EngineClient, Settings], dict[str, Any]]) -> dict[str, Any]:
    import tempfile

    from app.display import virtual_display

    with virtual_display(), tempfile.TemporaryDirectory() as folder:
        from PySide6.QtWidgets import QApplication

        from app.settings import Settings

        share_the_interpreter()
        try:
            return measure(make_engine(command, spare_core=True), Settings(Path(folder) / "window.ini"))
        finally:
            app = QApplication.instance()
            if app is not None:
                app.shutdown()  # before the virtual display goes


def main(argv: Sequence[str] | None = None) -> int:
    """``condense``: every command; those that draw are handled here."""
    return run_command(argv, {View: view, Snapshot: snapshot, BenchClicks: clicks, BenchLatency: latency})


if __name__ == "__main__":
    sys.exit(main())
