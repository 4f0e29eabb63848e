"""Dense features of one capture: maps of the photos, one colour basis, and what they are on the voxels."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CacheError, CaptureError
from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.carry import rows_beside
from engine.encoders import load_encoder
from engine.encoders.pca import ColourBasis
from engine.grid.lift import LiftAccumulator, LiftedFeatures
from engine.grid.radiance import RadianceGrid
from engine.queries.bank import FeatureBank
from engine.queries.quantise import Codes, dequantise, quantise, unit_scale
from engine.results import FORMAT, ResultStore, parse_features, write_features
from engine.runtime import resolve_device
from engine.storage import digest, write_tensors

if TYPE_CHECKING:
    from engine.captures import Capture

UNSEEN_GREY = 90
BASIS_VIEWS = 8  # the colour basis is fixed from so many views, spread over the capture, and then kept
READ_SIDE = 640  # photos are read at this long side; encoders resize from there to their own


def spread_order(count: int) -> list[int]:
    """0 … count-1 so that every beginning of the list spreads over the whole: 0, 1/2, 1/4, 3/4, 1/8, …"""
    bits = max(1, (count - 1).bit_length())
    return [v for v in (int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits)) if v < count]


class ViewFeatureSet:
    """Feature maps of a capture's photos by one encoder: encoded once, stored, held in a bank for queries.

    Raises:
        WeightsError: the encoder cannot be loaded.
    """

    def __init__(self, capture: Capture, store: ResultStore, encoder_name: str, device: str) -> None:
        self.encoder_name = encoder_name
        self.encoder = load_encoder(encoder_name, resolve_device(device))
        self.bank = FeatureBank(self.encoder.dim)
        self.basis: ColourBasis | None = None
        self.skipped: dict[int, str] = {}
        self.warnings: list[str] = []
        self._capture = capture
        self._store = store
        self._fresh: list[int] = []
        self._restore()

    @property
    def dim(self) -> int:
        """Channels of a feature."""
        return self.encoder.dim

    @property
    def complete(self) -> bool:
        """Whether every readable photo is encoded."""
        return bool(self.bank.views()) and not self.missing()

    @property
    def file_name(self) -> str:
        return f"features-{digest(self.encoder.id)}.safetensors"

    def views(self) -> list[int]:
        """Views that are encoded."""
        return sorted(self.bank.views())

    def missing(self) -> list[int]:
        """Views that are neither encoded nor unreadable, those that spread over the capture first."""
        return [v for v in spread_order(len(self._capture.views)) if v not in self.bank and v not in self.skipped]

    def encode(self, views: list[int]) -> Job[None]:
        """Encode ``views`` in that order; a photo that cannot be read is skipped and counted.

        Raises:
            CaptureError: not one photo of the capture can be read.
        """
        for done, view in enumerate(views):
            yield Progress(done, len(views), "views", self._capture.views[view].name)
            try:
                yield from self.encode_view(view)
            except CaptureError as e:
                self.skipped[view] = e.text()
                if len(self.skipped) == len(self._capture.views):
                    raise
        self._fix_basis()
        yield Progress(len(views), len(views), "views")

    def encode_view(self, view: int) -> Job[None]:
        """Encode one view if it is not yet.

        Raises:
            CaptureError: the photo cannot be read.
        """
        if view in self.bank:
            return
        rgb = self._capture.read(view, max_side=READ_SIDE).rgb
        features = yield from self.encoder.encode_slices(rgb)
        if view in self.bank:  # a click wanted it too while we gave way
            return
        self.bank.add_view(view, features)
        self._fresh.append(view)
        if len(self.bank.views()) >= BASIS_VIEWS:
            self._fix_basis()

    def _fix_basis(self) -> None:
        if self.basis is None and self.bank.views():
            cells = np.concatenate([self.bank.map(v).reshape(-1, self.dim) for v in self.bank.views()[:BASIS_VIEWS]])
            self.basis = ColourBasis.fit(cells)

    def colours(self, view: int) -> UInt8:
        """(h, w, 3) PCA colours of an encoded view, in the shared basis."""
        assert self.basis is not None
        return self.basis.apply(self.bank.map(view))

    def take_fresh(self) -> list[int]:
        """Views encoded since the last call, once there is a basis to colour them in."""
        if self.basis is None:
            return []
        fresh, self._fresh = self._fresh, []
        return fresh

    def path(self, ship: bool = False) -> Path:
        """Where the maps are stored."""
        return self._store.write_path(self.file_name, ship)

    def save(self, ship: bool = False) -> None:
        """Store the maps quantised to 8 bits, and the basis.

        Raises:
            CacheError: the folder cannot be written or the disk is full.
        """
        if self.basis is None:
            return
        write_features(
            self.path(ship),
            capture=self._capture.fingerprint,
            encoder=self.encoder.id,
            maps={v: (codes, scale.astype(np.float16)) for v in self.views() for codes, scale in [self.bank.codes(v)]},
            basis=dict(self.basis.to_arrays()),
        )

    def _restore(self) -> None:
        found = self._store.read(self.file_name, self._capture.fingerprint)
        if found is None or found[1].get("encoder") != self.encoder.id:
            return
        try:
            maps, basis = parse_features(found[0], len(self._capture.views))
            if any(codes.shape[2] != self.dim for codes, _ in maps.values()):
                raise CacheError("stored features have another width", mend="they are made again")
            self.basis = ColourBasis.from_arrays(basis)
        except CacheError as e:
            self.warnings.append(f"Stored features were not used. {e.text()}")
            return
        for view in sorted(maps):
            self.bank.add_codes(view, maps[view][0])


@dataclass(frozen=True, eq=False)
class LiftedOn:
    """Features on the voxels of one grid, and how to carry values over to the voxels of another."""

    grid: RadianceGrid
    features: LiftedFeatures
    basis: ColourBasis
    _rows: dict[str, tuple[RadianceGrid, NDArray[np.int64]]] = field(default_factory=dict)

    @cached_property
    def colours(self) -> UInt8:
        """(V, 3) PCA colours of the voxels; grey where no view sees them nor any beside them."""
        rgb = self.basis.apply(self.features.mean)
        rgb[self.features.weight <= 0] = UNSEEN_GREY
        return rgb[self.nearest_known]

    @cached_property
    def nearest_known(self) -> NDArray[np.int64]:
        """(V,) for each voxel the row whose features are shown there.

        Its own, or, where no view sees it, that of a voxel beside it: what lies a voxel deep would speckle the surface.
        """
        rows = np.arange(len(self.grid.index))
        unseen = np.flatnonzero(self.features.weight <= 0)
        if len(unseen):
            lut = self.grid.lut.copy()
            lut[tuple(self.grid.index[unseen].T)] = -1
            beside = rows_beside(self.grid.index[unseen] + np.float32(0.5), lut)
            rows[unseen] = np.where(beside >= 0, beside, unseen)
        return rows

    @cached_property
    def centres_w(self) -> Float32:
        """(V, 3) centres of the voxels, world units."""
        return self.grid.centres_w().astype(np.float32)

    @cached_property
    def codes(self) -> tuple[Codes, Float32]:
        """(V, D) int8 codes of the features and their (V,) scale."""
        codes, _ = quantise(self.features.mean)
        return codes, unit_scale(codes)

    @cached_property
    def known(self) -> tuple[NDArray[np.int64], Float32]:
        """The voxels that have features: rows (N,) and centres (N, 3)."""
        rows = np.flatnonzero(self.features.weight > 0)
        return rows, self.centres_w[rows]

    def rows_for(self, other: RadianceGrid) -> NDArray[np.int64]:
        """For each voxel of ``other`` the row here at its place or beside it, -1 where there is none."""
        known, rows = self._rows.get("last", (None, None))
        if known is not other or rows is None:
            rows = rows_beside(self.grid.spec.to_grid(other.centres_w()), self.grid.lut)
            self._rows["last"] = (other, rows)
        return rows

    def carry(self, other: RadianceGrid, values: NDArray[Any]) -> NDArray[Any]:
        """Values (V, …) of the voxels here to those of ``other``, 0 where none is near."""
        if other is self.grid:
            return values
        rows = self.rows_for(other)
        out = values[rows] if len(values) else np.zeros((len(rows), *values.shape[1:]), values.dtype)
        out[rows < 0] = 0
        return out


def lift(
    grid: RadianceGrid, maps: ViewFeatureSet, capture: Capture, store: ResultStore
) -> Generator[Progress, None, LiftedOn]:
    """Lift the encoded maps onto a grid, or read back what was lifted onto the same grid before.

    Raises:
        CacheError: the result cannot be stored.
    """
    assert maps.basis is not None
    views = maps.views()
    key = digest(grid.index.tobytes(), grid.sigma.tobytes(), ",".join(map(str, views)), maps.encoder.id)
    name = f"lifted-{digest(maps.encoder.id)}.safetensors"
    stored = store.read(name, capture.fingerprint)
    if stored is not None and stored[1].get("key") == key:
        found = _parse_lifted(stored[0], len(grid.index), maps.dim)
        if found is not None:
            return (yield from _ready(LiftedOn(grid, found, maps.basis)))
    accumulator = LiftAccumulator(grid, maps.dim)
    for done, view in enumerate(views):
        for _ in accumulator.add_slices(capture.views[view].camera, maps.bank.map(view)):
            yield Progress(done, len(views), "views", "lifting features onto voxels")
    lifted = accumulator.result()
    shown = LiftedOn(grid, lifted, maps.basis)
    yield Progress(len(views), len(views), "views")
    if grid.meta.get("capture") == capture.fingerprint:  # a finished grid, not one that is still being fitted
        codes, scale = shown.codes
        yield Progress(len(views), len(views), "views")
        tensors = {"codes": codes, "scale": scale.astype(np.float16), "spread": lifted.spread, "weight": lifted.weight}
        write_tensors(store.write_path(name), tensors, {"format": FORMAT, "capture": capture.fingerprint, "key": key})
    return (yield from _ready(shown))


def _ready(lifted: LiftedOn) -> Generator[Progress, None, LiftedOn]:
    """Make what every click needs, so that none has to wait for it."""
    for part in ("codes", "centres_w", "known", "nearest_known", "colours"):
        getattr(lifted, part)
        yield Progress(1, 1, "views")
    return lifted


def _parse_lifted(tensors: dict[str, NDArray[Any]], voxels: int, dim: int) -> LiftedFeatures | None:
    try:
        codes, scale, spread, weight = (tensors[k] for k in ("codes", "scale", "spread", "weight"))
    except KeyError:
        return None
    fits = (
        codes.shape == (voxels, dim)
        and codes.dtype == np.int8
        and scale.dtype == np.float16
        and scale.shape == spread.shape == weight.shape == (voxels,)
        and spread.dtype == weight.dtype == np.float32
    )
    return LiftedFeatures(dequantise(codes, scale), spread, weight) if fits else None
