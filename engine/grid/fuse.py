"""Depth fusion: a truncated signed distance field with colour, over the voxels near measured surfaces.

Curless and Levoy (1996): d(x) = sum_i clamp(z_i(x) - z_x) / sum_i 1 over the views i that see x no deeper than the
truncation behind their surface, and c(x) likewise, weighted by nearness to the surface. The density then follows as
s = -d / (SOFTNESS voxel) + BIAS: opaque inside, empty outside, about one voxel wide. Distances are along the camera's
z axis.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba as nb
import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.grid.spec import GridSpec
from engine.march.rays import S_EMPTY, jit, pjit

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Int32 = NDArray[np.int32]

BLOCK = 8
"""Edge of the blocks of voxels that are visited together."""

TRUNCATION = np.float32(3.0)
"""Voxels on either side of a surface over which distances are averaged."""

BAND = np.float32(1.8)
"""Voxels on either side of the fused surface that become active."""

SOFTNESS = np.float32(0.25)
BIAS = np.float32(1.0)
SLICE_CELLS = 1 << 19
SLICE_BLOCKS = 192


@jit
def _touch(cam, depth, step, touched):
    """Mark the blocks (bx, by, bz) that hold a measured surface or lie within the truncation of it along the ray."""
    height, width = depth.shape
    bx, by, bz = touched.shape
    for row in range(step // 2, height, step):
        for column in range(step // 2, width, step):
            z = depth[row, column]
            if not (z > 0 and z < np.float32(1e30)):
                continue
            u = np.float32(column + 0.5)
            v = np.float32(row + 0.5)
            dx = cam[0] * u + cam[1] * v + cam[2]
            dy = cam[3] * u + cam[4] * v + cam[5]
            dz = cam[6] * u + cam[7] * v + cam[8]
            reach = TRUNCATION / np.sqrt(dx * dx + dy * dy + dz * dz)
            for k in range(-1, 2):
                t = (z + np.float32(k) * reach) / np.float32(BLOCK)
                x = np.floor(cam[9] / np.float32(BLOCK) + t * dx)
                y = np.floor(cam[10] / np.float32(BLOCK) + t * dy)
                q = np.floor(cam[11] / np.float32(BLOCK) + t * dz)
                if 0 <= x < bx and 0 <= y < by and 0 <= q < bz:
                    touched[int(x), int(y), int(q)] = 1


@pjit
def _integrate(project, depth, rgba, blocks, truncation, field, colour):
    """Add one view: ``field`` (nx, ny, nz, 2) distance sum and count, ``colour`` (nx, ny, nz, 4) sums and weight.

    ``project`` (3, 4) takes grid coordinates to (u z, v z, z); ``truncation`` is in world units; blocks (B, 3).
    """
    nx, ny, nz = field.shape[0], field.shape[1], field.shape[2]
    height, width = depth.shape
    for i in nb.prange(blocks.shape[0]):
        x0, y0, z0 = blocks[i, 0] * BLOCK, blocks[i, 1] * BLOCK, blocks[i, 2] * BLOCK
        for x in range(x0, min(x0 + BLOCK, nx)):
            for y in range(y0, min(y0 + BLOCK, ny)):
                px = np.float32(x) + np.float32(0.5)
                py = np.float32(y) + np.float32(0.5)
                au = project[0, 0] * px + project[0, 1] * py + project[0, 3]
                av = project[1, 0] * px + project[1, 1] * py + project[1, 3]
                az = project[2, 0] * px + project[2, 1] * py + project[2, 3]
                for q in range(z0, min(z0 + BLOCK, nz)):
                    pz = np.float32(q) + np.float32(0.5)
                    z = az + project[2, 2] * pz
                    if z <= np.float32(1e-6):
                        continue
                    u = (au + project[0, 2] * pz) / z
                    v = (av + project[1, 2] * pz) / z
                    if u < 0 or v < 0 or u >= width or v >= height:
                        continue
                    column = int(u)
                    row = int(v)
                    measured = depth[row, column]
                    if not measured > 0 or rgba[row, column, 3] == 0:
                        continue
                    d = measured - z
                    if d <= -truncation:
                        continue
                    field[x, y, q, 0] += min(d, truncation)
                    field[x, y, q, 1] += np.float32(1.0)
                    if d < truncation:
                        w = np.float32(1.02) - abs(d) / truncation
                        colour[x, y, q, 0] += w * np.float32(rgba[row, column, 0])
                        colour[x, y, q, 1] += w * np.float32(rgba[row, column, 1])
                        colour[x, y, q, 2] += w * np.float32(rgba[row, column, 2])
                        colour[x, y, q, 3] += w


@jit
def _extract(field, colour, x0, x1, voxel, index, raw, count):
    """Append the voxels of x0 <= x < x1 within the band to ``index`` (n, 3), ``raw`` (n, 4); returns the new count."""
    for x in range(x0, x1):
        for y in range(field.shape[1]):
            for z in range(field.shape[2]):
                n = field[x, y, z, 1]
                if n == 0 or colour[x, y, z, 3] <= 0:
                    continue
                d = field[x, y, z, 0] / (n * voxel)
                if abs(d) > BAND or count >= index.shape[0]:
                    continue
                index[count, 0], index[count, 1], index[count, 2] = x, y, z
                scale = np.float32(1 / 255) / colour[x, y, z, 3]
                for k in range(3):
                    raw[count, k] = colour[x, y, z, k] * scale
                raw[count, 3] = max(BIAS - d / SOFTNESS, S_EMPTY + np.float32(2.0))
                count += 1
    return count


class DepthFusion:
    """Accumulates posed depth photos into a grid.

    Args:
        spec: the grid; memory is 24 bytes a cell.
    """

    def __init__(self, spec: GridSpec) -> None:
        self.spec = spec
        self._field = np.zeros((*spec.dims, 2), np.float32)
        self._colour = np.zeros((*spec.dims, 4), np.float32)
        self._touched = np.zeros(tuple(-(-n // BLOCK) for n in spec.dims), np.uint8)

    def add(self, camera: Camera, depth_z: Float32, rgba: UInt8) -> None:
        """``add_slices`` at once."""
        for _ in self.add_slices(camera, depth_z, rgba):
            pass

    def add_slices(self, camera: Camera, depth_z: Float32, rgba: UInt8) -> Iterator[None]:
        """Add one photo: (h, w) depth along z in world units (0 = none), (h, w, 4) uint8 colour and validity."""
        spec = self.spec
        step = max(1, round(max(depth_z.shape) / 160))
        _touch(spec.rays_from(camera), depth_z, step, self._touched)
        project = spec.projection(camera)
        blocks = np.argwhere(self._touched).astype(np.int32)
        centre = (blocks + 0.5) * BLOCK
        u, v, z = project[:, :3] @ centre.T + project[:, 3:]
        radius = BLOCK * spec.voxel
        with np.errstate(divide="ignore", invalid="ignore"):
            margin = radius * camera.intrinsics[0, 0] / z
            near = np.abs(z) < radius
            inside = (u / z > -margin) & (v / z > -margin)
            inside &= (u / z < camera.width + margin) & (v / z < camera.height + margin) & (z > 0)
        truncation = np.float32(TRUNCATION * spec.voxel)
        blocks = blocks[inside | near]
        # the first photo takes ten times as long as the others: the memory it touches is made then
        for start in range(0, len(blocks), SLICE_BLOCKS):
            some = blocks[start : start + SLICE_BLOCKS]
            _integrate(project, depth_z, rgba, some, truncation, self._field, self._colour)
            yield

    def free(self) -> NDArray[np.bool_]:
        """dims, which cells a view saw through: measured, and nowhere near a surface."""
        count = self._field[..., 1]
        return (count > 0) & (self._field[..., 0] >= 0.9 * TRUNCATION * self.spec.voxel * count)

    def extract(self, out: list[tuple[Int32, Float32]]) -> Iterator[None]:
        """Append (index (V, 3), raw (V, 4): colour and s) of the fused surface to ``out``, in slices."""
        nx, ny, nz = self.spec.dims
        room = int(self._touched.sum()) * BLOCK**3
        index = np.empty((room, 3), np.int32)
        raw = np.empty((room, 4), np.float32)
        count = 0
        slab = max(1, SLICE_CELLS // (ny * nz))
        for x in range(0, nx, slab):
            count = _extract(
                self._field, self._colour, x, min(x + slab, nx), np.float32(self.spec.voxel), index, raw, count
            )
            yield
        out.append((index[:count].copy(), raw[:count].copy()))
