"""Tools on voxels as pure functions: rows of voxels in, rows out, ascending; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.annotations import NOTHING
from engine.api.errors import AnnotationError
from engine.api.scene import Float32
from engine.grid.radiance import RadianceGrid
from engine.march.rays import jit

Rows = NDArray[np.int64]
Bool = NDArray[np.bool_]

MOST_STEPS = 64


def grown(grid: RadianceGrid, rows: Rows, steps: int = 1) -> Rows:
    """These voxels and all that touch them by face, edge or corner, ``steps`` times.

    Raises:
        AnnotationError: no such number of steps.
    """
    inside = _inside(grid, rows)
    _grow(grid.index, grid.lut, inside, np.flatnonzero(inside), _steps(steps))
    return np.flatnonzero(inside)


def shrunk(grid: RadianceGrid, rows: Rows, steps: int = 1) -> Rows:
    """These voxels without those that touch another, ``steps`` times. The rim of the scene is no border.

    Raises:
        AnnotationError: no such number of steps.
    """
    inside = _inside(grid, rows)
    left = np.flatnonzero(inside)
    for _ in range(_steps(steps)):
        left = left[_deep(grid.index, grid.lut, inside, left)]
        inside[:] = False
        inside[left] = True
    return left


def around(grid: RadianceGrid, points_w: Float32, radius_w: float) -> Rows:
    """The voxels within a radius of points (N, 3) that hang together with one of them.

    Raises:
        AnnotationError: the points or the radius are not finite.
    """
    from scipy.spatial import cKDTree

    if not (len(points_w) and np.isfinite(points_w).all() and np.isfinite(radius_w) and radius_w > 0):
        raise AnnotationError("the stroke is no line through the scene", found=f"{len(points_w)} points")
    at, radius = grid.spec.to_grid(np.asarray(points_w, np.float64)), max(radius_w / grid.spec.voxel, 0.9)
    lo = np.clip(np.floor(at.min(axis=0) - radius), 0, grid.spec.dims).astype(np.int64)
    hi = np.clip(np.ceil(at.max(axis=0) + radius), 0, grid.spec.dims).astype(np.int64)
    block = grid.lut[lo[0] : hi[0], lo[1] : hi[1], lo[2] : hi[2]]
    near = block[block >= 0].astype(np.int64)
    inside = np.zeros(len(grid.index), np.bool_)
    if not len(near):
        return np.flatnonzero(inside)
    centres = grid.index[near] + 0.5
    away, _ = cKDTree(at).query(centres, distance_upper_bound=radius + 1e-6)
    inside[near[away <= radius]] = True
    away, nearest = cKDTree(centres).query(at)
    return connected(grid, inside, near[nearest[away <= radius]])


def connected(grid: RadianceGrid, inside: Bool, seeds: ArrayLike) -> Rows:
    """The voxels of ``inside`` (V,) that hang together with one of the seeds (N,) by face, edge or corner."""
    first = np.asarray(seeds, np.int64).reshape(-1)
    reached = np.zeros(len(inside), np.bool_)
    _reach(grid.index, grid.lut, inside, first[inside[first]], reached)
    return np.flatnonzero(reached)


def flood(grid: RadianceGrid, labels: NDArray[np.uint16], instances: NDArray[np.uint32], seed: int) -> Rows:
    """What hangs together with a voxel and has its class and instance: a hole to be filled, an island to be erased."""
    same = (labels == labels[seed]) & (instances == instances[seed])
    return connected(grid, same, [seed])


def flood_alike(
    grid: RadianceGrid, seed: int, tolerance: float, *, only: Bool | None = None, values: Float32 | None = None
) -> Rows:
    """What hangs together with a voxel and is like it.

    Args:
        grid: the scene.
        seed: the voxel.
        tolerance: largest distance of colours (each in [0, 1]) or of ``values``.
        only: (V,) where it may go; by default everywhere.
        values: (V, C) to compare; by default colours.
    """
    values = grid.rgb if values is None else values
    like = np.linalg.norm(values - values[seed], axis=1) <= tolerance
    return connected(grid, like if only is None else like & only, [seed])


def unlabelled_parts(grid: RadianceGrid, labels: NDArray[np.uint16]) -> list[Rows]:
    """The connected parts of what has no label, the largest first: what to look at next."""
    from engine.grid.places import places

    parts = places(grid, (labels == NOTHING).astype(np.float32), 0.5)
    return sorted(parts, key=len, reverse=True)


def _steps(steps: int) -> int:
    if not 0 < steps <= MOST_STEPS:
        raise AnnotationError("so many steps make no sense", found=str(steps), expected=f"1 to {MOST_STEPS}")
    return steps


def _inside(grid: RadianceGrid, rows: Rows | Sequence[int]) -> Bool:
    inside = np.zeros(len(grid.index), np.bool_)
    inside[np.asarray(rows, np.int64)] = True
    return inside


@jit
def _grow(index, lut, inside, rows, steps):
    """Turn on what touches voxels that are on, ``rows`` at first; each is looked at once."""
    nx, ny, nz = lut.shape
    queue = np.empty(len(index), np.int64)
    queue[: len(rows)] = rows
    begin, end = 0, len(rows)
    for _ in range(steps):
        last = end
        while begin < last:
            row = queue[begin]
            begin += 1
            for x in range(max(index[row, 0] - 1, 0), min(index[row, 0] + 2, nx)):
                for y in range(max(index[row, 1] - 1, 0), min(index[row, 1] + 2, ny)):
                    for z in range(max(index[row, 2] - 1, 0), min(index[row, 2] + 2, nz)):
                        other = lut[x, y, z]
                        if other >= 0 and not inside[other]:
                            inside[other] = True
                            queue[end] = other
                            end += 1


@jit
def _deep(index, lut, inside, rows):
    """(N,) which of some voxels touch none that is off."""
    nx, ny, nz = lut.shape
    out = np.ones(len(rows), np.bool_)
    for n in range(len(rows)):
        row = rows[n]
        for x in range(max(index[row, 0] - 1, 0), min(index[row, 0] + 2, nx)):
            for y in range(max(index[row, 1] - 1, 0), min(index[row, 1] + 2, ny)):
                for z in range(max(index[row, 2] - 1, 0), min(index[row, 2] + 2, nz)):
                    other = lut[x, y, z]
                    if other >= 0 and not inside[other]:
                        out[n] = False
    return out


@jit
def _reach(index, lut, inside, seeds, reached):
    nx, ny, nz = lut.shape
    queue = np.empty(len(index), np.int64)
    end = 0
    for seed in seeds:
        if not reached[seed]:
            reached[seed] = True
            queue[end] = seed
            end += 1
    begin = 0
    while begin < end:
        row = queue[begin]
        begin += 1
        for x in range(max(index[row, 0] - 1, 0), min(index[row, 0] + 2, nx)):
            for y in range(max(index[row, 1] - 1, 0), min(index[row, 1] + 2, ny)):
                for z in range(max(index[row, 2] - 1, 0), min(index[row, 2] + 2, nz)):
                    other = lut[x, y, z]
                    if other >= 0 and inside[other] and not reached[other]:
                        reached[other] = True
                        queue[end] = other
                        end += 1
