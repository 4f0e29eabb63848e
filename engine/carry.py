"""Values of one grid's voxels on the voxels of another, by place."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

_STEPS = np.array(
    sorted(((x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)), key=lambda s: sum(map(abs, s))),
    dtype=np.int64,
)


@nb.njit(nogil=True, cache=True)
def nearest_rows(pos_g: NDArray[np.float32], lut: NDArray[np.int32], steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each (N, 3) place in grid coordinates the row in ``lut`` of its voxel or of the nearest beside it, or -1."""
    rows = np.full(len(pos_g), -1, np.int64)
    for n in range(len(pos_g)):
        for s in range(len(steps)):
            x = int(np.floor(pos_g[n, 0])) + steps[s, 0]
            y = int(np.floor(pos_g[n, 1])) + steps[s, 1]
            z = int(np.floor(pos_g[n, 2])) + steps[s, 2]
            if 0 <= x < lut.shape[0] and 0 <= y < lut.shape[1] and 0 <= z < lut.shape[2] and lut[x, y, z] >= 0:
                rows[n] = lut[x, y, z]
                break
    return rows


def rows_beside(pos_g: NDArray[np.float32], lut: NDArray[np.int32]) -> NDArray[np.int64]:
    """``nearest_rows`` over the 27 cells about each place, the closest first."""
    return nearest_rows(np.ascontiguousarray(pos_g, np.float32), lut, _STEPS)
