"""Keypoints from scores: local maxima of a map, and of voxels, the highest first, none too near another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from engine.api.scene import Float32

Float64 = NDArray[np.float64]
Int = NDArray[np.int64]

RADIUS_PX = 3
"""Of the suppression on score maps at the working size, as the benches use it."""

HOPEFUL = 16
"""Times the asked number of voxels among which that many are usually found."""


def keypoints_2d(score_logits: Tensor, count: int, radius: int = RADIUS_PX) -> tuple[Float64, Float32]:
    """The ``count`` highest local maxima of a score map, refined below the pixel.

    A pixel is a maximum when none within ``radius`` rows and columns is higher; of equals that see each other the
    first in reading order stays. Its place is then moved to the vertex of a parabola along each axis, by half a pixel
    at most.

    Args:
        score_logits: (h, w), any real scores; what is not finite is never a keypoint.
        count: at most so many.
        radius: pixels.

    Returns:
        positions (N, 2), x and y in pixels of the map with centres at +0.5, and scores (N,) in [0, 1], the logistic
        function of the map there; the highest first.
    """
    s = score_logits.detach().float()
    s = torch.where(torch.isfinite(s), s, -torch.inf)
    h, w = s.shape
    flat = s.flatten()
    k = 2 * radius + 1
    # Along rows, then columns: 7 + 7 comparisons for 49.
    pooled = torch.nn.functional.max_pool2d(s[None, None], (1, k), 1, (0, radius))
    pooled = torch.nn.functional.max_pool2d(pooled, (k, 1), 1, (radius, 0))[0, 0]
    rows = torch.nonzero(((s == pooled) & torch.isfinite(s)).flatten())[:, 0]
    rows = rows[torch.argsort(flat[rows], descending=True, stable=True)].cpu().numpy()
    values = flat.cpu().numpy()
    rows = _without_ties(rows, values[rows], w, radius)[:count]
    y, x = np.divmod(rows, w)
    grid = values.reshape(h, w)
    pos = np.stack([x + 0.5 + _vertex(grid, y, x, (0, 1)), y + 0.5 + _vertex(grid, y, x, (1, 0))], axis=1)
    return pos, (1 / (1 + np.exp(-np.clip(values[rows], -60, 60).astype(np.float64)))).astype(np.float32)


def _without_ties(rows: Int, values: Float32, width: int, radius: int) -> Int:
    """Of equally high maxima that see each other only those earlier in reading order stay.

    Args:
        rows: (N,) flat pixels by falling value, equal ones in reading order.
        values: (N,) of them.
        width: of the map.
        radius: pixels.
    """
    same = np.zeros(len(rows), bool)
    same[1:] = values[1:] == values[:-1]
    same[:-1] |= same[1:].copy()
    if not same.any():
        return rows
    keep = ~same
    side = radius + 1
    places: dict[tuple[int, int], tuple[int, int]] = {}  # cells of side x side pixels hold one kept pixel at most
    value = None
    for n in np.flatnonzero(same):
        if values[n] != value:
            places.clear()
            value = values[n]
        y, x = divmod(int(rows[n]), width)
        cell = (y // side, x // side)
        near = [places.get((cell[0] + dy, cell[1] + dx)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        if all(p is None or max(abs(p[0] - y), abs(p[1] - x)) > radius for p in near):
            places[cell] = (y, x)
            keep[n] = True
    return rows[keep]


def _vertex(grid: Float32, y: Int, x: Int, axis: tuple[int, int]) -> Float64:
    """(N,) offsets in [-0.5, 0.5] of the parabola through the maxima and their two neighbours; 0 at the border."""
    h, w = grid.shape
    dy, dx = axis
    inside = (y >= dy) & (y < h - dy) & (x >= dx) & (x < w - dx)
    ys, xs = np.where(inside, y, 0), np.where(inside, x, 0)
    before = grid[ys - dy, xs - dx].astype(np.float64)
    here = grid[ys, xs].astype(np.float64)
    after = grid[np.minimum(ys + dy, h - 1), np.minimum(xs + dx, w - 1)].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = before - 2 * here + after
        offset = 0.5 * (before - after) / curve
    return np.where(inside & np.isfinite(offset) & (curve < 0), np.clip(offset, -0.5, 0.5), 0.0)


def keypoints_3d(pos: Float32 | Float64, score: Float32 | Float64, count: int, radius: float) -> Int:
    """Greedy suppression in space: the highest first, none within ``radius`` of a higher one.

    Args:
        pos: (V, 3), voxel centres in any unit.
        score: (V,); equal scores go by row, what is not finite is never chosen.
        count: at most so many.
        radius: in the unit of ``pos``; 0 keeps all but equal places.

    Returns:
        (N,) rows, by falling score.
    """
    usable = np.flatnonzero(np.isfinite(score) & np.isfinite(pos).all(axis=1))
    order = usable[np.argsort(-np.asarray(score, np.float64)[usable], kind="stable")]
    kept: list[int] = []
    # Whether a voxel stays is settled by higher ones alone, so the lower ones are looked at only if they are needed.
    for most in (HOPEFUL * count, len(order)):
        kept = _greedy(np.asarray(pos, np.float64)[order[:most]], count, radius)
        if len(kept) == count:
            break
    return order[np.array(kept, np.int64)]


def _greedy(places: Float64, count: int, radius: float) -> list[int]:
    """Rows of (N, 3) places that are taken, in their order, when each taken one keeps all others ``radius`` off."""
    if count <= 0 or not len(places):
        return []
    # Unbalanced and uncompacted: a third of the time to build, and balls are small.
    tree = KDTree(places, balanced_tree=False, compact_nodes=False)
    free = np.ones(len(places), bool)
    kept: list[int] = []
    at = 0
    while len(kept) < count:
        at += int(free[at:].argmax())
        if not free[at]:
            break
        kept.append(at)
        free[tree.query_ball_point(places[at], radius)] = False
    return kept
