"""The surface that voxels form: who touches whom, and which way it faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress, row_slices
from engine.api.scene import Float32
from engine.grid.lift import LiftAccumulator
from engine.grid.radiance import RadianceGrid
from engine.march.rays import jit

Int32 = NDArray[np.int32]

REACH = 2
"""Voxels on each side that a normal is fitted to."""
DIRECTIONS = 32
"""Along the long side of the maps of directions that a voxel is seen from; they vary slowly."""
HALF_NEIGHBOURS = np.array(
    [(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)], np.int32
)
"""(13, 3): of two voxels that touch, one sees the other in one of these directions."""


def seen_from(grid: RadianceGrid, cameras: Sequence[Camera]) -> Job[Float32]:
    """(V, 3) the mean unit direction towards the cameras that see each voxel; zero where none does."""
    lift = LiftAccumulator(grid, 3)
    for done, camera in enumerate(cameras):
        small = camera.fitted(DIRECTIONS)
        towards = -small.rays(small.pixel_grid())[1].astype(np.float32)
        for _ in lift.add_slices(camera, towards.reshape(small.height, small.width, 3)):
            yield Progress(done, len(cameras), "views", "surface")
    return lift.part(slice(None))[0]


def normals(grid: RadianceGrid, towards: Float32) -> Job[Float32]:
    """(V, 3) unit normals: the direction in which the voxels around each spread least, on the side that it is seen
    from (V, 3)."""
    out = np.empty((len(grid.index), 3), np.float32)
    for part in row_slices(len(out)):
        yield Progress(part.start, len(out), "voxels", "surface")
        spread = np.zeros((part.stop - part.start, 3, 3), np.float32)
        _spread(grid.index, grid.lut, part.start, part.stop, REACH, spread)
        for start in range(0, len(spread), 4096):
            some = slice(start, start + 4096)
            out[part][some] = np.linalg.eigh(spread[some])[1][:, :, 0]
            yield Progress(part.start, len(out), "voxels", "surface")
    away = np.einsum("ij,ij->i", out, towards) < 0
    out[away] *= -1
    return out


@jit
def _spread(index, lut, start, stop, reach, out):
    """The covariance (N, 3, 3) of the voxels within ``reach`` of each of some rows."""
    nx, ny, nz = lut.shape
    for row in range(start, stop):
        n = np.float32(0)
        m = np.zeros(3, np.float32)
        c = out[row - start]
        for x in range(max(index[row, 0] - reach, 0), min(index[row, 0] + reach + 1, nx)):
            for y in range(max(index[row, 1] - reach, 0), min(index[row, 1] + reach + 1, ny)):
                for z in range(max(index[row, 2] - reach, 0), min(index[row, 2] + reach + 1, nz)):
                    if lut[x, y, z] < 0:
                        continue
                    d = (
                        np.float32(x - index[row, 0]), np.float32(y - index[row, 1]), np.float32(z - index[row, 2])
                    )  # fmt: skip
                    n += np.float32(1)
                    for a in range(3):
                        m[a] += d[a]
                        for b in range(3):
                            c[a, b] += d[a] * d[b]
        for a in range(3):
            for b in range(3):
                c[a, b] = c[a, b] / n - m[a] / n * m[b] / n


def touching(grid: RadianceGrid) -> Job[Int32]:
    """(E, 2) rows of the voxels that touch by face, edge or corner, each pair once."""
    parts = []
    for part in row_slices(len(grid.index)):
        yield Progress(part.start, len(grid.index), "voxels", "neighbours")
        found = np.empty(((part.stop - part.start) * len(HALF_NEIGHBOURS), 2), np.int32)
        parts.append(found[: _touching(grid.index, grid.lut, part.start, part.stop, HALF_NEIGHBOURS, found)])
    return np.concatenate(parts) if parts else np.zeros((0, 2), np.int32)


@jit
def _touching(index, lut, start, stop, steps, out):
    nx, ny, nz = lut.shape
    n = 0
    for row in range(start, stop):
        for s in range(len(steps)):
            x, y, z = index[row, 0] + steps[s, 0], index[row, 1] + steps[s, 1], index[row, 2] + steps[s, 2]
            if 0 <= x < nx and 0 <= y < ny and 0 <= z < nz and lut[x, y, z] >= 0:
                out[n, 0] = row
                out[n, 1] = lut[x, y, z]
                n += 1
    return n
