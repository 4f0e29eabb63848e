"""One object as points of no particular scale, and as the voxels that the 3D encoder sees of it.

OFF, PLY, OBJ, GLB/GLTF, STL and PCD are read as captures are (``engine.captures.geometry``); NPZ by numpy,
never pickled.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api.errors import CaptureError
from engine.captures.geometry import GREY, MAX_BYTES, MAX_POINTS, read_points
from engine.captures.geometry import SUFFIXES as GEOMETRY_SUFFIXES
from engine.tasks import Up

SUFFIXES = (*GEOMETRY_SUFFIXES, ".npz")


POINTS = 4096
"""Points kept of each object."""
FEWEST = 16
"""Points without which there is no shape to speak of."""
SIDE = 24
"""Voxels along the longest side of an object: about as many as a bed has in rooms of the training."""
FLOOR, FLOOR_RGB = 6, (0.6, 0.55, 0.5)
"""An object stands on a floor that reaches so many voxels beyond it, for the encoder knows things in rooms."""

SCALED, SQUEEZED, JITTER, DROPPED, LIGHT = 0.15, 0.1, 0.25, 0.6, 0.15
"""Augmentation: whole and per-axis scale by up to so much; noise of so many voxels; up to so many points left out;
colours brighter or darker by up to so much."""

_POSITIONS = ("points", "xyz", "pos", "positions", "vertices", "pointcloud", "arr_0")
_COLOURS = ("rgb", "colors", "colours", "color")


@dataclass(frozen=True, eq=False)
class Shape:
    """An object: centred, z up, its longest side 1.

    Attributes:
        pos: (P, 3) float16, in [-0.5, 0.5].
        rgb: (P, 3) uint8; grey where the file has no colour.
        looks: (L,) what it looks like, see ``engine.tasks.looks``; None: nobody has looked.
    """

    pos: NDArray[np.float16]
    rgb: NDArray[np.uint8]
    looks: NDArray[np.float16] | None = None


@dataclass(frozen=True, eq=False)
class ShapeVoxels:
    """What the encoder sees.

    Attributes:
        index: (V, 3) int64.
        surface: (V, 4) colour and opacity in [0, 1].
        own: how many of them, the first, are the object; the others are the floor that it stands on.
        looks: of the shape.
    """

    index: Tensor
    surface: Tensor
    own: int
    looks: Tensor | None = None


def read_shape(path: Path, up: Up = "auto") -> Shape:
    """Read an object's file, at most ``POINTS`` points of it (seed 0).

    Args:
        path: of a mesh or points.
        up: the axis that points up; auto: y for OBJ and GLB/GLTF, else z.

    Raises:
        CaptureError: unreadable, too large, or no shape: fewer than ``FEWEST`` points, or all in one place.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        expected = ", ".join(s[1:].upper() for s in SUFFIXES)
        raise CaptureError("is no shape", path=path, found=f"a {suffix or 'nameless'} file", expected=expected)
    if suffix == ".npz":
        pos, rgb = _read_npz(path)
    else:
        cloud = read_points(path, POINTS)
        pos, rgb = cloud.pos_w.astype(np.float64), cloud.rgb
    if up == "auto":
        up = "y" if suffix in (".obj", ".glb", ".gltf") else "z"
    try:
        return shape_of(pos, rgb, up)
    except ValueError as e:
        raise CaptureError("is no shape", path=path, found=str(e)) from e


def shape_of(pos: NDArray[Any], rgb: NDArray[np.uint8], up: Up = "z") -> Shape:
    """Points (N, 3) of any scale and colours (N, 3) as an object.

    Raises:
        ValueError: fewer than ``FEWEST`` finite points, or all in one place.
    """
    good = (np.abs(pos) < 1e9).all(axis=1)
    pos, rgb = pos[good], rgb[good]
    if len(pos) < FEWEST:
        raise ValueError(f"{len(pos)} points, of which a shape needs {FEWEST}")
    if len(pos) > POINTS:
        chosen = np.random.default_rng(0).choice(len(pos), POINTS, replace=False)
        pos, rgb = pos[chosen], rgb[chosen]
    if up == "y":  # turns about x, so that nothing is mirrored
        pos = np.stack([pos[:, 0], -pos[:, 2], pos[:, 1]], axis=1)
    elif up == "x":
        pos = np.stack([-pos[:, 2], pos[:, 1], pos[:, 0]], axis=1)
    lo, hi = pos.min(axis=0), pos.max(axis=0)
    size = float((hi - lo).max())
    if not size > 1e-9:
        raise ValueError("all points in one place")
    return Shape(((pos - (lo + hi) / 2) / size).astype(np.float16), np.ascontiguousarray(rgb, np.uint8))


