"""The stored form of a radiance grid: numpy only, so that a fitted scene is shown before numba or torch is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CacheError
from engine.api.scene import Volume
from engine.grid.spec import GridSpec
from engine.storage import read_tensors

UInt8 = NDArray[np.uint8]

FORMAT = "radiance-grid/1"
MAX_TAU = 30.0
"""Optical thickness of one voxel is stored at most so large (it lets 1e-13 of the light through)."""
MAX_BACKGROUND = 1 << 22
MAX_SHELLS = 4


@dataclass(frozen=True, eq=False)
class StoredPart:
    """One of the nested grids: ``index`` (V, 3) uint16, ``rgb`` (V, 3) uint8, ``tau`` (V,) float16."""

    spec: GridSpec
    index: NDArray[np.uint16]
    rgb: UInt8
    tau: NDArray[np.float16]

    def to_volume(self, version: int) -> Volume:
        """As the canvas shows it; alpha = 1 - exp(-tau)."""
        alpha = np.rint(-np.expm1(-self.tau.astype(np.float32)) * 255).astype(np.uint8)
        rgba = np.concatenate([self.rgb, alpha[:, None]], axis=1)
        spec = self.spec
        return Volume(spec.lo_w, spec.voxel, spec.dims, self.index.astype(np.int32), rgba, version)


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """The inner grid first, then its shells; ``background`` (H, W, 3) uint8; ``meta`` JSON values."""

    parts: tuple[StoredPart, ...]
    background: UInt8
    meta: dict[str, Any]


def read_stored(path: Path) -> StoredGrid:
    """Read and check what ``RadianceGrid.save`` wrote.

    Raises:
        CacheError: missing, damaged, or not a grid of this format.
    """
    tensors, header = read_tensors(path)
    try:
        return _parse(tensors, header)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as e:
        raise CacheError(
            "is not a radiance grid of this version",
            path=path,
            found=f"{type(e).__name__}: {e}",
            expected=f"the format '{FORMAT}'",
            mend="delete the file; the grid will be fitted again",
        ) from e


def _parse(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> StoredGrid:
    if header.get("format") != FORMAT:
        raise ValueError(f"format {header.get('format')!r}")
    meta, specs = header["meta"], header["grids"]
    if not isinstance(meta, dict) or not isinstance(specs, list) or not 1 <= len(specs) <= 1 + MAX_SHELLS:
        raise TypeError("meta or grids is malformed")
    background = tensors["background"]
    if background.ndim != 3 or not 0 < background.size <= MAX_BACKGROUND:
        raise ValueError(f"background of shape {background.shape}")
    _expect("background", background, np.uint8, (*background.shape[:2], 3))
    return StoredGrid(tuple(_parse_part(tensors, s, n) for n, s in enumerate(specs)), background, meta)


def _parse_part(tensors: Mapping[str, NDArray[Any]], header: Any, n: int) -> StoredPart:
    spec = GridSpec(np.array(header["lo_w"], dtype=np.float64), float(header["voxel"]), tuple(header["dims"]))
    if not (1e-12 < spec.voxel < 1e12 and np.abs(spec.lo_w).max() < 1e12 * spec.voxel):
        raise ValueError(f"voxel {spec.voxel:g} at {spec.lo_w.tolist()} is out of range")
    index, rgb, tau = (tensors[f"{k}_{n}"] for k in ("index", "rgb", "tau"))
    count = len(index) if index.ndim == 2 else -1
    _expect("index", index, np.uint16, (count, 3))
    _expect("rgb", rgb, np.uint8, (count, 3))
    _expect("tau", tau, np.float16, (count,))
    if (index >= np.array(spec.dims)).any():
        raise ValueError("a voxel lies outside the grid")
    places = np.ravel_multi_index(tuple(index.T.astype(np.int64)), spec.dims)
    if (np.diff(places) <= 0).any() and (np.diff(np.sort(places)) == 0).any():  # most grids are in order
        raise ValueError("a voxel is there twice")
    if not (np.isfinite(tau).all() and (tau >= 0).all() and (tau <= MAX_TAU).all()):
        raise ValueError("optical thickness outside its range")
    return StoredPart(spec, index, rgb, tau)


def _expect(name: str, array: NDArray[Any], dtype: Any, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {shape}")
