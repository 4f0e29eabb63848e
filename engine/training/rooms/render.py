"""One view of a lit room: colours, depth along z, object ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress
from engine.training.rooms.cells import SurfaceCells
from engine.training.rooms.light import Light, bounce_points, direct, gather
from engine.training.rooms.mesh import Float32, to_srgb
from engine.training.rooms.scene import NOTHING, Hits, RoomScene

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class LightSettings:
    """How finely light is computed.

    Attributes:
        direct_cell, bounce_cell: edge of a surface cell for direct and for bounced light, metres.
        bounces: how often light is passed on.
        rays: directions per cell in the last bounce; earlier ones use a quarter.
        supersampling: rays per pixel along each side.
        exposure: factor on radiance before the tone curve.
    """

    direct_cell: float = 0.02
    bounce_cell: float = 0.06
    bounces: int = 3
    rays: int = 256
    supersampling: int = 2
    exposure: float = 1.8


@dataclass(frozen=True, eq=False)
class LitScene:
    """A scene with its irradiance computed for what some cameras see."""

    scene: RoomScene
    settings: LightSettings
    near: SurfaceCells
    near_light: Float32
    far: SurfaceCells
    far_light: Float32

    def radiance(self, hits: Hits) -> Float32:
        """(H, 3) light leaving the points towards anyone: albedo * E + emission (E: irradiance / pi)."""
        albedo, emission = self.scene.reflectance(hits)
        arriving = self.near.lookup(self.near_light, hits.pos, hits.normal)
        arriving += self.far.lookup(self.far_light, hits.pos, hits.normal)
        return albedo * arriving + emission


@dataclass(frozen=True, eq=False)
class Rendering:
    """``rgb`` (h, w, 3) uint8 sRGB; ``depth_z`` (h, w) float32 metres, 0 = nothing; ``objects`` (h, w) uint8 ids."""

    rgb: UInt8
    depth_z: Float32
    objects: UInt8


def light_scene(
    scene: RoomScene, lights: Sequence[Light], cameras: Sequence[Camera], settings: LightSettings, seed: int
) -> Job[LitScene]:
    """Compute the light on everything that the cameras see: same arguments, same result."""
    rng = np.random.default_rng(seed)
    near = SurfaceCells(scene.bounds(), settings.direct_cell)
    far = SurfaceCells(scene.bounds(), settings.bounce_cell)
    for i, camera in enumerate(cameras):
        yield Progress(i, len(cameras), "views", "finding surfaces")
        hits = scene.cast(*_subpixel_rays(camera, settings.supersampling))
        near.add(hits.pos, hits.normal)
        far.add(hits.pos, hits.normal)
    far.add(*bounce_points(scene, far, 16, rng))
    yield Progress(0, settings.bounces + 2, "passes", "direct light")
    first = direct(scene, lights, far, rng)
    bounced = np.zeros_like(first)
    for k in range(settings.bounces):
        yield Progress(k + 1, settings.bounces + 2, "passes", "bounced light")
        rays = settings.rays if k + 1 == settings.bounces else settings.rays // 4
        bounced = gather(scene, far, first + bounced, max(8, rays), rng)
    bounced = far.smoothed(bounced, 3)
    yield Progress(settings.bounces + 1, settings.bounces + 2, "passes", "direct light")
    near_light = direct(scene, lights, near, rng)
    return LitScene(scene, settings, near, near_light, far, bounced)


def render(lit: LitScene, camera: Camera) -> Rendering:
    """Render one view; depth and ids are those at the pixels' centres, colours are averaged over each pixel."""
    n = lit.settings.supersampling
    origin, direction = _subpixel_rays(camera, n)
    hits = lit.scene.cast(origin, direction)
    shown = np.zeros((len(direction), 3), np.float32)
    shown[hits.ray] = tone(lit.radiance(hits), lit.settings.exposure)
    rgb = shown.reshape(camera.height, camera.width, n * n, 3).mean(axis=2)
    depth_z, objects = render_geometry(lit.scene, camera)
    return Rendering(np.round(to_srgb(rgb) * 255).astype(np.uint8), depth_z, objects)


def render_geometry(scene: RoomScene, camera: Camera) -> tuple[Float32, UInt8]:
    """(h, w) float32 depth along z (0 = nothing) and (h, w) uint8 object ids at the pixels' centres."""
    hits = scene.cast(*_subpixel_rays(camera, 1))
    depth_z = np.zeros(camera.width * camera.height, np.float32)
    depth_z[hits.ray] = hits.t  # directions have unit z
    objects = np.full(len(depth_z), NOTHING, np.uint8)
    objects[hits.ray] = scene.object_id[hits.triangle]
    shape = (camera.height, camera.width)
    return depth_z.reshape(shape), objects.reshape(shape)


def tone(radiance: Float32, exposure: float, white: float = 2.4) -> Float32:
    """Radiance to displayable linear light: Reinhard's curve with ``white`` mapped to 1 (SIGGRAPH 2002, eq. 4)."""
    x = radiance * exposure
    return np.clip(x * (1 + x / white**2) / (1 + x), 0, 1).astype(np.float32)


def _subpixel_rays(camera: Camera, n: int) -> tuple[Float32, Float32]:
    """Rays through an n by n grid inside each pixel, pixel by pixel: origins and directions of unit z."""
    step = (np.arange(n) + 0.5) / n - 0.5
    sub = np.stack(np.meshgrid(step, step), axis=-1).reshape(-1, 2)
    px = (camera.pixel_grid()[:, None] + sub).reshape(-1, 2)
    d = camera.ray_z(px).astype(np.float32)
    return np.broadcast_to(camera.centre_w.astype(np.float32), d.shape), d
