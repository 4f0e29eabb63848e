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
    _spread_out(grid.index, grid.lut, inside, _steps(steps), True)
    return np.flatnonzero(inside)


def shrunk(grid: RadianceGrid, rows: Rows, steps: int = 1) -> Rows:
    """These voxels without those that touch another, ``steps`` times. The rim of the scene is no border.

    Raises:
        AnnotationError: no such number of steps.
    """
    inside = _inside(grid, rows)
    _spread_out(grid.index, grid.lut, inside, _steps(steps), False)
    return np.flatnonzero(inside)


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
def _spread_out(index, lut, inside, steps, grow):
    """Turn voxels to ``grow`` that touch one that is so."""
    nx, ny, nz = lut.shape
    for _ in range(steps):
        before = inside.copy()
        for row in range(len(index)):
            if before[row] == grow:
                continue
            for x in range(max(index[row, 0] - 1, 0), min(index[row, 0] + 2, nx)):
                for y in range(max(index[row, 1] - 1, 0), min(index[row, 1] + 2, ny)):
                    for z in range(max(index[row, 2] - 1, 0), min(index[row, 2] + 2, nz)):
                        other = lut[x, y, z]
                        if other >= 0 and before[other] == grow:
                            inside[row] = grow


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
