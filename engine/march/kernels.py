"""Numba kernels that march rays through a sparse radiance grid.

Units: everything is in grid coordinates (one voxel = 1), so a camera is the (12,) row of ``GridSpec.rays_from``
and a step of one voxel has delta = 1. Density is stored *raw*: tau = softplus(s) is the optical thickness of one voxel,
interpolated before the activation (Sun et al., DVGO, 2022), which keeps surfaces sharper than the voxels. Then

    alpha_j = 1 - exp(-softplus(s_j)) = sigmoid(s_j)          (delta = 1)
    T_j     = prod_{m<j} (1 - alpha_m)
    w_j     = T_j alpha_j                                      (METHOD, section 1)

Trilinear corners outside the active set have s = ``S_EMPTY`` and no colour: colours and features are averaged over the
active corners only.

Empty space: ``skip[i, j, k]`` belongs to the *dual* cell between the voxel centres (i, j, k) and (i+1, j+1, k+1).
It is 0 where a corner is active, otherwise the Chebyshev distance to such a cell (255 at most). A ray whose largest
direction component is m may pass ``floor((skip - 1) / m) + 1`` samples there without missing one.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

S_EMPTY = np.float32(-10.0)
"""Raw density of a voxel that is not stored: tau = 4.5e-5."""

STOP = np.float32(1e-3)
"""A ray ends when less than this share of the light gets through."""

FAR = np.float32(1e30)

jit = nb.njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "arcp", "nsz", "afn"}, error_model="numpy")
pjit = nb.njit(
    nogil=True, cache=True, parallel=True, fastmath={"reassoc", "contract", "arcp", "nsz", "afn"}, error_model="numpy"
)


@jit
def clip_axis(o, d, n, t0, t1):
    """Where a ray is between the first and the last voxel centre of one axis, intersected with [t0, t1]."""
    lo = np.float32(0.5)
    hi = np.float32(n) - np.float32(0.501)
    if abs(d) < np.float32(1e-9):
        if o < lo or o > hi:
            return np.float32(1.0), np.float32(0.0)
        return t0, t1
    a = (lo - o) / d
    b = (hi - o) / d
    if a > b:
        a, b = b, a
    return max(t0, a), min(t1, b)


@jit
def ray_of(cam, u, v):
    """Pixel to (origin, unit direction, grid length of one world unit of camera depth)."""
    dx = cam[0] * u + cam[1] * v + cam[2]
    dy = cam[3] * u + cam[4] * v + cam[5]
    dz = cam[6] * u + cam[7] * v + cam[8]
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    inv = np.float32(1.0) / length
    return cam[9], cam[10], cam[11], dx * inv, dy * inv, dz * inv, length


@jit
def span(ox, oy, oz, dx, dy, dz, nx, ny, nz):
    """(t0, t1) of a ray inside the grid; t1 <= t0 where it misses."""
    t0, t1 = np.float32(0.0), FAR
    t0, t1 = clip_axis(ox, dx, nx, t0, t1)
    t0, t1 = clip_axis(oy, dy, ny, t0, t1)
    return clip_axis(oz, dz, nz, t0, t1)


@jit
def stride(distance, inv_m):
    """Samples that may be passed in a dual cell at this Chebyshev distance."""
    return np.float32(math.floor(np.float32(distance - 1) * inv_m) + 1.0)


@jit
def sigmoid(s):
    return np.float32(1.0) / (np.float32(1.0) + math.exp(-s))


@pjit
def march3(cam, height, width, packed, lut, skip, threads, image, opacity, depth_z):
    """Three channels: ``packed`` (V, 4) holds them and s. Writes image (h, w, 3), opacity (h, w), depth_z (h, w)."""
    nx, ny, nz = skip.shape
    for th in nb.prange(threads):
        for row in range(th, height, threads):
            for column in range(width):
                ox, oy, oz, dx, dy, dz, length = ray_of(cam, np.float32(column + 0.5), np.float32(row + 0.5))
                t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
                t += np.float32(0.5)
                inv_m = np.float32(1.0) / max(abs(dx), abs(dy), abs(dz))
                ox -= np.float32(0.5)
                oy -= np.float32(0.5)
                oz -= np.float32(0.5)
                left = np.float32(1.0)
                r = np.float32(0.0)
                g = np.float32(0.0)
                b = np.float32(0.0)
                z = np.float32(0.0)
                while t < t1:
                    qx = ox + t * dx
                    qy = oy + t * dy
                    qz = oz + t * dz
                    ix = min(int(qx), nx - 2)
                    iy = min(int(qy), ny - 2)
                    iz = min(int(qz), nz - 2)
                    distance = skip[ix, iy, iz]
                    if distance > 0:
                        t += stride(distance, inv_m)
                        continue
                    fx = qx - np.float32(ix)
                    fy = qy - np.float32(iy)
                    fz = qz - np.float32(iz)
                    s = np.float32(0.0)
                    r0 = np.float32(0.0)
                    g0 = np.float32(0.0)
                    b0 = np.float32(0.0)
                    active = np.float32(0.0)
                    for a in range(2):
                        wa = fx if a == 1 else np.float32(1.0) - fx
                        for e in range(2):
                            we = wa * (fy if e == 1 else np.float32(1.0) - fy)
                            for c in range(2):
                                j = lut[ix + a, iy + e, iz + c]
                                if j >= 0:
                                    w = we * (fz if c == 1 else np.float32(1.0) - fz)
                                    r0 += w * packed[j, 0]
                                    g0 += w * packed[j, 1]
                                    b0 += w * packed[j, 2]
                                    s += w * packed[j, 3]
                                    active += w
                    s += (np.float32(1.0) - active) * S_EMPTY
                    alpha = sigmoid(s)
                    w = left * alpha / max(active, np.float32(1e-6))
                    r += w * r0
                    g += w * g0
                    b += w * b0
                    after = left * (np.float32(1.0) - alpha)
                    if left >= np.float32(0.5) and after < np.float32(0.5):
                        z = t / length
                    left = after
                    if left < STOP:
                        break
                    t += np.float32(1.0)
                image[row, column, 0] = r
                image[row, column, 1] = g
                image[row, column, 2] = b
                opacity[row, column] = np.float32(1.0) - left
                depth_z[row, column] = z


@pjit
def march_table(cam, height, width, raw_s, table, lut, skip, threads, image, opacity, depth_z):
    """Any number of channels: ``raw_s`` (V,), ``table`` (V, C). Writes image (h, w, C), opacity, depth_z (h, w)."""
    nx, ny, nz = skip.shape
    channels = table.shape[1]
    for th in nb.prange(threads):
        corner = np.empty(8, np.int32)
        weight = np.empty(8, np.float32)
        for row in range(th, height, threads):
            for column in range(width):
                out = image[row, column]
                for k in range(channels):
                    out[k] = np.float32(0.0)
                ox, oy, oz, dx, dy, dz, length = ray_of(cam, np.float32(column + 0.5), np.float32(row + 0.5))
                t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
                t += np.float32(0.5)
                inv_m = np.float32(1.0) / max(abs(dx), abs(dy), abs(dz))
                ox -= np.float32(0.5)
                oy -= np.float32(0.5)
                oz -= np.float32(0.5)
                left = np.float32(1.0)
                z = np.float32(0.0)
                while t < t1:
                    qx = ox + t * dx
                    qy = oy + t * dy
                    qz = oz + t * dz
                    ix = min(int(qx), nx - 2)
                    iy = min(int(qy), ny - 2)
                    iz = min(int(qz), nz - 2)
                    distance = skip[ix, iy, iz]
                    if distance > 0:
                        t += stride(distance, inv_m)
                        continue
                    found, s, active = gather(lut, raw_s, ix, iy, iz, qx, qy, qz, corner, weight)
                    alpha = sigmoid(s)
                    scale = left * alpha / max(active, np.float32(1e-6))
                    for n in range(found):
                        source = table[corner[n]]
                        w = scale * weight[n]
                        for k in range(channels):
                            out[k] += w * source[k]
                    after = left * (np.float32(1.0) - alpha)
                    if left >= np.float32(0.5) and after < np.float32(0.5):
                        z = t / length
                    left = after
                    if left < STOP:
                        break
                    t += np.float32(1.0)
                opacity[row, column] = np.float32(1.0) - left
                depth_z[row, column] = z


@jit
def gather(lut, raw_s, ix, iy, iz, qx, qy, qz, corner, weight):
    """Active corners of a dual cell into ``corner``, ``weight`` (8,): (how many, interpolated s, total weight)."""
    fx = qx - np.float32(ix)
    fy = qy - np.float32(iy)
    fz = qz - np.float32(iz)
    s = np.float32(0.0)
    active = np.float32(0.0)
    found = 0
    for a in range(2):
        wa = fx if a == 1 else np.float32(1.0) - fx
        for e in range(2):
            we = wa * (fy if e == 1 else np.float32(1.0) - fy)
            for c in range(2):
                j = lut[ix + a, iy + e, iz + c]
                if j >= 0:
                    w = we * (fz if c == 1 else np.float32(1.0) - fz)
                    corner[found] = j
                    weight[found] = w
                    found += 1
                    s += w * raw_s[j]
                    active += w
    return found, s + (np.float32(1.0) - active) * S_EMPTY, active


@pjit
def march_points(origin, direction, t_end, raw_s, lut, skip, half, left_at_end):
    """Rays (N, 3), (N, 3) unit, up to ``t_end`` (N,), in grid units.

    Writes ``half`` (N,): t where the transmittance falls through one half (0 where it never does), and
    ``left_at_end`` (N,): the transmittance at ``t_end``.
    """
    nx, ny, nz = skip.shape
    for n in nb.prange(origin.shape[0]):
        corner = np.empty(8, np.int32)
        weight = np.empty(8, np.float32)
        ox, oy, oz = origin[n, 0], origin[n, 1], origin[n, 2]
        dx, dy, dz = direction[n, 0], direction[n, 1], direction[n, 2]
        t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
        t += np.float32(0.5)
        t1 = min(t1, t_end[n])
        inv_m = np.float32(1.0) / max(abs(dx), abs(dy), abs(dz))
        left = np.float32(1.0)
        crossing = np.float32(0.0)
        while t < t1:
            qx = ox + t * dx - np.float32(0.5)
            qy = oy + t * dy - np.float32(0.5)
            qz = oz + t * dz - np.float32(0.5)
            ix = min(int(qx), nx - 2)
            iy = min(int(qy), ny - 2)
            iz = min(int(qz), nz - 2)
            distance = skip[ix, iy, iz]
            if distance > 0:
                t += stride(distance, inv_m)
                continue
            _found, s, _active = gather(lut, raw_s, ix, iy, iz, qx, qy, qz, corner, weight)
            after = left * (np.float32(1.0) - sigmoid(s))
            if left >= np.float32(0.5) and after < np.float32(0.5):
                crossing = t
            left = after
            if left < STOP:
                break
            t += np.float32(1.0)
        half[n] = crossing
        left_at_end[n] = left


@jit
def environment(env, dx, dy, dz):
    """Position of a direction in an equirectangular map (H, W, 3): (row, column, row below, column right, fractions).

    Columns run with the azimuth atan2(y, x) in (-pi, pi] and wrap; rows with the polar angle from +z.
    """
    rows, columns = env.shape[0], env.shape[1]
    horizontal = math.sqrt(dx * dx + dy * dy)
    x = (math.atan2(dy, dx) * np.float32(0.5 / math.pi) + np.float32(0.5)) * columns - np.float32(0.5)
    y = math.atan2(horizontal, dz) * np.float32(1.0 / math.pi) * rows - np.float32(0.5)
    y = min(max(y, np.float32(0.0)), np.float32(rows - 1))
    x0 = math.floor(x)
    y0 = math.floor(y)
    c0 = int(x0) % columns
    r0 = int(y0)
    return r0, c0, min(r0 + 1, rows - 1), (c0 + 1) % columns, np.float32(x - x0), np.float32(y - y0)


@pjit
def add_background(cam, env, threads, image, opacity):
    """image (h, w, 3) += (1 - opacity) * environment of each pixel's direction."""
    height, width = opacity.shape
    for th in nb.prange(threads):
        for row in range(th, height, threads):
            for column in range(width):
                left = np.float32(1.0) - opacity[row, column]
                if left <= STOP:
                    continue
                _x, _y, _z, dx, dy, dz, _length = ray_of(cam, np.float32(column + 0.5), np.float32(row + 0.5))
                r0, c0, r1, c1, fx, fy = environment(env, dx, dy, dz)
                for k in range(3):
                    top = env[r0, c0, k] * (np.float32(1.0) - fx) + env[r0, c1, k] * fx
                    low = env[r1, c0, k] * (np.float32(1.0) - fx) + env[r1, c1, k] * fx
                    image[row, column, k] += left * (top * (np.float32(1.0) - fy) + low * fy)
