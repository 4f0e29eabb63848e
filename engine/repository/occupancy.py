"""Which space of a scene is solid, which is free, and which nobody saw, in coarse cells: about a kilobyte by which two
scans of one place contradict each other where something was moved (occupancy grids: Moravec and Elfes, ICRA 1985)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from engine.api.camera import Camera
from engine.api.errors import RepositoryError
from engine.api.jobs import Job, Progress

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid

Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

UNKNOWN, FREE, SOLID = 0, 1, 2
ACROSS = 58
"""Cells along the diagonal of a scene: some 15 cm in a room."""
MOST_CELLS = 1 << 20
"""Of a scene; more are no record of ours."""
MOST_VIEWS, SIDE = 48, 96
"""Photos that are asked, and rays along the long side of each."""
LEAST_HITS = 4
"""Rays that end in a solid cell."""
LEAST_VIEWS = 2
"""Photos that see through a free cell."""
BESIDE = 0.25
"""Of a cell: no ray ends so near to a free one, or else walls that lie on the border of cells, a hair apart in two
scans, would contradict each other."""
_HEAD = struct.Struct("<12d3H")


@dataclass(frozen=True, eq=False)
class Occupancy:
    """What is known of the space of a scene.

    Attributes:
        states: (X, Y, Z) uint8: ``UNKNOWN``, ``FREE`` or ``SOLID``.
        to_w: (4, 4) float64 similarity: cell (i, j, k) spans [i, i + 1) x [j, j + 1) x [k, k + 1) before it.
    """

    states: UInt8
    to_w: Float64

    def moved(self, by: ArrayLike) -> Occupancy:
        """The same in another world; ``by``: (4, 4) similarity from this one's."""
        return Occupancy(self.states, np.asarray(by, np.float64) @ self.to_w)


def observed(grid: RadianceGrid, cameras: Sequence[Camera], extent_w: float) -> Job[Occupancy]:
    """What the photos of a scene have seen of its space.

    A cell is solid where rays end, that is where half of their light is gone, and free where several photos see
    something behind it and no ray ends in or beside it. Rays that end nowhere say nothing.

    Args:
        grid: of the scene.
        cameras: of its photos; of many some are asked, at equal steps.
        extent_w: diagonal of its bounds.
    """
    from engine.march import render_table

    size_w = extent_w / ACROSS
    lo, hi = grid.spec.bounds_w
    dims = np.maximum(np.ceil((hi - lo) / size_w), 1)
    size_w *= max(1.0, float(np.cbrt(dims.prod() / MOST_CELLS)) * 1.05)
    dims = np.maximum(np.ceil((hi - lo) / size_w), 1).astype(np.int64)
    to_w = np.diag([size_w, size_w, size_w, 1.0])
    to_w[:3, 3] = (lo + hi - dims * size_w) / 2
    centres_w = (np.indices(dims).reshape(3, -1).T + 0.5) * size_w + to_w[:3, 3]
    ends, near, through = np.zeros(dims, np.int32), np.zeros(dims, np.bool_), np.zeros(len(centres_w), np.int32)
    steps = np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), MOST_VIEWS)).round().astype(int))
    for done, camera in enumerate(cameras[n].fitted(SIDE) for n in steps):
        yield Progress(done, len(steps), "photos", "looking for free space")
        _, _, depth_z = render_table(grid, grid.rgb, camera)
        there = np.flatnonzero(depth_z)
        at = (camera.unproject(camera.pixel_grid()[there], depth_z.ravel()[there]) - to_w[:3, 3]) / size_w
        np.add.at(ends, _cells(at, dims), 1)
        for side in np.ndindex(2, 2, 2):
            near[_cells(at + BESIDE * (2 * np.array(side) - 1), dims)] = True
        pos_px, z = camera.project(centres_w)
        inside = camera.contains(pos_px) & (z > 0)
        column, row = np.where(inside[:, None], pos_px, 0).astype(np.int64).T
        through += inside & (depth_z[row, column] - z > size_w)
    states = np.where((through.reshape(ends.shape) >= LEAST_VIEWS) & ~near, FREE, UNKNOWN)
    return Occupancy(np.where(ends >= LEAST_HITS, SOLID, states).astype(np.uint8), to_w)


