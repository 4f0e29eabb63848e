"""Two scenes in one world, to be looked at side by side: their voxels where they are known, else their keypoints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree

from engine.api.errors import CacheError, RepositoryError
from engine.api.replies import Reply
from engine.api.repository import AlignedPoints, PairAligned, ScenePair, ShowPair
from engine.grid.stored import read_stored
from engine.repository.align import align
from engine.results import ResultStore
from engine.scene_state import GRID_FILE

if TYPE_CHECKING:
    from engine.api.scene import Float32, UInt8
    from engine.repository.record import SceneRecord
    from engine.repository.service import RepositoryService

MOST_POINTS = 90_000
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
    points_a = scene_points(a, service.cache, service.seed, found.a_to_b)
    yield None
    points_b = scene_points(b, service.cache, service.seed, np.eye(4))
    yield None
    down_w = b.cameras[:, :3, 1].astype(np.float64).sum(axis=0)
    length = float(np.linalg.norm(down_w))
    up_w = np.array([0.0, 0.0, 1.0]) if length < 1e-6 else -down_w / length
    pair = ScenePair(request.a, request.b, found.confidence, found.count, found.overlap)
    yield PairAligned(id=request.id, pair=pair, a=points_a, b=points_b, up_w=up_w)


def scene_points(record: SceneRecord, cache: Path, seed: int, to: np.ndarray) -> AlignedPoints:
    """Points of a scene, moved by a similarity ``to`` (4, 4)."""
    pos_w, rgb = stored_voxels(record, cache, seed)
    moved = pos_w.astype(np.float64) @ to[:3, :3].T + to[:3, 3]
    eyes = record.cameras[:, :3, 3].astype(np.float64) @ to[:3, :3].T + to[:3, 3]
    if len(eyes):
        _, nearest = KDTree(eyes).query(moved)
        facing = eyes[nearest] - moved
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
    else:
        facing = np.zeros_like(moved)
    return AlignedPoints(moved.astype(np.float32), rgb, facing.astype(np.float32))


def stored_voxels(record: SceneRecord, cache: Path, seed: int) -> tuple[Float32, UInt8 | None]:
    """Voxels of the grid that was fitted to a scene, some of them at random if there are many; its keypoints, without
    colours, if there is none."""
    for path in ResultStore.of(record.fingerprint, Path(record.path), cache).candidates(GRID_FILE):
        try:
            stored = read_stored(path)
        except CacheError:
            continue
        if stored.meta.get("capture") != record.fingerprint:
            continue
        volume = stored.parts[0].to_volume(1)
        rows = np.flatnonzero(volume.rgba[:, 3] >= LEAST_ALPHA)
        if len(rows) > MOST_POINTS:
            rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_POINTS, replace=False))
        if len(rows):
            return volume.centres_w()[rows], volume.rgba[rows, :3]
    return record.pos_w, None
