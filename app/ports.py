"""What the controller talks to: requests go out by one, view state by the other."""

from __future__ import annotations

from typing import Any, Protocol

from app.view_state import ViewState
from engine.api.replies import Reply
from engine.api.requests import Request


class Outbox(Protocol):
    """Where requests go; ``app.bridge.Bridge`` in the window."""

    def send(self, request: Request) -> None: ...
    def forget_match(self) -> None: ...
    def forget_hover(self) -> None: ...


class Desk(Protocol):
    """A part of the controller that takes the replies it has asked for."""

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it is done with."""
        ...


class View(Protocol):
    """Shows the view state; one setter per part. ``app.window.Window`` in the program."""

    def show_part(self, name: str, part: Any, whole: ViewState) -> None:
        """``name``: the field of ``ViewState`` that changed, ``part`` its new value."""
        ...
