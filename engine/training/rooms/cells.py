"""Small cells along surfaces, keyed by place and rough orientation, with a smooth look-up between them."""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from engine.training.rooms.mesh import Float32, Floats, Int32


class SurfaceCells:
    """At most one cell per cube of edge ``size`` and dominant normal axis (6): the surface point nearest its centre.

    Attributes:
        pos, normal: (C, 3) float32, where each cell sits on the surface.
    """

    def __init__(self, bounds: Float32, size: float) -> None:
        self.size = size
        self._lo = (bounds[0] - size).astype(np.float32)
        dims = np.ceil((bounds[1] - self._lo) / size).astype(np.int64) + 1
        self._lut = np.full((*dims, 6), -1, np.int32)
        self.pos = np.empty((0, 3), np.float32)
        self.normal = np.empty((0, 3), np.float32)
        self._off = np.empty(0, np.float32)

    def add(self, pos: Float32, normal: Float32) -> None:
        """Add (N, 3) surface points with unit normals; the same points in any split give the same cells."""
        room = len(self.pos) + len(pos)
        grown = [np.empty((room, *a.shape[1:]), np.float32) for a in (self.pos, self.normal, self._off)]
        for new, old in zip(grown, (self.pos, self.normal, self._off), strict=True):
            new[: len(old)] = old
        count = _insert(self._lo, self.size, self._lut, pos, normal, *grown, len(self.pos))
        self.pos, self.normal, self._off = (a[:count].copy() for a in grown)

    def lookup(self, values: Float32, pos: Floats, normal: Float32) -> Float32:
        """(C, 3) values at the cells, interpolated to (N, 3) surface points.

        Trilinear over the eight cubes around, weighted by agreement of normals, over the cells that exist;
        the mean of all values where none does.
        """
        mean = values.mean(axis=0) if len(values) else np.zeros(3, np.float32)
        return _lookup(self._lo, self.size, self._lut, self.normal, values, pos, normal, mean.astype(np.float32))

    def smoothed(self, values: Float32, rounds: int) -> Float32:
        """(C, 3) values averaged over neighbours along the surface, about sqrt(rounds / 2) cells wide."""
        t1, t2 = tangents(self.normal)
        half = 0.5 * self.size
        for _ in range(rounds):
            around = [
                self.lookup(values, self.pos + half * (a * t1 + b * t2), self.normal) for a in (-1, 1) for b in (-1, 1)
            ]
            values = np.asarray(np.mean(around, axis=0), np.float32)
        return values


def tangents(normal: Float32) -> tuple[Float32, Float32]:
    """Two unit vectors at right angles to each (N, 3) normal (Duff et al., JCGT 2017)."""
    x, y, z = normal.T
    sign = np.where(z < 0, -1.0, 1.0)
    a = -1.0 / (sign + z)
    b = x * y * a
    t1 = np.stack([1 + sign * x * x * a, sign * b, -sign * x], axis=1)
    t2 = np.stack([b, sign + y * y * a, -y], axis=1)
    return t1.astype(np.float32), t2.astype(np.float32)


@njit(nogil=True, cache=True)
def _axis(x: float, y: float, z: float) -> int:
    """0..5: which axis, and its sign, a normal is nearest to."""
    ax, ay, az = abs(x), abs(y), abs(z)
    if ax >= ay and ax >= az:
        return 0 if x >= 0 else 1
    if ay >= az:
        return 2 if y >= 0 else 3
    return 4 if z >= 0 else 5


@njit(nogil=True, cache=True)
def _insert(
    lo: Float32,
    size: float,
    lut: Int32,
    pos: Float32,
    normal: Float32,
    cell_pos: Float32,
    cell_normal: Float32,
    cell_off: Float32,
    count: int,
) -> int:
    for i in range(len(pos)):
        k = np.empty(3, np.int64)
        off = 0.0
        inside = True
        for a in range(3):
            g = (pos[i, a] - lo[a]) / size
            k[a] = int(np.floor(g))
            off += (g - k[a] - 0.5) ** 2
            inside = inside and 0 <= k[a] < lut.shape[a]
        if not inside:
            continue
        b = _axis(normal[i, 0], normal[i, 1], normal[i, 2])
        c = lut[k[0], k[1], k[2], b]
        if c < 0:
            c = count
            count += 1
            lut[k[0], k[1], k[2], b] = c
        elif off >= cell_off[c]:
            continue
        cell_off[c] = off
        for a in range(3):
            cell_pos[c, a] = pos[i, a]
            cell_normal[c, a] = normal[i, a]
    return count


@njit(parallel=True, nogil=True, cache=True)
def _lookup(
    lo: Float32,
    size: float,
    lut: Int32,
    cell_normal: Float32,
    values: Float32,
    pos: Float32,
    normal: Float32,
    fallback: Float32,
) -> NDArray[np.float32]:
    out = np.empty((len(pos), 3), np.float32)
    for i in prange(len(pos)):
        nx, ny, nz = normal[i, 0], normal[i, 1], normal[i, 2]
        gx, gy, gz = (
            (pos[i, 0] - lo[0]) / size - 0.5,
            (pos[i, 1] - lo[1]) / size - 0.5,
            (pos[i, 2] - lo[2]) / size - 0.5,
        )
        x0, y0, z0 = int(np.floor(gx)), int(np.floor(gy)), int(np.floor(gz))
        r, g, b, total = 0.0, 0.0, 0.0, 0.0
        for corner in range(8):
            dx, dy, dz = corner & 1, (corner >> 1) & 1, corner >> 2
            x, y, z = x0 + dx, y0 + dy, z0 + dz
            if x < 0 or y < 0 or z < 0 or x >= lut.shape[0] or y >= lut.shape[1] or z >= lut.shape[2]:
                continue
            wx = gx - x0 if dx else 1 - gx + x0
            wy = gy - y0 if dy else 1 - gy + y0
            wz = gz - z0 if dz else 1 - gz + z0
            # a point on a cube's face would otherwise lose the only layer its surface has
            w = (wx + 0.02) * (wy + 0.02) * (wz + 0.02)
            for axis in range(6):
                c = lut[x, y, z, axis]
                if c < 0:
                    continue
                cos = nx * cell_normal[c, 0] + ny * cell_normal[c, 1] + nz * cell_normal[c, 2]
                if cos <= 0.05:
                    continue
                wc = w * (cos * cos) * (cos * cos) * (cos * cos)  # cells of another orientation count less
                r += wc * values[c, 0]
                g += wc * values[c, 1]
                b += wc * values[c, 2]
                total += wc
        if total > 0:
            out[i, 0], out[i, 1], out[i, 2] = r / total, g / total, b / total
        else:
            out[i, 0], out[i, 1], out[i, 2] = fallback[0], fallback[1], fallback[2]
    return out
