"""Points painted in perspective without a graphics card: two scenes in one space, for a look at how they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.repository import AlignedPoints

UInt8 = NDArray[np.uint8]
LEAST_PX, MOST_PX = 2, 7
NEAR = 1e-3
"""Least depth, of the distance to what is looked at."""


def paint_points(
    points: AlignedPoints, rgb: UInt8, camera: Camera, *, spacing_w: float, facing: bool = True, most: int | None = None
) -> UInt8:
    """(h, w, 4) uint8, straight alpha, of points as squares, the nearest in front.

    Args:
        points: what to paint.
        rgb: (N, 3) colours.
        camera: from where, with the size of the picture.
        spacing_w: of neighbouring points: a square covers it at the median depth.
        facing: leave out what no photo saw from this side, so that a room is open.
        most: of the points at most, for a picture in a hurry.
    """
    out = np.zeros((camera.height, camera.width, 4), np.uint8)
    rows = np.arange(len(points.pos_w))
    if most is not None and len(rows) > most:
        rows = rows[:: -(-len(rows) // most)]
        spacing_w *= np.sqrt(len(points.pos_w) / len(rows))
    pos_w = points.pos_w[rows].astype(np.float64)
    px, depth = camera.project(pos_w)
    good = depth > NEAR * max(float(np.median(np.abs(depth))) if len(depth) else 1.0, 1e-9)
    if facing:
        good &= np.einsum("ni,ni->n", points.facing_w[rows], camera.centre_w - pos_w) >= 0
    px, depth, rows = px[good], depth[good], rows[good]
    if not len(rows):
        return out
    wanted = float(camera.intrinsics[0, 0]) * spacing_w / float(np.median(depth))
    side = int(np.clip(np.ceil(wanted), LEAST_PX, MOST_PX))
    order = np.argsort(-depth, kind="stable")  # what is assigned last stays
    corner = np.floor(px[order] - side / 2 + 0.5).astype(np.int64)
    dx, dy = (d.ravel() for d in np.meshgrid(np.arange(side), np.arange(side)))
    x, y = (corner[:, :1] + dx).ravel(), (corner[:, 1:] + dy).ravel()
    inside = (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    colours = np.repeat(rgb[rows[order]], side * side, axis=0)[inside]
    out[y[inside], x[inside], :3] = colours
    out[y[inside], x[inside], 3] = 255
    return out


def tinted(rgb: UInt8 | None, tint: tuple[int, int, int], count: int) -> UInt8:
    """(N, 3) colours of one hue, as light as ``rgb`` or, where there are none, all alike."""
    colour = np.array(tint, np.float32)
    if rgb is None:
        return np.tile(colour.astype(np.uint8), (count, 1))
    light = (rgb.astype(np.float32) @ np.array([0.3, 0.59, 0.11], np.float32))[:, None] / 255
    return np.clip(colour * (0.25 + 0.9 * light), 0, 255).astype(np.uint8)


def spacing(points: AlignedPoints) -> float:
    """Typical distance of neighbours, if the points lie on surfaces about as large as the box around them."""
    if len(points.pos_w) < 2:
        return 1.0
    lo, hi = np.quantile(points.pos_w, [0.02, 0.98], axis=0)
    x, y, z = (float(v) for v in hi - lo)
    return float(np.sqrt(max(2 * (x * y + y * z + z * x), 1e-12) / len(points.pos_w)))
