"""A grid in blocks: the same scene in fewer, larger voxels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.api.jobs import Job, Progress, finish
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec


class Coarse(NamedTuple):
    """``grid``: the coarser one; ``parent`` (V,): the row of each fine voxel's block in it."""

    grid: RadianceGrid
    parent: NDArray[np.int64]


def coarsened(grid: RadianceGrid, most: int) -> Coarse:
    """See ``coarsened_slices``."""
    return finish(coarsened_slices(grid, most))


def coarsened_slices(grid: RadianceGrid, most: int) -> Job[Coarse]:
    """Blocks of 2^3, 4^3, … voxels until there are at most ``most``; the grid itself if it is small enough.

    A block's optical thickness along its edge is the mean over its voxels, empty ones too, times how many lie along
    the edge; its colour is the voxels' mean, weighted by their opacity.
    """
    done = Progress(0, 0, "voxels")
    step, index, parent = 1, grid.index.astype(np.int64), np.arange(len(grid.index))
    while len(index) > most:
        step *= 2
        keys, inverse = np.unique(_key(index // 2), return_inverse=True)
        index = np.stack([keys >> 32, keys >> 16 & 0xFFFF, keys & 0xFFFF], axis=1)
        parent = inverse[parent]
        yield done
    if step == 1:
        return Coarse(grid, parent)
    tau = np.bincount(parent, grid.tau) / step**3 * step
    weight = np.maximum(-np.expm1(-grid.tau), 1e-4)
    total = np.bincount(parent, weight)
    yield done
    rgb = np.stack([np.bincount(parent, weight * grid.rgb[:, c]) / total for c in range(3)], axis=1)
    yield done
    x, y, z = (max(2, -(-n // step)) for n in grid.spec.dims)
    spec = GridSpec(grid.spec.lo_w, grid.spec.voxel * step, (x, y, z))
    made = RadianceGrid.of(spec, index, rgb, tau, grid.background, shells=grid.shells, meta=grid.meta)
    return Coarse(made, parent)


def _key(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number a voxel; a grid has at most 2^16 voxels along an axis."""
    x, y, z = index.T
    return x << 32 | y << 16 | z
