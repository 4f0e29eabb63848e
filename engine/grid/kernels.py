"""Numba kernels of the fit: fused forward and backward pass, masked Adam, seen voxels, upsampling.

The model and the units are those of ``engine.march.kernels``: ``raw`` (V, 4) holds linear colour and raw density s.
The gradient of one ray's colour C = sum_j w_j c_j + T_end B follows in closed form. With tau_j = softplus(s_j),
d tau/d s = sigmoid(s) = alpha:

    dC/dc_j   = w_j
    dC/dtau_j = T_{j+1} c_j - sum_{m>j} w_m c_m - T_end B

so one forward and one backward sweep over the stored samples give the gradient of every corner.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from engine.march.kernels import S_EMPTY, STOP, environment, jit, pjit, ray_of, sigmoid, span, stride

MAX_SAMPLES = 512
ONE = np.float32(1.0)


@jit
def _corners(lut, raw, ix, iy, iz, fx, fy, fz, corner, weight, value):
    """Corners (8,) and their weights (8,), -1 where inactive; value (4,) the colour and s between them.

    Returns the total weight of the active corners.
    """
    for k in range(4):
        value[k] = np.float32(0.0)
    active = np.float32(0.0)
    n = 0
    for a in range(2):
        wa = fx if a == 1 else ONE - fx
        for e in range(2):
            we = wa * (fy if e == 1 else ONE - fy)
            for c in range(2):
                w = we * (fz if c == 1 else ONE - fz)
                j = lut[ix + a, iy + e, iz + c]
                corner[n] = j
                weight[n] = w
                if j >= 0:
                    for k in range(4):
                        value[k] += w * raw[j, k]
                    active += w
                n += 1
    value[3] += (ONE - active) * S_EMPTY
    inv = ONE / max(active, np.float32(1e-6))
    for k in range(3):
        value[k] *= inv
    return active


@pjit
def forward_backward(rays, jitter, cams, views, pixels, raw, env, lut, skip, threads, gradient, env_gradient, loss):
    """Squared error of a batch of pixels and its gradient.

    Args:
        rays: (N, 2) int64, photo and pixel number of each ray.
        jitter: (N,) float32 in [0, 1), where in its first step each ray is sampled.
        cams: (n, 12), the photos' cameras (``engine.grid.photos.PhotoBank``).
        views: (n, 3), their first pixel, width and height.
        pixels: (P, 4) uint8, their pixels.
        raw: (V, 4), the voxels.
        env: (H, W, 3), the environment map.
        lut: dims, row of each voxel.
        skip: dims, empty-space distances.
        threads: how many share the batch, each with its own buffers.
        gradient: (threads, V, 4), added to.
        env_gradient: (threads, H, W, 3), added to.
        loss: (threads, 2), set to the sum of squared errors and the number of rays that count.
    """
    nx, ny, nz = skip.shape
    count = rays.shape[0]
    scale = np.float32(2.0 / 3.0 / count)
    for th in nb.prange(threads):
        corner = np.empty((MAX_SAMPLES, 8), np.int32)
        weight = np.empty((MAX_SAMPLES, 8), np.float32)
        value = np.empty((MAX_SAMPLES, 4), np.float32)
        active = np.empty(MAX_SAMPLES, np.float32)
        alphas = np.empty(MAX_SAMPLES, np.float32)
        behind = np.empty(3, np.float32)
        error = np.empty(3, np.float32)
        rest = np.empty(3, np.float32)
        step = np.empty(4, np.float32)
        buffer = gradient[th]
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
            u = np.float32(pixel % width) + np.float32(0.5)
            v = np.float32(pixel // width) + np.float32(0.5)
            ox, oy, oz, dx, dy, dz, _length = ray_of(cams[view], u, v)
            t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
            t += jitter[n]
            inv_m = ONE / max(abs(dx), abs(dy), abs(dz))
            ox -= np.float32(0.5)
            oy -= np.float32(0.5)
            oz -= np.float32(0.5)
            left = ONE
            samples = 0
            for k in range(3):
                rest[k] = np.float32(0.0)
            while t < t1 and samples < MAX_SAMPLES:
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
                here = value[samples]
                active[samples] = _corners(lut, raw, ix, iy, iz, fx, fy, fz, corner[samples], weight[samples], here)
                alpha = sigmoid(here[3])
                alphas[samples] = alpha
                w = left * alpha
                for k in range(3):
                    rest[k] += w * here[k]
                left *= ONE - alpha
                samples += 1
                if left < STOP:
                    break
                t += ONE
            # the background and its gradient
            r0, c0, r1, c1, ex, ey = environment(env, dx, dy, dz)
            for k in range(3):
                top = env[r0, c0, k] * (ONE - ex) + env[r0, c1, k] * ex
                low = env[r1, c0, k] * (ONE - ex) + env[r1, c1, k] * ex
                behind[k] = left * (top * (ONE - ey) + low * ey)
                e = rest[k] + behind[k] - np.float32(target[k]) * np.float32(1 / 255)
                total += e * e
                error[k] = e * scale
                g = error[k] * left
                env_buffer[r0, c0, k] += g * (ONE - ex) * (ONE - ey)
                env_buffer[r0, c1, k] += g * ex * (ONE - ey)
                env_buffer[r1, c0, k] += g * (ONE - ex) * ey
                env_buffer[r1, c1, k] += g * ex * ey
                rest[k] += behind[k]
            used += 1
            # the samples, front to back; rest = light from behind the sample
            left = ONE
            for i in range(samples):
                alpha = alphas[i]
                w = left * alpha
                after = left * (ONE - alpha)
                d_tau = np.float32(0.0)
                for k in range(3):
                    c = value[i, k]
                    rest[k] -= w * c
                    d_tau += error[k] * (after * c - rest[k])
                    step[k] = error[k] * w / max(active[i], np.float32(1e-6))
                step[3] = d_tau * alpha
                for m in range(8):
                    j = corner[i, m]
                    if j >= 0:
                        wm = weight[i, m]
                        for k in range(4):
                            buffer[j, k] += wm * step[k]
                left = after
        loss[th, 0] = total
        loss[th, 1] = used


@pjit
def adam(raw, gradient, moment, second, rate_colour, rate_density, step, threads):
    """Masked Adam (Kingma and Ba, 2015) over the voxels that got gradient; sums and clears the threads' buffers.

    ``moment``, ``second``: (V, 4). beta = (0.9, 0.99). Voxels without gradient keep their values and moments.
    """
    c1 = np.float32(1.0 - 0.9**step)
    c2 = np.float32(math.sqrt(1.0 - 0.99**step))
    for j in nb.prange(raw.shape[0]):
        touched = False
        for th in range(threads):
            for k in range(4):
                if gradient[th, j, k] != 0:
                    touched = True
        if not touched:
            continue
        for k in range(4):
            g = np.float32(0.0)
            for th in range(threads):
                g += gradient[th, j, k]
                gradient[th, j, k] = np.float32(0.0)
            m = np.float32(0.9) * moment[j, k] + np.float32(0.1) * g
            s = np.float32(0.99) * second[j, k] + np.float32(0.01) * g * g
            moment[j, k] = m
            second[j, k] = s
            rate = rate_density if k == 3 else rate_colour
            value = raw[j, k] - rate * (m / c1) / (math.sqrt(s) / c2 + np.float32(1e-15))
            if k == 3:
                raw[j, k] = min(max(value, S_EMPTY), np.float32(20.0))
            else:
                raw[j, k] = min(max(value, np.float32(0.0)), ONE)


@pjit
def seen_weight(rays, cams, views, pixels, raw, lut, skip, threads, most):
    """``most`` (threads, V): the largest share w_j of a ray's light for which each voxel is the nearest or a corner."""
    nx, ny, nz = skip.shape
    count = rays.shape[0]
    for th in nb.prange(threads):
        corner = np.empty(8, np.int32)
        weight = np.empty(8, np.float32)
        value = np.empty(4, np.float32)
        buffer = most[th]
        for n in range(count * th // threads, count * (th + 1) // threads):
            view = rays[n, 0]
            width = views[view, 1]
            pixel = rays[n, 1] % (width * views[view, 2])
            if pixels[views[view, 0] + pixel, 3] == 0:
                continue
            u = np.float32(pixel % width) + np.float32(0.5)
            v = np.float32(pixel // width) + np.float32(0.5)
            ox, oy, oz, dx, dy, dz, _length = ray_of(cams[view], u, v)
            t, t1 = span(ox, oy, oz, dx, dy, dz, nx, ny, nz)
            t += np.float32(0.5)
            inv_m = ONE / max(abs(dx), abs(dy), abs(dz))
            left = ONE
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
                fx = qx - np.float32(ix)
                fy = qy - np.float32(iy)
                fz = qz - np.float32(iz)
                _corners(lut, raw, ix, iy, iz, fx, fy, fz, corner, weight, value)
                alpha = sigmoid(value[3])
                for m in range(8):
                    if corner[m] >= 0:
                        buffer[corner[m]] = max(buffer[corner[m]], left * alpha * weight[m])
                left *= ONE - alpha
                if left < STOP:
                    break
                t += ONE
