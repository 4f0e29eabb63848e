"""What is being drawn with the pointer, over everything: a picture of the part of the canvas that it covers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from shaders import loader

GRAIN = 64
"""Sizes of the texture are multiples of it, so that a stroke that grows does not make a new one at every step."""


class InkVisual:
    """Draws premultiplied pixels, smooth where the screen is finer."""

    def __init__(self) -> None:
        self._program: Any = gl.gloo.Program(*loader.program("photo", INK=1))
        self._program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
        self._texture: Any = None
        self._at: tuple[int, int] | None = None

    def set_picture(self, rgba: NDArray[np.uint8] | None, left: int = 0, top: int = 0) -> None:
        """(h, w, 4) uint8, premultiplied, with its corner at a logical pixel of the canvas; None: nothing."""
        self._at = None
        if rgba is None or not rgba.size:
            return
        h, w = (-(-n // GRAIN) * GRAIN for n in rgba.shape[:2])
        padded = np.zeros((h, w, 4), np.uint8)
        padded[: rgba.shape[0], : rgba.shape[1]] = rgba
        if self._texture is None or self._texture.shape != padded.shape:
            self._texture = gl.texture_2d(padded.shape)
            self._program["u_photo"] = self._texture
        self._texture.set_data(padded)
        self._at = left, top

    def draw(self, width: int, height: int) -> None:
        """Over a canvas of so many logical pixels."""
        if self._at is None:
            return
        left, top = self._at
        right, bottom = left + self._texture.shape[1], top + self._texture.shape[0]
        self._program["u_rect_ndc"] = (
            2 * left / width - 1, 1 - 2 * top / height, 2 * right / width - 1, 1 - 2 * bottom / height,
        )  # fmt: skip
        gl.gloo.set_state(blend=True, blend_func=("one", "one_minus_src_alpha"), depth_test=False)
        self._program.draw("triangle_strip")
