"""The only crossing between the engine's thread and Qt's.

Replies come on the engine's thread, wait in a mailbox, and are handed over on the GUI thread a few at a time. What is
out of date by then is dropped: an answer to an older click, a volume that a newer one replaced.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from engine.api.client import EngineClient
from engine.api.replies import JobProgress, MatchReply, Reply, TrainingPreview, VolumeUpdated
from engine.api.requests import GiveWay, HoverQuery, MatchQuery, OpenCapture, Request

SLICE_S = 0.008  # of handing over at once; the event loop runs in between
BUSY_S = 0.15  # how long the window is left the cores after each sign that the user is at work


class Bridge(QObject):
    """Sends requests, emits ``received`` with each reply that still matters."""

    received = Signal(object)
    _arrived = Signal()

    def __init__(self, engine: EngineClient, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._engine = engine
        self._lock = threading.Lock()
        self._mailbox: deque[Reply] = deque()
        self._announced = False
        self._closed = False
        self._newest_match = 0
        self._newest_hover = self._forgotten_hover = 0
        self._since_open = 0
        self._outliving: set[int] = set()  # requests that do not end with the capture
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(0)
        self._again.timeout.connect(self._hand_over)
        self._arrived.connect(self._hand_over, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        self._engine.start(self._deliver)

    def send(self, request: Request) -> None:
        """Queue a request with the engine."""
        if self._closed:
            return
        if request.outlives:
            self._outliving.add(request.id)
        if isinstance(request, HoverQuery):
            self._newest_hover = request.id
        elif isinstance(request, MatchQuery):
            self._newest_match = request.id
        elif isinstance(request, OpenCapture):
            self._since_open = request.id
            self._newest_match = 0
            self._forgotten_hover = self._newest_hover
        self._engine.send(request)

    def give_way(self) -> None:
        """The user is at work in the window: what is not for them waits a moment."""
        self.send(GiveWay(seconds=BUSY_S))

    def forget_match(self) -> None:
        """Answers to clicks that are still on their way no longer matter."""
        self._newest_match = 0

    def forget_hover(self) -> None:
        self._forgotten_hover = self._newest_hover

    def close(self) -> None:
        """Stop the engine; nothing is handed over any more."""
        if self._closed:
            return
        self._closed = True
        self._again.stop()
        self._engine.close()
        with self._lock:
            self._mailbox.clear()

    def _deliver(self, reply: Reply) -> None:
        """Runs on the engine's thread."""
        with self._lock:
            if self._closed:
                return
            if isinstance(reply, (VolumeUpdated, JobProgress, TrainingPreview)):
                stale = next((r for r in self._mailbox if type(r) is type(reply) and r.id == reply.id), None)
                if stale is not None:
                    self._mailbox.remove(stale)
            self._mailbox.append(reply)
            announce = not self._announced
            self._announced = True
        if announce:
            self._arrived.emit()

    def _hand_over(self) -> None:
        end = time.perf_counter() + SLICE_S
        while not self._closed:
            with self._lock:
                if not self._mailbox:
                    self._announced = False
                    return
                reply = self._mailbox.popleft()
            if not self._is_stale(reply):
                self.received.emit(reply)
            if time.perf_counter() > end:
                self._again.start()
                return

    def _is_stale(self, reply: Reply) -> bool:
        if isinstance(reply, MatchReply) and reply.hover:
            # the pointer has moved on, but if only the newest counted, a busy engine would never be heard
            return not self._forgotten_hover < reply.id <= self._newest_hover
        if isinstance(reply, MatchReply):
            return reply.id != self._newest_match
        # ids grow, so a smaller one belongs to the capture that was open before; 0 is the engine itself
        return 0 < reply.id < self._since_open and reply.id not in self._outliving
