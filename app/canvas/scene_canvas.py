"""The 3D canvas as a Qt widget: the renderer, the camera and the pointer, and when to draw."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.canvas import gl, under
from app.canvas.camera_sync import Viewport
from app.canvas.hand import Hand
from app.canvas.home import NamedView, Orbit, named_view
from app.canvas.look import LOOKS
from app.canvas.navigator import Navigator
from app.canvas.pointer import Pointer
from app.canvas.presenter import Presenter
from app.canvas.renderer import Renderer
from app.canvas.scene_setup import extent_of
from app.canvas.still import render_to_array
from app.canvas.surface import Holder, Surface
from app.state import Answer
from app.view_state import CanvasView, VolumeView
from engine.api.camera import Camera
from engine.api.replies import Region

STILL_AFTER_S = 0.16
FRAME_MS = 16
UPLOAD_S, FIRST_UPLOAD_S, HEAT_S = 0.005, 0.05, 0.025
THUMBNAILS_S = 0.2
LEAVE_CORES_S = 0.3
MARK_S = 0.1

Pos = tuple[float, float, float]


class SceneCanvas(QObject):
    """Shows a ``CanvasView``; says in world and photo coordinates what the pointer does."""

    point_clicked = Signal(tuple)  # pos_w
    measured = Signal(tuple)  # pos_w, while the ruler is on
    pixel_clicked = Signal(int, float, float)  # view, full-size undistorted pixels
    view_clicked = Signal(int)
    point_hovered = Signal(tuple, bool)  # pos_w, shift held
    pixel_hovered = Signal(int, float, float, bool)
    hover_ended = Signal()
    left_view = Signal()  # the user turned away from the photo that was looked through
    begins = Signal()  # it is on screen, if with nothing drawn yet
    moved = Signal()  # the camera is moving
    drawn = Signal(float)  # seconds that a frame took
    wheel_turned = Signal(int)  # steps, while ``wheel_taken`` says that it is not for zooming

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.surface = Surface()
        self.widget: QWidget = Holder(self.surface, parent)
        self.widget.setMinimumSize(240, 180)
        self.surface.painting.connect(self._on_draw)
        self.navigator = Navigator()
        self.pointer = Pointer(self.widget, self.surface)
        self.renderer: Renderer | None = None
        self._presenter: Presenter | None = None
        self._view: CanvasView | None = None
        self._pending: CanvasView | None = None
        self.quads: dict[int, NDArray[np.float64]] = {}  # of each view, the corners (4, 3) of its thumbnail
        self._due_at = math.inf  # when the next frame is to be drawn
        self._changed_at = 0.0
        self.wheel_taken: Callable[[], bool] = lambda: False
        self.heat_drawn: Answer | None = None  # the answer whose heat the last frame showed
        self._begun = self._closed = self._inked = False
        self._ink: tuple[NDArray[np.uint8] | None, int, int] | None = None  # to be drawn next
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tick)
        p = self.pointer
        self._hand = Hand(self)
        p.clicked.connect(self._hand.click)
        p.double_clicked.connect(self._hand.centre)
        p.rotated.connect(self._rotate)
        p.panned.connect(self._pan)
        p.zoomed.connect(self._zoom)
        p.hovered.connect(self._hand.hover)
        p.left.connect(self.hover_ended)
        p.key_held.connect(self._key)

    # --- what is shown

    @property
    def view(self) -> CanvasView | None:
        """What is to be shown."""
        return self._view

    @property
    def shown(self) -> CanvasView | None:
        """What the last frame drew."""
        return None if self._pending is not None else self._view

    def show_view(self, view: CanvasView) -> None:
        """Take the next view state; it is drawn with the next frame."""
        old = self._view
        self._view = self._pending = view
        now = time.perf_counter()
        if view.scene is not None and (old is None or old.scene is not view.scene):
            self.navigator.set_scene(view.scene.up_w, extent_of(view.scene))
            self._look_from("home", fly=False)
        if old is None or old.fly != view.fly:
            self.navigator.mode = "fly" if view.fly else "orbit"
            self.pointer.fly_keys = view.fly
        if old is None or old.through is not view.through:
            if view.through is not None:
                self.navigator.look_through(view.through, now)
            elif self.navigator.through is not None:
                self.navigator.leave_view(now)
        if view.scene is not None and view.volume.volume is None and (old is None or old.scene is not view.scene):
            self._changed_at = now
            self._draw_in(MARK_S)  # stored voxels are about to come, and one picture of both is there sooner
        elif old is not None and replace(old, thumbnails=view.thumbnails) == view:
            self._draw_in(THUMBNAILS_S)  # they come one by one; a frame for each would be a waste
        elif view.matches.pending and old is not None and not old.matches.pending:
            self._changed_at = now
            self._leave_cores(LEAVE_CORES_S)
            self._draw_in(MARK_S)  # most answers are here by then, and need no frame before theirs
        elif old is not None and replace(old, volume=_newer_volume(old.volume, view.volume)) == view:
            self._timer.start(0)  # shows only once it is uploaded, and needs no frame yet
        else:
            self._changed_at = now
            if old is not None and view.heat.answer is not old.heat.answer:
                self._leave_cores(MARK_S)
            self._draw_in(0)  # after the panels have painted, so that no turn of the event loop takes both

    def go_to(self, name: NamedView, *, fly: bool = True) -> None:
        """Look from a named place."""
        self._look_from(name, fly=fly)
        self._draw_soon()

    def _look_from(self, name: NamedView, *, fly: bool) -> None:
        if self._view is None or self._view.scene is None:
            return
        self._fit_size()
        n, scene = self.navigator, self._view.scene
        self._steer(lambda now: n.goto(named_view(scene, name, n.width / n.height), now, fly=fly))

    def look_from(self, orbit: Orbit, *, fly: bool = False) -> None:
        """Look from an orbit, at once or by a short flight."""
        self._steer(lambda now: self.navigator.goto(orbit, now, fly=fly))
        self._draw_soon()

    def fly_to_point(self, pos_w: Pos) -> None:
        """Centre on a point of the scene."""
        self._steer(lambda now: self.navigator.centre_on(np.array(pos_w), now))
        self._draw_soon()

    def frame(self, region: Region, eye_w: Pos | None) -> None:
        """See a part of the scene from where it is known to be in sight, or else from where it fills the picture."""
        n, r = self.navigator, region
        if eye_w is None:
            self._steer(lambda now: n.frame(np.array(r.lo_w), np.array(r.hi_w), now))
        else:
            self._steer(lambda now: n.see(np.array(r.centre_w), np.array(eye_w), now))
        self._draw_soon()

    def stand_at(self, camera: Camera) -> None:
        """Look from a camera's place in its direction, with the canvas's own lens and up."""
        self._steer(lambda now: self.navigator.stand_at(camera, now))
        self._draw_soon()

    def _steer(self, move: Callable[[float], None]) -> None:
        """Move the eye; a photo that was looked through is left."""
        was_through = self.navigator.through is not None
        move(time.perf_counter())
        if was_through and self.navigator.through is None:
            self.left_view.emit()

    def camera(self) -> Camera:
        """The camera of the next frame, in logical pixels."""
        self._fit_size()
        return self.navigator.camera(time.perf_counter())

    def surface_at(self, view: int, x: float, y: float) -> Pos | None:
        """The scene point behind a photo's pixel, from the canvas's copy of the volume."""
        v = self._view
        if v is None or v.scene is None:
            return None
        camera = next((info.camera for info in v.scene.views if info.index == view), None)
        picker = None if self.renderer is None else self.renderer.volume.picker
        if camera is None or picker is None:
            return None
        return under.triple(picker.surface(camera, (x, y), cutaway=False))

    def pick(self, x: float, y: float) -> Pos | None:
        """The scene point under a canvas pixel, or None; a keypoint that shows there rather than what is behind it."""
        v, r = self._view, self.renderer
        if v is None or r is None:
            return None
        camera = self.camera()
        hit = under.surface(v, r, camera, (x, y))
        row = under.keypoint(v, r, camera, (x, y), hit)
        return hit if row is None else under.place(v.keypoints, row)

    def depth_z(self) -> NDArray[np.float32]:
        """(h, w) camera z of the surface that shows, the whole canvas at some size; 0: none."""
        self.surface.set_current()
        return self._ready().depth(self.camera(), self._viewport())

    def show_ink(self, rgba: NDArray[np.uint8] | None, left: int = 0, top: int = 0) -> None:
        """What is being drawn with the pointer; see ``InkVisual.set_picture``."""
        if rgba is not None or self._inked:
            self._ink, self._inked = (rgba, left, top), rgba is not None
            self.surface.update()

    def screenshot(self) -> NDArray[np.uint8]:
        """(h, w, 4) uint8 of the canvas at full quality, in physical pixels."""
        self.surface.set_current()
        return render_to_array(self._ready(), self.camera(), self._viewport())

    def picture_from(self, camera: Camera, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(h, w, 4) uint8 of what is shown, at full quality, as ``camera`` of ``size`` (width, height) sees it."""
        self.surface.set_current()
        picture = render_to_array(self._ready(), camera, Viewport(*size))
        self._draw_soon()
        return picture

    def save_screenshot(self, path: Path) -> None:
        """Write the canvas as PNG.

        Raises:
            OSError: the file cannot be written.
        """
        from PySide6.QtGui import QImage

        pixels = np.ascontiguousarray(self.screenshot())
        image = QImage(pixels.data, pixels.shape[1], pixels.shape[0], QImage.Format.Format_RGBA8888)
        if not image.save(str(path)):
            raise OSError(f"{path}: cannot be written")

    def close(self) -> None:
        """Let go of the GL context."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self.surface.painting.disconnect(self._on_draw)
        self.surface.forget()

    # --- drawing

    def _draw_in(self, seconds: float) -> None:
        """Draw then, or when it is due already."""
        now = time.perf_counter()
        self._due_at = min(self._due_at, now + seconds)
        self._timer.start(max(0, math.ceil((self._due_at - now) * 1e3)))

    def _draw_soon(self) -> None:
        self._changed_at = time.perf_counter()
        self.surface.update()

    def _on_draw(self) -> None:
        if self._closed:
            return
        if self.renderer is None and not self._begun:
            # an empty picture first, so that the rest of the window is painted before the shaders are compiled
            self._begun = True
            gl.gloo.clear(color=LOOKS["dark" if self._view is None else self._view.theme].backdrop_low)
            self._timer.start(0)
            self.begins.emit()
            return
        begin = time.perf_counter()
        self._due_at = math.inf
        renderer = self._ready()
        renderer.focus = self.navigator.orbit.distance
        if self.navigator.moving(begin):
            self._changed_at = begin
            self.moved.emit()
        if renderer.answering:
            renderer.upload(HEAT_S)  # an answer that is waited for: one frame with it rather than one before it
        renderer.draw(self.camera(), self._viewport())
        self.heat_drawn = None if self._view is None or renderer.heat.busy else self._view.heat.answer
        if not self._timer.isActive():
            self._timer.start(FRAME_MS)
        self.drawn.emit(time.perf_counter() - begin)

    def _tick(self) -> None:
        """Between frames: uploads and the still picture go on off screen; a frame follows when there is news."""
        renderer, now = self.renderer, time.perf_counter()
        if self._closed or not self.widget.isVisible():
            return
        if renderer is None:
            self.surface.update()
            return
        if self.navigator.moving(now) or now >= self._due_at:
            self.surface.update()
            return
        if self._due_at - now < MARK_S and self._asked(now):
            self._draw_in(MARK_S)
            return
        if self._pending is not None:
            self.surface.set_current()
            self._ready()
        if not renderer.unfinished:
            if self._due_at < math.inf:
                self._draw_in(THUMBNAILS_S)
            return
        if self._asked(now):
            self._timer.start(FRAME_MS)  # the engine is at work on what the user waits for
            return
        self.surface.set_current()
        if renderer.busy:
            news = renderer.upload(UPLOAD_S if renderer.volume.ready else FIRST_UPLOAD_S)
        else:
            still = now - self._changed_at > STILL_AFTER_S
            news = still and renderer.refine(self.camera(), self._viewport())
        if news:
            self.surface.update()
        self._timer.start(FRAME_MS)

    def _leave_cores(self, seconds: float) -> None:
        """Let new voxels wait while an answer is found and drawn."""
        if self.renderer is not None:
            self.renderer.volume.rest(seconds)

    def _asked(self, now: float) -> bool:
        """Whether an answer is on its way that the cores are best left to."""
        r, v = self.renderer, self._view
        waiting = r is not None and v is not None and v.matches.pending and not r.heat.busy
        return waiting and now - self._changed_at < LEAVE_CORES_S

    def _ready(self) -> Renderer:
        """The renderer, made on first use with the context current, and brought up to date."""
        if self.renderer is None or self._presenter is None:
            self.renderer = Renderer(LOOKS["dark" if self._view is None else self._view.theme])
            self._presenter = Presenter(self.renderer)
            self.renderer.warm(self.camera())
        if self._pending is not None:
            view, self._pending = self._pending, None
            self._presenter.present(view)
            views = () if view.scene is None else view.scene.views
            self.quads = {v.index: quad for v, quad in zip(views, self.renderer.frusta.quads_w, strict=False)}
        if self._ink is not None:
            self.renderer.ink.set_picture(*self._ink)
            self._ink = None
        return self.renderer

    def _fit_size(self) -> None:
        self.navigator.resize(self.widget.width(), self.widget.height())

    def _viewport(self) -> Viewport:
        ratio = self.widget.devicePixelRatioF()
        size = self.surface.physical_size
        return Viewport(size.width(), size.height(), ratio)

    # --- pointer

    def _rotate(self, dx: float, dy: float) -> None:
        self._steer(lambda now: self.navigator.rotate(dx, dy, now))
        self._draw_soon()

    def _pan(self, dx: float, dy: float) -> None:
        self.navigator.pan(dx, dy, time.perf_counter())
        self._draw_soon()

    def _zoom(self, steps: float, x: float, y: float) -> None:
        if self.wheel_taken():
            self.wheel_turned.emit(1 if steps > 0 else -1)
            return
        self._fit_size()
        self.navigator.zoom(steps, (x, y), time.perf_counter())
        self._draw_soon()

    def _key(self, key: str, down: bool) -> None:
        if not key:
            self.navigator.release_all()
            return
        was_through = self.navigator.through is not None
        self.navigator.hold(key, down, time.perf_counter())
        if was_through and down:
            self.left_view.emit()
        self._draw_soon()


def _newer_volume(old: VolumeView, new: VolumeView) -> VolumeView:
    """``old`` with the voxels of ``new``."""
    return replace(old, volume=new.volume, features=new.features)
