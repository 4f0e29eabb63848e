"""Points painted in perspective without a graphics card: two scenes in one space, for a look at how they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.repository import AlignedPoints

UInt8 = NDArray[np.uint8]
LEAST_PX, MOST_PX = 2, 14
OVERLAP = 1.25
NEAR = 1e-3
"""Least depth, of the largest."""
GRAZING = 0.05
"""Least cosine of normal and ray, for what is seen from behind."""
SIZES = 8
"""Squares have so many sizes, by depth."""


def paint_points(
    points: AlignedPoints, rgb: UInt8, camera: Camera, *, facing: bool = True, most: int | None = None
) -> UInt8:
    """(h, w, 4) uint8, straight alpha, of points as squares as large as their spacing, the nearest in front.

    Args:
        points: what to paint.
        rgb: (N, 3) colours.
        camera: from where, with the size of the picture.
        facing: leave out surfaces seen from behind, so that a room is open.
        most: of the points at most, for a picture in a hurry.
    """
    out = np.zeros((camera.height, camera.width, 4), np.uint8)
    rows, spacing_w = np.arange(len(points.pos_w)), points.spacing_w
    if most is not None and len(rows) > most:
        step = -(-len(rows) // most)
        rows, spacing_w = rows[::step], spacing_w * float(np.sqrt(step))
    pos_w = points.pos_w[rows].astype(np.float64)
    px, depth = camera.project(pos_w)
    good = depth > NEAR * np.abs(depth).max(initial=0.0)
    if facing:
        ray = camera.centre_w - pos_w
        cosine = np.einsum("ni,ni->n", points.facing_w[rows], ray) / np.linalg.norm(ray, axis=1)
        good &= cosine >= GRAZING
    px, depth, rows = px[good], depth[good], rows[good]
    order = np.argsort(-depth, kind="stable")  # what is assigned last stays
    for some in np.array_split(order, SIZES):
        if len(some):
            wanted = camera.intrinsics[0, 0] * spacing_w / depth[some].min()
            side = int(np.clip(np.ceil(OVERLAP * wanted), LEAST_PX, MOST_PX))
            _put(out, px[some], rgb[rows[some]], side)
    return out


def _put(out: UInt8, px: NDArray[np.float64], rgb: UInt8, side: int) -> None:
    """Squares of ``side`` pixels around (N, 2) places, the last in front."""
    corner = np.floor(px - side / 2 + 0.5).astype(np.int64)
    dx, dy = (d.ravel() for d in np.meshgrid(np.arange(side), np.arange(side)))
    x, y = (corner[:, :1] + dx).ravel(), (corner[:, 1:] + dy).ravel()
    inside = (x >= 0) & (x < out.shape[1]) & (y >= 0) & (y < out.shape[0])
    x, y = x[inside], y[inside]
    out[y, x, :3] = np.repeat(rgb, side * side, axis=0)[inside]
    out[y, x, 3] = 255


def tinted(rgb: UInt8 | None, tint: tuple[int, int, int], count: int) -> UInt8:
    """(N, 3) colours of one hue, as light as ``rgb`` or, where there are none, all alike."""
    colour = np.array(tint, np.float32)
    if rgb is None:
        return np.tile(colour.astype(np.uint8), (count, 1))
    light = (rgb.astype(np.float32) @ np.array([0.3, 0.59, 0.11], np.float32))[:, None] / 255
    return np.clip(colour * (0.25 + 0.9 * light), 0, 255).astype(np.uint8)
