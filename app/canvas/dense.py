"""A sparse volume made dense for a 3D texture: plain numpy, no GL.

Axis order is (x, y, z) in memory, so a texture made of it has x as depth and z as width: shaders sample at ``.zyx``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.scene import Volume

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

CELL = 4  # voxels along a coarse cell's edge
SLAB_BYTES = 3 << 20  # what one step scatters and uploads: about 2 ms
FARTHEST = 24  # coarse cells; leaps longer than this gain nothing
FACING_CAMERAS = 12
LEAST_BLOCK = 1 << 15  # voxels; smaller ones are not worth a call each
WORTH = 0.7  # a block is divided where its parts are together smaller than this share of it


Rest = Callable[[], None]


def _no_rest() -> None:
    pass


@dataclass(frozen=True, eq=False)
class Box:
    """The part of a volume that holds voxels.

    Attributes:
        lo: (3,) voxel index of its lowest corner.
        dims: voxels along x, y, z; multiples of CELL.
        lo_w: (3,) its lowest corner in the world.
        voxel: edge length, world units.
        flat: (V,) place of each active voxel in an array of ``dims``, C order.
        order: (V,) permutation that sorts ``flat``; None when it is sorted.
    """

    lo: NDArray[np.int64]
    dims: tuple[int, int, int]
    lo_w: NDArray[np.float64]
    voxel: float
    flat: NDArray[np.int64]
    order: NDArray[np.int64] | None

    @staticmethod
    def around(volume: Volume) -> Box:
        """The tight box of the active voxels, with a voxel to spare on each side."""
        if len(volume.index) == 0:
            zero = np.zeros(0, np.int64)
            return Box(np.zeros(3, np.int64), (CELL, CELL, CELL), volume.lo_w, volume.voxel, zero, None)
        lo = volume.index.min(axis=0).astype(np.int64) - 1
        size = volume.index.max(axis=0) + 2 - lo
        dx, dy, dz = (int(-(-n // CELL) * CELL) for n in size)
        i = volume.index.astype(np.int64) - lo
        flat = (i[:, 0] * dy + i[:, 1]) * dz + i[:, 2]
        order = None
        if np.any(flat[1:] < flat[:-1]):
            order = np.argsort(flat)
            flat = flat[order]
        return Box(lo, (dx, dy, dz), volume.lo_w + lo * volume.voxel, volume.voxel, flat, order)

    @property
    def coarse_dims(self) -> tuple[int, int, int]:
        x, y, z = self.dims
        return x // CELL, y // CELL, z // CELL

    def sorted(self, per_voxel: NDArray[np.uint8]) -> UInt8:
        """Values in the volume's voxel order to the order of ``flat``."""
        return per_voxel if self.order is None else per_voxel[self.order]


_boxes: WeakKeyDictionary[Volume, Box] = WeakKeyDictionary()


def box_of(volume: Volume) -> Box:
    """``Box.around``, made once per volume."""
    if volume not in _boxes:
        _boxes[volume] = Box.around(volume)
    return _boxes[volume]


