"""Furniture from catalogues of models with known sizes, creators and licences.

A catalogue is a folder with ``catalog.json``, a list of objects. With OBJ models they have ``id``, ``name``,
``class``, ``width_cm``, ``depth_cm``, ``height_cm``, ``creator``, ``licence`` and ``obj`` (a path in the folder; the
file is y up).
The KayKit pack's have ``name``, ``category`` and ``path`` (glTF, see ``gltf``); it is all by one creator.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.api.errors import CaptureError
from engine.training.rooms import gltf
from engine.training.rooms.mesh import Float32, Material, Mesh, face_normals, to_linear
from engine.training.rooms.obj import Surface, read_obj

TEXEL_M = 0.007
"""Textures are averaged down to about this size on the surface: finer detail only flickers at the views' resolution."""

MIN_OPACITY = 0.5
"""Panes clearer than this are left out: the renderer knows no glass."""

KAYKIT_LABELS = {"couch": "sofa", "pictureframe": "picture", "cactus": "plant"}
"""What other catalogues call the same."""

CREASE_COS = math.cos(math.radians(40))
"""A corner normal further than this from its face's is taken for a fault in the file, and the face shaded flat."""


@dataclass(frozen=True)
class ModelEntry:
    """One line of the catalogue; ``size`` is width (x), depth (y), height (z) in metres."""

    id: str
    name: str
    label: str | None
    size: tuple[float, float, float]
    creator: str
    licence: str
    path: Path


class Catalogue:
    """The models of a folder, by id.

    Raises:
        CaptureError: no readable ``catalog.json``, or an entry without a needed key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        file = folder / "catalog.json"
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
            made = [_entry(row, folder) if "obj" in row else _gltf_entry(row, folder) for row in rows]
            self.entries = {entry.id: entry for entry in made}
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise CaptureError(
                "is not a model catalogue",
                path=file,
                found=f"{type(e).__name__}: {e}",
                expected="a JSON list of models, each with an obj or a glTF path",
                mend="give --models the folder that holds catalog.json",
            ) from e

    def entry(self, model_id: str) -> ModelEntry:
        """Look up one model.

        Raises:
            CaptureError: the catalogue lacks it.
        """
        if model_id not in self.entries:
            raise CaptureError(f"has no model '{model_id}'", path=self.folder / "catalog.json")
        return self.entries[model_id]

    def load(self, model_id: str) -> Mesh:
        """Read a model: z up, front towards -y, standing on z = 0, centred in x and y, at its catalogue size.

        Raises:
            CaptureError: the model is not in the catalogue or its files cannot be read.
        """
        entry = self.entry(model_id)
        try:
            return gltf.read_gltf(entry.path) if entry.path.suffix == ".gltf" else _mesh(entry)
        except (OSError, ValueError, IndexError) as e:
            raise CaptureError("cannot be read as a model", path=entry.path, found=f"{type(e).__name__}: {e}") from e


def _entry(row: dict[str, Any], folder: Path) -> ModelEntry:
    size = (row["width_cm"] / 100, row["depth_cm"] / 100, row["height_cm"] / 100)
    if not all(math.isfinite(s) and s > 0 for s in size):
        raise ValueError(f"size of {row['id']} is {size}")
    path = _within(folder, row["obj"])
    return ModelEntry(row["id"], row["name"], row["class"], size, row["creator"], row["licence"], path)


def _gltf_entry(row: dict[str, Any], folder: Path) -> ModelEntry:
    path = _within(folder, row["path"])
    label = KAYKIT_LABELS.get(row["category"], row["category"])
    return ModelEntry(f"KayKit#{path.stem}", row["name"], label, gltf.size_of(path), "Kay Lousberg", "CC0-1.0", path)


def _within(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside the folder")
    return path


def _mesh(entry: ModelEntry) -> Mesh:
    model = read_obj(entry.path)
    opaque = np.array([m.opacity >= MIN_OPACITY for m in model.surfaces])[model.surface]
    if not opaque.any():
        raise ValueError("it has no opaque surface")
    pos = _upright(model.corners, entry.size)[opaque]
    normals = (model.normals[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32))[opaque]
    uv, has_uv, which = model.uv[opaque], model.has_uv[opaque], model.surface[opaque]
    materials = tuple(
        _material(m, _metres_per_uv(pos[which == i], uv[which == i]), bool(has_uv[which == i].any()))
        for i, m in enumerate(model.surfaces)
    )
    return Mesh(pos, _mended_normals(pos, normals), uv, which, materials)


def _upright(corners: Float32, size: tuple[float, float, float]) -> Float32:
    """Y up to z up, stretched to the catalogue's size, standing on the floor."""
    c = corners[..., [0, 2, 1]] * np.array([1, -1, 1], np.float32)
    lo, hi = c.reshape(-1, 3).min(axis=0), c.reshape(-1, 3).max(axis=0)
    c = (c - (lo + hi) / 2) / np.maximum(hi - lo, 1e-6) * np.asarray(size, np.float32)
    return (c + np.array([0, 0, size[2] / 2], np.float32)).astype(np.float32)


def _mended_normals(corners: Float32, normals: Float32) -> Float32:
    flat = np.repeat(face_normals(corners)[:, None], 3, axis=1)
    length = np.linalg.norm(normals, axis=2, keepdims=True)
    unit = normals / np.maximum(length, 1e-9)
    along = np.einsum("tcd,tcd->tc", unit, flat)
    unit = np.where(along[..., None] < 0, -unit, unit)
    return np.where(np.abs(along).min(axis=1)[:, None, None] >= CREASE_COS, unit, flat).astype(np.float32)


def _metres_per_uv(corners: Float32, uv: Float32) -> float:
    """How many metres one unit of texture coordinates covers, from the ratio of areas."""
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area_uv = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()
    return math.sqrt(area / area_uv) if area_uv > 1e-9 else 0.0


def _material(surface: Surface, metres_per_uv: float, has_uv: bool) -> Material:
    """With a texture the factor is white, as viewers of these files show them."""
    if surface.image is None or not has_uv:
        return Material(surface.name, to_linear(surface.diffuse))
    with Image.open(surface.image) as image:
        return Material(surface.name, np.ones(3, np.float32), texture_from(image, metres_per_uv))


def texture_from(image: Image.Image, metres_per_uv: float) -> Float32:
    """An image as a linear texture, averaged down so that a texel covers about ``TEXEL_M``."""
    rgb = image.convert("RGB")
    side = max(1, round(metres_per_uv / TEXEL_M))
    w, h = min(rgb.width, side), min(rgb.height, side)
    if (w, h) != rgb.size:
        rgb = rgb.resize((w, h), Image.Resampling.BOX)
    return to_linear(np.asarray(rgb, np.float32)[::-1] / 255.0)
