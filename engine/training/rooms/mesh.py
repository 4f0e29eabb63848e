"""Triangles with materials, the one form that models and plain shapes share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32 = NDArray[np.float32]
Floats = NDArray[np.floating]
"""For what computes in either precision and converts."""

Int32 = NDArray[np.int32]


def to_linear(srgb: ArrayLike) -> Float32:
    """sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    c = np.asarray(srgb, dtype=np.float32)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(linear: ArrayLike) -> Float32:
    """Linear light in [0, 1] to sRGB, the inverse of ``to_linear``."""
    c = np.clip(np.asarray(linear, dtype=np.float32), 0, 1)
    return np.where(c <= 0.0031308, c * 12.92, 1.055 * c ** (1 / 2.4) - 0.055).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Material:
    """A diffuse surface.

    Attributes:
        name: as the model file calls it.
        albedo: (3,) linear, used alone or, with a texture, as its factor.
        texture: (h, w, 3) float32 linear, first row at v = 0, repeated outside [0, 1]; or None.
        emission: (3,) linear radiance; an emitting surface casts no shadow, its light is a ``light.Light``.
    """

    name: str
    albedo: Float32
    texture: Float32 | None = None
    emission: Float32 | None = None

    @cached_property
    def mean(self) -> Float32:
        """(3,) average reflectance, for light that has bounced once."""
        return self.albedo if self.texture is None else self.albedo * self.texture.mean(axis=(0, 1))


@dataclass(frozen=True, eq=False)
class Mesh:
    """T triangles, each with its own corners.

    Attributes:
        corners: (T, 3, 3) float32, metres.
        normals: (T, 3, 3) float32, unit shading normals at the corners.
        uv: (T, 3, 2) float32 texture coordinates.
        material: (T,) int32 index into ``materials``.
        materials: the surfaces.
    """

    corners: Float32
    normals: Float32
    uv: Float32
    material: Int32
    materials: tuple[Material, ...]

    def placed(self, position: ArrayLike, yaw: float = 0.0, scale: float = 1.0) -> Mesh:
        """Scaled about the origin, turned by ``yaw`` degrees counter-clockwise about z, then moved."""
        a = np.deg2rad(yaw)
        turn = np.array([[np.cos(a), np.sin(a), 0], [-np.sin(a), np.cos(a), 0], [0, 0, 1]], np.float32)
        corners = (self.corners * scale) @ turn + np.asarray(position, np.float32)
        return replace(self, corners=corners.astype(np.float32), normals=(self.normals @ turn).astype(np.float32))

    def with_material(self, name: str, material: Material, box_metres: float) -> Mesh:
        """Material ``name`` replaced; its faces get texture coordinates along their two longest axes, one texture
        every ``box_metres``, since what was plain may have none.

        Raises:
            KeyError: no material of that name.
        """
        at = self._material_index(name)
        mine = self.material == at
        uv = self.uv.copy()
        axis = np.abs(face_normals(self.corners[mine])).argmax(axis=1)
        keep = np.array([[1, 2], [0, 2], [0, 1]])[axis]
        uv[mine] = np.take_along_axis(self.corners[mine], keep[:, None, :], axis=2) / box_metres
        materials = tuple(material if i == at else m for i, m in enumerate(self.materials))
        return replace(self, uv=uv, materials=materials)

    def without(self, name: str) -> Mesh:
        """The faces of material ``name`` left out.

        Raises:
            KeyError: no material of that name.
        """
        keep = self.material != self._material_index(name)
        return replace(
            self,
            corners=self.corners[keep],
            normals=self.normals[keep],
            uv=self.uv[keep],
            material=self.material[keep],
        )

    def _material_index(self, name: str) -> int:
        names = [m.name for m in self.materials]
        if name not in names:
            raise KeyError(f"no material {name!r} among {names}")
        return names.index(name)

    def bounds(self) -> Float32:
        """(2, 3) lowest and highest corner."""
        flat = self.corners.reshape(-1, 3)
        return np.stack([flat.min(axis=0), flat.max(axis=0)])


def face_normals(corners: Float32) -> Float32:
    """(T, 3, 3) corners to (T, 3) unit normals; a triangle without area gets +z."""
    n = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(n, axis=1, keepdims=True)
    return np.where(length > 1e-12, n / np.maximum(length, 1e-12), [0, 0, 1]).astype(np.float32)


def flat_mesh(corners: ArrayLike, uv: ArrayLike, material: Material) -> Mesh:
    """(T, 3, 3) corners and (T, 3, 2) uv to a flat-shaded mesh of one material."""
    c = np.asarray(corners, np.float32)
    n = np.repeat(face_normals(c)[:, None], 3, axis=1)
    return Mesh(c, n, np.asarray(uv, np.float32), np.zeros(len(c), np.int32), (material,))


def merged(meshes: list[Mesh]) -> Mesh:
    """All triangles of several meshes as one."""
    first = np.cumsum([0, *(len(m.materials) for m in meshes[:-1])])
    return Mesh(
        np.concatenate([m.corners for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.uv for m in meshes]),
        np.concatenate([m.material + np.int32(k) for m, k in zip(meshes, first, strict=True)]).astype(np.int32),
        tuple(material for m in meshes for material in m.materials),
    )