def slabs(box: Box, values: UInt8) -> Iterator[tuple[int, UInt8]]:
    """Scatter (V, C) ``values`` (in ``flat`` order) slab by slab along x: yields (first x, (n, dy, dz, C) uint8).

    C is 1, 2 or 4: a voxel's bytes are moved as one number, which is several times as fast.
    """
    dx, dy, dz = box.dims
    channels = values.shape[1]
    packed = np.ascontiguousarray(values).view(f"u{channels}").ravel()
    thick = max(1, SLAB_BYTES // (dy * dz * channels))
    for x in range(0, dx, thick):
        n = min(thick, dx - x)
        a, b = np.searchsorted(box.flat, [x * dy * dz, (x + n) * dy * dz])
        slab = np.zeros(n * dy * dz, packed.dtype)
        slab[box.flat[a:b] - x * dy * dz] = packed[a:b]
        yield x, slab.view(np.uint8).reshape(n, dy, dz, channels)


def rows_within(box: Box, at: NDArray[np.int64], size: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """The voxels in a block of the dense array, (N,) rows in the volume's order, and where in the block: x, y, z."""
    dy, dz = box.dims[1:]
    x0, y0, z0 = (int(v) for v in at)
    nx, ny, nz = (int(v) for v in size)
    begin: NDArray[np.int64] = ((np.arange(nx) + x0) * dy + y0) * dz  # of each x; voxels of all y of the block follow
    first = np.searchsorted(box.flat, begin).astype(np.int64)
    count = np.searchsorted(box.flat, begin + ny * dz).astype(np.int64) - first
    k = np.arange(int(count.sum())) + np.repeat(first - np.cumsum(count) + count, count)
    xy, z = np.divmod(box.flat[k], dz)
    inside = (z >= z0) & (z < z0 + nz)
    x, y = np.divmod(xy[inside], dy)
    rows: NDArray[np.int64] = k[inside] if box.order is None else box.order[k[inside]]
    return rows, x - x0, y - y0, z[inside] - z0


def blocks(places: NDArray[np.int64]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Few blocks, lowest corner and size (3,), that hold all places (N, 3) and little else: what is to be uploaded."""
    lo = places.min(axis=0)
    size = places.max(axis=0) + 1 - lo
    if np.prod(size) <= LEAST_BLOCK:
        return [(lo, size)]
    axis = int(size.argmax())
    lower = places[:, axis] < lo[axis] + size[axis] // 2
    halves = blocks(places[lower]) + blocks(places[~lower])
    return halves if sum(int(np.prod(s)) for _, s in halves) < WORTH * np.prod(size) else [(lo, size)]


def premultiplied(rgb: UInt8, alpha: UInt8) -> UInt8:
    """(V, 3) colours and (V,) alpha to (V, 4) with colour times alpha, so that interpolation does not bleed black."""
    a = alpha[:, None].astype(np.uint16)
    return np.concatenate([((rgb * a + 127) // 255).astype(np.uint8), alpha[:, None]], axis=1)


def leaps(box: Box) -> UInt8:
    """Chebyshev distance, in coarse cells, from each coarse cell to the nearest one that a ray must sample.

    A cell counts as occupied when an active voxel lies in it or one voxel away, where interpolation reaches.
    """
    # Within a cell only a first or last voxel reaches into the next one, so that three cases per axis are all.
    cases = np.zeros((int(np.prod(box.coarse_dims)), 27), bool)
    key, at = np.zeros(len(box.flat), np.int64), box.flat
    place = [np.zeros(0, np.int64)] * 3
    for axis in (2, 1, 0):
        at, place[axis] = np.divmod(at, box.dims[axis])
    cell = np.zeros(len(box.flat), np.int64)
    for axis in range(3):
        within = place[axis] % CELL
        cell = cell * box.coarse_dims[axis] + place[axis] // CELL
        key = key * 3 + (within > 0) + (within == CELL - 1)
    cases[cell, key] = True
    occupied = np.zeros([n + 2 for n in box.coarse_dims], bool)
    for number, case in enumerate(cases.T):
        reach = [{0: (-1, 0), 1: (0,), 2: (0, 1)}[number // 3 ** (2 - a) % 3] for a in range(3)]
        case = case.reshape(box.coarse_dims)
        for offset in itertools.product(*reach):
            to = tuple(slice(1 + o, 1 + o + n) for o, n in zip(offset, box.coarse_dims, strict=True))
            occupied[to] |= case
    occupied = occupied[1:-1, 1:-1, 1:-1]
    distance = np.where(occupied, 0, FARTHEST).astype(np.uint8)
    reached = occupied
    for k in range(1, FARTHEST):
        grown = grow(reached)
        distance[grown & ~reached] = k
        if np.array_equal(grown, reached):
            break
        reached = grown
    return distance


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is made of a volume before any of it goes to the GPU.

    Attributes:
        box: where its voxels are.
        facing: see ``facing``.
        cells: (cx, cy, cz, 4) uint8, per coarse cell ``facing`` and ``leaps`` as volume.frag reads them.
        rgba: (V, 4) uint8 premultiplied colours in the order of ``box.flat``.
        alpha: (V,) uint8 opacities, likewise.
    """

    box: Box
    facing: Float32
    cells: UInt8
    rgba: UInt8
    alpha: UInt8


def prepare(volume: Volume, cameras: Sequence[Camera], rgb: UInt8 | None, rest: Rest = _no_rest) -> Prepared:
    """Everything about ``volume`` that takes time; ``rgb`` (V, 3) replaces its own colours.

    ``rest`` is called every so often and returns when there is time to go on.
    """
    box = box_of(volume)
    rest()
    with ThreadPoolExecutor(1) as beside:
        distances = beside.submit(leaps, box)
        side = facing(box, cameras, rest)
    rest()
    cells = np.concatenate(
        [np.round((side * 0.5 + 0.5) * 255).astype(np.uint8), distances.result()[..., None]], axis=-1
    )
    return Prepared(box, side, cells, colours_of(volume, box, rgb), box.sorted(volume.rgba[:, 3]))


def colours_of(volume: Volume, box: Box, rgb: UInt8 | None) -> UInt8:
    """(V, 4) premultiplied colours in the order of ``box.flat``; ``rgb`` replaces the volume's own."""
    own = volume.rgba[:, :3] if rgb is None else rgb
    return box.sorted(premultiplied(own, volume.rgba[:, 3]))


def grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate by one cell in every direction, diagonals included."""
    for axis in range(3):
        wide = mask.copy()
        lo: list[slice] = [slice(None)] * 3
        hi: list[slice] = [slice(None)] * 3
        lo[axis], hi[axis] = slice(None, -1), slice(1, None)
        wide[tuple(hi)] |= mask[tuple(lo)]
        wide[tuple(lo)] |= mask[tuple(hi)]
        mask = wide
    return mask


def facing(box: Box, cameras: Sequence[Camera], rest: Rest = _no_rest) -> Float32:
    """The side from which each occupied coarse cell was seen: a direction, long where that side is certain.

    (cx, cy, cz, 3) float32. It is the mean unit direction towards the cameras that have the cell in view (all, if none
    has), turned to the surface's normal where the voxels about it lie in a plane: a wall that was seen from above and
    within still faces level. Short where cameras are all around. Surfaces may be hidden from the other side, which
    opens a closed room to a look from outside.
    """
    out = np.zeros((*box.coarse_dims, 3), np.float32)
    if not cameras or len(box.flat) == 0:
        return out
    cell, pos = _cells_of(box)
    occupied = np.zeros(box.coarse_dims, bool)
    occupied[tuple(cell.T)] = True
    where = np.argwhere(grow(occupied))  # interpolation between cells reaches one further
    pos_w = box.lo_w + (where + 0.5) * CELL * box.voxel
    rest()
    toward = _mean_direction(pos_w, cameras[:: max(1, len(cameras) // FACING_CAMERAS)])
    rest()
    normal, flatness = _planes(box, cell, pos, where)
    rest()
    length = np.linalg.norm(toward, axis=1, keepdims=True)
    along = (normal * toward).sum(axis=1, keepdims=True)
    # a plane seen edge-on has no side, so the normal counts only as far as the cameras were in front of it
    certain = flatness[:, None] * np.clip(np.abs(along) / np.maximum(0.25 * length, 1e-9), 0, 1)
    out[tuple(where.T)] = (1 - certain) * toward + certain * normal * np.sign(along) * length
    return out


def _cells_of(box: Box) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Coarse cell (V, 3) and position in voxels (V, 3) of each active voxel."""
    dy, dz = box.dims[1:]
    x, rest = np.divmod(box.flat, dy * dz)
    y, z = np.divmod(rest, dz)
    i = np.stack([x, y, z], axis=1)
    return i // CELL, i + 0.5


def _mean_direction(pos_w: NDArray[np.float64], cameras: Sequence[Camera]) -> NDArray[np.float64]:
    """(N, 3) mean unit direction from points to the cameras that have them in view, or to all."""
    total, total_all, count = np.zeros_like(pos_w), np.zeros_like(pos_w), np.zeros(len(pos_w))
    for camera in cameras:
        px, depth = camera.project(pos_w)
        seen = (depth > 0) & camera.contains(px)
        to = camera.centre_w - pos_w
        to /= np.maximum(np.linalg.norm(to, axis=1, keepdims=True), 1e-9)
        total_all += to
        total[seen] += to[seen]
        count[seen] += 1
    return np.where((count > 0)[:, None], total / np.maximum(count, 1)[:, None], total_all / len(cameras))


def _planes(
    box: Box, cell: NDArray[np.int64], pos: NDArray[np.float64], where: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals (N, 3) and flatness (N,) in 0..1 of the voxels in and next to each of the cells ``where``.

    From the covariance of positions: its least eigenvector, and how small that spread is beside the middle one.
    """
    flat = np.ravel_multi_index(tuple(cell.T), box.coarse_dims)
    size = int(np.prod(box.coarse_dims))
    pairs = [(a, b) for a in range(3) for b in range(a, 3)]
    weights = [np.ones(len(cell)), *pos.T]
    near: list[NDArray[np.float64]] = []
    for weight in (*weights, *(pos[:, a] * pos[:, b] for a, b in pairs)):
        moment = np.bincount(flat, weight, size).astype(np.float64).reshape(box.coarse_dims)
        near.append(_sum_near(moment)[tuple(where.T)])
    n = np.maximum(near[0], 1)
    mean = [m / n for m in near[1:4]]
    covariance = np.empty((len(where), 3, 3))
    for (a, b), m in zip(pairs, near[4:], strict=True):
        covariance[:, a, b] = covariance[:, b, a] = m / n - mean[a] * mean[b]
    normal, flatness = np.zeros((len(where), 3)), np.zeros(len(where))
    enough = near[0] >= 8
    spread, axes = np.linalg.eigh(covariance[enough])
    normal[enough] = axes[:, :, 0]
    flatness[enough] = np.clip((0.35 - spread[:, 0] / np.maximum(spread[:, 1], 1e-9)) / 0.2, 0, 1)
    return normal, flatness


def _sum_near(m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over each cell and its 26 neighbours."""
    for axis in range(3):
        wide = np.pad(m, [(1, 1) if a == axis else (0, 0) for a in range(3)])
        n = m.shape[axis]
        m = sum((np.take(wide, range(k, k + n), axis=axis) for k in range(3)), np.zeros_like(m))
    return m
