"""Ruler and clip box, as the user works on them. Knows no Qt."""

from __future__ import annotations

from dataclasses import replace

from app.controller import Controller

Pos = tuple[float, float, float]


class Marks:
    """Changes them in the controller's state."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def toggle_ruler(self) -> None:
        """Clicks measure, or ask again."""
        ruler = self._controller.state.ruler
        self._controller.set(ruler=replace(ruler, on=not ruler.on, points_w=()))

    def shorten_ruler(self) -> None:
        """Take the last point back."""
        self._controller.set(ruler=self._controller.state.ruler.without_last())

    def lengthen_ruler(self, pos_w: Pos) -> None:
        """Measure on to another point."""
        self._controller.set(ruler=self._controller.state.ruler.with_point(pos_w))

    def calibrate_ruler(self, true: float, unit: str) -> None:
        """The last stretch is so long in truth."""
        self._controller.set(ruler=self._controller.state.ruler.calibrated(true, unit))

    def toggle_clip(self) -> None:
        """The clip box hides what lies outside, or nothing."""
        self._controller.set(clip=self._controller.state.clip.flipped())

    def move_clip(self, axis: int, upper: bool, share: float) -> None:
        """One of its faces goes elsewhere."""
        self._controller.set(clip=self._controller.state.clip.moved(axis, upper, share))
