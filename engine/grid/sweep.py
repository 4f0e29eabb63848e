"""Plane sweep and semi-global matching: the inverse depth of one photo's pixels from other photos. Numba kernels.

Planes parallel to the image at inverse depths w are warped from each other photo by the homography A + w b e3^T
(Collins, A space-sweep approach to true multi-image matching, 1996), with A = K_s R K_r^-1 and b = K_s t, and compared
with the photo by zero-mean normalised cross-correlation (ZNCC) over small windows. A pixel's cost at a plane is 1 - the
mean of the better half of the photos' correlations: the others may not see it. The costs are then summed along four
directions with penalties for steps from pixel to pixel (Hirschmueller, Stereo processing by semiglobal matching, 2008),
and the least is refined by a parabola.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from engine.march.rays import HALF, ONE, TINY, ZERO, jit, pjit

RADIUS = 2
"""Pixels of a window on each side of its middle."""

NOISE = np.float32(4.0)
"""Variance, grey levels squared, that is added to a window's: where there is no texture nothing correlates."""

STEP, JUMP = np.float32(0.06), np.float32(0.6)
"""Penalties of a step of one plane and of more, in units of 1 - ZNCC; of these the second falls with contrast."""

CONTRAST = np.float32(10.0)
"""Grey levels between two pixels at which a jump costs half."""

OUTSIDE = np.float32(-2.0)
"""In place of a correlation where the other photo shows nothing."""


@jit
def moments(grey, mean, inverse):
    """Of the windows of ``grey`` (h, w): their ``mean`` and 1 / standard deviation; 0 where one leaves the photo."""
    height, width = grey.shape
    count = np.float32((2 * RADIUS + 1) ** 2)
    mean[:] = ZERO
    inverse[:] = ZERO
    for i in range(RADIUS, height - RADIUS):
        for j in range(RADIUS, width - RADIUS):
            total, square = ZERO, ZERO
            for y in range(i - RADIUS, i + RADIUS + 1):
                for x in range(j - RADIUS, j + RADIUS + 1):
                    total += grey[y, x]
                    square += grey[y, x] * grey[y, x]
            m = total / count
            mean[i, j] = m
            inverse[i, j] = ONE / np.sqrt(max(square / count - m * m, ZERO) + NOISE)


@jit
def _warp_row(grey, homography, row, out, inside):
    """``out`` (w,): ``grey`` where the pixels of a row come to lie by ``homography``; ``inside`` (w,) 1 or 0."""
    height, width = grey.shape
    h = homography
    v = np.float32(row) + HALF
    for j in range(out.shape[0]):
        u = np.float32(j) + HALF
        z = h[2, 0] * u + h[2, 1] * v + h[2, 2]
        out[j] = ZERO
        inside[j] = ZERO
        if z > TINY:
            x = (h[0, 0] * u + h[0, 1] * v + h[0, 2]) / z - HALF
            y = (h[1, 0] * u + h[1, 1] * v + h[1, 2]) / z - HALF
            if x >= 0 and y >= 0 and x < width - 1 and y < height - 1:
                ix, iy = int(x), int(y)
                fx, fy = x - np.float32(ix), y - np.float32(iy)
                top = grey[iy, ix] + fx * (grey[iy, ix + 1] - grey[iy, ix])
                low = grey[iy + 1, ix] + fx * (grey[iy + 1, ix + 1] - grey[iy + 1, ix])
                out[j] = top + fy * (low - top)
                inside[j] = ONE


@jit
def _correlate(grey, mean, inverse, other, homography, out):
    """``out`` (h, w): the ZNCC of ``grey`` and ``other`` warped by ``homography``, or ``OUTSIDE``."""
    height, width = grey.shape
    size = 2 * RADIUS + 1
    count = np.float32(size * size)
    ring = np.empty((size, 4, width), np.float32)  # of the last rows: warped, its square, its product, inside
    column = np.empty((4, width), np.float32)
    out[:] = OUTSIDE
    for i in range(height):
        kept = ring[i % size]
        _warp_row(other, homography, i, kept[0], kept[3])
        for j in range(width):
            kept[1, j] = kept[0, j] * kept[0, j]
            kept[2, j] = kept[0, j] * grey[i, j]
        if i < size - 1:
            continue
        row = i - RADIUS
        for k in range(4):
            for j in range(width):
                total = ZERO
                for r in range(size):
                    total += ring[r, k, j]
                column[k, j] = total
        for j in range(RADIUS, width - RADIUS):
            total, square, product, inside = ZERO, ZERO, ZERO, ZERO
            for x in range(j - RADIUS, j + RADIUS + 1):
                total += column[0, x]
                square += column[1, x]
                product += column[2, x]
                inside += column[3, x]
            m = total / count
            spread = np.sqrt(max(square / count - m * m, ZERO) + NOISE)
            zncc = (product / count - m * mean[row, j]) * inverse[row, j] / spread
            out[row, j] = zncc if inside == count else OUTSIDE


