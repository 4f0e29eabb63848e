"""Values over the volume in a 3D texture of their own, looked up where the marched picture ends, into a picture."""

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


class Overlay:
    """Draws a picture for the composite; new values replace the old only when they are whole on the GPU.

    Args:
        shader: what looks the values up.
        groups: names of its uniforms that take a texture, of so many channels each.
    """

    def __init__(self, shader: str, groups: dict[str, int], **defines: int) -> None:
        program: Any = gl.gloo.Program(*loader.program(shader, **defines))
        program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
        self.program = program
        self._groups = groups
        self._target = gl.Target(smooth=True)
        self._textures: dict[str, list[Any]] = {name: [] for name in groups}  # shown, and the one to fill next
        self._box: dense.Box | None = None
        self._work: Iterator[None] | None = None
        for name, channels in groups.items():
            program[name] = gl.texture_3d((1, 1, 1, channels), smooth=True)
        program["u_eye_h"], program["u_ray_h"], program["u_voxel_z"] = (0.0, 0.0, 0.0), np.eye(3, dtype=np.float32), 1.0
        self.dim = 1.0
        self.revision: int = 0  # grows whenever what is drawn changes

    @property
    def on(self) -> bool:
        """Whether there is something to draw."""
        return self._box is not None

    @property
    def busy(self) -> bool:
        """Whether values have been set that are not drawn yet."""
        return self._work is not None

    def clear(self) -> None:
        self._work = self._box = None
        self.revision += 1

    def load(self, volume: Volume, values: dict[str, UInt8]) -> None:
        """Queue values (V, channels) of ``volume``, which need not be the one that is shown, for each group."""
        self._work = self._load(dense.box_of(volume), values)

    def queue(self, work: Iterator[None]) -> None:
        """Queue work on what is shown."""
        self._work = work

    def shown_texture(self, group: str) -> Any:
        """The texture that is drawn now."""
        return self._textures[group][0]

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
        """The texture (width, height) of ``size`` with what ``camera`` sees of it."""
        p, box = self.program, self._box
        p["u_marched"] = marched.texture
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

    def _load(self, box: dense.Box, values: dict[str, UInt8]) -> Iterator[None]:
        fresh: dict[str, Any] = {}
        for name, channels in self._groups.items():
            shape = (*box.dims, channels)
            spare = (t for t in self._textures[name][1:] if t.shape == shape)
            texture = next(spare, None) or gl.texture_3d(shape, smooth=True)
            for x, slab in dense.slabs(box, box.sorted(values[name])):
                texture.set_data(slab, offset=(x, 0, 0))
                yield
            fresh[name] = texture
        for name, texture in fresh.items():
            self._textures[name] = [texture, *self._textures[name][:1]]
            self.program[name] = texture
        self._box = box
        self.revision += 1
