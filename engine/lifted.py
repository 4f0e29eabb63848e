"""Dense features on the voxels of a grid, ready for queries: 8-bit codes, colours, and the way to other voxels.

Made in slices, so that a click that comes meanwhile is answered between two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.api.jobs import Job, Progress, row_slices
from engine.api.scene import Float32, UInt8
from engine.carry import rows_beside
from engine.encoders.pca import ColourBasis
from engine.grid.coarse import coarsened_slices
from engine.grid.lift import LiftAccumulator
from engine.grid.radiance import RadianceGrid
from engine.queries.quantise import Codes, dequantise, quantise, unit_scale
from engine.results import FORMAT, ResultStore
from engine.storage import digest, write_tensors

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.encoders.volume import VolumeEncoder
    from engine.features import ViewFeatureSet

UNSEEN_GREY = 90
NOTE = "lifting features onto voxels"
SAMPLE_ROWS = 40_000
"""The mutual check of a clicked 3D point searches about so many voxels: neighbours are alike."""


@dataclass(frozen=True, eq=False)
class LiftedOn:
    """Features on the V voxels of one grid.

    Attributes:
        grid: whose voxels they are.
        codes, scale: (V, D) int8 and (V,) float32, as ``engine.queries.quantise`` has them; zero where unseen.
        spread: (V,) disagreement of the views in [0, 1].
        weight: (V,) summed rendering weights, 0 where no view sees the voxel.
        rgb: (V, 3) PCA colours, grey where neither the voxel nor one beside it is seen.
        shown: (V,) for each voxel the row whose features are shown there: its own, or, where no view sees it, that of a
            voxel beside it; what lies a voxel deep would speckle the surface.
        known: (N,) rows that have features, and ``known_w`` (N, 3) their centres in the world.
        sample: (M, D) float32 features of every so many voxels, and ``sample_w`` (M, 3) their centres.
    """

    grid: RadianceGrid
    codes: Codes
    scale: Float32
    spread: Float32
    weight: Float32
    rgb: UInt8
    shown: NDArray[np.int64]
    known: NDArray[np.int64]
    known_w: Float32
    sample: Float32
    sample_w: Float32
    _carried: dict[str, tuple[RadianceGrid, NDArray[np.int64]]] = field(default_factory=dict)

    def features(self, rows: NDArray[np.int64]) -> Float32:
        """(N, D) float32 of some voxels, of unit length."""
        return dequantise(self.codes[rows], self.scale[rows])

    def follow(self, other: RadianceGrid) -> Iterator[None]:
        """Find what ``carry`` to ``other`` needs, in slices."""
        known, _ = self._carried.get("last", (None, None))
        if other is self.grid or known is other:
            return
        rows = np.empty(len(other.index), np.int64)
        for part in row_slices(len(rows)):
            centres_w = other.spec.to_world(other.index[part] + 0.5)
            rows[part] = rows_beside(self.grid.spec.to_grid(centres_w), self.grid.lut)
            yield
        self._carried["last"] = (other, rows)

    def carry(self, other: RadianceGrid, values: NDArray[Any]) -> NDArray[Any]:
        """Values (V, …) of the voxels here to those of ``other`` at their place or beside it, 0 where none is near."""
        if other is self.grid:
            return values
        for _ in self.follow(other):
            pass
        rows = self._carried["last"][1]
        out = values[rows] if len(values) else np.zeros((len(rows), *values.shape[1:]), values.dtype)
        out[rows < 0] = 0
        return out


def make_lifted(
    grid: RadianceGrid, basis: ColourBasis, codes: Codes, spread: Float32, weight: Float32
) -> Job[LiftedOn]:
    """Make what queries need of quantised features (V, D), their spread (V,) and weight (V,)."""
    count = len(grid.index)
    scale = np.empty(count, np.float32)
    rgb = np.empty((count, 3), np.uint8)
    shown = np.arange(count)
    centres_w = np.empty((count, 3), np.float32)
    seen = grid.lut.copy()
    seen[tuple(grid.index[weight <= 0].T)] = -1
    for part in row_slices(count):
        yield Progress(part.start, count, "voxels", NOTE)
        scale[part] = unit_scale(codes[part])
        rgb[part] = basis.apply(dequantise(codes[part], scale[part]))
        centres_w[part] = grid.spec.to_world(grid.index[part] + 0.5)
        unseen = part.start + np.flatnonzero(weight[part] <= 0)
        rgb[unseen] = UNSEEN_GREY
        beside = rows_beside(grid.index[unseen] + np.float32(0.5), seen)
        shown[unseen] = np.where(beside >= 0, beside, unseen)
    yield Progress(count, count, "voxels", NOTE)
    known = np.flatnonzero(weight > 0)
    every = slice(None, None, max(1, count // SAMPLE_ROWS))
    sample = dequantise(codes[every], scale[every])
    yield Progress(count, count, "voxels", NOTE)
    return LiftedOn(
        grid, codes, scale, spread[shown], weight, rgb[shown], shown, known, centres_w[known], sample, centres_w[every]
    )  # fmt: skip


def lift(grid: RadianceGrid, maps: ViewFeatureSet, capture: Capture, store: ResultStore) -> Job[LiftedOn]:
    """Lift the encoded maps onto a grid, or read back what was lifted onto the same grid before.

    Where the encoder has a 3D encoder, what that adds to the lifted features is added.

    Raises:
        CacheError: the result cannot be stored.
    """
    assert maps.basis is not None
    views = maps.views()
    done = Progress(len(views), len(views), "views", NOTE)
    key = digest(grid.index.tobytes(), grid.sigma.tobytes(), ",".join(map(str, views)), maps.key)
    name = f"lifted-{digest(maps.id)}.safetensors"
    stored = store.read(name, capture.fingerprint)
    found = None if stored is None or stored[1].get("key") != key else _parse(stored[0], len(grid.index), maps.dim)
    fresh = found is None
    yield done
    if found is None:
        accumulator = LiftAccumulator(grid, maps.dim)
        for n, view in enumerate(views):
            for _ in accumulator.add_slices(capture.views[view].camera, maps.bank.map(view)):
                yield Progress(n, len(views), "views", NOTE)
        change = None if maps.volume is None else (yield from change_of_blocks(grid, accumulator, maps.volume))
        codes = np.empty((len(grid.index), maps.dim), np.int8)
        spread = np.empty(len(grid.index), np.float32)
        for part in row_slices(len(codes)):
            mean, spread[part] = accumulator.part(part)
            if change is not None:
                mean += np.where(accumulator.weight[part, None] > 0, change.blocks[change.parent[part]], 0)
                mean /= np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
            codes[part], _ = quantise(mean)
            yield done
        found = codes, spread, accumulator.weight.copy()
    if fresh and grid.meta.get("capture") == capture.fingerprint:  # not a grid that is still being fitted
        tensors = dict(zip(("codes", "spread", "weight"), found, strict=True))
        write_tensors(store.write_path(name), tensors, {"format": FORMAT, "capture": capture.fingerprint, "key": key})
        yield done
    return (yield from make_lifted(grid, maps.basis, *found))


class BlockChange(NamedTuple):
    """What the 3D encoder adds: ``blocks`` (W, D), and the block (V,) of each voxel."""

    blocks: Float32
    parent: NDArray[np.int64]


def change_of_blocks(grid: RadianceGrid, accumulator: LiftAccumulator, network: VolumeEncoder) -> Job[BlockChange]:
    """One pass of the 3D encoder over the grid in blocks."""
    import torch

    from engine.encoders.volume.working import MOST, WorkingVoxels

    coarse = yield from coarsened_slices(grid, MOST)
    device = next(network.parameters()).device
    blocks = WorkingVoxels(coarse, network.levels, device)
    yield Progress(0, 1, "layers", NOTE)
    image = yield from blocks.pool(lambda part: torch.from_numpy(accumulator.part(part)[0]), network.config.dim)
    found = yield from blocks.block_change(network, image)
    return BlockChange(found.change.cpu().numpy(), coarse.parent)


def _parse(tensors: dict[str, NDArray[Any]], voxels: int, dim: int) -> tuple[Codes, Float32, Float32] | None:
    try:
        codes, spread, weight = (tensors[k] for k in ("codes", "spread", "weight"))
    except KeyError:
        return None
    fits = (
        codes.shape == (voxels, dim)
        and codes.dtype == np.int8
        and spread.shape == weight.shape == (voxels,)
        and spread.dtype == weight.dtype == np.float32
    )
    return (codes, spread, weight) if fits else None
