"""Marks on points of the scene: filled discs and rings of constant size, on top or hidden by what lies before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from app.canvas.camera_sync import Viewport, clip_matrix
from engine.api.camera import Camera
from shaders import loader

Rgba = tuple[float, float, float, float]
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Mark:
    """One mark: where, its colour, its diameter in logical pixels, and whether it is filled."""

    pos_w: tuple[float, float, float]
    rgba: Rgba
    size: float
    filled: bool


class MarkersVisual:
    def __init__(self) -> None:
        self._program: Any = gl.gloo.Program(*loader.program("markers"))
        self._count = 0

    def set_data(self, marks: Sequence[Mark]) -> None:
        """Show these and no others."""
        self.set_arrays(
            np.array([m.pos_w for m in marks], np.float32).reshape(-1, 3),
            np.array([m.rgba for m in marks], np.float32).reshape(-1, 4),
            np.array([(m.size, m.filled) for m in marks], np.float32).reshape(-1, 2),
        )

    def set_arrays(self, pos_w: Float32, rgba: Float32, shape: Float32) -> None:
        """``set_data`` of many: places (N, 3), colours (N, 4), and (N, 2) diameters and whether filled."""
        self._count = len(pos_w)
        if self._count == 0:
            return
        p = self._program
        p["a_pos_w"] = gl.gloo.VertexBuffer(np.ascontiguousarray(pos_w, np.float32))
        p["a_rgba"] = gl.gloo.VertexBuffer(np.ascontiguousarray(rgba, np.float32))
        p["a_shape"] = gl.gloo.VertexBuffer(np.ascontiguousarray(shape, np.float32))

    def draw(
        self, camera: Camera, viewport: Viewport, far: float, rim: Sequence[float], *, pull: float | None = None
    ) -> None:
        """``pull``: hidden by what lies nearer than they, less this in world units; None: on top of everything."""
        if self._count == 0:
            return
        p = self._program
        p["u_clip"] = clip_matrix(camera).T
        p["u_far"] = far
        p["u_pixel_ratio"] = viewport.ratio
        p["u_rim"] = tuple(rim)
        p["u_pull"] = pull or 0.0
        blend = ("src_alpha", "one_minus_src_alpha")
        gl.gloo.set_state(blend=True, blend_func=blend, depth_test=pull is not None)
        p.draw("points")
