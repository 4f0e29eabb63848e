"""The one door of the engine, as the window sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.api.replies import Reply
from engine.api.requests import Request

OnReply = Callable[[Reply], None]


class EngineClient(Protocol):
    """Sends requests; replies come through the callback it was started with, on the engine's thread."""

    def start(self, on_reply: OnReply) -> None:
        """Start the engine; it answers EngineReady (id 0) once its libraries are loaded."""
        ...

    def send(self, request: Request) -> None:
        """Queue a request, also before the start; returns at once, safe from any thread."""
        ...

    def close(self) -> None:
        """Cancel what runs, wait for the thread (at most a few slices) and free the models."""
        ...
