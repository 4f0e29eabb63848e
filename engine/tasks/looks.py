"""What an image classifier sees of an object: views drawn from its points, and what lies under its last layer.

Shape alone says little to an encoder that learnt in rooms; drawn on white, as goods are in a catalogue, the same points
are pictures of a kind that an image classifier has seen a million of (multi-view CNN; Su et al., ICCV 2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from engine.api.camera import look_at
from engine.api.errors import CacheError
from engine.api.jobs import Job, Progress, told_as
from engine.api.scene import UInt8
from engine.encoders.classes import ClassNetwork, load_classes
from engine.prompting import classes_path
from engine.runtime import without_gradient
from engine.storage import digest, read_tensors, write_tensors
from engine.tasks.shapes import Shape

VIEWS, SIDE = 6, 192
"""Views of each object, all around it, and their side in pixels. On objects for validation four of 160 are some points
worse, six of 224 no better; before grey instead of white they are worse by a tenth."""
ELEVATIONS = (15.0, 35.0)
"""Degrees above the horizon, in turn."""
FIRST = 0.35
"""Of the angle between two views, by which the first is turned: one along an axis would show a side flat."""
DISTANCE, FILL = 2.2, 0.86
"""Of the camera, in longest sides of the object; and of the picture that the object takes up."""
SHADE = 0.5
"""Share of a point's brightness that depends on how it faces the lamp, which stands above the camera's shoulder."""
NEAR = 12
"""Points that a surface is fitted to, for its normal."""
GAP, WIDE = 6, 0.9
"""A point is drawn as a disc that reaches most of the way to its sixth neighbour, as far as that is where the points
are as sparse as at this quantile."""
REACH = 0.75
DIM = 2 * 1280
"""Of what is kept: the mean over the views and the maximum, of the 1280 channels."""


def drawn(shape: Shape) -> UInt8:
    """(VIEWS, SIDE, SIDE, 3) pictures of an object on white."""
    pos, rgb = shape.pos.astype(np.float64), shape.rgb / 255.0
    near, at = cKDTree(pos).query(pos, k=min(NEAR, len(pos)))
    normal = _normals(pos[at])
    reach = REACH * float(np.quantile(near[:, min(GAP, near.shape[1] - 1)], WIDE))
    return np.stack([_view(pos, rgb, normal, reach, n) for n in range(VIEWS)])


def looked_at(
    shapes: Sequence[Shape], device: torch.device, key: str = "", cache: Path | None = None
) -> Job[list[Shape]]:
    """The same objects with their ``looks``; those that have them stay as they are.

    Args:
        shapes: objects.
        device: where the image classifier runs.
        key: of the objects, all of them.
        cache: folder to keep what is seen of them in, and to read it back from; None: it is not kept.

    Raises:
        CacheError: ``cache`` cannot be written.
    """
    if all(s.looks is not None for s in shapes):
        return list(shapes)
    weights = classes_path()
    path: Path | None = None
    if cache is not None:
        drawing = (VIEWS, SIDE, ELEVATIONS, FIRST, DISTANCE, FILL, SHADE, NEAR, GAP, WIDE, REACH)
        about = str((key, digest(weights.read_bytes()), *drawing))
        path = cache / "tasks" / f"looks-{digest(about)}.safetensors"
    looks = None if path is None else _kept(path, len(shapes))
    if looks is None:
        looks = np.zeros((len(shapes), DIM), np.float16)
        eyes = load_classes(weights).to(device)
        for n, shape in enumerate(shapes):
            done = Progress(n, len(shapes), "shapes", "looking")
            yield done
            looks[n] = yield from told_as(looks_of(shape, eyes), done)
        if path is not None:
            write_tensors(path, {"looks": looks}, {})
    return [replace(shape, looks=row) for shape, row in zip(shapes, looks, strict=True)]


def looks_of(shape: Shape, network: ClassNetwork) -> Job[NDArray[np.float16]]:
    """(DIM,) what an object looks like."""
    pictures = drawn(shape)
    yield Progress(0, 1, "shapes", "looking")
    device = next(network.parameters()).device
    x = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 255
    seen = yield from without_gradient(network.under(x))
    return torch.cat([seen.mean(dim=0), seen.amax(dim=0)]).cpu().numpy().astype(np.float16)


def _normals(near: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) unit normals, of either sign, of the planes through (P, N, 3) points."""
    from_mean = near - near.mean(axis=1, keepdims=True)
    return np.linalg.eigh(from_mean.transpose(0, 2, 1) @ from_mean)[1][:, :, 0]


def _view(
    pos: NDArray[np.float64], rgb: NDArray[np.float64], normal: NDArray[np.float64], reach: float, n: int
) -> UInt8:
    """One picture: discs, painted from the farthest to the nearest."""
    turn, rise = 2 * np.pi * (n + FIRST) / VIEWS, np.deg2rad(ELEVATIONS[n % len(ELEVATIONS)])
    ahead = -np.array([np.cos(turn) * np.cos(rise), np.sin(turn) * np.cos(rise), np.sin(rise)])
    camera = look_at(-DISTANCE * ahead, np.zeros(3), [0, 0, 1], fov_y=90, width=SIDE, height=SIDE)
    px, depth_z = camera.project(pos)
    order = np.argsort(-depth_z, kind="stable")
    px, rgb, normal = px[order], rgb[order], normal[order]
    lo, hi = px.min(axis=0), px.max(axis=0)
    scale = SIDE * FILL / max(float((hi - lo).max()), 1e-6)
    px = (px - (lo + hi) / 2) * scale + SIDE / 2
    lamp = -0.8 * ahead + 0.5 * np.array([0, 0, 1]) + 0.3 * camera.c2w[:3, 0]
    tint = rgb * (1 - SHADE + SHADE * np.abs(normal @ lamp)[:, None] / np.linalg.norm(lamp))

    radius = min(reach * scale * float(camera.intrinsics[0, 0]) / DISTANCE, SIDE / 8)
    k = int(np.ceil(radius))
    dy, dx = np.mgrid[-k : k + 1, -k : k + 1]
    disc = dx**2 + dy**2 <= radius**2 + 0.3  # the pixel itself at the least
    x = np.floor(px[:, :1]).astype(np.int64) + dx[disc]
    y = np.floor(px[:, 1:]).astype(np.int64) + dy[disc]
    inside = (x >= 0) & (x < SIDE) & (y >= 0) & (y < SIDE)
    point = np.broadcast_to(np.arange(len(pos))[:, None], x.shape)[inside]
    front = np.full(SIDE * SIDE, -1)
    front[(y * SIDE + x)[inside]] = point  # of several the last, the nearest
    picture = np.where(front[:, None] >= 0, tint[np.maximum(front, 0)], 1.0)
    return np.round(255 * picture.clip(0, 1)).astype(np.uint8).reshape(SIDE, SIDE, 3)


def _kept(path: Path, count: int) -> NDArray[np.float16] | None:
    """What was seen before; None if it is not there or damaged."""
    if not path.is_file():
        return None
    try:
        looks = read_tensors(path)[0]["looks"]
    except (CacheError, KeyError):
        return None
    good = looks.shape == (count, DIM) and looks.dtype == np.float16 and bool(np.isfinite(looks).all())
    return looks if good else None
