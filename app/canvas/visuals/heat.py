"""Heat over the volume: a 3D texture of its own, looked up where the marched picture's rays end, into a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import dense, gl
from app.canvas.camera_sync import ray_matrix
from engine.api.camera import Camera
from engine.api.scene import Volume
from shaders import loader

UInt8 = NDArray[np.uint8]


class HeatOverlay:
    """Draws the picture of heat for the composite; new heat replaces the old only when it is whole on the GPU."""

    def __init__(self) -> None:
        program: Any = gl.gloo.Program(*loader.program("heat"))
        program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
        self._program = program
        self._target = gl.Target(smooth=True)
        self._textures: list[Any] = []  # the one that is shown, and the one before it, to fill next
        self._box: dense.Box | None = None
        self._work: Iterator[None] | None = None
        program["u_heat"] = gl.texture_3d((1, 1, 1, 2), smooth=True)
        program["u_map"] = gl.gloo.Texture2D(np.zeros((1, 256, 3), np.uint8), interpolation="linear")
        program["u_eye_h"], program["u_ray_h"], program["u_voxel_z"] = (0.0, 0.0, 0.0), np.eye(3, dtype=np.float32), 1.0
        self.set_style(opacity=1.0, threshold=0.4, dim=1.0)
        self.revision = 0  # grows whenever what is drawn changes

    @property
    def on(self) -> bool:
        """Whether there is heat to draw."""
        return self._box is not None

    @property
    def busy(self) -> bool:
        """Whether heat has been set that is not drawn yet."""
        return self._work is not None

    def set(self, volume: Volume, heat: UInt8) -> None:
        """Show (V,) uint8 heat of ``volume``, which need not be the one that is shown."""
        self._work = self._load(dense.box_of(volume), heat)

    def clear(self) -> None:
        self._work = self._box = None
        self.revision += 1

    def set_map(self, rgb: UInt8) -> None:
        """(256, 3) colour map."""
        self._program["u_map"].set_data(np.ascontiguousarray(rgb[None]))

    def set_style(self, *, opacity: float, threshold: float, dim: float) -> None:
        """How opaque, from which heat in 0..1 on, and how much what is not hot steps back."""
        self._program["u_heat_opacity"], self._program["u_threshold"] = opacity, threshold
        self.dim = dim

    def advance(self) -> bool:
        """Do one small piece of queued work; False when there was none."""
        if self._work is None:
            return False
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        return True

    def draw(self, marched: gl.Target, camera: Camera, size: tuple[int, int]) -> Any:
        """The texture (width, height) of ``size`` with the heat that ``camera`` sees, as heat.frag has it."""
        p, box = self._program, self._box
        p["u_marched"], p["u_marched_px"] = marched.texture, tuple(float(n) for n in marched.size)
        if box is not None:
            extent = np.array(box.dims) * box.voxel
            p["u_voxel_z"] = box.voxel
            p["u_eye_h"] = ((camera.centre_w - box.lo_w) / extent).astype(np.float32)
            # gloo takes matrices by columns
            p["u_ray_h"] = (ray_matrix(camera) / extent[:, None]).T.astype(np.float32)
        with self._target.sized(*size).buffer:
            gl.gloo.set_viewport(0, 0, *size)
            gl.gloo.set_state(blend=False, depth_test=False)
            p.draw("triangle_strip")
        return self._target.texture

    def _load(self, box: dense.Box, heat: UInt8) -> Iterator[None]:
        shape = (*box.dims, 2)
        texture = next((t for t in self._textures[1:] if t.shape == shape), None) or gl.texture_3d(shape, smooth=True)
        values = np.stack([box.sorted(heat), np.full(len(heat), 255, np.uint8)], axis=1)
        for x, slab in dense.slabs(box, values):
            texture.set_data(slab, offset=(x, 0, 0))
            yield
        self._textures = [texture, *self._textures[:1]]
        self._program["u_heat"] = texture
        self._box = box
        self.revision += 1
