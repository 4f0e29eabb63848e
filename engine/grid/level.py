"""One resolution of a grid while it is fitted: parameters, optimiser state, pruning, refinement to the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.grid.kernels import adam, forward_backward, seen_weight
from engine.grid.photos import PhotoBank
from engine.grid.radiance import raw_of_tau, tau_of_raw
from engine.grid.skip import tables_slices
from engine.grid.spec import GridSpec
from engine.march.kernels import S_EMPTY, jit

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

SLICE_CELLS = 1 << 18


class Environment:
    """The light from beyond the box, learnt by direction: an equirectangular map with its own Adam.

    ``fixed`` keeps it as it is (captures cut out on alpha have a white background by convention).
    """

    def __init__(self, height: int, threads: int, *, fixed: Float32 | None = None) -> None:
        self.fixed = fixed is not None
        self.map: Float32 = np.full((height, 2 * height, 3), 0.5, np.float32) if fixed is None else fixed
        self.gradient: Float32 = np.zeros((threads, *self.map.shape), np.float32)
        self._moment = np.zeros_like(self.map)
        self._second = np.zeros_like(self.map)
        self._step = 0

    def update(self, rate: float) -> None:
        """One step of Adam over the texels that got gradient."""
        g = self.gradient.sum(axis=0)
        self.gradient[:] = 0
        if self.fixed:
            return
        self._step += 1
        hit = g != 0
        m, s = self._moment, self._second
        m[hit] = 0.9 * m[hit] + 0.1 * g[hit]
        s[hit] = 0.99 * s[hit] + 0.01 * g[hit] ** 2
        step = m[hit] / (1 - 0.9**self._step) / (np.sqrt(s[hit] / (1 - 0.99**self._step)) + 1e-15)
        self.map[hit] = np.clip(self.map[hit] - rate * step, 0, 1)


class Level:
    """Active voxels of one grid with their parameters; made by ``Level.make`` in slices."""

    def __init__(self, spec: GridSpec, index: Int32, raw: Float32, lut: Int32, skip: UInt8, threads: int) -> None:
        self.spec, self.index, self.raw, self.lut, self.skip, self.threads = spec, index, raw, lut, skip, threads
        self.gradient: Float32 = np.zeros((threads, len(index), 4), np.float32)
        self._moment = np.zeros_like(raw)
        self._second = np.zeros_like(raw)
        self._loss = np.zeros((threads, 2))
        self._step = 0
        self._cams: Float32 = np.zeros((0, 12), np.float32)

    @staticmethod
    def make(spec: GridSpec, index: Int32, raw: Float32, threads: int, out: list[Level]) -> Iterator[None]:
        """Append the level of voxels ``index`` (V, 3), ``raw`` (V, 4) to ``out``, in slices."""
        tables: list[tuple[Int32, UInt8]] = []
        yield from tables_slices(index, spec.dims, tables)
        out.append(Level(spec, index, raw, *tables[0], threads))
        yield

    def cams(self, bank: PhotoBank) -> Float32:
        """(n, 12) cameras of the photos read so far, in this grid."""
        if len(self._cams) != len(bank.cameras):
            self._cams = bank.cams(self.spec)
        return self._cams

    def train(
        self,
        bank: PhotoBank,
        rays: NDArray[np.int64],
        jitter: Float32,
        environment: Environment,
        rates: tuple[float, float, float],
    ) -> float:
        """One step on a batch of rays; ``rates``: colour, density, environment. Returns the mean squared error."""
        forward_backward(
            rays, jitter, self.cams(bank), bank.views, bank.pixels, self.raw, environment.map, self.lut, self.skip,
            self.threads, self.gradient, environment.gradient, self._loss,
        )  # fmt: skip
        self._step += 1
        adam(
            self.raw, self.gradient, self._moment, self._second,
            np.float32(rates[0]), np.float32(rates[1]), self._step, self.threads,
        )  # fmt: skip
        environment.update(rates[2])
        total, used = self._loss.sum(axis=0)
        return float(total / max(3 * used, 1))

    def seen(self, bank: PhotoBank, rng: np.random.Generator, rays: int, out: list[Float32]) -> Iterator[None]:
        """Append (V,) the largest share of light that any of ``rays`` random training rays takes from each voxel."""
        most = np.zeros((self.threads, len(self.index)), np.float32)
        for _ in range(0, rays, 16384):
            batch = draw(bank, rng, 16384)
            seen_weight(
                batch, self.cams(bank), bank.views, bank.pixels, self.raw, self.lut, self.skip, self.threads, most
            )
            yield
        out.append(most.max(axis=0))

    def keep(self, mask: NDArray[np.bool_], out: list[Level]) -> Iterator[None]:
        """Append the level of the voxels in ``mask`` (V,) to ``out``; their optimiser state goes with them."""
        yield from Level.make(self.spec, self.index[mask], self.raw[mask], self.threads, out)
        out[-1]._moment, out[-1]._second, out[-1]._step = self._moment[mask], self._second[mask], self._step

    def refine(self, spec: GridSpec, out: list[Level]) -> Iterator[None]:
        """Append the level at another resolution to ``out``: active where this one is, values interpolated."""
        ratio = spec.voxel / self.spec.voxel
        offset = ((spec.lo_w - self.spec.lo_w) / self.spec.voxel).astype(np.float32)
        nx, ny, nz = spec.dims
        slab = max(1, SLICE_CELLS // (ny * nz))
        index, raw = [np.zeros((0, 3), np.int32)], [np.zeros((0, 4), np.float32)]
        for x in range(0, nx, slab):
            room = min(slab, nx - x) * ny * nz
            i, r = np.empty((room, 3), np.int32), np.empty((room, 4), np.float32)
            n = _resample(self.raw, self.lut, self.skip, np.float32(ratio), offset, x, min(x + slab, nx), ny, nz, i, r)
            index.append(i[:n].copy())
            raw.append(r[:n].copy())
            yield
        values = np.concatenate(raw)
        values[:, 3] = raw_of_tau(tau_of_raw(values[:, 3]) * ratio)
        yield from Level.make(spec, np.concatenate(index), values, self.threads, out)


def draw(bank: PhotoBank, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """(count, 2) random photos and pixel numbers (taken modulo the photo's size)."""
    rays = np.empty((count, 2), np.int64)
    rays[:, 0] = rng.integers(0, len(bank.cameras), count)
    rays[:, 1] = rng.integers(0, 1 << 31, count)
    return rays


@jit
def _resample(raw, lut, skip, ratio, offset, x0, x1, ny, nz, index, values):
    """Fill index (n, 3) and values (n, 4) with the cells of x0 <= x < x1 whose centre has an active corner here."""
    mx, my, mz = skip.shape
    count = 0
    for x in range(x0, x1):
        qx = min(
            max((np.float32(x) + np.float32(0.5)) * ratio + offset[0] - np.float32(0.5), np.float32(0.0)),
            np.float32(mx) - np.float32(1.001),
        )
        ix = int(qx)
        fx = qx - np.float32(ix)
        for y in range(ny):
            qy = min(
                max((np.float32(y) + np.float32(0.5)) * ratio + offset[1] - np.float32(0.5), np.float32(0.0)),
                np.float32(my) - np.float32(1.001),
            )
            iy = int(qy)
            fy = qy - np.float32(iy)
            for z in range(nz):
                qz = min(
                    max((np.float32(z) + np.float32(0.5)) * ratio + offset[2] - np.float32(0.5), np.float32(0.0)),
                    np.float32(mz) - np.float32(1.001),
                )
                iz = int(qz)
                if skip[ix, iy, iz] > 0:
                    continue
                fz = qz - np.float32(iz)
                c0 = np.float32(0.0)
                c1 = np.float32(0.0)
                c2 = np.float32(0.0)
                s = np.float32(0.0)
                active = np.float32(0.0)
                for a in range(2):
                    wa = fx if a == 1 else np.float32(1.0) - fx
                    for e in range(2):
                        we = wa * (fy if e == 1 else np.float32(1.0) - fy)
                        for c in range(2):
                            j = lut[ix + a, iy + e, iz + c]
                            if j >= 0:
                                w = we * (fz if c == 1 else np.float32(1.0) - fz)
                                c0 += w * raw[j, 0]
                                c1 += w * raw[j, 1]
                                c2 += w * raw[j, 2]
                                s += w * raw[j, 3]
                                active += w
                if active < np.float32(1e-3):
                    continue
                index[count, 0], index[count, 1], index[count, 2] = x, y, z
                values[count, 0] = c0 / active
                values[count, 1] = c1 / active
                values[count, 2] = c2 / active
                values[count, 3] = s + (np.float32(1.0) - active) * S_EMPTY
                count += 1
    return count
