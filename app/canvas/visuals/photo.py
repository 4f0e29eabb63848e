"""A photo laid exactly over the scene that its camera sees."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from shaders import loader


class PhotoVisual:
    def __init__(self) -> None:
        self._program: Any = gl.gloo.Program(*loader.program("photo"))
        self._program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
        self._texture: Any = None

    def set_photo(self, rgb: NDArray[np.uint8] | None) -> None:
        """(h, w, 3) uint8, or None to show nothing."""
        if rgb is None:
            self._texture = None
            return
        if self._texture is None or self._texture.shape != rgb.shape:
            self._texture = gl.texture_2d(rgb.shape)
            self._program["u_photo"] = self._texture
        self._texture.set_data(np.ascontiguousarray(rgb))

    def draw(self, rect: tuple[float, float, float, float], width: int, height: int, opacity: float) -> None:
        """``rect``: left, top, right, bottom in a picture of ``width`` x ``height``, y down."""
        if self._texture is None or opacity <= 0:
            return
        left, top, right, bottom = rect
        self._program["u_rect_ndc"] = (
            2 * left / width - 1, 1 - 2 * top / height, 2 * right / width - 1, 1 - 2 * bottom / height,
        )  # fmt: skip
        self._program["u_opacity"] = opacity
        gl.gloo.set_state(blend=True, blend_func=("src_alpha", "one_minus_src_alpha"), depth_test=False)
        self._program.draw("triangle_strip")
