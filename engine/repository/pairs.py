"""Two scenes in one world, to be looked at side by side: their voxels where they are known, else their keypoints."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from engine.api.errors import CacheError, RepositoryError
from engine.api.replies import Reply
from engine.api.repository import AlignedPoints, PairAligned, ScenePair, ShowPair
from engine.grid.stored import read_stored
from engine.repository.align import align
from engine.repository.occupancy import contradictions, without_specks
from engine.results import ResultStore
from engine.scene_state import GRID_FILE

if TYPE_CHECKING:
    from engine.api.scene import Float32, UInt8
    from engine.repository.record import SceneRecord
    from engine.repository.service import RepositoryService

MOST_POINTS, MOST_NORMALS = 260_000, 60_000
KEYPOINT_SIZE = 0.012
"""Of the scene's extent."""
Cells = tuple[NDArray[np.float64], NDArray[np.bool_]]
"""Of an occupancy: how they lie in the world (4, 4), and some of them (X, Y, Z)."""
LEAST_PATCH = 3
"""Smaller differences are not shown: they are errors of depth, or of the transform."""
ROWS = 4096
"""Points whose normals are found between two yields."""
NEIGHBOURS = 16
LEAST_ALPHA = 60
"""Of 255: thinner voxels are fog."""


def aligned(service: RepositoryService, request: ShowPair) -> Iterator[Reply | None]:
    """Bring scene a into the world of b.

    Raises:
        RepositoryError: there is no transform that enough of their keypoints agree with.
    """
    a, b = (service.store.load(service.row(key).id) for key in (request.a, request.b))
    yield None
    found = align(a, b, service.seed)
    yield None
    if found is None:
        raise RepositoryError("the two scenes cannot be aligned", found=f"{a.name} and {b.name}")
    points_a = yield from scene_points(a, service.cache, found.a_to_b, differing(a, b, found.a_to_b))
    points_b = yield from scene_points(b, service.cache, np.eye(4), differing(b, a, np.linalg.inv(found.a_to_b)))
    down_w = b.cameras[:, :3, 1].astype(np.float64).sum(axis=0)
    length = float(np.linalg.norm(down_w))
    up_w = np.array([0.0, 0.0, 1.0]) if length < 1e-6 else -down_w / length
    pair = ScenePair(request.a, request.b, found.confidence, found.count, found.overlap, found.changed)
    yield PairAligned(id=request.id, pair=pair, a=points_a, b=points_b, up_w=up_w)


def differing(a: SceneRecord, b: SceneRecord, a_to_b: np.ndarray) -> Cells | None:
    """Where a has something, and b nothing; None where that cannot be known."""
    if a.occupancy is None or b.occupancy is None:
        return None
    return a.occupancy.to_w, without_specks(contradictions(a.occupancy, b.occupancy, a_to_b), LEAST_PATCH)


def scene_points(
    record: SceneRecord, cache: Path, to: np.ndarray, differ: Cells | None = None
) -> Generator[Reply | None, None, AlignedPoints]:
    """Points of a scene, moved by a similarity ``to`` (4, 4), each with the normal of the surface around it and whether
    it lies in a cell that differs."""
    found = stored_voxels(record, cache)
    if found is None:
        pos_w, rgb, spacing_w = record.pos_w, None, KEYPOINT_SIZE * record.extent_w
        block = np.arange(len(pos_w))
    else:
        pos_w, rgb, index, spacing_w = found
        block, _ = blocks(index, MOST_NORMALS)
    yield None
    pos = pos_w.astype(np.float64) @ to[:3, :3].T + to[:3, 3]
    if not np.isfinite(pos).all():
        raise RepositoryError(
            "a scene's record is damaged", found=record.name, mend="remove the scene, and add it again"
        )
    eyes = record.cameras[:, :3, 3].astype(np.float64) @ to[:3, :3].T + to[:3, 3]
    coarse = means(pos, block)
    tree, facing = KDTree(coarse), np.zeros_like(coarse)
    watched = KDTree(eyes) if len(eyes) else None
    for start in range(0, len(coarse), ROWS):
        some = slice(start, start + ROWS)
        facing[some] = normals(tree, coarse[some])
        if watched is not None:
            _, nearest = watched.query(coarse[some])
            facing[some] *= np.sign(np.einsum("ni,ni->n", facing[some], eyes[nearest] - coarse[some]))[:, None]
        yield None
    spacing_w *= float(np.cbrt(abs(np.linalg.det(to[:3, :3]))))
    changed = np.zeros(len(pos), np.bool_) if differ is None else within(pos_w, *differ)
    return AlignedPoints(pos.astype(np.float32), rgb, facing[block].astype(np.float32), spacing_w, changed)


def within(pos_w: Float32, to_w: NDArray[np.float64], cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether points (N, 3) lie in some of cells (X, Y, Z)."""
    from_w = np.linalg.inv(to_w)
    at = np.floor(pos_w @ from_w[:3, :3].T + from_w[:3, 3]).clip(-1, cells.shape).astype(np.int64)
    return np.pad(cells, 1)[tuple((at + 1).T)]


def normals(tree: KDTree, pos_w: np.ndarray) -> np.ndarray:
    """(N, 3) unit, across which the neighbours of each of (N, 3) points of a tree spread the least; up to sign."""
    count = min(NEIGHBOURS, tree.n)
    _, rows = tree.query(pos_w, k=count)
    around = tree.data[rows.reshape(len(pos_w), count)]
    around = around - around.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))
    return vectors[:, :, 0]


def stored_voxels(record: SceneRecord, cache: Path) -> tuple[Float32, UInt8, NDArray[np.int32], float] | None:
    """Voxels of the grid that was fitted to a scene, several as one if there are many: centres (V, 3), colours,
    indices, and how far apart they are; None if no grid is stored."""
    for path in ResultStore.of(record.fingerprint, Path(record.path), cache).candidates(GRID_FILE):
        try:
            stored = read_stored(path)
        except CacheError:
            continue
        volume = stored.parts[0].to_volume(1)
        rows = np.flatnonzero(volume.rgba[:, 3] >= LEAST_ALPHA)
        if stored.meta.get("capture") != record.fingerprint or not len(rows):
            continue
        pos_w, rgb, index = volume.centres_w()[rows], volume.rgba[rows, :3], volume.index[rows]
        block, size = blocks(index, MOST_POINTS)
        if size == 1:
            return pos_w, rgb, index, volume.voxel
        first = np.unique(block, return_index=True)[1]
        colours = np.rint(means(rgb, block)).astype(np.uint8)
        return means(pos_w, block).astype(np.float32), colours, index[first] // size, size * volume.voxel
    return None


def blocks(index: NDArray[np.int32], most: int) -> tuple[NDArray[np.int64], int]:
    """Which block each of (V, 3) voxels is in, and how many voxels wide they are: the least of which there are no more
    than ``most``."""
    size = 1
    while True:
        across = index.astype(np.int64) // size
        dims = across.max(axis=0) + 1
        flat = (across[:, 0] * dims[1] + across[:, 1]) * dims[2] + across[:, 2]
        found, block = np.unique(flat, return_inverse=True)
        if len(found) <= most:
            return block.astype(np.int64), size
        size += 1


def means(values: np.ndarray, block: NDArray[np.int64]) -> NDArray[np.float64]:
    """(B, 3) means of (V, 3) values over blocks."""
    sums = [np.bincount(block, weights=values[:, c].astype(np.float64)) for c in range(3)]
    return np.stack(sums, axis=1) / np.bincount(block)[:, None]
