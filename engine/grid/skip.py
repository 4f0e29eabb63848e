"""Look-up table and empty-space distances of a sparse grid, in slices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.march.rays import jit

Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

FARTHEST = 255
"""Distances are capped here; a lower bound is all that a ray needs."""

SLICE_CELLS = 1 << 21
"""Cells per slice of work: a few milliseconds on one thread."""


@jit
def _number(index, lut):
    """lut[index[j]] = j; returns False where two voxels share a cell."""
    for j in range(index.shape[0]):
        x, y, z = index[j, 0], index[j, 1], index[j, 2]
        if lut[x, y, z] >= 0:
            return False
        lut[x, y, z] = j
    return True


@jit
def _mark_dual(index, skip):
    """Zero the (up to) eight dual cells that have each voxel as a corner."""
    for j in range(index.shape[0]):
        for x in range(max(index[j, 0] - 1, 0), index[j, 0] + 1):
            for y in range(max(index[j, 1] - 1, 0), index[j, 1] + 1):
                for z in range(max(index[j, 2] - 1, 0), index[j, 2] + 1):
                    skip[x, y, z] = 0


@jit
def _relax_row(d, x, y, x_from, sign, buffer):
    """One row of the two-pass chessboard transform; ``sign`` +1 forward, -1 backward."""
    nx, ny, nz = d.shape
    row = d[x, y]
    for z in range(nz):
        buffer[z] = FARTHEST
    if 0 <= x_from < nx:
        for yy in range(max(y - 1, 0), min(y + 2, ny)):
            other = d[x_from, yy]
            for z in range(nz):
                buffer[z] = min(buffer[z], other[z])
    y_from = y - sign
    if 0 <= y_from < ny:
        other = d[x, y_from]
        for z in range(nz):
            buffer[z] = min(buffer[z], other[z])
    last = buffer[0]
    for z in range(nz):
        here = buffer[z]
        after = buffer[z + 1] if z + 1 < nz else here
        best = min(last, min(here, after))
        if best < FARTHEST:
            best = np.uint8(best + 1)
        row[z] = min(row[z], best)
        last = here
    if sign > 0:
        for z in range(1, nz):
            if row[z - 1] < FARTHEST:
                row[z] = min(row[z], np.uint8(row[z - 1] + 1))
    else:
        for z in range(nz - 2, -1, -1):
            if row[z + 1] < FARTHEST:
                row[z] = min(row[z], np.uint8(row[z + 1] + 1))


@jit
def _forward(d, x0, x1, buffer):
    for x in range(x0, x1):
        for y in range(d.shape[1]):
            _relax_row(d, x, y, x - 1, 1, buffer)


@jit
def _backward(d, x0, x1, buffer):
    for x in range(x1 - 1, x0 - 1, -1):
        for y in range(d.shape[1] - 1, -1, -1):
            _relax_row(d, x, y, x + 1, -1, buffer)


def chessboard_slices(d: UInt8) -> Iterator[None]:
    """Turn (nx, ny, nz) zeros-and-255 into Chebyshev distances to the nearest zero, in place, yielding between slices.

    Two raster passes over the 26-neighbourhood with unit weights are exact for the chessboard metric
    (Rosenfeld and Pfaltz, 1968); distances stop at 255.
    """
    nx, ny, nz = d.shape
    slab = max(1, SLICE_CELLS // (ny * nz))
    buffer = np.empty(nz, np.uint8)
    for x in range(0, nx, slab):
        _forward(d, x, min(x + slab, nx), buffer)
        yield
    for x in range(nx, 0, -slab):
        _backward(d, max(x - slab, 0), x, buffer)
        yield


def tables_slices(index: Int32, dims: tuple[int, int, int], out: list[tuple[Int32, UInt8]]) -> Iterator[None]:
    """Append (lut, skip) of the active voxels ``index`` (V, 3) to ``out``, yielding between slices.

    lut: int32 dims, the voxel's row or -1. skip: uint8 dims, see ``engine.march.rays``.

    Raises:
        ValueError: two voxels share a cell.
    """
    lut = np.full(dims, -1, np.int32)
    skip = np.full(dims, FARTHEST, np.uint8)
    yield
    if not _number(index, lut):
        raise ValueError("two voxels share a cell")
    _mark_dual(index, skip)
    yield
    yield from chessboard_slices(skip)
    out.append((lut, skip))


def build_tables(index: Int32, dims: tuple[int, int, int]) -> tuple[Int32, UInt8]:
    """(lut, skip) of the active voxels at once; see ``tables_slices``."""
    out: list[tuple[Int32, UInt8]] = []
    for _ in tables_slices(index, dims, out):
        pass
    return out[0]
