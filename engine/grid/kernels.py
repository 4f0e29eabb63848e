"""Numba kernels of the fit: fused forward and backward pass, masked Adam, seen voxels.

The model and the units are those of ``engine.march.rays``: ``packed`` (V + 1, 4) holds linear colour and raw density
s, the last row being the empty voxel. Grids are nested: each fills what the one before leaves out, with larger voxels,
and all share one table. A ray goes through the innermost grid first, then through the next from where it leaves the
one before; what lies in front of an inner box is taken to be empty.

The gradient of a ray's colour C = sum_j w_j c_j + T_end B has a closed form. With tau_j = softplus(s_j), for which
d tau/d s = sigmoid(s) = alpha:

    dC/dc_j   = w_j
    dC/dtau_j = T_{j+1} c_j - sum_{m>j} w_m c_m - T_end B

so one sweep forward and one backward over the samples give the gradient of every corner.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from engine.march.rays import (
    HALF,
    ONE,
    S_EMPTY,
    STOP,
    TINY,
    ZERO,
    corners,
    dual_cell,
    environment,
    flat,
    inverse_largest,
    jit,
    pjit,
    ray_of,
    sigmoid,
    span,
    stride,
)

MAX_SAMPLES = 1024


@jit
def _sample_ray(
    ox, oy, oz, dx, dy, dz, jitter, origins, sizes, starts, scales, packed, lut, skip,
    row, weight, value, active, alphas,
):  # fmt: skip
    """Samples of a ray through the nested grids, front to back: how many there are.

    ``row``, ``weight`` (MAX_SAMPLES, 8) receive the corners, ``value`` (MAX_SAMPLES, 4) colour and s, ``active`` and
    ``alphas`` (MAX_SAMPLES,) the corners' total weight and the opacity. The origin is that of the first grid.
    """
    empty = np.uint32(packed.shape[0] - 1)
    inv_m = inverse_largest(dx, dy, dz)
    left = ONE
    begin = ZERO
    n = 0
    for g in range(sizes.shape[0]):
        nx, ny, nz = sizes[g, 0], sizes[g, 1], sizes[g, 2]
        if g > 0:
            ox, oy, oz = origins[g, 0], origins[g, 1], origins[g, 2]
        t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
        if t1 <= t:
            continue
        t = max(t, begin * scales[g]) + jitter
        begin = t1 / scales[g]
        while t < t1 and n < MAX_SAMPLES:
            qx = ox + t * dx - HALF
            qy = oy + t * dy - HALF
            qz = oz + t * dz - HALF
            ix, iy, iz = dual_cell(qx, nx), dual_cell(qy, ny), dual_cell(qz, nz)
            cell = flat(ix, iy, iz, ny, nz) + np.uint64(starts[g])
            distance = skip[cell]
            if distance > 0:
                t += stride(distance, inv_m)
                continue
            fx = qx - np.float32(ix)
            fy = qy - np.float32(iy)
            fz = qz - np.float32(iz)
            total = corners(lut, cell, ny, nz, fx, fy, fz, empty, row[n], weight[n])
            r, gr, b, s = ZERO, ZERO, ZERO, ZERO
            for k in range(8):
                w = weight[n, k]
                j = row[n, k]
                r += w * packed[j, 0]
                gr += w * packed[j, 1]
                b += w * packed[j, 2]
                s += w * packed[j, 3]
            inv = ONE / max(total, TINY)
            alpha = sigmoid(s)
            value[n, 0], value[n, 1], value[n, 2], value[n, 3] = r * inv, gr * inv, b * inv, s
            active[n] = inv
            alphas[n] = alpha
            n += 1
            left *= ONE - alpha
            if left < STOP:
                return n
            t += ONE
    return n


@pjit
def forward_backward(
    rays, jitter, cams, origins, views, pixels, sizes, starts, scales, packed, env, lut, skip,
    threads, gradient, most, env_gradient, loss,
):  # fmt: skip
    """Squared error of a batch of pixels and its gradient.

    Args:
        rays: (N, 2) int64, photo and pixel number of each ray.
        jitter: (N,) float32 in [0, 1), where in its first step each ray is sampled.
        cams: (n, 12), the photos' cameras in the first grid (``engine.grid.photos.PhotoBank``).
        origins: (n, G, 3), their centres in each grid.
        views: (n, 3), their first pixel, width and height.
        pixels: (P, 4) uint8, their pixels.
        sizes: (G, 3) int64, voxels of each grid.
        starts: (G,) int64, where each grid's cells begin in ``lut`` and ``skip``.
        scales: (G,) float32, voxels of each grid per voxel of the first.
        packed: (V + 1, 4), the voxels of all grids.
        env: (H, W, 3), the environment map.
        lut: raveled rows of the voxels.
        skip: raveled empty-space distances.
        threads: how many share the batch, each with its own buffers.
        gradient: (threads, V + 1, 4), added to.
        most: (threads, V + 1), raised to the largest share of a ray's light that each voxel gives as a corner.
        env_gradient: (threads, H, W, 3), added to.
        loss: (threads, 2), set to the sum of squared errors and the number of rays that count.
    """
    count = rays.shape[0]
    scale = np.float32(2.0 / 3.0 / count)
    for th in nb.prange(threads):
        row = np.empty((MAX_SAMPLES, 8), np.uint32)
        weight = np.empty((MAX_SAMPLES, 8), np.float32)
        value = np.empty((MAX_SAMPLES, 4), np.float32)
        active = np.empty(MAX_SAMPLES, np.float32)
        alphas = np.empty(MAX_SAMPLES, np.float32)
        error = np.empty(3, np.float32)
        rest = np.empty(3, np.float32)
        buffer = gradient[th]
        seen_buffer = most[th]
        env_buffer = env_gradient[th]
        total = 0.0
        used = 0
        for n in range(count * th // threads, count * (th + 1) // threads):
            view = rays[n, 0]
            width = views[view, 1]
            pixel = rays[n, 1] % (width * views[view, 2])
            target = pixels[views[view, 0] + pixel]
            if target[3] == 0:
                continue
            u = np.float32(pixel % width) + HALF
            v = np.float32(pixel // width) + HALF
            ox, oy, oz, dx, dy, dz, _length = ray_of(cams[view], u, v)
            samples = _sample_ray(
                ox, oy, oz, dx, dy, dz, jitter[n], origins[view], sizes, starts, scales, packed, lut, skip,
                row, weight, value, active, alphas,
            )  # fmt: skip
            left = ONE
            r, g, b = ZERO, ZERO, ZERO
            for i in range(samples):
                w = left * alphas[i]
                r += w * value[i, 0]
                g += w * value[i, 1]
                b += w * value[i, 2]
                left *= ONE - alphas[i]
            rest[0], rest[1], rest[2] = r, g, b
            r0, c0, r1, c1, ex, ey = environment(env, dx, dy, dz)
            for k in range(3):
                top = env[r0, c0, k] * (ONE - ex) + env[r0, c1, k] * ex
                low = env[r1, c0, k] * (ONE - ex) + env[r1, c1, k] * ex
                rest[k] += left * (top * (ONE - ey) + low * ey)
                e = rest[k] - np.float32(target[k]) * np.float32(1 / 255)
                total += e * e
                error[k] = e * scale
                step = error[k] * left
                env_buffer[r0, c0, k] += step * (ONE - ex) * (ONE - ey)
                env_buffer[r0, c1, k] += step * ex * (ONE - ey)
                env_buffer[r1, c0, k] += step * (ONE - ex) * ey
                env_buffer[r1, c1, k] += step * ex * ey
            used += 1
            # front to back; rest = light from behind the sample
            e0, e1, e2 = error[0], error[1], error[2]
            b0, b1, b2 = rest[0], rest[1], rest[2]
            left = ONE
            for i in range(samples):
                alpha = alphas[i]
                w = left * alpha
                after = left * (ONE - alpha)
                v0, v1, v2 = value[i, 0], value[i, 1], value[i, 2]
                b0 -= w * v0
                b1 -= w * v1
                b2 -= w * v2
                d_tau = e0 * (after * v0 - b0) + e1 * (after * v1 - b1) + e2 * (after * v2 - b2)
                share = w * active[i]
                s0, s1, s2, s3 = e0 * share, e1 * share, e2 * share, d_tau * alpha
                for m in range(8):
                    wm = weight[i, m]
                    j = row[i, m]
                    buffer[j, 0] += wm * s0
                    buffer[j, 1] += wm * s1
                    buffer[j, 2] += wm * s2
                    buffer[j, 3] += wm * s3
                    seen_buffer[j] = max(seen_buffer[j], wm * w)
                left = after
        loss[th, 0] = total
        loss[th, 1] = used


@pjit
def adam(packed, gradient, most, seen, moment, second, rate_colour, rate_density, step, threads):
    """Masked Adam (Kingma and Ba, 2015) over the voxels that got gradient; merges and clears the threads' buffers.

    ``moment``, ``second``: (V + 1, 4). beta = (0.9, 0.99). Voxels without gradient keep their values and moments; the
    last row, the empty voxel, never moves. ``seen`` (V + 1,) follows ``most`` as a maximum that fades by 1 % a step.
    """
    c1 = np.float32(1.0 / (1.0 - 0.9**step))
    c2 = np.float32(1.0 / math.sqrt(1.0 - 0.99**step))
    last = packed.shape[0] - 1
    for j in nb.prange(packed.shape[0]):
        best = np.float32(0.99) * seen[j]
        for th in range(threads):
            best = max(best, most[th, j])
            most[th, j] = ZERO
        seen[j] = best
        touched = False
        for th in range(threads):
            for k in range(4):
                touched |= gradient[th, j, k] != ZERO
        if not touched:
            continue
        for k in range(4):
            g = ZERO
            for th in range(threads):
                g += gradient[th, j, k]
                gradient[th, j, k] = ZERO
            if j == last:
                continue
            m = np.float32(0.9) * moment[j, k] + np.float32(0.1) * g
            s = np.float32(0.99) * second[j, k] + np.float32(0.01) * g * g
            moment[j, k] = m
            second[j, k] = s
            rate = rate_density if k == 3 else rate_colour
            value = packed[j, k] - rate * (m * c1) / (math.sqrt(s) * c2 + np.float32(1e-15))
            low = S_EMPTY if k == 3 else ZERO
            high = np.float32(20.0) if k == 3 else ONE
            packed[j, k] = min(max(value, low), high)


@pjit
def smoothed(packed, index, first, sizes, starts, lut, colour, density, out):
    """``out`` (V + 1, 4) = packed moved towards the mean of its active neighbours along the axes.

    The step is ``colour`` and ``density`` in [0, 1] of the way. Index (V, 3), first (G + 1,) where each grid's rows
    begin.
    """
    empty = np.uint32(packed.shape[0] - 1)
    for g in range(sizes.shape[0]):
        nx, ny, nz = sizes[g, 0], sizes[g, 1], sizes[g, 2]
        for j in nb.prange(first[g], first[g + 1]):
            x, y, z = index[j, 0], index[j, 1], index[j, 2]
            cell = flat(x, y, z, ny, nz) + np.uint64(starts[g])
            r, gr, b, s, n = ZERO, ZERO, ZERO, ZERO, ZERO
            for side in range(6):
                axis = side >> 1
                up = (side & 1) == 1
                place = x if axis == 0 else (y if axis == 1 else z)
                size = nx if axis == 0 else (ny if axis == 1 else nz)
                if (up and place + 1 >= size) or (not up and place == 0):
                    continue
                jump = np.uint64(ny * nz) if axis == 0 else (np.uint64(nz) if axis == 1 else np.uint64(1))
                other = min(np.uint32(lut[cell + jump if up else cell - jump]), empty)
                if other == empty:
                    continue
                r += packed[other, 0]
                gr += packed[other, 1]
                b += packed[other, 2]
                s += packed[other, 3]
                n += ONE
            inv = ONE / max(n, ONE)
            step = colour if n > 0 else ZERO
            out[j, 0] = packed[j, 0] + step * (r * inv - packed[j, 0])
            out[j, 1] = packed[j, 1] + step * (gr * inv - packed[j, 1])
            out[j, 2] = packed[j, 2] + step * (b * inv - packed[j, 2])
            out[j, 3] = packed[j, 3] + (density if n > 0 else ZERO) * (s * inv - packed[j, 3])
    for k in range(4):
        out[packed.shape[0] - 1, k] = packed[packed.shape[0] - 1, k]


@pjit
def squared_error(rays, cams, origins, views, pixels, sizes, starts, scales, packed, env, lut, skip, threads, loss):
    """``loss`` (threads, 2): sum of squared errors and number of rays; forward only, sampled as previews are.

    The other arguments are those of ``forward_backward``.
    """
    count = rays.shape[0]
    for th in nb.prange(threads):
        row = np.empty((MAX_SAMPLES, 8), np.uint32)
        weight = np.empty((MAX_SAMPLES, 8), np.float32)
        value = np.empty((MAX_SAMPLES, 4), np.float32)
        active = np.empty(MAX_SAMPLES, np.float32)
        alphas = np.empty(MAX_SAMPLES, np.float32)
        total = 0.0
        used = 0
        for n in range(count * th // threads, count * (th + 1) // threads):
            view = rays[n, 0]
            width = views[view, 1]
            pixel = rays[n, 1] % (width * views[view, 2])
            target = pixels[views[view, 0] + pixel]
            if target[3] == 0:
                continue
            u = np.float32(pixel % width) + HALF
            v = np.float32(pixel // width) + HALF
            ox, oy, oz, dx, dy, dz, _length = ray_of(cams[view], u, v)
            samples = _sample_ray(
                ox, oy, oz, dx, dy, dz, HALF, origins[view], sizes, starts, scales, packed, lut, skip,
                row, weight, value, active, alphas,
            )  # fmt: skip
            left = ONE
            r, g, b = ZERO, ZERO, ZERO
            for i in range(samples):
                w = left * alphas[i]
                r += w * value[i, 0]
                g += w * value[i, 1]
                b += w * value[i, 2]
                left *= ONE - alphas[i]
            r0, c0, r1, c1, ex, ey = environment(env, dx, dy, dz)
            for k in range(3):
                top = env[r0, c0, k] * (ONE - ex) + env[r0, c1, k] * ex
                low = env[r1, c0, k] * (ONE - ex) + env[r1, c1, k] * ex
                seen = (r if k == 0 else (g if k == 1 else b)) + left * (top * (ONE - ey) + low * ey)
                e = seen - np.float32(target[k]) * np.float32(1 / 255)
                total += e * e
            used += 1
        loss[th, 0] = total
        loss[th, 1] = used
