"""Puts the marched picture on screen, with its depth, and what lies over it.

A picture smaller than the screen is painted with what lies over it at half the screen's size first, and then enlarged:
on software GL the lookups of every pixel of the screen are the most of a frame's cost.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from app.canvas import gl
from app.canvas.look import Rgb
from app.canvas.visuals.overlay import Overlay
from engine.api.camera import Camera
from shaders import loader

SCALE, SCALE_AT_BEST = 0.5, 1.0  # of the screen: what lies over it is smooth, and looked up in 3D


class Compositor:
    """Call with the GL context current."""

    def __init__(self) -> None:
        # programs by what they do, for software GL runs what a uniform switches off
        self._direct = {over: _program(HEAT=over) for over in (False, True)}
        self._paint = {over: _program(HEAT=over, PAINT=True) for over in (False, True)}
        self._enlarge = _program(ENLARGE=True)
        self._painted = gl.Target(smooth=True)

    @property
    def _programs(self) -> tuple[Any, ...]:
        return (*self._direct.values(), *self._paint.values(), self._enlarge)

    def set_backdrop(self, low: Rgb, high: Rgb) -> None:
        """Colours of what is behind all, when there is no picture."""
        for program in self._programs:
            program["u_backdrop_low"], program["u_backdrop_high"] = low, high

    def put(
        self, marched: gl.Target | None, over: Overlay | None, camera: Camera, size: tuple[int, int], far: float,
        *, scale: float = SCALE,
    ) -> None:  # fmt: skip
        """Draw ``marched``, colour and depth, into the bound framebuffer of ``size``, ``over`` at ``scale`` of it."""
        program = self._direct[False]
        if marched is not None:
            small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
            exact = marched.size == size
            program = (self._direct if exact else self._paint)[over is not None]
            marched.texture.interpolation = "nearest"
            if over is not None:
                no_finer = (min(small[0], marched.size[0]), min(small[1], marched.size[1]))
                program["u_hot"], program["u_dim"] = over.draw(marched, camera, no_finer), over.dim
            program["u_marched"] = marched.texture
            if not exact:
                marched.texture.interpolation = "linear"
                with self._painted.sized(*small).buffer:
                    _draw(program, small)
                marched.texture.interpolation = "nearest"
                program = self._enlarge
                program["u_painted"], program["u_marched"] = self._painted.texture, marched.texture
        program["u_has_volume"], program["u_far"] = float(marched is not None), far
        gl.gloo.set_viewport(0, 0, *size)
        gl.gloo.set_depth_mask(True)
        gl.gloo.clear(color=(0, 0, 0, 1), depth=1.0)
        gl.gloo.set_state(blend=False, depth_test=True, depth_func="always", cull_face=False)
        program.draw("triangle_strip")
        gl.gloo.set_state(depth_func="less")


def _draw(program: Any, size: tuple[int, int]) -> None:
    gl.gloo.set_viewport(0, 0, *size)
    gl.gloo.set_state(blend=False, depth_test=False, cull_face=False)
    program.draw("triangle_strip")


def _program(**kinds: bool) -> Any:
    program: Any = gl.gloo.Program(*loader.program("composite", **{name: 1 for name, on in kinds.items() if on}))
    program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
    program["u_marched"], program["u_has_volume"] = gl.texture_2d((1, 1, 4)), 1.0
    if not kinds.get("PAINT"):
        program["u_far"] = 1.0
    if kinds.get("ENLARGE"):
        program["u_painted"] = gl.texture_2d((1, 1, 4))
    if kinds.get("HEAT"):
        program["u_hot"], program["u_dim"] = gl.texture_2d((1, 1, 4)), 1.0
    return program
