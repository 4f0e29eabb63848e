"""Draws the whole canvas with any current GL context; knows no Qt, so that windows and snapshots share it.

The volume is marched into a framebuffer of its own, smaller than the screen when that is what the machine can draw in
time; once it stands still it is drawn again at full size, band by band and off screen, so that nothing takes long.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from app.canvas.camera_sync import Viewport, photo_rect
from app.canvas.compositor import SCALE, SCALE_AT_BEST, Compositor
from app.canvas.look import Look
from app.canvas.visuals.frusta import FrustaVisual
from app.canvas.visuals.grid import AXES_PX, Axes, FloorGrid
from app.canvas.visuals.heat import HeatOverlay
from app.canvas.visuals.ink import InkVisual
from app.canvas.visuals.labels import LabelOverlay
from app.canvas.visuals.markers import MarkersVisual
from app.canvas.visuals.overlay import Overlay
from app.canvas.visuals.photo import PhotoVisual
from app.canvas.visuals.points import PointsVisual
from app.canvas.visuals.prompts import GROUPS, PromptOverlay
from app.canvas.visuals.segments import SegmentsVisual
from app.canvas.visuals.volume import VolumeVisual
from engine.api.camera import Camera

MARCH_BUDGET_S = 0.014  # of one frame while moving, and of one band while refining
LEAST_SCALE = 0.15
DEPTH_SIDE = 480
TRACE_HIDDEN = 0.35  # opacity of lines where something hides them
MOVING_STEP, STILL_STEP = 1.25, 0.6  # voxels


class Renderer:
    """All visuals and their order. Call with the GL context current."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.volume = VolumeVisual()
        self.points = PointsVisual()
        self.frusta = FrustaVisual()
        self.lines = SegmentsVisual()
        self.ruler, self.ruler_ends = SegmentsVisual(), MarkersVisual()
        self.box = SegmentsVisual()  # outline of the clip box
        self.markers = MarkersVisual()
        self.keypoints = MarkersVisual()
        self.keypoints_pull = 0.0
        self.photo = PhotoVisual()
        self.photo_view: Camera | None = None
        self.photo_opacity = 0.0
        self.opacity = {"volume": 1.0, "keypoints": 0.0, "points": 0.0, "frusta": 1.0, "grid": 1.0, "axes": 1.0}
        self.far = 10.0
        self.focus = 1.0  # camera z of what is looked at
        self._grid = FloorGrid()
        self._axes = Axes()
        self._compositor = Compositor()
        self.heat = HeatOverlay()
        self.labels = LabelOverlay()
        self.things, self.landmarks = SegmentsVisual(), MarkersVisual()  # boxes, and points
        self.traces, self.corners = SegmentsVisual(), MarkersVisual()  # lines on the surface, and their points
        self.ink = InkVisual()
        self.prompts = [PromptOverlay(n) for n in range(1, len(GROUPS) + 1)]  # the first is enough for few prompts
        self._moving = gl.Target(smooth=True, internal="rgba32f")
        self._stills = (gl.Target(internal="rgba32f"), gl.Target(internal="rgba32f"))
        self._best = gl.Target(internal="rgba32f")
        self._work = self._stills[0]  # the still picture that is being drawn
        self._shown: gl.Target | None = None
        self._costs = {False: 4e-7, True: 4e-7}  # seconds per pixel of a moving and of the still picture
        self._key: object = None
        self._band = 1.0  # how much of it is done
        self._outdated = False  # it shows what was there before the last quiet change
        self.set_look(look)

    def warm(self, camera: Camera) -> None:
        """Have the volume's shaders compiled before they are needed; draws into a corner of the bound framebuffer.

        As they will be used, down to the formats of the textures: software GL compiles them anew for others.
        """
        with self._moving.sized(1, 1).buffer:
            gl.gloo.set_viewport(0, 0, 1, 1)
            self.volume.warm(camera)
        for marched in (self._moving, self._stills[0].sized(2, 2)):
            for over in (None, *self._overlaid):
                self._compositor.put(marched, over, camera, (2, 2), self.far)
        gl.finish()

    def set_look(self, look: Look) -> None:
        """Colours of backdrop and marks."""
        self.look = look
        self.volume.set_backdrop(look.backdrop_low, look.backdrop_high)
        self._compositor.set_backdrop(look.backdrop_low, look.backdrop_high)
        self.touch()

    def set_grid(self, bounds_w: Any, up_w: Any) -> None:
        self._grid.set_scene(bounds_w, up_w, self.look.grid)

    def touch(self, *, quiet: bool = False) -> None:
        """The volume's picture is out of date.

        ``quiet``: the sharp picture stays until a new one is whole; otherwise a coarse one is drawn at once.
        """
        if not quiet or self._shown is None or self._key is None:
            self._key = None
        elif self._band < 1.0:
            self._outdated = True
        else:
            self._restart()

    @property
    def unfinished(self) -> bool:
        """Whether another call would upload more or draw the still picture further."""
        return self.busy or (self._shows_volume and self._band < 1.0)

    @property
    def busy(self) -> bool:
        """Whether uploads are waiting."""
        return self.volume.busy or self.answering

    @property
    def answering(self) -> bool:
        """Whether what was asked for is to be uploaded."""
        return any(overlay.busy for overlay in self._overlaid)

    @property
    def _overlaid(self) -> tuple[Overlay, ...]:
        """What can lie over the volume; the first that has something to show does."""
        return (self.heat, *self.prompts, self.labels)

    @property
    def _shows_volume(self) -> bool:
        return self.volume.ready and self.opacity["volume"] > 0

    def upload(self, budget_s: float) -> bool:
        """Upload what is queued for at most about ``budget_s``, overlays first; whether to draw a frame at once."""
        end = time.perf_counter() + budget_s
        before, over = self.volume.revision, [overlay.revision for overlay in self._overlaid]
        while time.perf_counter() < end and (self._advance_overlays() or self.volume.advance()):
            gl.gloo.flush()
        if self.volume.revision == before:
            return [overlay.revision for overlay in self._overlaid] != over
        self.touch(quiet=not self.volume.urgent)
        return self._key is None

    def draw(self, camera: Camera, viewport: Viewport) -> None:
        """Draw a frame into the bound framebuffer, the volume as finely as there is time for."""
        if self._shows_volume:
            self._march(camera, viewport)
        self._compose(camera, viewport, self._shown if self._shows_volume else None)

    def refine(self, camera: Camera, viewport: Viewport) -> bool:
        """Draw a part of the full-size still picture, off screen; whether it is now whole and to be shown.

        Does nothing when the camera is not that of the last frame.
        """
        if not self._shows_volume or self._band >= 1.0 or self._key != _key(camera, viewport):
            return False
        # finer steps cost more than the measured ones
        pixels = viewport.width * viewport.height
        share = MARCH_BUDGET_S / (self._costs[True] * pixels * MOVING_STEP / STILL_STEP)
        end = min(1.0, self._band + max(share, 0.004))
        self._timed(self._work, viewport.width, viewport.height, camera, STILL_STEP, (self._band, end))
        self._band = end
        if end < 1.0:
            return False
        self._shown = self._work
        if self._outdated:
            self._restart()
        return True

    def draw_best(self, camera: Camera, viewport: Viewport) -> None:
        """Draw at full size at once, however long it takes; what ``draw`` goes on with stays as it is."""
        while self._advance_overlays() or self.volume.advance(wait=True):
            pass
        if self._shows_volume:
            self._best.version += 1
            with self._best.sized(viewport.width, viewport.height).buffer:
                gl.gloo.set_viewport(0, 0, viewport.width, viewport.height)
                self.volume.draw(camera, STILL_STEP)
        self._compose(camera, viewport, self._best if self._shows_volume else None, SCALE_AT_BEST)

    def depth(self, camera: Camera, viewport: Viewport) -> NDArray[np.float32]:
        """(h, w) camera z of the volume's surface, as finely as it is drawn or at least ``DEPTH_SIDE``; 0: none."""
        if not self.volume.ready:
            return np.zeros((1, 1), np.float32)
        target = self._shown
        if target is None or target is self._moving or self._key != _key(camera, viewport):
            small = camera.fitted(DEPTH_SIDE)
            target = self._best.sized(small.width, small.height)
            with target.buffer:
                gl.gloo.set_viewport(0, 0, small.width, small.height)
                self.volume.draw(small, STILL_STEP)
        with target.buffer:
            pixels: NDArray[np.float32] = gl.gloo.read_pixels((0, 0, *target.size), out_type="float")
        return np.abs(pixels[..., 3])

    def _advance_overlays(self) -> bool:
        return any(overlay.advance() for overlay in self._overlaid)

    def _march(self, camera: Camera, viewport: Viewport) -> None:
        key = _key(camera, viewport)
        if key == self._key:
            return
        self._key = key
        affordable = MARCH_BUDGET_S / (self._costs[False] * viewport.width * viewport.height)
        scale = float(np.clip(np.sqrt(affordable), LEAST_SCALE, 1.0))
        w, h = max(1, round(viewport.width * scale)), max(1, round(viewport.height * scale))
        self._timed(self._moving, w, h, camera, MOVING_STEP, (0.0, 1.0))
        self._shown = self._moving
        self._restart()

    def _restart(self) -> None:
        """Begin a new still picture, beside the one that is shown."""
        self._work = self._stills[1] if self._shown is self._stills[0] else self._stills[0]
        self._band = 0.0
        self._outdated = False

    def _timed(self, target: gl.Target, w: int, h: int, camera: Camera, step: float, band: tuple[float, float]) -> None:
        gl.finish()
        begin = time.perf_counter()
        target.version += 1
        with target.sized(w, h).buffer:
            gl.gloo.set_viewport(0, 0, w, h)
            self.volume.draw(camera, step, band)
        gl.finish()
        seconds = time.perf_counter() - begin
        per_px = seconds / max(1, w * h * (band[1] - band[0])) * step / MOVING_STEP
        kind = target is not self._moving
        self._costs[kind] += 0.3 * (per_px - self._costs[kind])

    def _compose(self, camera: Camera, viewport: Viewport, shown: gl.Target | None, scale: float = SCALE) -> None:
        over = None if shown is None else next((overlay for overlay in self._overlaid if overlay.on), None)
        self._compositor.put(shown, over, camera, (viewport.width, viewport.height), self.far, scale=scale)
        self._overlays(camera, viewport)

    def _overlays(self, camera: Camera, viewport: Viewport) -> None:
        o = self.opacity
        covered = self.photo_view is not None and self.photo_opacity >= 1.0
        if not covered:
            if o["grid"] > 0:
                self._grid.draw(camera, viewport, self.far, o["grid"])
            if o["points"] > 0:
                self.points.draw(camera, viewport, self.far, o["points"])
            if o["frusta"] > 0:
                self.frusta.draw(camera, viewport, self.far, o["frusta"], self.focus)
            self.box.draw(camera, viewport, self.far)
        if self.photo_view is not None:
            self.photo.draw(photo_rect(self.photo_view, camera), camera.width, camera.height, self.photo_opacity)
        if o["keypoints"] > 0:
            self.keypoints.draw(camera, viewport, self.far, self.look.rim, pull=self.keypoints_pull)
        self.things.draw(camera, viewport, self.far)
        self.traces.draw(camera, viewport, self.far, TRACE_HIDDEN, on_top=True)
        self.traces.draw(camera, viewport, self.far, pull=self.keypoints_pull)
        self.corners.draw(camera, viewport, self.far, self.look.rim, pull=self.keypoints_pull)
        self.landmarks.draw(camera, viewport, self.far, self.look.rim)
        self.lines.draw(camera, viewport, self.far, on_top=True)
        self.markers.draw(camera, viewport, self.far, self.look.rim)
        self.ruler.draw(camera, viewport, self.far, on_top=True)
        self.ruler_ends.draw(camera, viewport, self.far, self.look.rim)
        self.ink.draw(camera.width, camera.height)
        if o["axes"] > 0:
            side = round(AXES_PX * viewport.ratio)
            pad = round(10 * viewport.ratio)
            gl.gloo.set_viewport(pad, pad, side, side)
            self._axes.draw(camera, viewport.ratio)
            gl.gloo.set_viewport(0, 0, viewport.width, viewport.height)


def _key(camera: Camera, viewport: Viewport) -> object:
    return camera.c2w.tobytes(), camera.intrinsics.tobytes(), viewport
