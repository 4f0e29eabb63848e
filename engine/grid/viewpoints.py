"""Where to look at a scene from, when nobody photographed it: cameras chosen from its voxels alone (our form).

Positions are drawn from free space, well clear of any surface, inside the scene and around it; each looks at a few
places of the scene. Of all these views a few are kept, greedily, that together show every part of the surface, from
the front, not from too near nor too far, and without much void beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from engine.api.camera import Camera, look_at
from engine.api.jobs import Job, Progress
from engine.grid.radiance import RadianceGrid
from engine.march import surface_along

Float64 = NDArray[np.float64]

SOLID = 0.3
"""Voxels of lower opacity are no surface."""
FREE_CELLS = 40
"""Free space is sought in cells of which so many lie along the longest side of the scene."""
POSITIONS, AIMS = 500, 4
CLEAR = 0.12
"""How far positions stay from surfaces, as a share of the scene's diagonal; halved until there is room for any."""
AROUND = 0.35
"""How far outside positions may lie, as a share of the diagonal."""
NEAR, FAR = 0.3, 0.8
"""Surfaces nearer or farther than these shares of the diagonal are seen less well."""
PATCH = 28
"""Patches of the surface that are to be seen: so many along the diagonal."""
LEAST_FACING = 0.1
FOV_Y = 45.0
SIZE = (448, 336)
SAMPLES = (32, 24)
"""Rays of a view by which it is judged."""
NOTE = "looking for viewpoints"


def viewpoints(grid: RadianceGrid, up_w: ArrayLike, count: int = 16, seed: int = 0) -> Job[list[Camera]]:
    """Cameras that look at a scene without photos.

    Args:
        grid: of the scene.
        up_w: (3,) which way is up.
        count: how many at most; the best first.
        seed: of what is drawn.

    Raises:
        ValueError: the grid has no surface, or none that can be seen.
    """
    solid = grid.index[-np.expm1(-grid.tau) > SOLID].astype(np.int64)
    if not len(solid):
        raise ValueError("no voxel is opaque")
    rng = np.random.default_rng(seed)
    lo, hi = np.percentile(solid, (1, 99), axis=0)
    diagonal = max(float(np.linalg.norm(hi - lo)), 1.0)
    up = np.asarray(up_w, np.float64)
    cameras: list[Camera] = []
    eyes_w = grid.spec.to_world(_free(solid, diagonal, rng))
    for eye in eyes_w:
        yield Progress(0, len(eyes_w) * AIMS, "views", NOTE)
        for target in grid.spec.to_world(solid[rng.integers(len(solid), size=AIMS)] + 0.5):
            if np.linalg.norm(target - eye) > 1e-3 * diagonal * grid.spec.voxel:
                cameras.append(look_at(eye, target, up, fov_y=FOV_Y, width=SIZE[0], height=SIZE[1]))
    seen: list[tuple[NDArray[np.int64], Float64]] = []
    for n, camera in enumerate(cameras):
        yield Progress(n, len(cameras), "views", NOTE)
        seen.append(_patches(grid, camera, diagonal))
    chosen = _chosen(seen, count)
    if not chosen:
        raise ValueError("no view shows any of it")
    return [cameras[i] for i in chosen]


def _free(solid: NDArray[np.int64], diagonal: float, rng: np.random.Generator) -> Float64:
    """(N, 3) grid coordinates of positions clear of the surface voxels."""
    low, high = solid.min(axis=0), solid.max(axis=0) + 1
    edge = max(1, -(-int((high - low).max()) // FREE_CELLS))
    margin = int(np.ceil(AROUND * diagonal / edge)) + 1
    cells = (solid - low) // edge
    empty = np.ones(cells.max(axis=0) + 1 + 2 * margin, bool)
    empty[tuple((cells + margin).T)] = False
    distance = edge * ndimage.distance_transform_edt(empty)
    clear = CLEAR * diagonal
    while not (distance >= clear).any():
        clear /= 2
    free = np.argwhere(distance >= clear)
    drawn = free[rng.choice(len(free), min(POSITIONS, len(free)), replace=False)]
    return (drawn - margin + 0.5) * edge + low


def _patches(grid: RadianceGrid, camera: Camera, diagonal: float) -> tuple[NDArray[np.int64], Float64]:
    """Keys (N,) of the patches of surface that a view shows, and how well it shows each, in [0, 1]."""
    w, h = SAMPLES
    small = camera.scaled(w, h)
    origin_w, direction_w = small.rays(small.pixel_grid())
    pos_w, _ = surface_along(grid, origin_w, direction_w)
    hit = np.isfinite(pos_w).all(axis=1)
    reach = np.linalg.norm(pos_w[hit] - origin_w[hit], axis=1) / (grid.spec.voxel * diagonal)
    well = np.minimum(1, reach / NEAR) * np.clip((1.2 * FAR - reach) / (0.2 * FAR), 0, 1)
    well *= np.maximum(_facing(pos_w.reshape(h, w, 3), direction_w.reshape(h, w, 3)).ravel()[hit], LEAST_FACING)
    patch = np.floor(grid.spec.to_grid(pos_w[hit]) / max(diagonal / PATCH, 1)).astype(np.int64)
    keys, inverse = np.unique(patch @ np.array([1, 1 << 16, 1 << 32]), return_inverse=True)
    best = np.zeros(len(keys))
    np.maximum.at(best, inverse, well * hit.mean())
    return keys, best


def _facing(pos_w: Float64, direction_w: Float64) -> Float64:
    """(h, w) cosine between rays and the surface's normal, told by the next pixels; 0 where they hit nothing."""
    across, down = np.diff(pos_w, axis=1)[:-1], np.diff(pos_w, axis=0)[:, :-1]
    normal = np.cross(across, down)
    length = np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    cosine = np.abs((normal / length * direction_w[:-1, :-1]).sum(axis=2))
    return np.nan_to_num(np.pad(cosine, ((0, 1), (0, 1)), mode="edge"))


def _chosen(seen: Sequence[tuple[NDArray[np.int64], Float64]], count: int) -> list[int]:
    """Views that show most, each beside those before it: what is seen well already counts less."""
    keys, rows = np.unique(np.concatenate([k for k, _ in seen]), return_inverse=True)
    well = np.concatenate([w for _, w in seen])
    start = np.cumsum([0, *(len(k) for k, _ in seen)])
    some = np.flatnonzero(np.diff(start))
    had = np.zeros(len(keys))
    chosen: list[int] = []
    while len(chosen) < min(count, len(some)):
        gain = np.add.reduceat(np.sqrt(had[rows] + well) - np.sqrt(had[rows]), start[some])
        gain[np.isin(some, chosen)] = 0
        best = int(some[np.argmax(gain)])
        if gain.max() <= 0:
            break
        part = slice(start[best], start[best + 1])
        had[rows[part]] += well[part]
        chosen.append(best)
    return chosen