@pjit
def match(grey, mean, inverse, pixels, shapes, homographies, first, last, cost):
    """Fill the planes first <= d < last of ``cost`` (D, h, w): 1 - mean ZNCC of the better half of S photos, in [0, 1].

    ``pixels`` (P,) holds the photos' grey levels, ``shapes`` (S, 3) where each begins, its height and width;
    ``homographies`` (D, S, 3, 3) take pixels to theirs.
    """
    height, width = grey.shape
    count = shapes.shape[0]
    for d in nb.prange(first, last):
        found = np.empty((count, height, width), np.float32)
        for s in range(count):
            begin, h, w = shapes[s, 0], shapes[s, 1], shapes[s, 2]
            other = pixels[begin : begin + h * w].reshape(h, w)
            _correlate(grey, mean, inverse, other, homographies[d, s], found[s])
        best = np.empty(count, np.float32)
        for i in range(height):
            for j in range(width):
                n = 0
                for s in range(count):
                    value = found[s, i, j]
                    if value > OUTSIDE:
                        k = n
                        while k > 0 and best[k - 1] < value:
                            best[k] = best[k - 1]
                            k -= 1
                        best[k] = value
                        n += 1
                kept = min(n, (count + 1) // 2)
                total = ZERO
                for k in range(kept):
                    total += best[k]
                cost[d, i, j] = ONE - max(total, ZERO) / np.float32(max(kept, 1))


@jit
def aggregate(cost, grey, down, right, total):
    """Add to ``total`` (h, w, D) the costs (h, w, D) of the best paths that come from one side.

    ``down`` and ``right`` are the path's step from pixel to pixel: (0, 1), (0, -1), (1, 0) or (-1, 0).
    """
    height, width, planes = cost.shape
    before, now = np.zeros((width, planes), np.float32), np.zeros((width, planes), np.float32)
    least_before, least_now = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for a in range(height):
        i = a if down >= 0 else height - 1 - a
        for b in range(width):
            j = b if right >= 0 else width - 1 - b
            y, x = i - down, j - right
            starts = y < 0 or y >= height or x < 0 or x >= width
            path = now[b] if starts else (before[j] if down != 0 else now[x])
            start = ZERO if starts else (least_before[j] if down != 0 else least_now[x])
            jump = ZERO
            if not starts:
                jump = max(JUMP / (ONE + abs(grey[i, j] - grey[y, x]) / CONTRAST), STEP)
            least = np.float32(1e9)
            for d in range(planes):
                value = cost[i, j, d]
                if not starts:
                    reach = path[d]
                    if d > 0:
                        reach = min(reach, path[d - 1] + STEP)
                    if d < planes - 1:
                        reach = min(reach, path[d + 1] + STEP)
                    value += min(reach, start + jump) - start
                now[j, d] = value
                total[i, j, d] += value
                least = min(least, value)
            least_now[j] = least
        if down != 0:
            before, now = now, before
            least_before, least_now = least_now, least_before


@jit
def pick(total, cost, lowest, spacing, inverse_z, score):
    """Of ``total`` (h, w, D) the least plane, to a fraction: ``inverse_z`` (h, w), and ``score`` = 1 - ``cost`` there.

    Plane d has inverse depth ``lowest + d spacing``. The score is 0 at the first and the last plane: the least may lie
    beyond.
    """
    height, width, planes = total.shape
    for i in range(height):
        for j in range(width):
            best = 0
            for d in range(1, planes):
                if total[i, j, d] < total[i, j, best]:
                    best = d
            inverse_z[i, j] = lowest + np.float32(best) * spacing
            score[i, j] = ZERO
            if 0 < best < planes - 1:
                left, right = total[i, j, best - 1], total[i, j, best + 1]
                bend = left - 2 * total[i, j, best] + right
                if bend > TINY:
                    inverse_z[i, j] += HALF * (left - right) / bend * spacing
                score[i, j] = ONE - cost[i, j, best]


@jit
def agreeing(inverse_z, there, back, other, pixels, share, count):
    """Add 1 to ``count`` (h, w) where another photo's inverse depths ``other`` say the same as ``inverse_z`` (h, w).

    ``there`` and ``back`` (3, 4) take (u, v, 1, w) to the other photo's (u, v, 1, w) up to scale, and back. Where a
    pixel comes to lie, the other's depth may differ by ``share``, and by it the pixel must come back within ``pixels``.
    """
    height, width = inverse_z.shape
    for i in range(height):
        for j in range(width):
            w = inverse_z[i, j]
            u, v = np.float32(j) + HALF, np.float32(i) + HALF
            z = there[2, 0] * u + there[2, 1] * v + there[2, 2] + there[2, 3] * w
            if w <= 0 or z <= TINY:
                continue
            x = (there[0, 0] * u + there[0, 1] * v + there[0, 2] + there[0, 3] * w) / z
            y = (there[1, 0] * u + there[1, 1] * v + there[1, 2] + there[1, 3] * w) / z
            if x < 0 or y < 0 or x >= other.shape[1] or y >= other.shape[0]:
                continue
            seen = other[int(y), int(x)]
            if seen <= 0 or abs(seen * z - w) > share * w:
                continue
            z = back[2, 0] * x + back[2, 1] * y + back[2, 2] + back[2, 3] * seen
            if z <= TINY:
                continue
            du = (back[0, 0] * x + back[0, 1] * y + back[0, 2] + back[0, 3] * seen) / z - u
            dv = (back[1, 0] * x + back[1, 1] * y + back[1, 2] + back[1, 3] * seen) / z - v
            if du * du + dv * dv <= pixels * pixels:
                count[i, j] += 1
