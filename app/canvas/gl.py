"""VisPy's gloo, without types of its own, behind one name; and the few calls that need more than it offers."""

from __future__ import annotations

import ctypes
import importlib
from functools import cache
from typing import Any

import numpy as np

gloo: Any = importlib.import_module("vispy.gloo")
_glir: Any = importlib.import_module("vispy.gloo.glir")
_gl2: Any = importlib.import_module("vispy.gloo.gl.gl2")

DEPTH24 = 0x81A6  # GL_DEPTH_COMPONENT24; gloo's own depth buffers have 16 bits
UNIT_CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


class Target:
    """A framebuffer of one texture, (height, width, 4).

    Attributes:
        version: grows with what is drawn into it; kept by who draws.
    """

    def __init__(self, *, smooth: bool = False, internal: str | None = None) -> None:
        self._smooth, self._internal = smooth, internal
        self.texture: Any = None
        self.buffer: Any = None
        self.version: int = 0

    def sized(self, width: int, height: int) -> Target:
        """Itself, made anew if it had another size."""
        if self.texture is None or self.size != (width, height):
            self.texture = texture_2d((height, width, 4), smooth=self._smooth, internal=self._internal)
            self.buffer = gloo.FrameBuffer(self.texture)
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return int(self.texture.shape[1]), int(self.texture.shape[0])


def finish() -> None:
    """Send what is queued and wait until it is drawn, so that the clock can be read."""
    gloo.flush()
    gloo.gl.glFinish()


def texture_3d(shape: tuple[int, ...], *, smooth: bool) -> Any:
    """An empty 8-bit 3D texture of ``shape`` (depth, height, width, channels)."""
    return gloo.Texture3D(
        shape=shape, interpolation="linear" if smooth else "nearest", wrapping="clamp_to_edge", format=_format(shape)
    )


def texture_2d(shape: tuple[int, ...], *, smooth: bool = True, internal: str | None = None) -> Any:
    """An empty 2D texture of ``shape`` (height, width, channels)."""
    return gloo.Texture2D(
        shape=shape,
        interpolation="linear" if smooth else "nearest",
        wrapping="clamp_to_edge",
        format=_format(shape),
        internalformat=internal,
    )


def _format(shape: tuple[int, ...]) -> str:
    return {1: "luminance", 2: "luminance_alpha", 3: "rgb", 4: "rgba"}[shape[-1]]


@cache
def _function(name: str, *argtypes: Any) -> Any:
    return _gl2._get_gl_func(name, None, argtypes)


def _tex_image_3d(target: int, level: int, internal: int, form: int, kind: int, shape: tuple[int, int, int]) -> None:
    i, p = ctypes.c_int, ctypes.c_void_p
    allocate = _function("glTexImage3D", i, i, i, i, i, i, i, i, i, p)
    depth, height, width = shape
    allocate(int(target), level, int(internal), width, height, depth, 0, int(form), int(kind), None)


def _tex_sub_image_3d(target: int, level: int, x: int, y: int, z: int, form: int, kind: int, data: Any) -> None:
    i, p = ctypes.c_int, ctypes.c_void_p
    upload = _function("glTexSubImage3D", i, i, i, i, i, i, i, i, i, i, p)
    depth, height, width = data.shape[:3]
    data = np.ascontiguousarray(data)
    upload(int(target), level, x, y, z, width, height, depth, int(form), int(kind), data.ctypes.data)


# gloo imports all of PyOpenGL for these two calls, which takes a fifth of a second of the first picture
_glir.glTexImage3D, _glir.glTexSubImage3D = _tex_image_3d, _tex_sub_image_3d
_glir.USE_TEX_3D = True