def points_of(shape: Shape, rng: np.random.Generator | None = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(P, 3) positions and (P, 3) colours in [0, 1] of a shape.

    Args:
        shape: the object.
        rng: turn it about its vertical, scale and squeeze it, move its points a little, leave some out, and light it
            otherwise; None: as it is.
    """
    pos, rgb = shape.pos.astype(np.float32), shape.rgb.astype(np.float32) / 255
    if rng is None:
        return pos, rgb
    kept = max(FEWEST, round(len(pos) * (1 - DROPPED * rng.random() ** 2)))
    if kept < len(pos):
        chosen = rng.choice(len(pos), kept, replace=False)
        pos, rgb = pos[chosen], rgb[chosen]
    a = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    scale = (1 + rng.uniform(-SCALED, SCALED)) * (1 + rng.uniform(-SQUEEZED, SQUEEZED, 3))
    pos = (pos * scale) @ turn.T + rng.normal(0, JITTER * rng.random() / SIDE, pos.shape)
    pos += rng.random(3) / SIDE
    rgb = np.clip(rgb * (1 + rng.uniform(-LIGHT, LIGHT) + rng.uniform(-LIGHT / 2, LIGHT / 2, 3)), 0, 1)
    return pos.astype(np.float32), rgb.astype(np.float32)


def voxels_of(shape: Shape, rng: np.random.Generator | None = None) -> ShapeVoxels:
    """The voxels that hold any of a shape's points, with their mean colour, and those of the floor below.

    Args:
        shape: the object.
        rng: see ``points_of``.
    """
    pos, rgb = points_of(shape, rng)
    index = np.floor(pos * SIDE).astype(np.int64)
    index -= index.min(axis=0)
    n = index.max(axis=0) + 1
    key, inverse, count = np.unique(
        np.ravel_multi_index(tuple(index.T), tuple(n)), return_inverse=True, return_counts=True
    )
    x, y = np.mgrid[-FLOOR : n[0] + FLOOR, -FLOOR : n[1] + FLOOR]
    floor = np.stack([x.ravel(), y.ravel(), np.full(x.size, -1)], axis=1)
    surface = np.ones((len(key) + len(floor), 4), np.float32)
    for c in range(3):
        surface[: len(key), c] = np.bincount(inverse, rgb[:, c], len(key)) / count
        surface[len(key) :, c] = FLOOR_RGB[c]
    where = np.concatenate([np.stack(np.unravel_index(key, tuple(n)), axis=1), floor])
    looks = None if shape.looks is None else torch.from_numpy(shape.looks.astype(np.float32))
    return ShapeVoxels(torch.from_numpy(where), torch.from_numpy(surface), len(key), looks)


def _read_npz(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    try:
        with zipfile.ZipFile(path) as z:
            if sum(i.file_size for i in z.infolist()) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES >> 20} MiB unpacked")
        with np.load(path, allow_pickle=False) as data:
            name = next((n for n in _POSITIONS if n in data.files), None)
            if name is None:
                raise ValueError(f"arrays {', '.join(data.files)[:100] or 'none'}")
            raw = data[name]
            if raw.ndim != 2 or raw.shape[1] < 3 or raw.dtype.kind not in "fiu" or len(raw) > 100 * MAX_POINTS:
                raise ValueError(f"{name} of shape {raw.shape}, {raw.dtype}")
            tint = next((data[n] for n in _COLOURS if n in data.files), None)
        return raw[:, :3].astype(np.float64), _as_bytes(tint, len(raw))
    except Exception as e:  # a damaged archive raises anything at all
        raise CaptureError(
            "the points cannot be read",
            path=path,
            found=(str(e).splitlines() or [""])[0][:200] or type(e).__name__,
            expected="an NPZ of points (N, 3), and rgb (N, 3) if there is colour",
        ) from e


def _as_bytes(tint: NDArray[Any] | None, n: int) -> NDArray[np.uint8]:
    """Colours of 0..255 integers or 0..1 floats."""
    if tint is None or tint.shape != (n, 3) or tint.dtype.kind not in "fiu":
        return np.full((n, 3), GREY, np.uint8)
    whole = tint.astype(np.float64) * (255 if tint.dtype.kind == "f" else 1)
    return np.nan_to_num(whole).clip(0, 255).round().astype(np.uint8)
