"""The radiance volume: sparse voxels as 3D textures, uploaded bit by bit, marched into a picture with depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import dense, gl
from app.canvas.camera_sync import ray_matrix
from app.canvas.picking import VolumePicker
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
    heat: UInt8 | None = None


class VolumeVisual:
    """Draws a ``Volume``; new contents replace the old ones only when they are whole on the GPU.

    Work is queued by the setters and done by ``advance``, a slab at a time.
    """

    def __init__(self) -> None:
        # two programs, for software GL runs what a uniform switches off
        self._plain = _program()
        self._heated = _program(HEAT=1)
        self._heated["u_heat"] = gl.texture_3d((1, 1, 1, 2), smooth=True)
        self._heated["u_map"] = gl.gloo.Texture2D(np.zeros((1, 256, 3), np.uint8), interpolation="linear")
        self._volume: Volume | None = None
        self._box: dense.Box | None = None
        self._shown_box: dense.Box | None = None
        self._spare: list[Any] = []
        self._colour: Any = None
        self._heat: Any = None
        self._work: dict[str, Iterator[None]] = {}
        self._next: _Next | None = None
        self._cameras: Sequence[Camera] = ()
        self.picker: VolumePicker | None = None
        self.heat_on = False
        self.revision = 0  # grows whenever what is drawn changes
        self.urgent = False  # whether the last change is one that the user waits for
        self.set_uniforms(opacity=1.0, cutaway=1.0, heat_opacity=1.0, threshold=0.4, dim=1.0)

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
            self.clear_heat()
        elif "volume" in self._work:
            self._next = _Next(volume, cameras, rgb)
        else:
            self._begin(volume, cameras, rgb)

    def _begin(self, volume: Volume, cameras: Sequence[Camera], rgb: UInt8 | None) -> None:
        self._work.clear()
        self.clear_heat()
        self._volume, self._cameras = volume, cameras
        self._work["volume"] = self._load(volume, cameras, rgb)

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

    def set_heat(self, heat: UInt8) -> None:
        """Overlay (V,) uint8 heat of the volume set last."""
        if self._next is not None:
            self._next.heat = heat
            return
        if self._volume is None:
            return
        self._work["heat"] = self._load_heat(heat)

    def clear_heat(self) -> None:
        if self._next is not None:
            self._next.heat = None
        self._work.pop("heat", None)
        self.heat_on = False

    def set_map(self, rgb: UInt8) -> None:
        """(256, 3) colour map of heat."""
        self._heated["u_map"].set_data(np.ascontiguousarray(rgb[None]))

    def set_uniforms(self, **values: float) -> None:
        """``opacity``, ``cutaway``, ``heat_opacity``, ``threshold``, ``dim``."""
        for name, value in values.items():
            if name in ("opacity", "cutaway"):
                self._plain[f"u_{name}"] = float(value)
            self._heated[f"u_{name}"] = float(value)

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
        for program in (self._plain, self._heated):
            self._march(program, camera, np.zeros(3), 1.0, 1.0, (0.0, 1.0))

    def advance(self) -> bool:
        """Do one small piece of queued work; False when there was none."""
        for name in ("volume", "colours", "heat"):
            if name in self._work:
                try:
                    next(self._work[name])
                except StopIteration:
                    self._work.pop(name, None)
                    if name == "volume" and self._next is not None:
                        following, self._next = self._next, None
                        self._begin(following.volume, following.cameras, following.rgb)
                        if following.heat is not None:
                            self.set_heat(following.heat)
                return True
        return False

    def draw(self, camera: Camera, step: float, band: tuple[float, float] = (0.0, 1.0)) -> None:
        """March into the bound framebuffer; ``step`` in voxels, ``band`` the part of the height, 0 = bottom."""
        box = self._shown_box
        if box is None:
            return
        self._march(self._heated if self.heat_on else self._plain, camera, box.lo_w, box.voxel, step, band)

    def _march(
        self,
        p: Any,
        camera: Camera,
        lo_w: NDArray[np.float64],
        voxel: float,
        step: float,
        band: tuple[float, float],
    ) -> None:
        p["u_eye_v"] = ((camera.centre_w - lo_w) / voxel).astype(np.float32)
        # gloo takes matrices by columns
        p["u_ray_v"] = (ray_matrix(camera) / voxel).T.astype(np.float32)
        p["u_step"] = step
        p["u_band"] = band
        gl.gloo.set_state(blend=False, depth_test=False)
        p.draw("triangle_strip")

    def _load(self, volume: Volume, cameras: Sequence[Camera], rgb: UInt8 | None) -> Iterator[None]:
        box = dense.Box.around(volume)
        yield
        skip = yield from dense.leaps(box)
        facing = yield from dense.facing(box, cameras)
        alpha = box.sorted(volume.rgba[:, 3])
        texture = self._texture((*box.dims, 4))
        yield from self._fill(texture, box, self._colours(volume, box, rgb))
        cells = np.concatenate([np.round((facing * 0.5 + 0.5) * 255).astype(np.uint8), skip[..., None]], axis=-1)
        self._set(
            u_cells=_texture_of(cells, smooth=False),
            u_dims=tuple(float(n) for n in box.dims),
            u_coarse_dims=tuple(float(n) for n in box.coarse_dims),
            u_cell=float(dense.CELL),
        )
        self._show(texture)
        self.urgent = self._shown_box is None
        self._box = self._shown_box = box
        self.revision += 1
        self.picker = VolumePicker(box, alpha, facing)

    def _recolour(self, volume: Volume, box: dense.Box, rgb: UInt8 | None) -> Iterator[None]:
        texture = self._texture((*box.dims, 4))
        yield from self._fill(texture, box, self._colours(volume, box, rgb))
        self._show(texture)
        self.revision += 1
        self.urgent = True

    def _load_heat(self, heat: UInt8) -> Iterator[None]:
        box = self._box
        if box is None:
            return
        if self._heat is None or self._heat.shape != (*box.dims, 2):
            self._heat = gl.texture_3d((*box.dims, 2), smooth=True)
        values = np.stack([box.sorted(heat), np.full(len(heat), 255, np.uint8)], axis=1)
        yield from self._fill(self._heat, box, values)
        self._heated["u_heat"] = self._heat
        self.heat_on = True
        self.revision += 1
        self.urgent = True

    def _set(self, **uniforms: Any) -> None:
        for program in (self._plain, self._heated):
            for name, value in uniforms.items():
                program[name] = value

    def _colours(self, volume: Volume, box: dense.Box, rgb: UInt8 | None) -> UInt8:
        own = volume.rgba[:, :3] if rgb is None else rgb
        return box.sorted(dense.premultiplied(own, volume.rgba[:, 3]))

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


def _program(**defines: int) -> Any:
    vert, frag = loader.program("volume", MAX_SAMPLES=MAX_SAMPLES, MAX_LEAPS=MAX_LEAPS, **defines)
    program: Any = gl.gloo.Program(vert, frag)
    program["a_corner"] = gl.gloo.VertexBuffer(np.array(gl.UNIT_CORNERS, np.float32))
    return program


def _texture_of(data: UInt8, *, smooth: bool) -> Any:
    texture = gl.texture_3d(data.shape, smooth=smooth)
    texture.set_data(np.ascontiguousarray(data))
    return texture
