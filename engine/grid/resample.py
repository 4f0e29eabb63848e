"""A sparse grid at another resolution."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.grid.spec import GridSpec
from engine.march.rays import HALF, ONE, TINY, ZERO, corners, dual_cell, flat, jit

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

SLICE_CELLS = 1 << 18


def resample_slices(
    old: GridSpec, packed: Float32, lut: Int32, skip: UInt8, new: GridSpec, out: list[tuple[Int32, Float32]]
) -> Iterator[None]:
    """Append (index (V, 3), values (V, 4)) of ``new``'s cells to ``out``, in slices.

    A cell becomes active when its centre lies among active corners of the old grid; colour is averaged over those, s
    over all eight corners. ``packed`` (V' + 1, 4), ``lut`` and ``skip`` (dims) belong to the old grid.
    """
    ratio = np.float32(new.voxel / old.voxel)
    offset = ((new.lo_w - old.lo_w) / old.voxel).astype(np.float32)
    nx, ny, nz = new.dims
    slab = max(1, SLICE_CELLS // (ny * nz))
    index, values = [np.zeros((0, 3), np.int32)], [np.zeros((0, 4), np.float32)]
    for x in range(0, nx, slab):
        stop = min(x + slab, nx)
        room = (stop - x) * ny * nz
        i, v = np.empty((room, 3), np.int32), np.empty((room, 4), np.float32)
        n = _resample(packed, lut.ravel(), skip.ravel(), old.dims, ratio, offset, x, stop, ny, nz, i, v)
        index.append(i[:n].copy())
        values.append(v[:n].copy())
        yield
    out.append((np.concatenate(index), np.concatenate(values)))


@jit
def _resample(packed, lut, skip, old, ratio, offset, x0, x1, ny, nz, index, values):
    """Fill index (n, 3) and values (n, 4) with the new cells of x0 <= x < x1; returns n."""
    mx, my, mz = old
    empty = np.uint32(packed.shape[0] - 1)
    row = np.empty(8, np.uint32)
    weight = np.empty(8, np.float32)
    count = 0
    for x in range(x0, x1):
        qx = (np.float32(x) + HALF) * ratio + offset[0] - HALF
        ix = dual_cell(qx, mx)
        fx = min(max(qx - np.float32(ix), ZERO), ONE)
        for y in range(ny):
            qy = (np.float32(y) + HALF) * ratio + offset[1] - HALF
            iy = dual_cell(qy, my)
            fy = min(max(qy - np.float32(iy), ZERO), ONE)
            for z in range(nz):
                qz = (np.float32(z) + HALF) * ratio + offset[2] - HALF
                iz = dual_cell(qz, mz)
                cell = flat(ix, iy, iz, my, mz)
                if skip[cell] > 0:
                    continue
                fz = min(max(qz - np.float32(iz), ZERO), ONE)
                active = corners(lut, cell, my, mz, fx, fy, fz, empty, row, weight)
                if active < np.float32(1e-3):
                    continue
                index[count, 0], index[count, 1], index[count, 2] = x, y, z
                for k in range(4):
                    v = ZERO
                    for m in range(8):
                        v += weight[m] * packed[row[m], k]
                    values[count, k] = v if k == 3 else v / max(active, TINY)
                count += 1
    return count
