"""All views of a scene at once and quickly: what each ray meets is found once and serves light, colour and depth.

Light is computed on coarse cells with one bounce, and pixels are sampled once, but for those on an edge, which are
sampled again at three places around their centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.api.camera import Camera
from engine.training.rooms.cells import SurfaceCells
from engine.training.rooms.light import Light, bounce_points, direct, gather
from engine.training.rooms.mesh import Float32, to_srgb
from engine.training.rooms.render import Rendering, tone
from engine.training.rooms.scene import NOTHING, Hits, RoomScene

DIRECT_CELL, BOUNCE_CELL = 0.07, 0.22
"""Edge of a cell for direct and for bounced light, metres."""

RAYS = 24
BOUNCE_POINTS = 4
FURTHER = 0.5
"""Light that has bounced more than once, as a share of the mean of what has bounced once; taken to be everywhere."""

EDGE_Z = 0.04
"""Depths of neighbours that differ by more than this share lie on either side of an edge."""

EDGE_LIGHT = 0.06
OFFSETS = ((-0.3, -0.1), (0.1, -0.3), (0.2, 0.35))
"""Further samples of a pixel on an edge, in pixels from its centre."""


@dataclass(frozen=True, eq=False)
class Look:
    """How a capture is exposed.

    Attributes:
        middle: displayed linear light, in (0, 1), that the median pixel gets.
        backdrop: sRGB in [0, 1] where there is nothing.
    """

    middle: float = 0.25
    backdrop: float = 1.0


@dataclass(frozen=True, eq=False)
class _Lit:
    """A scene and the (C, 3) light that arrives at its cells, direct and bounced."""

    scene: RoomScene
    cells: SurfaceCells
    light: Float32

    def radiance(self, hits: Hits) -> Float32:
        """(H, 3) light leaving the points towards anyone."""
        albedo, emission = self.scene.reflectance(hits)
        return albedo * self.cells.lookup(self.light, hits.pos, hits.normal) + emission


def render_views(
    scene: RoomScene, lights: Sequence[Light], cameras: Sequence[Camera], look: Look, scale: float, seed: int
) -> list[Rendering]:
    """Light and render all views: same arguments, same result.

    Args:
        scene: what is seen.
        lights: what shines on it.
        cameras: the views.
        look: exposure.
        scale: factor on the light cells' size (1 for a room, less for a small object).
        seed: of the light samples.
    """
    rng = np.random.default_rng(seed)
    seen = [scene.cast(*_rays(c, c.pixel_grid())) for c in cameras]
    lit = _light(scene, lights, seen, scale, rng)
    colours = [lit.radiance(hits) for hits in seen]
    exposure = _exposure(colours, look)
    return [
        _finish(lit, camera, hits, colour, exposure, look)
        for camera, hits, colour in zip(cameras, seen, colours, strict=True)
    ]


def _light(
    scene: RoomScene, lights: Sequence[Light], seen: Sequence[Hits], scale: float, rng: np.random.Generator
) -> _Lit:
    bounds = scene.bounds()
    near = SurfaceCells(bounds, DIRECT_CELL * scale)
    far = SurfaceCells(bounds, BOUNCE_CELL * scale)
    for hits in seen:
        near.add(hits.pos, hits.normal)
    far.add(near.pos, near.normal)
    far.add(*bounce_points(scene, far, BOUNCE_POINTS, rng))
    bounced = gather(scene, far, direct(scene, lights, far, rng), RAYS, rng)
    bounced = far.smoothed(bounced + np.float32(FURTHER) * bounced.mean(axis=0), 2)
    light = direct(scene, lights, near, rng) + far.lookup(bounced, near.pos, near.normal)
    return _Lit(scene, near, light)


def _exposure(colours: Sequence[Float32], look: Look) -> float:
    """The factor that gives the median pixel the wanted brightness under ``tone`` (its curve without the white)."""
    some = np.concatenate([c[::17] for c in colours if len(c)] or [np.ones((1, 3), np.float32)])
    median = max(float(np.median(some.mean(axis=1))), 1e-4)
    return look.middle / (1 - look.middle) / median


def _finish(lit: _Lit, camera: Camera, hits: Hits, colour: Float32, exposure: float, look: Look) -> Rendering:
    """Colours, depth and ids of one view, its edges sampled again."""
    shape = (camera.height, camera.width)
    backdrop = np.float32(look.backdrop)
    shown = np.full((camera.width * camera.height, 3), backdrop, np.float32)
    shown[hits.ray] = tone(colour, exposure)
    depth_z = np.zeros(len(shown), np.float32)
    depth_z[hits.ray] = hits.t  # directions have unit z
    objects = np.full(len(shown), NOTHING, np.uint8)
    objects[hits.ray] = lit.scene.object_id[hits.triangle]
    edge = np.flatnonzero(_edges(shown.reshape(*shape, 3), depth_z.reshape(shape), objects.reshape(shape)))
    if len(edge):
        centres = camera.pixel_grid()[edge]
        total = shown[edge]
        for offset in OFFSETS:
            again = lit.scene.cast(*_rays(camera, centres + np.array(offset)))
            more = np.full((len(edge), 3), backdrop, np.float32)
            more[again.ray] = tone(lit.radiance(again), exposure)
            total += more
        shown[edge] = total / (1 + len(OFFSETS))
    rgb = np.round(to_srgb(shown) * 255).astype(np.uint8).reshape(*shape, 3)
    return Rendering(rgb, depth_z.reshape(shape), objects.reshape(shape))


def _edges(shown: Float32, depth_z: Float32, objects: np.ndarray) -> np.ndarray:
    """(h w,) whether a pixel differs from its right or lower neighbour in object, depth or brightness."""
    edge = np.zeros(objects.shape, np.bool_)
    green = shown[..., 1]  # near enough to brightness
    for a, b in (
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        differs = objects[a] != objects[b]
        differs |= np.abs(depth_z[a] - depth_z[b]) > EDGE_Z * np.minimum(depth_z[a], depth_z[b])
        differs |= np.abs(green[a] - green[b]) > EDGE_LIGHT
        edge[a] |= differs
        edge[b] |= differs
    return edge.ravel()


def _rays(camera: Camera, pos_px: np.ndarray) -> tuple[Float32, Float32]:
    """Origins and directions of unit z through (N, 2) pixels."""
    to_world = camera.c2w[:3, :3] @ np.linalg.inv(camera.intrinsics)
    d = (pos_px @ to_world[:, :2].T + to_world[:, 2]).astype(np.float32)
    return np.broadcast_to(camera.centre_w.astype(np.float32), d.shape), d
