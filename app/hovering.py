"""What the pointer is over is asked at most 20 times a second; a pinned match is only left for a while with Shift."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.controller import Controller
from app.throttle import Throttle

Pos = tuple[float, float, float]


class Hovering:
    """Hands hovering to the controller.

    Args:
        controller: of the window.
        parent: lives as long.
    """

    def __init__(self, controller: Controller, parent: QObject) -> None:
        self._controller, self._throttle = controller, Throttle(parent=parent)

    def point(self, pos_w: Pos, shift: bool) -> None:
        """The pointer is over a point of the scene."""
        if self._may(shift):
            self._throttle.offer(lambda: self._controller.hover_point(pos_w))
        else:
            self.end()

    def pixel(self, view: int, x: float, y: float, shift: bool) -> None:
        """The pointer is over a photo's pixel."""
        if self._may(shift):
            self._throttle.offer(lambda: self._controller.hover_pixel(view, x, y))
        else:
            self.end()

    def end(self) -> None:
        """The pointer is over nothing."""
        self._throttle.drop()
        self._controller.end_hover()

    def _may(self, shift: bool) -> bool:
        return shift or self._controller.state.query is None
