"""What clicks and hovering on the canvas mean: a photo's pixel, a camera, a keypoint, or a point of the scene."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QToolTip

from app.canvas import under
from app.panels.keypoint_card import card

if TYPE_CHECKING:
    from app.canvas.scene_canvas import SceneCanvas


class Hand:
    """Emits the signals of ``canvas``."""

    def __init__(self, canvas: SceneCanvas) -> None:
        self._canvas = canvas

    def click(self, x: float, y: float) -> None:
        """At logical pixels, as all that follow."""
        canvas = self._canvas
        if canvas.view is not None and canvas.view.ruler.on:
            hit = canvas.pick(x, y)
            if hit is not None:
                canvas.measured.emit(hit)
            return
        photo = self._photo_pixel(x, y)
        if photo is not None:
            canvas.pixel_clicked.emit(*photo)
            return
        view = self._view_under(x, y) if canvas.view is None or canvas.view.tool is None else None
        if view is not None:
            canvas.view_clicked.emit(view)
            return
        hit = canvas.pick(x, y)
        if hit is not None:
            canvas.point_clicked.emit(hit)

    def centre(self, x: float, y: float) -> None:
        """Look at what is there, unless it ends a line."""
        if self._canvas.view is not None and self._canvas.view.tool == "polyline":
            return
        hit = self._canvas.pick(x, y)
        if hit is not None:
            self._canvas.fly_to_point(hit)

    def hover(self, x: float, y: float, shift: bool) -> None:
        """The pointer passes."""
        canvas = self._canvas
        if canvas.view is not None and canvas.view.ruler.on:
            canvas.hover_ended.emit()
            return
        self._show_card(x, y)
        photo = self._photo_pixel(x, y)
        if photo is not None:
            canvas.pixel_hovered.emit(*photo, shift)
            return
        hit = canvas.pick(x, y)
        if hit is None:
            canvas.hover_ended.emit()
        else:
            canvas.point_hovered.emit(hit, shift)

    def _photo_pixel(self, x: float, y: float) -> tuple[int, float, float] | None:
        """The photo's pixel under the pointer while its overlay is on."""
        canvas = self._canvas
        if canvas.view is None or canvas.navigator.moving(time.perf_counter()):
            return None
        return under.photo_pixel(canvas.view, canvas.camera(), x, y)

    def _view_under(self, x: float, y: float) -> int | None:
        """The frontmost frustum whose thumbnail is under the pointer and not behind the scene."""
        canvas = self._canvas
        if canvas.renderer is None or canvas.renderer.opacity["frusta"] <= 0:
            return None
        hit, focus = canvas.pick(x, y), canvas.navigator.orbit.distance
        return under.frustum(canvas.quads, canvas.camera(), (x, y), hit, focus)

    def _show_card(self, x: float, y: float) -> None:
        """Say what is known of the keypoint under the pointer."""
        v, r, widget = self._canvas.view, self._canvas.renderer, self._canvas.widget
        if v is None or r is None or r.opacity["keypoints"] <= 0:
            return
        camera = self._canvas.camera()
        row = under.keypoint(v, r, camera, (x, y), under.surface(v, r, camera, (x, y)))
        if row is None:
            QToolTip.hideText()
        else:
            QToolTip.showText(widget.mapToGlobal(QPointF(x, y)).toPoint(), card(v, row), widget)
