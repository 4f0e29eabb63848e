"""The radiance volume: sparse voxels as 3D textures, uploaded bit by bit, marched into a picture with depth."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import dense, gl
from app.canvas.camera_sync import ray_matrix
from app.canvas.picking import VolumePicker, clipped
from app.clip import Box
from engine.api.camera import Camera
from engine.api.scene import Volume
from shaders import loader

UInt8 = NDArray[np.uint8]
MAX_SAMPLES, MAX_LEAPS = 512, 128


@dataclass
class _Next:
    """The volume that follows the one being loaded."""

    volume: Volume
    cameras: Sequence[Camera]
    rgb: UInt8 | None


class VolumeVisual:
    """Draws a ``Volume``; new contents replace the old ones only when they are whole on the GPU.

    Work is queued by the setters and done by ``advance``, a slab at a time.
    """

    def __init__(self) -> None:
        self._program = _program()
        self._volume: Volume | None = None
        self._box: dense.Box | None = None
        self._shown_box: dense.Box | None = None
        self._spare: list[Any] = []
        self._colour: Any = None
        self._work: dict[str, Iterator[None]] = {}
        self._prepared: Future[dense.Prepared] = Future()
        self._rest_until = 0.0
        self._next: _Next | None = None
        self._cameras: Sequence[Camera] = ()
        self.picker: VolumePicker | None = None
        self.revision = 0  # grows whenever what is drawn changes
        self.urgent = False  # whether the last change is one that the user waits for
        self.clip: Box | None = None
        self.set_uniforms(opacity=1.0, cutaway=1.0)

    @property
    def ready(self) -> bool:
        """Whether there is anything to draw yet."""
        return self._shown_box is not None

    @property
    def busy(self) -> bool:
        """Whether uploads are waiting."""
        return bool(self._work)

    def set_volume(self, volume: Volume | None, cameras: Sequence[Camera], rgb: UInt8 | None = None) -> None:
        """Show another volume; ``rgb`` (V, 3) replaces its colours.

        One that is being loaded is finished first: a fit may send them faster than a slow machine loads them, and
        would otherwise never be seen.
        """
        if volume is None:
            self._work.clear()
            self._next = self._volume = None
            self._box = self._shown_box = self.picker = None
        elif "volume" in self._work:
            self._next = _Next(volume, cameras, rgb)
        else:
            self._begin(volume, cameras, rgb)

    def _begin(self, volume: Volume, cameras: Sequence[Camera], rgb: UInt8 | None) -> None:
        self._work.pop("colours", None)
        self._volume, self._cameras = volume, cameras
        self._work["volume"] = self._load(volume, cameras, rgb)

    def _load(self, volume: Volume, cameras: Sequence[Camera], rgb: UInt8 | None) -> Iterator[None]:
        """Prepare on another thread, for it takes a tenth of a second or more; upload on this one."""
        self._prepared = _pool().submit(dense.prepare, volume, cameras, rgb, self._rest)
        return self._upload(self._prepared)

    def rest(self, seconds: float) -> None:
        """Leave the cores to others from now on for so long."""
        self._rest_until = time.monotonic() + seconds

    def _rest(self) -> None:
        """Runs on the other thread."""
        while (left := self._rest_until - time.monotonic()) > 0:
            time.sleep(min(left, 0.005))

    def set_colours(self, rgb: UInt8 | None) -> None:
        """Colour the volume set last otherwise: (V, 3) uint8, or None for its own colours."""
        if self._next is not None:
            self._next.rgb = rgb
            return
        if self._volume is None:
            return
        if "volume" in self._work or self._box is None:
            self._work["volume"] = self._load(self._volume, self._cameras, rgb)
            return
        self._work["colours"] = self._recolour(self._volume, self._box, rgb)

    def set_uniforms(self, **values: float) -> None:
        """``opacity``, ``cutaway``."""
        for name, value in values.items():
            self._program[f"u_{name}"] = float(value)

    def set_backdrop(self, low: Sequence[float], high: Sequence[float]) -> None:
        self._set(u_backdrop_low=tuple(low), u_backdrop_high=tuple(high))

    def warm(self, camera: Camera) -> None:
        """Draw once with next to nothing: software GL compiles a shader at its first use, which takes a while."""
        unit = (1.0, 1.0, 1.0)
        self._set(
            u_colour=_texture_of(np.zeros((1, 1, 1, 4), np.uint8), smooth=True),
            u_cells=_texture_of(np.zeros((1, 1, 1, 4), np.uint8), smooth=False),
            u_dims=unit, u_coarse_dims=unit, u_cell=1.0,
        )  # fmt: skip
        self._march(camera, np.zeros(3), 1.0, (1, 1, 1), 1.0, (0.0, 1.0))

    def advance(self, *, wait: bool = False) -> bool:
        """Do one small piece of queued work; False when there is none to be done now.

        ``wait`` for what is being prepared on the other thread.
        """
        for name in ("volume", "colours"):
            if name in self._work:
                if name == "volume" and not wait and not self._prepared.done():
                    continue
                try:
                    next(self._work[name])
                except StopIteration:
                    self._work.pop(name, None)
                    if name == "volume" and self._next is not None:
                        following, self._next = self._next, None
                        self._begin(following.volume, following.cameras, following.rgb)
                return True
        return False

    def draw(self, camera: Camera, step: float, band: tuple[float, float] = (0.0, 1.0)) -> None:
        """March into the bound framebuffer; ``step`` in voxels, ``band`` the part of the height, 0 = bottom."""
        box = self._shown_box
        if box is None:
            return
        self._march(camera, box.lo_w, box.voxel, box.dims, step, band)

    def _march(
        self, camera: Camera, lo_w: NDArray[np.float64], voxel: float, dims: tuple[int, int, int], step: float,
        band: tuple[float, float],
    ) -> None:  # fmt: skip
        p = self._program
        p["u_clip_lo"], p["u_clip_hi"] = clipped(self.clip, lo_w, voxel, dims)
        p["u_eye_v"] = ((camera.centre_w - lo_w) / voxel).astype(np.float32)
        # gloo takes matrices by columns
        p["u_ray_v"] = (ray_matrix(camera) / voxel).T.astype(np.float32)
        p["u_step"] = step
        p["u_band"] = band
        gl.gloo.set_state(blend=False, depth_test=False)
        p.draw("triangle_strip")

    def _upload(self, prepared: Future[dense.Prepared]) -> Iterator[None]:
        ready = prepared.result()
        box = ready.box
        texture = self._texture((*box.dims, 4))
        yield from self._fill(texture, box, ready.rgba)
        self._set(
            u_cells=_texture_of(ready.cells, smooth=False),
            u_dims=tuple(float(n) for n in box.dims),
            u_coarse_dims=tuple(float(n) for n in box.coarse_dims),
            u_cell=float(dense.CELL),
        )
        self._show(texture)
        self.urgent = self._shown_box is None
        self._box = self._shown_box = box
        self.revision += 1
        self.picker = VolumePicker(box, ready.alpha, ready.facing)

    def _recolour(self, volume: Volume, box: dense.Box, rgb: UInt8 | None) -> Iterator[None]:
        texture = self._texture((*box.dims, 4))
        yield from self._fill(texture, box, dense.colours_of(volume, box, rgb))
        self._show(texture)
        self.revision += 1
        self.urgent = True

    def _set(self, **uniforms: Any) -> None:
        for name, value in uniforms.items():
            self._program[name] = value

    def _fill(self, texture: Any, box: dense.Box, values: UInt8) -> Iterator[None]:
        for x, slab in dense.slabs(box, values):
            texture.set_data(slab, offset=(x, 0, 0))
            yield

    def _texture(self, shape: tuple[int, ...]) -> Any:
        spare = next((t for t in self._spare if t.shape == shape), None)
        self._spare.clear()
        return gl.texture_3d(shape, smooth=True) if spare is None else spare

    def _show(self, texture: Any) -> None:
        if self._colour is not None and self._colour is not texture:
            self._spare.append(self._colour)
        self._colour = texture
        self._set(u_colour=texture)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="volume")


def _program() -> Any:
    program: Any = gl.gloo.Program(*loader.program("volume", MAX_SAMPLES=MAX_SAMPLES, MAX_LEAPS=MAX_LEAPS))
    program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
    return program


def _texture_of(data: UInt8, *, smooth: bool) -> Any:
    texture = gl.texture_3d(data.shape, smooth=smooth)
    texture.set_data(np.ascontiguousarray(data))
    return texture
