"""Read OBJ and MTL files as furniture catalogues have them.

trimesh loses the texture coordinates of most such files (240 of 305 textures), so this reads the few statements that
matter: v, vt, vn, f, usemtl, mtllib; newmtl, Kd, map_Kd, d, Tr. Polygons become triangle fans.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.training.rooms.mesh import Float32, Int32, face_normals

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif"}


@dataclass
class Surface:
    """A material as the file gives it: ``diffuse`` as displayed (sRGB), ``image`` beside the model if there is one."""

    name: str
    diffuse: tuple[float, float, float] = (0.7, 0.7, 0.7)
    opacity: float = 1.0
    image: Path | None = None


@dataclass(frozen=True, eq=False)
class ObjModel:
    """Triangles as the file has them.

    Attributes:
        corners: (T, 3, 3) float32.
        normals: (T, 3, 3) float32; the file's, else averaged over the faces around each vertex.
        uv: (T, 3, 2) float32, 0 where the file has none.
        has_uv: (T,) bool.
        surface: (T,) int32 index into ``surfaces``.
        surfaces: what the faces are made of.
    """

    corners: Float32
    normals: Float32
    uv: Float32
    has_uv: np.ndarray
    surface: Int32
    surfaces: tuple[Surface, ...]


def read_obj(path: Path) -> ObjModel:
    """Read a model.

    Raises:
        OSError: unreadable.
        ValueError, IndexError: not an OBJ with at least one face, or numbers out of range.
    """
    rows: dict[str, list[list[float]]] = {"v": [], "vt": [], "vn": []}
    width = {"v": 3, "vt": 2, "vn": 3}
    surfaces: dict[str, Surface] = {}
    order: list[str] = []
    faces: list[tuple[tuple[int, int, int], ...]] = []
    face_surface: list[int] = []
    current = -1
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key in rows:
            rows[key].append([float(x) for x in rest.split()[: width[key]]])
        elif key == "f":
            if current < 0:
                current = _index_of("none", order)
            corner = [_corner(word, rows) for word in rest.split()]
            for k in range(1, len(corner) - 1):
                faces.append((corner[0], corner[k], corner[k + 1]))
                face_surface.append(current)
        elif key == "usemtl":
            current = _index_of(rest.strip(), order)
        elif key == "mtllib":
            surfaces |= _read_mtl(_beside(path, rest))
    if not faces:
        raise ValueError("no faces")
    index = np.array(faces)  # (T, 3, 3): vertex, texture and normal index of each corner, -1 = none
    pos, uv, normal = (np.array(rows[k] or np.zeros((1, width[k])), np.float32) for k in ("v", "vt", "vn"))
    if not np.isfinite(pos).all() or index[..., 0].min() < 0:
        raise ValueError("a vertex is missing or not a number")
    has_uv, has_normal = (np.asarray((index[..., k] >= 0).all(axis=1)) for k in (1, 2))
    corners = pos[index[..., 0]]
    smooth = _averaged_normals(corners, index[..., 0], len(pos))
    return ObjModel(
        corners,
        np.where(has_normal[:, None, None], normal[index[..., 2]], smooth).astype(np.float32),
        np.where(has_uv[:, None, None], uv[index[..., 1]], 0).astype(np.float32),
        has_uv,
        np.array(face_surface, np.int32),
        tuple(surfaces.get(name, Surface(name)) for name in order),
    )


def _index_of(name: str, order: list[str]) -> int:
    if name not in order:
        order.append(name)
    return order.index(name)


def _corner(word: str, rows: dict[str, list[list[float]]]) -> tuple[int, int, int]:
    """``v``, ``v/vt``, ``v//vn`` or ``v/vt/vn``, from 1 or, negative, from the end; -1 where absent or out of range."""
    parts = [*word.split("/"), "", ""][:3]
    found = []
    for part, key in zip(parts, ("v", "vt", "vn"), strict=True):
        i = int(part) if part else 0
        i = i - 1 if i > 0 else len(rows[key]) + i if i < 0 else -1
        found.append(i if 0 <= i < len(rows[key]) else -1)
    return found[0], found[1], found[2]


def _beside(path: Path, name: str) -> Path | None:
    """The file of that bare name in the model's folder: files often carry their author's absolute paths."""
    found = path.parent / name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    return found if found.is_file() else None


def _texture(path: Path, name: str) -> Path | None:
    """As ``_beside``; where the name is not there (renamed by the packager) the folder's only image is meant."""
    found = _beside(path, name)
    if found is not None:
        return found
    images = sorted(p for p in path.parent.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    return images[0] if len(images) == 1 else None


def _read_mtl(path: Path | None) -> dict[str, Surface]:
    surfaces: dict[str, Surface] = {}
    if path is None:
        return surfaces
    current = Surface("none")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, rest = line.strip().partition(" ")
        if key == "newmtl":
            current = surfaces[rest.strip()] = Surface(rest.strip())
        elif key == "Kd":
            r, g, b = (min(1.0, max(0.0, float(x))) for x in rest.split()[:3])
            current.diffuse = (r, g, b)
        elif key == "d":
            current.opacity = float(rest.split()[-1])
        elif key == "Tr":
            current.opacity = 1 - float(rest.split()[-1])
        elif key == "map_Kd":
            current.image = _texture(path, rest)
    return surfaces


def _averaged_normals(corners: Float32, vertex: np.ndarray, count: int) -> Float32:
    """(T, 3, 3) normals: the mean of the face normals around each vertex, weighted by area."""
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros((count, 3))
    for c in range(3):
        np.add.at(total, vertex[:, c], weighted)
    around = total[vertex]
    length = np.linalg.norm(around, axis=2, keepdims=True)
    flat = face_normals(corners)[:, None]
    return np.where(length > 1e-12, around / np.maximum(length, 1e-12), flat).astype(np.float32)
