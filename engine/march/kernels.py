"""Numba kernels that march the rays of an image, or any rays, through a sparse radiance grid.

The model and the units are those of ``engine.march.rays``. Images are marched in tiles, each behind the cone in which
none of its rays meets anything.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from engine.march.rays import (
    HALF,
    ONE,
    STOP,
    TINY,
    ZERO,
    corners,
    dual_cell,
    environment,
    flat,
    inverse_largest,
    jit,
    leaves,
    pjit,
    ray_of,
    sigmoid,
    span,
    stride,
)

TILE = 16
"""Images are marched in square tiles of so many pixels: their rays read the same cells while those are in the cache."""

MAX_CONE_STEPS = 64


@jit
def tile_box(tile, height, width):
    """(first line, end, first column, end) of a tile of an image."""
    across = (width + TILE - 1) // TILE
    top = (tile // across) * TILE
    left = (tile % across) * TILE
    return top, min(top + TILE, height), left, min(left + TILE, width)


@jit
def tile_count(height, width):
    return ((height + TILE - 1) // TILE) * ((width + TILE - 1) // TILE)


@jit
def clear_until(cam, top, bottom, left, right, nx, ny, nz, skip):
    """Grid units from the camera within which none of a tile's rays meets an active corner.

    Steps along the cone around the tile's middle ray: where the middle is at Chebyshev distance d of the nearest
    occupied dual cell, all within d - 1 is empty, and the tile's rays stray from the middle by ``slope`` t at most.
    """
    u = np.float32(left + right) * HALF
    v = np.float32(top + bottom) * HALF
    ox, oy, oz, dx, dy, dz, _length = ray_of(cam, u, v)
    slope = ZERO
    for k in range(4):
        _x, _y, _z, ex, ey, ez, _length = ray_of(
            cam, np.float32(left if k < 2 else right), np.float32(top if k % 2 == 0 else bottom)
        )
        slope = max(slope, abs(ex - dx), abs(ey - dy), abs(ez - dz))
    largest = max(abs(dx), abs(dy), abs(dz))
    t = ZERO
    for _ in range(MAX_CONE_STEPS):
        ix = dual_cell(ox + t * dx - HALF, nx)
        iy = dual_cell(oy + t * dy - HALF, ny)
        iz = dual_cell(oz + t * dz - HALF, nz)
        room = np.float32(nb.int32(skip[flat(ix, iy, iz, ny, nz)]) - 1) - slope * t
        if room < HALF:
            break
        t += room / (largest + slope)
    return t


@jit
def first_sample(t0, clear):
    """Where a ray that enters at ``t0`` is first sampled; half a step in, whole steps later if all before is clear."""
    t = t0 + HALF
    return t + np.float32(math.floor(max(clear - t, ZERO)))


@pjit
def march3(cam, hole, size, packed, lut, skip, threads, image, opacity, depth_z):
    """Add three channels to a view, behind what it holds already.

    Args:
        cam: (12,), the camera.
        hole: (2, 3) grid coordinates of a box that other grids fill: each ray starts where it leaves it.
        size: (nx, ny, nz).
        packed: (V + 1, 4), the channels and s; the last row is the empty voxel.
        lut: raveled int32.
        skip: raveled uint8.
        threads: how many share the image.
        image: (h, w, 3), added to.
        opacity: (h, w), read and raised.
        depth_z: (h, w), set where the opacity passes one half.
    """
    nx, ny, nz = size
    height, width = opacity.shape
    empty = np.uint32(packed.shape[0] - 1)
    for th in nb.prange(threads):
        for tile in range(th, tile_count(height, width), threads):
            top, bottom, first, end = tile_box(tile, height, width)
            clear = clear_until(cam, top, bottom, first, end, nx, ny, nz, skip)
            for place in range((bottom - top) * (end - first)):
                line, column = top + place // (end - first), first + place % (end - first)
                left = ONE - opacity[line, column]
                if left < STOP:
                    continue
                ox, oy, oz, dx, dy, dz, length = ray_of(cam, np.float32(column) + HALF, np.float32(line) + HALF)
                t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
                t = first_sample(max(t, leaves(hole, ox, oy, oz, dx, dy, dz)), clear)
                inv_m = inverse_largest(dx, dy, dz)
                ox -= HALF
                oy -= HALF
                oz -= HALF
                r, g, b, z = ZERO, ZERO, ZERO, ZERO
                while t < t1:
                    qx = ox + t * dx
                    qy = oy + t * dy
                    qz = oz + t * dz
                    ix, iy, iz = dual_cell(qx, nx), dual_cell(qy, ny), dual_cell(qz, nz)
                    cell = flat(ix, iy, iz, ny, nz)
                    distance = skip[cell]
                    if distance > 0:
                        t += stride(distance, inv_m)
                        continue
                    fx = qx - np.float32(ix)
                    fy = qy - np.float32(iy)
                    fz = qz - np.float32(iz)
                    s, r0, g0, b0, active = ZERO, ZERO, ZERO, ZERO, ZERO
                    for i in range(2):
                        wi = fx if i == 1 else ONE - fx
                        for j in range(2):
                            wj = wi * (fy if j == 1 else ONE - fy)
                            base = cell + (np.uint64(i) * np.uint64(ny) + np.uint64(j)) * np.uint64(nz)
                            for k in range(2):
                                w = wj * (fz if k == 1 else ONE - fz)
                                row = min(np.uint32(lut[base + np.uint64(k)]), empty)
                                r0 += w * packed[row, 0]
                                g0 += w * packed[row, 1]
                                b0 += w * packed[row, 2]
                                s += w * packed[row, 3]
                                active += w if row < empty else ZERO
                    alpha = sigmoid(s)
                    w = left * alpha / max(active, TINY)
                    r += w * r0
                    g += w * g0
                    b += w * b0
                    after = left * (ONE - alpha)
                    if left >= HALF and after < HALF:
                        z = t / length
                    left = after
                    if left < STOP:
                        break
                    t += ONE
                image[line, column, 0] += r
                image[line, column, 1] += g
                image[line, column, 2] += b
                opacity[line, column] = ONE - left
                if z > 0:
                    depth_z[line, column] = z


@pjit
def march_table(cam, size, raw, table, lut, skip, threads, image, opacity, depth_z):
    """Any number of channels: ``raw`` (V + 1,) s, ``table`` (V, C); fills image (h, w, C), opacity, depth_z (h, w)."""
    nx, ny, nz = size
    height, width = opacity.shape
    channels = table.shape[1]
    empty = np.uint32(raw.shape[0] - 1)
    for th in nb.prange(threads):
        row = np.empty(8, np.uint32)
        weight = np.empty(8, np.float32)
        for tile in range(th, tile_count(height, width), threads):
            top, bottom, first, end = tile_box(tile, height, width)
            clear = clear_until(cam, top, bottom, first, end, nx, ny, nz, skip)
            for place in range((bottom - top) * (end - first)):
                line, column = top + place // (end - first), first + place % (end - first)
                out = image[line, column]
                for k in range(channels):
                    out[k] = ZERO
                ox, oy, oz, dx, dy, dz, length = ray_of(cam, np.float32(column) + HALF, np.float32(line) + HALF)
                t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
                t = first_sample(t, clear)
                inv_m = inverse_largest(dx, dy, dz)
                left, z = ONE, ZERO
                while t < t1:
                    qx = ox + t * dx - HALF
                    qy = oy + t * dy - HALF
                    qz = oz + t * dz - HALF
                    ix, iy, iz = dual_cell(qx, nx), dual_cell(qy, ny), dual_cell(qz, nz)
                    cell = flat(ix, iy, iz, ny, nz)
                    distance = skip[cell]
                    if distance > 0:
                        t += stride(distance, inv_m)
                        continue
                    fx = qx - np.float32(ix)
                    fy = qy - np.float32(iy)
                    fz = qz - np.float32(iz)
                    active = corners(lut, cell, ny, nz, fx, fy, fz, empty, row, weight)
                    s = ZERO
                    for n in range(8):
                        s += weight[n] * raw[row[n]]
                    alpha = sigmoid(s)
                    scale = left * alpha / max(active, TINY)
                    for n in range(8):
                        if row[n] < empty:
                            w = scale * weight[n]
                            source = table[row[n]]
                            for k in range(channels):
                                out[k] += w * source[k]
                    after = left * (ONE - alpha)
                    if left >= HALF and after < HALF:
                        z = t / length
                    left = after
                    if left < STOP:
                        break
                    t += ONE
                opacity[line, column] = ONE - left
                depth_z[line, column] = z


@pjit
def march_points(origin, direction, t_end, size, raw, lut, skip, half, left_at_end):
    """Rays (N, 3), (N, 3) unit, up to ``t_end`` (N,), in grid units.

    Writes ``half`` (N,): t where the transmittance falls through one half (0 where it never does), and
    ``left_at_end`` (N,): the transmittance at ``t_end``.
    """
    nx, ny, nz = size
    empty = np.uint32(raw.shape[0] - 1)
    for n in nb.prange(origin.shape[0]):
        row = np.empty(8, np.uint32)
        weight = np.empty(8, np.float32)
        ox, oy, oz = origin[n, 0], origin[n, 1], origin[n, 2]
        dx, dy, dz = direction[n, 0], direction[n, 1], direction[n, 2]
        t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
        t += HALF
        t1 = min(t1, t_end[n])
        inv_m = inverse_largest(dx, dy, dz)
        left, crossing = ONE, ZERO
        while t < t1:
            qx = ox + t * dx - HALF
            qy = oy + t * dy - HALF
            qz = oz + t * dz - HALF
            ix, iy, iz = dual_cell(qx, nx), dual_cell(qy, ny), dual_cell(qz, nz)
            cell = flat(ix, iy, iz, ny, nz)
            distance = skip[cell]
            if distance > 0:
                t += stride(distance, inv_m)
                continue
            fx = qx - np.float32(ix)
            fy = qy - np.float32(iy)
            fz = qz - np.float32(iz)
            corners(lut, cell, ny, nz, fx, fy, fz, empty, row, weight)
            s = ZERO
            for k in range(8):
                s += weight[k] * raw[row[k]]
            after = left * (ONE - sigmoid(s))
            if left >= HALF and after < HALF:
                crossing = t
            left = after
            if left < STOP:
                break
            t += ONE
        half[n] = crossing
        left_at_end[n] = left


@pjit
def add_environment(cam, env, threads, image, opacity):
    """image (h, w, 3) += (1 - opacity) * environment of each pixel's direction."""
    height, width = opacity.shape
    for th in nb.prange(threads):
        for line in range(th, height, threads):
            for column in range(width):
                left = ONE - opacity[line, column]
                if left <= STOP:
                    continue
                _x, _y, _z, dx, dy, dz, _length = ray_of(cam, np.float32(column) + HALF, np.float32(line) + HALF)
                r0, c0, r1, c1, fx, fy = environment(env, dx, dy, dz)
                for k in range(3):
                    top = env[r0, c0, k] * (ONE - fx) + env[r0, c1, k] * fx
                    low = env[r1, c0, k] * (ONE - fx) + env[r1, c1, k] * fx
                    image[line, column, k] += left * (top * (ONE - fy) + low * fy)
