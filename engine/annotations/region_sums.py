"""What is known of a region and of the border of two: sums over voxels and over pairs that touch, so that of any union
they are added, and the features that the networks of smart select see.

All is free of the scene's unit and of how fine its grid is: lengths and numbers are those of the same scene if it had
``USUAL`` voxels of 0.05.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api.scene import Float32
from engine.march.rays import jit

Float64 = NDArray[np.float64]

USUAL = 30_000
PAIR_FEATURES, MERGE_FEATURES, SET_FEATURES = 14, 41, 22
_MOMENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
COUNT, POS, OUTER, RGB, RGB2, NORMAL, SEEN, IMAGE = (
    slice(0, 1), slice(1, 4), slice(4, 10), slice(10, 13), slice(13, 16), slice(16, 19), slice(19, 20), slice(20, None)
)  # fmt: skip
"""Columns of the sums of a region; ``IMAGE``: of the lifted features."""
BORDER = 7
"""Columns of the sums of a border: pairs, chance that they are of one thing, its square, 1 - cosine of features,
how convex, difference of colours, cosine of normals."""


@jit
def pair_features(index, edges, image, rgb, normal, spread, weight, up, out):
    """What the network ``touch`` sees of pairs of voxels that touch: (E, PAIR_FEATURES)."""
    for e in range(len(edges)):
        i, j = edges[e, 0], edges[e, 1]
        cosine = np.float32(0)
        for k in range(image.shape[1]):
            cosine += image[i, k] * image[j, k]
        length = np.float32(0)
        ni = nj = nn = ui = uj = rise = total = most = np.float32(0)
        for a in range(3):
            d = np.float32(index[j, a] - index[i, a])
            length += d * d
            ni += normal[i, a] * d
            nj += normal[j, a] * d
            nn += normal[i, a] * normal[j, a]
            ui += normal[i, a] * up[a]
            uj += normal[j, a] * up[a]
            rise += d * up[a]
            c = abs(rgb[i, a] - rgb[j, a])
            total += c
            most = max(most, c)
        length = np.sqrt(length)
        ni, nj, ui, uj = ni / length, nj / length, abs(ui), abs(uj)
        o = out[e]
        o[0], o[1], o[2], o[3], o[4] = cosine, total, most, nn, nj - ni
        o[5], o[6], o[7] = max(abs(ni), abs(nj)), min(abs(ni), abs(nj)), length
        o[8], o[9] = max(spread[i], spread[j]), min(min(weight[i], weight[j]), np.float32(2))
        o[10], o[11] = max(ui, uj), min(ui, uj)
        o[12], o[13] = np.sqrt(max(np.float32(0), np.float32(1) - cosine)), abs(rise) / length


def voxel_sums(pos: Float64, rgb: Float32, normal: Float32, image: Float32, seen: NDArray[np.bool_]) -> Float64:
    """The sums of regions of one voxel each."""
    one = np.ones((len(pos), 1))
    return np.concatenate([one, pos, _outer(pos), rgb, rgb**2, normal, seen[:, None], image], axis=1).astype(np.float64)


def _outer(v: Float64) -> Float64:
    return np.stack([v[:, a] * v[:, b] for a, b in _MOMENTS], axis=1)


@dataclass(frozen=True, eq=False)
class Described:
    """N regions: ``count``, ``extent`` (N, 3) standard deviations along their own axes, the least first, ``centre``
    (N, 3), ``rgb`` and how it varies, unit ``image`` and how much the voxels agree on it, mean ``normal`` and its
    length, and the share that is seen."""

    count: Float64
    extent: Float64
    centre: Float64
    rgb: Float64
    varied: Float64
    image: Float64
    agreed: Float64
    normal: Float64
    flat: Float64
    seen: Float64


def described(sums: Float64, usual: float) -> Described:
    """What N regions are like. ``usual``: voxels of the scene as a share of ``USUAL``."""
    n = np.maximum(sums[:, 0], 1e-9)
    centre = sums[:, POS] / n[:, None]
    second = sums[:, OUTER] / n[:, None]
    spread = np.empty((len(n), 3, 3))
    for k, (a, b) in enumerate(_MOMENTS):
        spread[:, a, b] = spread[:, b, a] = second[:, k] - centre[:, a] * centre[:, b]
    extent = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 1e-8))
    rgb = sums[:, RGB] / n[:, None]
    varied = np.sqrt(np.maximum(sums[:, RGB2] / n[:, None] - rgb**2, 0)).mean(axis=1)
    image = sums[:, IMAGE]
    length = np.linalg.norm(image, axis=1)
    normal = sums[:, NORMAL] / n[:, None]
    seen = sums[:, 19]
    return Described(
        n / usual, extent, centre, rgb, varied, image / np.maximum(length, 1e-9)[:, None],
        length / np.maximum(seen, 1), normal, np.linalg.norm(normal, axis=1), seen / n,
    )  # fmt: skip


def merge_features(a: Float64, b: Float64, border: Float64, usual: float) -> Float32:
    """What the network ``merge`` sees of N pairs of regions: sums (N, ·), (N, ·) and of their borders (N, BORDER)."""
    larger = (a[:, 0] > b[:, 0])[:, None]
    small, large = np.where(larger, b, a), np.where(larger, a, b)
    s, t, u = (described(x, usual) for x in (small, large, small + large))
    pairs = border[:, 0]
    m = pairs / np.sqrt(usual)
    of = border / np.maximum(pairs, 1e-9)[:, None]
    return np.stack(
        [
            np.log(s.count), np.log(t.count), np.log(m), m / s.count, m / np.sqrt(s.count), *_shares(of),
            (s.image * t.image).sum(axis=1), s.agreed, t.agreed, u.agreed, s.varied, t.varied, u.varied,
            np.abs(s.rgb - t.rgb).sum(axis=1), (s.normal * t.normal).sum(axis=1), s.flat, t.flat, u.flat,
            np.abs(s.normal[:, 2]), np.abs(t.normal[:, 2]), *s.extent.T, *t.extent.T, *u.extent.T,
            *(d.extent[:, 0] / d.extent[:, 1] for d in (u, t, s)), s.centre[:, 2], t.centre[:, 2],
            np.linalg.norm(s.centre - t.centre, axis=1), s.seen,
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip


def _shares(of: Float64) -> tuple[Float64, ...]:
    """Mean and spread of the chances, and the other means, of borders whose sums are divided by their pairs."""
    spread = np.sqrt(np.maximum(of[:, 2] - of[:, 1] ** 2, 0))
    return of[:, 1], spread, of[:, 3], of[:, 4], of[:, 5], of[:, 6]


def set_features(sums: Float64, outer: Float64, inner: Float64, usual: float) -> Float32:
    """What is seen of N selections: their sums, and those of the borders around (N, BORDER) and within them."""
    d = described(sums, usual)
    pairs = np.maximum(outer[:, 0], 1)
    m = pairs / np.sqrt(usual)
    return np.stack(
        [
            np.log(np.maximum(d.count, 1e-6)), d.count / USUAL, m / d.count, m / np.sqrt(d.count),
            *_shares(outer / pairs[:, None]), inner[:, 1] / np.maximum(inner[:, 0], 1), *d.extent.T,
            d.extent[:, 0] / d.extent[:, 1], d.extent[:, 1] / d.extent[:, 2], d.agreed, d.varied, d.flat,
            np.abs(d.normal[:, 2]), d.centre[:, 2], d.seen,
        ],
        axis=1,
    ).astype(np.float32)  # fmt: skip
