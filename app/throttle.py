"""At most so many calls a second, the newest wins."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

HOVER_MS = 50  # 20 a second


class Throttle(QObject):
    """Runs the newest of the calls it is offered, no more often than every ``interval_ms``."""

    def __init__(self, interval_ms: int = HOVER_MS, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._next: Callable[[], object] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._fire)

    def offer(self, call: Callable[[], object]) -> None:
        if self._timer.isActive():
            self._next = call
            return
        self._timer.start()
        call()

    def drop(self) -> None:
        """Forget what waits."""
        self._next = None

    def _fire(self) -> None:
        call, self._next = self._next, None
        if call is None:
            self._timer.stop()
        else:
            call()
