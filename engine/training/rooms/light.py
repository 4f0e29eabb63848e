"""Diffuse illumination, computed once per surface cell and shared by all views.

Irradiance at a surface depends on place and orientation, never on who looks. So it is computed at the surface's own
small cells (``SurfaceCells``) and interpolated: every view sees exactly the same light, free of sampling noise between
views. Direct light comes from areas (``RectLight``, ``BallLight``, ``Sun``) by many shadow rays; bounced light by
gathering over the hemisphere, repeated per bounce (a radiosity iteration).

Everywhere here irradiance means irradiance / pi, so that a diffuse surface leaves radiance albedo * E.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.training.rooms.cells import SurfaceCells, tangents
from engine.training.rooms.mesh import Float32
from engine.training.rooms.scene import RoomScene

LIFT = 0.003
"""Metres by which a shadow ray starts above its surface."""

CHUNK = 1 << 21
"""Rays cast at a time, to bound memory."""


class Light(Protocol):
    """A light that can be sampled."""

    def samples(self, rng: np.random.Generator) -> tuple[Float32, Float32]:
        """(S, 3) points on the light and (S, 3) unit normals there (zero for a light that shines equally around)."""
        ...

    def irradiance(self, towards: Float32, normal_l: Float32, normal: Float32) -> Float32:
        """(N, 3) irradiance from one sample: ``towards`` (N, 3) from surface to sample, both normals."""
        ...


@dataclass(frozen=True, eq=False)
class RectLight:
    """A rectangle of constant radiance (a window): ``corner`` + [0, 1] ``u`` + [0, 1] ``v``, shining along u × v."""

    corner: Float32
    u: Float32
    v: Float32
    radiance: Float32
    grid: tuple[int, int] = (8, 8)

    def samples(self, rng: np.random.Generator) -> tuple[Float32, Float32]:
        nu, nv = self.grid
        a, b = np.meshgrid(np.arange(nu), np.arange(nv), indexing="ij")
        s = (np.stack([a.ravel(), b.ravel()], axis=1) + rng.random((nu * nv, 2))) / [nu, nv]
        pos = self.corner + s[:, :1] * self.u + s[:, 1:] * self.v
        n = np.cross(self.u, self.v)
        return pos.astype(np.float32), np.tile(n / np.linalg.norm(n), (nu * nv, 1)).astype(np.float32)

    def irradiance(self, towards: Float32, normal_l: Float32, normal: Float32) -> Float32:
        area = np.linalg.norm(np.cross(self.u, self.v)) / (self.grid[0] * self.grid[1])
        d2 = np.maximum((towards**2).sum(axis=1), 0.01)
        cos_s = np.maximum((towards * normal).sum(axis=1), 0) / np.sqrt(d2)
        cos_l = np.maximum(-(towards @ normal_l), 0) / np.sqrt(d2)
        return (cos_s * cos_l / d2 * area)[:, None] * self.radiance


@dataclass(frozen=True, eq=False)
class BallLight:
    """A small glowing ball of the given ``intensity`` (3,), radiance × area / 4, sampled at ``count`` points inside."""

    centre: Float32
    radius: float
    intensity: Float32
    count: int = 32

    def samples(self, rng: np.random.Generator) -> tuple[Float32, Float32]:
        d = rng.normal(size=(self.count, 3))
        d *= self.radius * rng.random((self.count, 1)) ** (1 / 3) / np.linalg.norm(d, axis=1, keepdims=True)
        return (self.centre + d).astype(np.float32), np.zeros((self.count, 3), np.float32)

    def irradiance(self, towards: Float32, normal_l: Float32, normal: Float32) -> Float32:
        d2 = np.maximum((towards**2).sum(axis=1), self.radius**2)
        cos_s = np.maximum((towards * normal).sum(axis=1), 0) / np.sqrt(d2)
        return (cos_s / d2 / self.count)[:, None] * self.intensity


@dataclass(frozen=True, eq=False)
class Sun:
    """Light from afar: ``direction`` (3,) points to it, ``radius`` degrees wide, ``power`` (3,) at normal incidence."""

    direction: Float32
    power: Float32
    radius: float = 1.2
    count: int = 28
    distance: float = 50.0

    def samples(self, rng: np.random.Generator) -> tuple[Float32, Float32]:
        d = np.asarray(self.direction, np.float64) / np.linalg.norm(self.direction)
        x = np.cross(d, [0, 0, 1.0])
        x /= np.linalg.norm(x)
        r = np.tan(np.deg2rad(self.radius)) * np.sqrt(rng.random((self.count, 1)))
        a = 2 * np.pi * rng.random((self.count, 1))
        pos = self.distance * (d + r * (np.cos(a) * x + np.sin(a) * np.cross(d, x)))
        return pos.astype(np.float32), np.zeros((self.count, 3), np.float32)

    def irradiance(self, towards: Float32, normal_l: Float32, normal: Float32) -> Float32:
        d = np.asarray(self.direction, np.float32) / np.linalg.norm(self.direction)
        cos_s = np.maximum(normal @ d, 0)
        return ((cos_s / self.count)[:, None] * self.power).astype(np.float32)


def direct(scene: RoomScene, lights: Sequence[Light], cells: SurfaceCells, rng: np.random.Generator) -> Float32:
    """(C, 3) irradiance straight from the lights: every cell uses the same light samples, so neighbours agree."""
    origin = cells.pos + LIFT * cells.normal
    total = np.zeros((len(origin), 3), np.float32)
    for light in lights:
        points, normals = light.samples(rng)
        for point, normal_l in zip(points, normals, strict=True):
            towards = point - origin
            arriving = light.irradiance(towards, normal_l, cells.normal)
            lit = np.flatnonzero(arriving.any(axis=1))
            for part in np.array_split(lit, max(1, -(-len(lit) // CHUNK))):
                free = part[~scene.blocked(origin[part], towards[part])]
                total[free] += arriving[free].astype(np.float32)
    return total


def gather(scene: RoomScene, cells: SurfaceCells, leaving: Float32, rays: int, rng: np.random.Generator) -> Float32:
    """(C, 3) irradiance bounced once off other surfaces.

    Cosine-weighted hemisphere sampling: E = π · mean of L over the rays, with L = albedo · E_hit / π at the point
    hit, so E is the mean of albedo · E_hit. ``leaving`` (C, 3) is the irradiance at the same cells before this bounce.
    """
    directions = _cosine_directions(rays, rng)
    turn = 2 * np.pi * rng.random(len(cells.pos))
    x, y = tangents(cells.normal)
    c, s = np.cos(turn)[:, None].astype(np.float32), np.sin(turn)[:, None].astype(np.float32)
    x, y = c * x + s * y, c * y - s * x
    total = np.zeros((len(cells.pos), 3), np.float32)
    per_chunk = max(1, CHUNK // rays)
    for first in range(0, len(cells.pos), per_chunk):
        part = slice(first, min(first + per_chunk, len(cells.pos)))
        n = part.stop - part.start
        basis = np.stack([x[part], y[part], cells.normal[part]], axis=1)
        d = np.einsum("rk,nkd->nrd", directions, basis).reshape(-1, 3)
        o = np.repeat(cells.pos[part] + LIFT * cells.normal[part], rays, axis=0)
        hits, albedo = scene.first_mean_albedo(o, d)
        bounced = albedo * cells.lookup(leaving, hits.pos, hits.normal)
        for k in range(3):
            total[part, k] = np.bincount(hits.ray // rays, weights=bounced[:, k], minlength=n) / rays
    return total


def bounce_points(
    scene: RoomScene, cells: SurfaceCells, rays: int, rng: np.random.Generator
) -> tuple[Float32, Float32]:
    """(H, 3) points and normals that light reaching the cells may have bounced off."""
    which = np.repeat(np.arange(len(cells.pos)), rays)
    x, y = tangents(cells.normal)
    local = _cosine_directions(len(which), rng)[rng.permutation(len(which))]
    d = local[:, :1] * x[which] + local[:, 1:2] * y[which] + local[:, 2:] * cells.normal[which]
    hits = scene.cast(cells.pos[which] + LIFT * cells.normal[which], d.astype(np.float32))
    return hits.pos, hits.normal


def _cosine_directions(count: int, rng: np.random.Generator) -> Float32:
    """(count, 3) directions about +z, density ∝ cosine, spread by a golden-angle spiral (Malley's method)."""
    k = np.arange(count) + rng.random()
    r = np.sqrt(np.clip((np.arange(count) + 0.5) / count, 0, 1))
    a = k * np.pi * (3 - np.sqrt(5))
    return np.stack([r * np.cos(a), r * np.sin(a), np.sqrt(1 - r**2)], axis=1).astype(np.float32)
