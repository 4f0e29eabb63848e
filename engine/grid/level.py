"""One resolution of nested grids while they are fitted: parameters, optimiser state, pruning, refinement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.grid.environment import Environment
from engine.grid.kernels import adam, forward_backward, smoothed, squared_error
from engine.grid.photos import PhotoBank
from engine.grid.radiance import RadianceGrid, raw_of_tau, tau_of_raw
from engine.grid.resample import resample_slices
from engine.grid.skip import tables_slices
from engine.grid.spec import GridSpec
from engine.march.rays import S_EMPTY

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]

LATTICE_BATCH = 4096
TILE = (4, 2)


@dataclass(frozen=True, eq=False)
class Voxels:
    """Active voxels of one grid: ``index`` (V, 3) int32, ``values`` (V, 4) float32 colour and raw density s."""

    spec: GridSpec
    index: Int32
    values: Float32


@dataclass(frozen=True)
class Rates:
    """Learning rates of Adam: colour (in [0, 1]), raw density, environment map."""

    colour: float
    density: float
    environment: float


class Level:
    """Nested grids (innermost first) with their parameters; made in slices by ``Level.make``.

    Attributes:
        parts: the grids; their ``values`` are views of ``packed``.
        packed: (V + 1, 4), all voxels and the empty one.
        tables: each grid's own (lut, skip); ``lut`` and ``skip`` hold all of them raveled, with rows of ``packed``.
        first: (G + 1,) where each grid's rows begin.
        gradient: (threads, V + 1, 4), what ``differentiate`` adds to.
        most: (threads, V + 1), the largest share of a ray's light that each voxel gave in this step.
        trained: steps taken since it was made.
    """

    def __init__(
        self,
        parts: Sequence[Voxels],
        tables: Sequence[tuple[Int32, UInt8]],
        flat: tuple[Int32, UInt8],
        threads: int,
    ) -> None:
        self.threads = threads
        self.first = np.cumsum([0, *(len(p.index) for p in parts)])
        count = int(self.first[-1])
        self.packed: Float32 = np.zeros((count + 1, 4), np.float32)
        for n, part in enumerate(parts):
            self.packed[self.first[n] : self.first[n + 1]] = part.values
        self.packed[-1, 3] = S_EMPTY
        self.parts = tuple(
            Voxels(p.spec, p.index, self.packed[self.first[n] : self.first[n + 1]]) for n, p in enumerate(parts)
        )
        self.tables = tuple(tables)
        self.lut, self.skip = flat
        self.sizes = np.array([p.spec.dims for p in parts], np.int64)
        self.starts = np.cumsum([0, *(p.spec.cells for p in parts[:-1])]).astype(np.int64)
        self.scales = np.array([parts[0].spec.voxel / p.spec.voxel for p in parts], np.float32)
        self.gradient: Float32 = np.zeros((threads, count + 1, 4), np.float32)
        self.most: Float32 = np.zeros((threads, count + 1), np.float32)
        self._seen: Float32 = np.zeros(count + 1, np.float32)
        self._moment = np.zeros_like(self.packed)
        self._second = np.zeros_like(self.packed)
        self.index = np.concatenate([p.index for p in parts])
        self._other = np.empty_like(self.packed)
        self._loss = np.zeros((threads, 2))
        self._step = 0
        self.trained = 0
        self._bank: PhotoBank | None = None
        self._cams: Float32 = np.zeros((0, 12), np.float32)
        self._origins: Float32 = np.zeros((0, len(parts), 3), np.float32)

    @classmethod
    def make(cls, parts: Sequence[Voxels], threads: int, out: list[Level]) -> Iterator[None]:
        """Append the level of these voxels to ``out``, in slices."""
        tables: list[tuple[Int32, UInt8]] = []
        for part in parts:
            yield from tables_slices(part.index, part.spec.dims, tables)
        cells = sum(p.spec.cells for p in parts)
        lut, skip = np.empty(cells, np.int32), np.empty(cells, np.uint8)
        start, row = 0, 0
        for part, (own_lut, own_skip) in zip(parts, tables, strict=True):
            here = slice(start, start + part.spec.cells)
            lut[here], skip[here] = own_lut.ravel(), own_skip.ravel()
            if row:
                np.add(lut[here], row, out=lut[here], where=lut[here] >= 0)
            start, row = here.stop, row + len(part.index)
            yield
        out.append(cls(parts, tables, (lut, skip), threads))
        yield

    @property
    def seen(self) -> Float32:
        """(V,) the largest share w of a ray's light that each voxel gave lately; 0 where no ray came by."""
        return self._seen[:-1]

    @property
    def count(self) -> int:
        """Active voxels of all grids."""
        return int(self.first[-1])

    def _see(self, bank: PhotoBank) -> None:
        if self._bank is not bank or len(self._cams) != len(bank.cameras):
            self._bank = bank
            self._cams = bank.cams(self.parts[0].spec)
            centres = np.stack([c.centre_w for c in bank.cameras])
            self._origins = np.stack([p.spec.to_grid(centres) for p in self.parts], axis=1)

    def differentiate(
        self, bank: PhotoBank, rays: NDArray[np.int64], jitter: Float32, environment: Environment
    ) -> float:
        """Add the gradient of the mean squared error of rays (N, 2), jitter (N,), to the buffers; returns the error."""
        self._see(bank)
        forward_backward(
            rays, jitter, self._cams, self._origins, bank.views, bank.pixels, self.sizes, self.starts, self.scales,
            self.packed, environment.map, self.lut, self.skip, self.threads, self.gradient, self.most,
            environment.gradient, self._loss,
        )  # fmt: skip
        total, used = self._loss.sum(axis=0)
        return float(total / max(3 * used, 1))

    def step(self, environment: Environment, rates: Rates) -> None:
        """One step of Adam along the gradient in the buffers, which it clears."""
        self._step += 1
        self.trained += 1
        adam(
            self.packed, self.gradient, self.most, self._seen, self._moment, self._second,
            np.float32(rates.colour), np.float32(rates.density), self._step, self.threads,
        )  # fmt: skip
        environment.update(rates.environment)

    def smooth(self, colour: float, density: float) -> None:
        """Move every voxel these shares of the way to the mean of its neighbours."""
        smoothed(
            self.packed, self.index, self.first, self.sizes, self.starts, self.lut,
            np.float32(colour), np.float32(density), self._other,
        )  # fmt: skip
        self.packed[:] = self._other

    def error(self, bank: PhotoBank, rays: NDArray[np.int64], environment: Environment) -> tuple[float, int]:
        """Sum of squared errors of rays (N, 2) over three channels, and how many rays are valid; nothing is learnt."""
        self._see(bank)
        squared_error(
            rays, self._cams, self._origins, bank.views, bank.pixels, self.sizes, self.starts, self.scales,
            self.packed, environment.map, self.lut, self.skip, self.threads, self._loss,
        )  # fmt: skip
        total, used = self._loss.sum(axis=0)
        return float(total), int(used)

    def keep(self, mask: NDArray[np.bool_], out: list[Level]) -> Iterator[None]:
        """Append the level of the voxels in ``mask`` (V,) to ``out``; their optimiser state goes with them."""
        masks = [mask[self.first[n] : self.first[n + 1]] for n in range(len(self.parts))]
        parts = [Voxels(p.spec, p.index[m], p.values[m]) for p, m in zip(self.parts, masks, strict=True)]
        yield from type(self).make(parts, self.threads, out)
        whole = np.append(mask, True)
        level = out[-1]
        level._moment, level._second, level._step = self._moment[whole], self._second[whole], self._step
        level._seen = self._seen[whole]
        yield

    def refine(self, specs: Sequence[GridSpec], out: list[Level]) -> Iterator[None]:
        """Append the level at another resolution to ``out``: active where this one is, values interpolated."""
        parts: list[Voxels] = []
        for n, spec in enumerate(specs):
            old = self.parts[n]
            if spec.dims == old.spec.dims:
                parts.append(Voxels(old.spec, old.index, old.values.copy()))
                continue
            found: list[tuple[Int32, Float32]] = []
            padded = np.concatenate([old.values, self.packed[-1:]])
            lut, skip = self.tables[n]
            yield from resample_slices(old.spec, padded, lut, skip, spec, found)
            index, values = found[0]
            values[:, 3] = raw_of_tau(tau_of_raw(values[:, 3]) * (spec.voxel / old.spec.voxel))
            parts.append(Voxels(spec, index, values))
            yield
        yield from type(self).make(parts, self.threads, out)

    def round_to(self, grid: RadianceGrid, environment: Environment) -> None:
        """Take over the stored precision of ``grid``, which was made from this level, and its background."""
        for part, stored in zip(self.parts, (grid, *grid.shells), strict=True):
            part.values[:] = stored.packed[:-1]
        environment.map = grid.background.copy()

    def grid(self, environment: Environment, meta: Mapping[str, Any]) -> RadianceGrid:
        """The grid as it stands, at stored precision."""
        parts: list[RadianceGrid] = []
        for n, part in reversed(list(enumerate(self.parts))):
            shells = tuple(reversed(parts)) if n == 0 else ()
            background = environment.map if n == 0 else np.zeros((1, 1, 3), np.float32)
            tau = tau_of_raw(part.values[:, 3])
            lut, skip = self.tables[n]
            parts.append(
                RadianceGrid.of(
                    part.spec,
                    part.index,
                    part.values[:, :3],
                    tau,
                    background,
                    shells=shells,
                    meta=meta if n == 0 else None,
                    tables=(lut.view(), skip.view()),
                )
            )
        return parts[-1]


