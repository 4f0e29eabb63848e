"""Composition root: the window first, then the engine on its thread."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from engine.api.client import EngineClient


def run_window(engine: EngineClient, path: str | None = None, cache: str | None = None) -> int:
    """Show the window and run until it is closed.

    Args:
        engine: started by the window once it has painted.
        path: a capture to open.
        cache: unused by the window itself; where ``engine`` keeps results, shown in the status bar when given.

    Returns:
        the exit code.
    """
    from PySide6.QtCore import Qt, QTimer
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QApplication

    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setApplicationName("ConDense Studio")

    from app.settings import Settings
    from app.window import Window

    sys.setswitchinterval(0.0005)  # the GUI gets the interpreter sooner while the engine computes
    window = Window(engine, Settings(), path)
    if cache is not None:
        window.controller.set(notice=f"Results are kept in {cache}")
    window.show()
    signal.signal(signal.SIGINT, lambda *_: window.close())
    tick = QTimer()  # lets Python see the signal while Qt waits
    tick.start(200)
    tick.timeout.connect(lambda: None)
    return app.exec()


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m app [CAPTURE]``."""
    parser = argparse.ArgumentParser(prog="python -m app", description="Open the ConDense Studio window.")
    parser.add_argument("capture", nargs="?", help="a capture folder or file")
    parser.add_argument("--cache", help="folder for results (default: the user's cache folder)")
    parser.add_argument("--device", default="auto", help="where torch runs")
    args = parser.parse_args(argv)

    from engine.session import Session
    from engine.worker import EngineThread

    return run_window(EngineThread(Session(device=args.device, cache=args.cache)), args.capture, args.cache)


if __name__ == "__main__":
    sys.exit(main())
