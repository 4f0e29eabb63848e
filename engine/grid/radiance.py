"""The pruned radiance grid of a capture: what is rendered, shown, stored and reopened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.scene import Volume
from engine.grid.skip import build_tables
from engine.grid.spec import GridSpec
from engine.grid.stored import FORMAT, MAX_TAU, StoredGrid, StoredPart, read_stored
from engine.march.rays import S_EMPTY
from engine.storage import write_tensors

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]
UInt8 = NDArray[np.uint8]


def raw_of_tau(tau: ArrayLike) -> Float32:
    """s = log(exp(tau) - 1), the inverse of tau = softplus(s), for tau in [0, MAX_TAU]; never below the empty -10."""
    t = np.clip(np.asarray(tau, np.float32), 4.5399e-5, MAX_TAU)
    return np.where(t > 15, t, np.log(np.expm1(np.minimum(t, 16)))).astype(np.float32)


def tau_of_raw(raw: ArrayLike) -> Float32:
    """tau = softplus(s): the optical thickness of one voxel, dimensionless."""
    return np.logaddexp(np.float32(0), np.asarray(raw, np.float32)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class RadianceGrid:
    """Sparse voxels with colour and density, and what is seen where no voxel is.

    Made by ``RadianceGrid.of`` or ``load``: both hold values at the stored precision (colour 8 bit, optical thickness
    16 bit), so a grid renders the same before it is saved and after it is loaded.

    Attributes:
        spec: where the voxels lie.
        index: (V, 3) int32, the active voxels.
        rgb: (V, 3) float32 in [0, 1].
        sigma: (V,) float32, density in 1/world unit.
        background: (H, W, 3) float32 in [0, 1], equirectangular map of the light from beyond the box, by direction
            (rows: polar angle from +z; columns: azimuth atan2(y, x), wrapping); (1, 1, 3) is one constant colour.
        lut: int32 dims, row of each voxel or -1.
        skip: uint8 dims, empty-space distances of the dual cells (``engine.march.rays``).
        shells: coarser grids around this one, innermost first, for what lies beyond the box; each is hollow where the
            one before it lies, and a ray sees a shell from where it leaves that box. Their own background is unused.
        meta: JSON values: ``psnr``, ``curve`` [[seconds, dB], …], ``seconds``, ``heldout`` …
    """

    spec: GridSpec
    index: Int32
    rgb: Float32
    sigma: Float32
    background: Float32
    lut: Int32
    skip: UInt8
    shells: tuple[RadianceGrid, ...] = ()
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        spec: GridSpec,
        index: Int32,
        rgb: ArrayLike,
        tau: ArrayLike,
        background: ArrayLike,
        *,
        shells: Sequence[RadianceGrid] = (),
        meta: Mapping[str, Any] | None = None,
        tables: tuple[Int32, UInt8] | None = None,
    ) -> RadianceGrid:
        """A grid of voxels ``index`` (V, 3) with colours (V, 3) in [0, 1] and optical thickness ``tau`` (V,).

        Values are rounded to the stored precision. ``tables`` (lut, skip) may be given where they are known.
        """
        index = np.ascontiguousarray(index, dtype=np.int32).reshape(-1, 3)
        colour8 = np.rint(np.clip(np.asarray(rgb, np.float32), 0, 1) * 255).astype(np.uint8)
        tau16 = np.clip(np.asarray(tau, np.float32), 0, MAX_TAU).astype(np.float16)
        background8 = np.rint(np.clip(np.asarray(background, np.float32), 0, 1) * 255).astype(np.uint8)
        return cls._of_stored(spec, index, colour8, tau16, background8, tuple(shells), dict(meta or {}), tables)

    @classmethod
    def _of_stored(
        cls,
        spec: GridSpec,
        index: Int32,
        colour8: UInt8,
        tau16: NDArray[np.float16],
        background8: UInt8,
        shells: tuple[RadianceGrid, ...],
        meta: dict[str, Any],
        tables: tuple[Int32, UInt8] | None,
    ) -> RadianceGrid:
        lut, skip = tables if tables is not None else build_tables(index, spec.dims)
        scale = np.float32(1 / 255)
        arrays = (
            index,
            colour8.astype(np.float32) * scale,
            tau16.astype(np.float32) / np.float32(spec.voxel),
            background8.astype(np.float32) * scale,
            lut,
            skip,
        )
        for a in arrays:
            a.setflags(write=False)
        return cls(spec, *arrays, shells, meta)

    @classmethod
    def empty(cls, spec: GridSpec, background: ArrayLike) -> RadianceGrid:
        """A grid without voxels: every ray sees the background."""
        return cls.of(spec, np.zeros((0, 3), np.int32), np.zeros((0, 3)), np.zeros(0), background)

    @property
    def tau(self) -> Float32:
        """(V,) optical thickness of each voxel, sigma * voxel."""
        return self.sigma * np.float32(self.spec.voxel)

    @cached_property
    def padded_raw(self) -> Float32:
        """(V + 1,) raw density s with softplus(s) = tau; the last is the empty voxel's (``engine.march.rays``)."""
        raw = np.append(raw_of_tau(self.tau), S_EMPTY)
        raw.setflags(write=False)
        return raw

    @cached_property
    def packed(self) -> Float32:
        """(V + 1, 4) colour and raw density side by side, as the colour kernel reads them."""
        packed = np.zeros((len(self.index) + 1, 4), np.float32)
        packed[:-1, :3] = self.rgb
        packed[:, 3] = self.padded_raw
        packed.setflags(write=False)
        return packed

    def centres_w(self) -> NDArray[np.float64]:
        """(V, 3) centres of the voxels, world units."""
        return self.spec.to_world(self.index + 0.5)

    def to_volume(self, version: int) -> Volume:
        """The voxels as the canvas shows them; alpha = 1 - exp(-tau)."""
        rgba = np.empty((len(self.index), 4), np.uint8)
        rgba[:, :3] = np.rint(self.rgb * 255)
        rgba[:, 3] = np.rint(-np.expm1(-self.tau) * 255)
        return Volume(self.spec.lo_w, self.spec.voxel, self.spec.dims, self.index, rgba, version)

    def save(self, path: Path) -> None:
        """Write the grid as safetensors (11 bytes a voxel), atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        tensors: dict[str, NDArray[Any]] = {"background": np.rint(self.background * 255).astype(np.uint8)}
        specs: list[dict[str, Any]] = []
        for n, part in enumerate((self, *self.shells)):
            specs.append({"lo_w": part.spec.lo_w.tolist(), "voxel": part.spec.voxel, "dims": list(part.spec.dims)})
            tensors[f"index_{n}"] = part.index.astype(np.uint16)
            tensors[f"rgb_{n}"] = np.rint(part.rgb * 255).astype(np.uint8)
            tensors[f"tau_{n}"] = part.tau.astype(np.float16)
        write_tensors(path, tensors, {"format": FORMAT, "grids": specs, "meta": self.meta})

    @classmethod
    def load(cls, path: Path) -> RadianceGrid:
        """Read what ``save`` wrote.

        Raises:
            CacheError: missing, damaged, or not a grid of this format.
        """
        return cls.of_stored(read_stored(path))

    @classmethod
    def of_stored(cls, stored: StoredGrid) -> RadianceGrid:
        """From what ``read_stored`` returned."""

        def part(p: StoredPart, background: UInt8) -> RadianceGrid:
            return cls._of_stored(p.spec, p.index.astype(np.int32), p.rgb, p.tau, background, (), {}, None)

        inner, *shells = stored.parts
        nested = tuple(part(p, stored.background[:1, :1]) for p in shells)
        return replace(part(inner, stored.background), shells=nested, meta=stored.meta)
