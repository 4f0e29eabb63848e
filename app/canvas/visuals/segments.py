"""Straight lines of constant width on screen, smooth at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.canvas import gl
from app.canvas.camera_sync import Viewport, clip_matrix
from engine.api.camera import Camera
from shaders import loader

_CORNERS = np.array([[0, -1], [1, -1], [0, 1], [1, 1]], np.float32)
_TRIANGLES = np.array([0, 1, 2, 2, 1, 3], np.uint32)


class SegmentsVisual:
    """Draws segments; hidden ones by depth unless told to lie on top."""

    def __init__(self) -> None:
        self._program: Any = gl.gloo.Program(*loader.program("segments"))
        self._index: Any = None

    def set_data(self, start_w: ArrayLike, end_w: ArrayLike, rgba: ArrayLike, width: ArrayLike = 1.0) -> None:
        """(N, 3) starts and ends, (N, 4) or (4,) colours in 0..1, (N,) or one width in logical pixels."""
        a = np.asarray(start_w, np.float32).reshape(-1, 3)
        b = np.asarray(end_w, np.float32).reshape(-1, 3)
        n = len(a)
        if n == 0:
            self._index = None
            return
        colour = np.broadcast_to(np.asarray(rgba, np.float32), (n, 4))
        wide = np.broadcast_to(np.asarray(width, np.float32), (n,))
        corner = np.concatenate([np.tile(_CORNERS, (n, 1)), np.repeat(wide, 4)[:, None]], axis=1)
        p = self._program
        p["a_start_w"] = _buffer(np.repeat(a, 4, axis=0))
        p["a_end_w"] = _buffer(np.repeat(b, 4, axis=0))
        p["a_rgba"] = _buffer(np.repeat(colour, 4, axis=0))
        p["a_corner"] = _buffer(corner.astype(np.float32))
        index = (np.arange(n, dtype=np.uint32)[:, None] * 4 + _TRIANGLES).ravel()
        self._index = gl.gloo.IndexBuffer(index.astype(np.uint32))

    def draw(
        self,
        camera: Camera,
        viewport: Viewport,
        far: float,
        opacity: float = 1.0,
        *,
        on_top: bool = False,
        focus: float = 0.0,
        pull: float = 0.0,
    ) -> None:
        """``on_top``: never hidden. ``pull``: hidden by what lies nearer than they, less this in world
        units. ``focus``: lines well in front of this camera z are faint (0: none are)."""
        if self._index is None:
            return
        p = self._program
        p["u_clip"] = clip_matrix(camera).T
        p["u_far"] = far
        p["u_near"] = far * 1e-4
        p["u_viewport_px"] = (float(viewport.width), float(viewport.height))
        p["u_pixel_ratio"] = viewport.ratio
        p["u_opacity"] = opacity
        p["u_focus"] = focus
        p["u_pull"] = pull
        gl.gloo.set_state(
            blend=True, blend_func=("src_alpha", "one_minus_src_alpha"), depth_test=not on_top, depth_mask=False
        )
        p.draw("triangles", self._index)
        gl.gloo.set_depth_mask(True)


def _buffer(a: NDArray[np.float32]) -> Any:
    return gl.gloo.VertexBuffer(np.ascontiguousarray(a))
