"""What all marching kernels share: units, rays, cells of a sparse grid; numba functions that are inlined into them.

Units: everything is in grid coordinates (one voxel = 1), so a camera is the (12,) row of ``GridSpec.rays_from``
and a step of one voxel has delta = 1. Density is stored *raw*: tau = softplus(s) is the optical thickness of one voxel,
interpolated before the activation (Sun et al., DVGO, 2022), which keeps surfaces sharper than the voxels. Then

    alpha_j = 1 - exp(-softplus(s_j)) = sigmoid(s_j)          (delta = 1)
    T_j     = prod_{m<j} (1 - alpha_m)
    w_j     = T_j alpha_j                                      (emission-absorption; Max, 1995)

Trilinear corners outside the active set have s = ``S_EMPTY`` and no colour: colours and features are averaged over the
active corners only. So that no branch is needed, tables have one row more than there are voxels: the empty voxel's,
which the -1 of the look-up table becomes when it is read as unsigned and clamped.

Empty space: ``skip[i, j, k]`` belongs to the *dual* cell between the voxel centres (i, j, k) and (i+1, j+1, k+1).
It is 0 where a corner is active, otherwise the Chebyshev distance to such a cell (255 at most). A ray whose largest
direction component is m may pass ``floor((skip - 1) / m) + 1`` samples there without missing one.
"""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path

import numba as nb
import numpy as np

if "NUMBA_CACHE_DIR" not in os.environ:
    # numba compiles a kernel again when its own file changes, not when a function that it inlines does: the kernels of
    # each version of this file are cached apart. Where the folder cannot be written, numba falls back to the user's.
    _version = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    nb.config.CACHE_DIR = str(Path(__file__).parent / "__pycache__" / f"numba-{_version}")

S_EMPTY = np.float32(-10.0)
"""Raw density of a voxel that is not stored: tau = 4.5e-5."""

STOP = np.float32(1e-3)
"""A ray ends when less than this share of the light gets through."""

FAR = np.float32(1e30)
HALF = np.float32(0.5)
ONE = np.float32(1.0)
ZERO = np.float32(0.0)
TINY = np.float32(1e-6)

_fast = {"reassoc", "contract", "arcp", "nsz", "afn"}  # NaN and infinity keep their meaning
jit = nb.njit(nogil=True, cache=True, fastmath=_fast, error_model="numpy")
pjit = nb.njit(nogil=True, cache=True, parallel=True, fastmath=_fast, error_model="numpy")


@jit
def clip_axis(o, d, n, t0, t1):
    """Where a ray is between the first and the last voxel centre of one axis, intersected with [t0, t1]."""
    lo = HALF
    hi = np.float32(n) - np.float32(0.501)
    if abs(d) < np.float32(1e-9):
        if o < lo or o > hi:
            return FAR, ZERO
        return t0, t1
    a = (lo - o) / d
    b = (hi - o) / d
    if a > b:
        a, b = b, a
    return max(t0, a), min(t1, b)


@jit
def span(ox, oy, oz, dx, dy, dz, nx, ny, nz):
    """(t0, t1) of a ray inside the grid; t1 <= t0 where it misses."""
    t0, t1 = clip_axis(ox, dx, nx, ZERO, FAR)
    t0, t1 = clip_axis(oy, dy, ny, t0, t1)
    return clip_axis(oz, dz, nz, t0, t1)


@jit
def leaves(hole, ox, oy, oz, dx, dy, dz):
    """Where a ray leaves the box ``hole`` (2, 3); 0 where it misses it."""
    t0, t1 = ZERO, FAR
    for axis in range(3):
        o = ox if axis == 0 else (oy if axis == 1 else oz)
        d = dx if axis == 0 else (dy if axis == 1 else dz)
        if abs(d) < np.float32(1e-9):
            if o < hole[0, axis] or o > hole[1, axis]:
                return ZERO
        else:
            a = (hole[0, axis] - o) / d
            b = (hole[1, axis] - o) / d
            t0 = max(t0, min(a, b))
            t1 = min(t1, max(a, b))
    return t1 if t1 > t0 else ZERO


@jit
def ray_of(cam, u, v):
    """Pixel to (origin, unit direction, grid length of one world unit of camera depth)."""
    dx = cam[0] * u + cam[1] * v + cam[2]
    dy = cam[3] * u + cam[4] * v + cam[5]
    dz = cam[6] * u + cam[7] * v + cam[8]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    inv = ONE / length
    return cam[9], cam[10], cam[11], dx * inv, dy * inv, dz * inv, length


@jit
def inverse_largest(dx, dy, dz):
    return ONE / max(abs(dx), abs(dy), abs(dz))


@jit
def dual_cell(q, n):
    """Lower corner along one axis of the dual cell at q = grid coordinate - 1/2, clamped to the grid."""
    return min(max(nb.int32(q), nb.int32(0)), nb.int32(n - 2))


@jit
def stride(distance, inv_m):
    """Samples that may be passed in a dual cell at this Chebyshev distance."""
    return np.float32(nb.int32(np.float32(nb.int32(distance) - 1) * inv_m) + 1)


@jit
def sigmoid(s):
    return ONE / (ONE + math.exp(-s))


@jit
def flat(ix, iy, iz, ny, nz):
    """Position of a cell in the raveled grid; unsigned, so that numba does not guard against negative indices."""
    return (np.uint64(ix) * np.uint64(ny) + np.uint64(iy)) * np.uint64(nz) + np.uint64(iz)


@jit
def corners(lut, cell, ny, nz, fx, fy, fz, empty, row, weight):
    """Rows and trilinear weights of a dual cell's corners into ``row``, ``weight`` (8,); row ``empty`` where inactive.

    ``lut`` is raveled, ``cell`` the lower corner's place in it. Returns the total weight of the active corners.
    """
    active = ZERO
    n = 0
    for a in range(2):
        wa = fx if a == 1 else ONE - fx
        for b in range(2):
            wb = wa * (fy if b == 1 else ONE - fy)
            base = cell + (np.uint64(a) * np.uint64(ny) + np.uint64(b)) * np.uint64(nz)
            for c in range(2):
                w = wb * (fz if c == 1 else ONE - fz)
                j = min(np.uint32(lut[base + np.uint64(c)]), empty)
                row[n] = j
                weight[n] = w
                active += w if j < empty else ZERO
                n += 1
    return active


@jit
def environment(env, dx, dy, dz):
    """Position of a direction in an equirectangular map (H, W, 3): (row, column, row below, column right, fractions).

    Columns run with the azimuth atan2(y, x) in (-pi, pi] and wrap; rows with the polar angle from +z.
    """
    rows, columns = env.shape[0], env.shape[1]
    horizontal = math.sqrt(dx * dx + dy * dy)
    x = (math.atan2(dy, dx) * np.float32(0.5 / math.pi) + HALF) * np.float32(columns) - HALF
    y = math.atan2(horizontal, dz) * np.float32(1.0 / math.pi) * np.float32(rows) - HALF
    y = min(max(y, ZERO), np.float32(rows - 1))
    x0 = math.floor(x)
    y0 = math.floor(y)
    c0 = (int(x0) + columns) % columns
    r0 = int(y0)
    return r0, c0, min(r0 + 1, rows - 1), (c0 + 1) % columns, np.float32(x - x0), np.float32(y - y0)
