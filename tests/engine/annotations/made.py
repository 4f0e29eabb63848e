"""Voxels and documents made up for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.annotations.document import AnnotationDocument
from engine.annotations.places import VoxelPlaces
from engine.annotations.store import open_annotations
from engine.api.annotations import LabelClass
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec

CHAIR = LabelClass(1, "chair", (200, 40, 40), 1)
TABLE = LabelClass(2, "table", (40, 40, 200), 2)


def places(count: int = 2000, voxel: float = 0.05, lo_w: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> VoxelPlaces:
    """``count`` voxels in order, in slabs of 20 x 20."""
    dims = (max(2, -(-count // 400)), 20, 20)
    index = np.stack(np.unravel_index(np.arange(count), dims), axis=1).astype(np.int32)
    return VoxelPlaces(GridSpec(np.array(lo_w), voxel, dims), index)


def document(folder: Path, count: int = 2000) -> AnnotationDocument:
    """An open document with the classes chair and table."""
    made = open_annotations(folder, places(count))
    for c in (CHAIR, TABLE):
        made.do(made.state.put(c))
    return made


def solid(index: np.ndarray, voxel: float = 0.1, dims: tuple[int, int, int] = (32, 32, 32)) -> RadianceGrid:
    """Opaque voxels at ``index`` (V, 3), put in order, with colours that follow their place."""
    index = index[np.lexsort(index.T[::-1])].astype(np.int32)
    return RadianceGrid.of(
        GridSpec(np.zeros(3), voxel, dims), index, index / np.array(dims), np.full(len(index), 8.0), [[[1, 1, 1]]]
    )


def cuboid(lo: tuple[int, int, int], hi: tuple[int, int, int]) -> np.ndarray:
    """(N, 3) voxels from ``lo`` to below ``hi``."""
    return np.stack(np.meshgrid(*map(np.arange, lo, hi), indexing="ij"), axis=-1).reshape(-1, 3)
