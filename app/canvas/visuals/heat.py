"""Heat over the volume: a 3D texture of its own, looked up where the marched picture's rays end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import dense, gl
from app.canvas.camera_sync import ray_matrix
from engine.api.camera import Camera
from engine.api.scene import Volume

UInt8 = NDArray[np.uint8]


class HeatOverlay:
    """Sets the heat uniforms of a composite program; new heat replaces the old only when it is whole on the GPU."""

    def __init__(self, program: Any) -> None:
        self._program = program
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
        p = self._program
        p["u_heat_opacity"], p["u_threshold"], p["u_dim"] = opacity, threshold, dim

    def advance(self) -> bool:
        """Do one small piece of queued work; False when there was none."""
        if self._work is None:
            return False
        try:
            next(self._work)
        except StopIteration:
            self._work = None
        return True

    def look_from(self, camera: Camera) -> None:
        """Take the camera of the picture that the heat is laid over."""
        box = self._box
        if box is None:
            return
        size = np.array(box.dims) * box.voxel
        self._program["u_voxel_z"] = box.voxel
        self._program["u_eye_h"] = ((camera.centre_w - box.lo_w) / size).astype(np.float32)
        # gloo takes matrices by columns
        self._program["u_ray_h"] = (ray_matrix(camera) / size[:, None]).T.astype(np.float32)

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