def _cells(at: Float64, dims: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Which cells points (N, 3) lie in, without those that lie in none, as an index."""
    cell = np.floor(at).astype(np.int64)
    return tuple(cell[((cell >= 0) & (cell < dims)).all(axis=1)].T)


def contradictions(a: Occupancy, b: Occupancy, a_to_b: ArrayLike) -> NDArray[np.bool_]:
    """(X, Y, Z) of a's cells: whether it is solid, and b saw nothing there, that is whether all eight cells of b around
    its middle are free.

    Args:
        a: one scan.
        b: another.
        a_to_b: (4, 4) similarity from the world of a to that of b.
    """
    into = np.linalg.inv(b.to_w) @ np.asarray(a_to_b, np.float64) @ a.to_w
    solid = np.argwhere(a.states == SOLID)
    at = (solid + 0.5) @ into[:3, :3].T + into[:3, 3]
    low, high = -1, np.array(b.states.shape)  # beyond them all is alike
    gone = _min8(b.states == FREE, np.floor(at - 0.5).clip(low, high).astype(np.int64))
    out = np.zeros(a.states.shape, np.bool_)
    out[tuple(solid[gone].T)] = True
    return out


def _min8(there: NDArray[np.bool_], corner: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether ``there`` holds in cells (N, 3) and in the next ones along each axis; cells may lie beyond its ends,
    by one, where it does not."""
    padded = np.pad(there, (1, 2))
    out = np.ones(len(corner), np.bool_)
    for step in np.ndindex(2, 2, 2):
        out &= padded[tuple((corner + 1 + step).T)]
    return out


def largest_patch(cells: NDArray[np.bool_]) -> int:
    """How many of some cells (X, Y, Z) touch each other at most."""
    return int(_patches(cells)[1].max())


def without_specks(cells: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Those of some cells (X, Y, Z) of which at least so many touch each other."""
    labels, sizes = _patches(cells)
    return (sizes >= least)[labels]


def _patches(cells: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Which patch each cell (X, Y, Z) is in, 0 for none, and the patches' sizes (P + 1,), that of none being 0."""
    labels, _ = ndimage.label(cells, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels, sizes


def pack_occupancy(occupancy: Occupancy | None) -> bytes:
    """As bytes; none for None."""
    if occupancy is None:
        return b""
    head = _HEAD.pack(*occupancy.to_w[:3].ravel(), *occupancy.states.shape)
    return head + zlib.compress(occupancy.states.tobytes(), 9)


def unpack_occupancy(packed: bytes) -> Occupancy | None:
    """Undo ``pack_occupancy``.

    Raises:
        RepositoryError: it is damaged.
    """
    if not packed:
        return None
    try:
        *numbers, x, y, z = _HEAD.unpack_from(packed)
        to_w = np.eye(4)
        to_w[:3] = np.array(numbers).reshape(3, 4)
        count = x * y * z
        reader = zlib.decompressobj()
        states = np.frombuffer(reader.decompress(packed[_HEAD.size :], MOST_CELLS + 1), np.uint8)
        if not (reader.eof and 0 < count <= MOST_CELLS and len(states) == count and states.max() <= SOLID):
            raise ValueError(f"{len(states)} cells")
        if not (np.isfinite(to_w).all() and np.linalg.det(to_w[:3, :3]) > 0):
            raise ValueError("cells that lie nowhere")
    except (struct.error, zlib.error, ValueError) as e:
        mend = "remove the scene, and add it again"
        raise RepositoryError("a scene's record is damaged", found=str(e), mend=mend) from e
    return Occupancy(states.reshape(x, y, z), to_w)
