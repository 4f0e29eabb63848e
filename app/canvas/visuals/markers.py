"""Marks on points of the scene: filled discs and rings of constant size, always on top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.canvas import gl
from app.canvas.camera_sync import Viewport, clip_matrix
from engine.api.camera import Camera
from shaders import loader

Rgba = tuple[float, float, float, float]


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
        self._count = len(marks)
        if not marks:
            return
        p = self._program
        p["a_pos_w"] = gl.gloo.VertexBuffer(np.array([m.pos_w for m in marks], np.float32))
        p["a_rgba"] = gl.gloo.VertexBuffer(np.array([m.rgba for m in marks], np.float32))
        p["a_shape"] = gl.gloo.VertexBuffer(np.array([(m.size, m.filled) for m in marks], np.float32))

    def draw(self, camera: Camera, viewport: Viewport, far: float, rim: Sequence[float]) -> None:
        if self._count == 0:
            return
        p = self._program
        p["u_clip"] = clip_matrix(camera).T
        p["u_far"] = far
        p["u_pixel_ratio"] = viewport.ratio
        p["u_rim"] = tuple(rim)
        gl.gloo.set_state(blend=True, blend_func=("src_alpha", "one_minus_src_alpha"), depth_test=False)
        p.draw("points")
