"""VisPy's gloo, without types of its own, behind one name; and the few calls that need more than it offers."""

from __future__ import annotations

import importlib
from typing import Any

gloo: Any = importlib.import_module("vispy.gloo")

DEPTH24 = 0x81A6  # GL_DEPTH_COMPONENT24; gloo's own depth buffers have 16 bits
UNIT_CORNERS = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0))


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
