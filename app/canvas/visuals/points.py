"""Bare points as round sprites whose size follows their distance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from app.canvas.camera_sync import Viewport, clip_matrix
from engine.api.camera import Camera
from shaders import loader


class PointsVisual:
    """Draws (N, 3) points with their colours."""

    def __init__(self) -> None:
        self._program: Any = gl.gloo.Program(*loader.program("points"))
        self._count = 0
        self._size_w = 0.01
        self.pos_w: NDArray[np.float32] | None = None

    def set_data(self, pos_w: NDArray[np.float32], rgb: NDArray[np.uint8], size_w: float) -> None:
        """Show (N, 3) points coloured (N, 3) uint8, ``size_w`` wide in world units."""
        self._count = len(pos_w)
        self.pos_w = pos_w
        self._size_w = size_w
        if self._count == 0:
            return
        rgba = np.concatenate([rgb, np.full((len(rgb), 1), 255, np.uint8)], axis=1).astype(np.float32) / 255
        self._program["a_pos_w"] = gl.gloo.VertexBuffer(np.ascontiguousarray(pos_w, np.float32))
        self._program["a_rgba"] = gl.gloo.VertexBuffer(rgba)

    def draw(self, camera: Camera, viewport: Viewport, far: float, opacity: float) -> None:
        if self._count == 0:
            return
        p = self._program
        p["u_clip"] = clip_matrix(camera).T
        p["u_far"] = far
        p["u_size_w"] = self._size_w
        p["u_focal_px"] = float(camera.intrinsics[1, 1] / camera.height * viewport.height)
        p["u_size_px"] = (2.0 * viewport.ratio, 24.0 * viewport.ratio)
        p["u_opacity"] = opacity
        gl.gloo.set_state(blend=True, blend_func=("src_alpha", "one_minus_src_alpha"), depth_test=True)
        p.draw("points")
