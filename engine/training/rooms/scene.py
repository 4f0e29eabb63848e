"""A room as one ray-cast scene: named objects, their triangles, and the reflectance at any hit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import get_num_threads, njit, prange
from numpy.typing import NDArray

from engine.training.rooms.mesh import Float32, Floats, Int32, Material, Mesh, merged

if TYPE_CHECKING:
    import open3d as o3d
    import open3d.core as o3c

NOTHING = 0
"""Object id where no object is."""


@dataclass(frozen=True)
class RoomObject:
    """One named thing: ``label`` is its class; ``model``, ``creator`` and ``licence`` say where it comes from."""

    id: int
    name: str
    label: str
    model: str | None
    creator: str
    licence: str


@dataclass(eq=False)
class Room:
    """What stands in a room, before rendering. Ids count from 1 in the order of ``add``."""

    objects: list[RoomObject] = field(default_factory=list)
    meshes: list[Mesh] = field(default_factory=list)

    def add(
        self, mesh: Mesh, name: str, label: str, *, model: str | None = None, creator: str, licence: str
    ) -> RoomObject:
        """Put a placed mesh into the room under a name."""
        made = RoomObject(len(self.objects) + 1, name, label, model, creator, licence)
        self.objects.append(made)
        self.meshes.append(mesh)
        return made


@dataclass(frozen=True, eq=False)
class Hits:
    """Where N rays ended, as far as they hit anything.

    Attributes:
        ray: (H,) which rays hit.
        t: (H,) distance in units of the ray's direction.
        pos: (H, 3) points.
        normal: (H, 3) unit shading normals, towards the ray's origin.
        triangle: (H,) which triangle.
        uv: (H, 2) texture coordinates.
    """

    ray: NDArray[np.int64]
    t: Float32
    pos: Float32
    normal: Float32
    triangle: NDArray[np.int64]
    uv: Float32


class RoomScene:
    """A room ready for rays (Embree through Open3D, on as many threads as numba is set to)."""

    def __init__(self, room: Room) -> None:
        whole = merged(room.meshes)
        self.corners, self.normals, self.uv, self.material = whole.corners, whole.normals, whole.uv, whole.material
        self.materials = whole.materials
        self.object_id = np.concatenate(
            [np.full(len(m.material), o.id, np.uint8) for o, m in zip(room.objects, room.meshes, strict=True)]
        )
        self.albedo = np.stack([m.albedo for m in self.materials])
        self.mean_albedo = np.stack([m.mean for m in self.materials])
        dark = np.zeros(3, np.float32)
        self.emission = np.stack([dark if m.emission is None else m.emission for m in self.materials])
        glows = np.asarray(self.emission.any(axis=1))
        self._texels, self._sizes = _packed(self.materials)
        self._seen = _caster(self.corners)
        self._solid = _caster(self.corners[~glows[self.material]])

    def bounds(self) -> Float32:
        """(2, 3) lowest and highest corner of everything."""
        flat = self.corners.reshape(-1, 3)
        return np.stack([flat.min(axis=0), flat.max(axis=0)])

    def cast(self, origin: Floats, direction: Float32) -> Hits:
        """(N, 3) origins and directions to what they hit first."""
        rays = _tensor(np.concatenate([origin, direction], axis=1).astype(np.float32))
        answer = self._seen.cast_rays(rays, nthreads=get_num_threads())
        t = answer["t_hit"].numpy()
        ray = np.flatnonzero(np.isfinite(t))
        tri = answer["primitive_ids"].numpy()[ray].astype(np.int64)
        bary = answer["primitive_uvs"].numpy()[ray]
        t = t[ray]
        pos, normal, uv = _surface_at(np.ascontiguousarray(origin), direction, ray, t, tri, bary, self.normals, self.uv)
        return Hits(ray, t, pos, normal, tri, uv)

    def blocked(self, origin: Floats, direction: Floats) -> NDArray[np.bool_]:
        """(N,) whether anything solid lies between origin and origin + direction."""
        rays = _tensor(np.concatenate([origin, direction], axis=1).astype(np.float32))
        return self._solid.test_occlusions(rays, tnear=0.0, tfar=0.999, nthreads=get_num_threads()).numpy()

    def first_mean_albedo(self, origin: Floats, direction: Float32) -> tuple[Hits, Float32]:
        """As ``cast``, with the (H, 3) average reflectance of what was hit: enough for bounced light."""
        hits = self.cast(origin, direction)
        return hits, self.mean_albedo[self.material[hits.triangle]]

    def reflectance(self, hits: Hits) -> tuple[Float32, Float32]:
        """(H, 3) albedo with texture, (H, 3) emission (textured likewise)."""
        m = self.material[hits.triangle]
        texture = _sample(self._texels, self._sizes, m, hits.uv)
        return self.albedo[m] * texture, self.emission[m] * texture


def _caster(corners: Float32) -> o3d.t.geometry.RaycastingScene:
    import open3d as o3d  # takes 1.6 s, and who reads rooms needs no rays

    caster = o3d.t.geometry.RaycastingScene()
    faces = np.arange(3 * len(corners), dtype=np.uint32).reshape(-1, 3)
    caster.add_triangles(_tensor(np.ascontiguousarray(corners.reshape(-1, 3))), _tensor(faces))
    return caster


def _tensor(a: NDArray[Any]) -> o3c.Tensor:
    import open3d.core as o3c

    return o3c.Tensor(a)  # pyright: ignore[reportCallIssue, reportArgumentType] - its stubs do not know arrays


def _packed(materials: tuple[Material, ...]) -> tuple[Float32, NDArray[np.int64]]:
    """All textures in one (N, 3) array, and per material (first texel, height, width); no texture = one white texel."""
    parts, sizes, first = [], [], 0
    for m in materials:
        texels = np.ones((1, 1, 3), np.float32) if m.texture is None else m.texture
        parts.append(texels.reshape(-1, 3))
        sizes.append((first, *texels.shape[:2]))
        first += len(parts[-1])
    return np.concatenate(parts).astype(np.float32), np.array(sizes, np.int64)


@njit(parallel=True, nogil=True, cache=True)
def _surface_at(
    origin: Float32,
    direction: Float32,
    ray: NDArray[np.int64],
    t: Float32,
    triangle: NDArray[np.int64],
    bary: Float32,
    normals: Float32,
    uvs: Float32,
) -> tuple[Float32, Float32, Float32]:
    """(H, 3) points, (H, 3) unit normals towards the origins and (H, 2) texture coordinates of H hits."""
    pos, normal, uv = np.empty((len(ray), 3), np.float32), np.empty((len(ray), 3), np.float32), np.empty_like(bary)
    for i in prange(len(ray)):
        r, k = ray[i], triangle[i]
        b, c = bary[i, 0], bary[i, 1]
        a = np.float32(1) - b - c
        length, along = np.float32(0), np.float32(0)
        for d in range(3):
            pos[i, d] = origin[r, d] + t[i] * direction[r, d]
            n = a * normals[k, 0, d] + b * normals[k, 1, d] + c * normals[k, 2, d]
            normal[i, d] = n
            length += n * n
            along += n * direction[r, d]
        scale = np.float32(1) / max(np.sqrt(length), np.float32(1e-9))
        if along > 0:
            scale = -scale
        for d in range(3):
            normal[i, d] *= scale
        for d in range(2):
            uv[i, d] = a * uvs[k, 0, d] + b * uvs[k, 1, d] + c * uvs[k, 2, d]
    return pos, normal, uv


@njit(parallel=True, nogil=True, cache=True)
def _sample(texels: Float32, sizes: NDArray[np.int64], material: Int32, uv: Float32) -> Float32:
    """Bilinear, repeating: (H,) material and (H, 2) uv to (H, 3)."""
    out = np.empty((len(material), 3), np.float32)
    for i in prange(len(material)):
        first, h, w = sizes[material[i], 0], sizes[material[i], 1], sizes[material[i], 2]
        x, y = uv[i, 0] * w - 0.5, uv[i, 1] * h - 0.5
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        fx, fy = x - x0, y - y0
        xa, xb, ya, yb = x0 % w, (x0 + 1) % w, y0 % h, (y0 + 1) % h
        for c in range(3):
            low = texels[first + ya * w + xa, c] * (1 - fx) + texels[first + ya * w + xb, c] * fx
            high = texels[first + yb * w + xa, c] * (1 - fx) + texels[first + yb * w + xb, c] * fx
            out[i, c] = low * (1 - fy) + high * fy
    return out
