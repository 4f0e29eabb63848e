"""A floor grid for orientation, and the small axes in the corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.canvas.camera_sync import Viewport
from app.canvas.visuals.segments import SegmentsVisual
from engine.api.camera import Camera, look_at

Float64 = NDArray[np.float64]
AXES_RGBA = np.array([[0.93, 0.39, 0.39, 1], [0.45, 0.78, 0.43, 1], [0.40, 0.60, 0.96, 1]])
AXES_PX = 64  # logical


def basis(up_w: Float64) -> Float64:
    """(3, 3) rows: two level directions and up, right-handed, the first one near a world axis."""
    up = up_w / np.linalg.norm(up_w)
    first = np.eye(3)[np.argmin(np.abs(up))]
    side = np.cross(up, first)
    side = side / np.linalg.norm(side)
    return np.array([np.cross(side, up), side, up], np.float64)


class FloorGrid:
    """Lines on the level plane under the scene, fading outwards."""

    def __init__(self) -> None:
        self._lines = SegmentsVisual()

    def set_scene(self, bounds_w: Float64, up_w: Float64, rgb: tuple[float, float, float]) -> None:
        axes = basis(up_w)
        corners = np.array(np.meshgrid(*bounds_w.T)).reshape(3, -1).T @ axes.T
        lo, hi = corners.min(axis=0), corners.max(axis=0)
        lo[2] -= 0.02 * float(np.linalg.norm(hi - lo))  # clear of the scene's own floor
        reach = float((hi - lo)[:2].max())
        step = 10 ** np.floor(np.log10(max(reach, 1e-9) / 4))
        step = float(step * (5 if reach / step > 40 else 2 if reach / step > 16 else 1))
        centre = np.asarray(np.round((lo + hi)[:2] / 2 / step) * step, np.float64)
        n = int(np.ceil(reach * 0.9 / step))
        at = np.arange(-n, n + 1) * step
        radius = n * step
        start: list[list[float]] = []
        end: list[list[float]] = []
        alpha: list[float] = []
        for a in at:
            for b in at[:-1]:
                fade = 1 - np.hypot(a, b + step / 2) / radius
                if fade <= 0:
                    continue
                for p, q in (((a, b), (a, b + step)), ((b, a), (b + step, a))):
                    start.append([centre[0] + p[0], centre[1] + p[1], lo[2]])
                    end.append([centre[0] + q[0], centre[1] + q[1], lo[2]])
                    alpha.append(float(fade) ** 1.5)
        rgba = np.concatenate([np.tile(rgb, (len(alpha), 1)), np.array(alpha)[:, None]], axis=1)
        self._lines.set_data(np.array(start) @ axes, np.array(end) @ axes, rgba, 1.0)

    def draw(self, camera: Camera, viewport: Viewport, far: float, opacity: float) -> None:
        self._lines.draw(camera, viewport, far, opacity)


class Axes:
    """World axes as the camera sees them: x red, y green, z blue."""

    def __init__(self) -> None:
        self._lines = SegmentsVisual()
        self._lines.set_data(np.zeros((3, 3)), np.eye(3), AXES_RGBA, 2.2)

    def draw(self, camera: Camera, ratio: float) -> None:
        """Draw into the current viewport, which should be square."""
        small = look_at(-4.2 * camera.forward_w, [0, 0, 0], -camera.c2w[:3, 1], fov_y=32, width=AXES_PX, height=AXES_PX)
        side = round(AXES_PX * ratio)
        self._lines.draw(small, Viewport(side, side, ratio), 10.0, on_top=True)