def draw(bank: PhotoBank, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """(count, 2) photo and pixel number of random rays in tiles of ``TILE`` pixels.

    Rays of a tile pass the same voxels while they are in the cache, which makes a batch two to three times as fast as
    as many scattered rays.
    """
    wide, high = TILE
    tiles = count // (wide * high)
    view = rng.integers(0, len(bank.cameras), tiles)
    width, height = bank.views[view, 1], bank.views[view, 2]
    x = (rng.random(tiles) * np.maximum(width - wide + 1, 1)).astype(np.int64)
    y = (rng.random(tiles) * np.maximum(height - high + 1, 1)).astype(np.int64)
    pixel = (y[:, None, None] + np.arange(high)[:, None]) * width[:, None, None] + x[:, None, None] + np.arange(wide)
    rays = np.empty((tiles * wide * high, 2), np.int64)
    rays[:, 0] = np.repeat(view, wide * high)
    rays[:, 1] = pixel.ravel()
    return rays


def lattice(bank: PhotoBank, rays: int, only: int | None = None) -> Iterator[NDArray[np.int64]]:
    """Batches (N, 2) of about ``rays`` rays on a regular lattice over all photos of the bank, or of photo ``only``."""
    pixels = int((bank.views[:, 1] * bank.views[:, 2]).sum())
    step = max(1, int((pixels / rays) ** 0.5))
    for view in range(len(bank.views)) if only is None else (only,):
        _, width, height = bank.views[view]
        x, y = np.arange(view % step, width, step), np.arange(view % step, height, step)
        pixel = (y[:, None] * width + x).ravel()
        for start in range(0, len(pixel), LATTICE_BATCH):
            part = pixel[start : start + LATTICE_BATCH]
            yield np.stack([np.full_like(part, view), part], axis=1)
