"""Read furniture in glTF, as low-poly packs have it: one mesh, one shared colour atlas, units larger than metres."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.training.rooms.mesh import Float32, Material, Mesh, to_linear

METRES = 0.65
"""One unit of the KayKit packs: an armchair then is 1.2 m wide, a bed 2 m long, a standing lamp 1.6 m high."""

ATLAS = 256
"""Side of the atlas as it is kept: its patches are plain colours and slow gradients."""


def size_of(path: Path) -> tuple[float, float, float]:
    """Width (x), depth (y) and height (z) in metres, from the header alone.

    Raises:
        OSError, ValueError, KeyError, TypeError: not such a file.
    """
    head: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    corners = [
        [head["accessors"][part["attributes"]["POSITION"]][end] for end in ("min", "max")]
        for mesh in head["meshes"]
        for part in mesh["primitives"]
    ]
    low, high = np.min([c[0] for c in corners], axis=0), np.max([c[1] for c in corners], axis=0)
    x, y, z = (float(s) * METRES for s in high - low)
    if not all(math.isfinite(s) and s > 0 for s in (x, y, z)):
        raise ValueError(f"its size is {(x, z, y)}")
    return x, z, y


def read_gltf(path: Path) -> Mesh:
    """Read a model: z up, front towards -y, standing on z = 0, centred in x and y, in metres.

    Raises:
        ValueError: not a glTF file with at least one face, or numbers out of range.
    """
    import trimesh  # takes 1.6 s, and only some catalogues need it

    try:
        loaded = trimesh.load_mesh(path, process=False)
    except Exception as e:  # parsers raise anything at all on damaged files
        raise ValueError(str(e) or type(e).__name__) from e
    faces = np.asarray(loaded.faces, np.int64)
    pos = np.asarray(loaded.vertices, np.float32)
    if not len(faces) or not np.isfinite(pos).all():
        raise ValueError("no faces, or a vertex that is not a number")
    corners, normals = (_upright(np.asarray(a, np.float32)[faces]) for a in (pos, loaded.vertex_normals))
    low, high = corners.reshape(-1, 3).min(axis=0), corners.reshape(-1, 3).max(axis=0)
    corners -= np.array([*(low + high)[:2] / 2, low[2]], np.float32)
    uv, material = _surface(loaded.visual, faces)
    return Mesh(corners * np.float32(METRES), normals, uv, np.zeros(len(faces), np.int32), (material,))


def _upright(a: Float32) -> Float32:
    return a[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32)


def _surface(visual: Any, faces: np.ndarray) -> tuple[Float32, Material]:
    """(T, 3, 2) texture coordinates, first row at v = 0, and the atlas; grey where there is none."""
    image = getattr(getattr(visual, "material", None), "baseColorTexture", None)
    if image is None or visual.uv is None:
        return np.zeros((len(faces), 3, 2), np.float32), Material("plain", to_linear([0.6, 0.6, 0.6]))
    atlas = image.convert("RGB").resize((ATLAS, ATLAS), Image.Resampling.BOX)
    texture = to_linear(np.asarray(atlas, np.float32)[::-1] / 255)
    return np.asarray(visual.uv, np.float32)[faces], Material("atlas", np.ones(3, np.float32), texture)
