"""Lifting 2D features onto voxels: the mean over views, weighted by how much of the light each voxel gives to a view.

    w_i(x) = T_i(x) alpha(x)                   rendering weight of the voxel at x on the ray from camera i through x
    f(x)   = normalise(sum_i w_i f_i(p_i))     f_i sampled bilinearly at the projection p_i of x
    spread = 1 - |sum_i w_i f_i| / sum_i w_i   0 where all views agree, towards 1 where they contradict each other

It gathers (each voxel reads its pixel), so voxels between the cells of a coarse feature map are reached too and
threads never write to the same row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress
from engine.grid.radiance import RadianceGrid
from engine.march.rays import (
    HALF,
    ONE,
    TINY,
    ZERO,
    corners,
    dual_cell,
    flat,
    inverse_largest,
    pjit,
    sigmoid,
    span,
    stride,
)

Float32 = NDArray[np.float32]

SLICE_NUMBERS = 1 << 21
"""Feature numbers (voxels x channels) per slice of work."""

LEAST_WEIGHT = np.float32(0.02)
"""A view that gets less of its light than this from a voxel says nothing about it."""


@dataclass(frozen=True, eq=False)
class LiftedFeatures:
    """Features of the voxels: ``mean`` (V, D) float32 unit-norm (zero where unseen), ``spread`` (V,) in [0, 1],
    ``weight`` (V,) the summed rendering weights, 0 where no view sees the voxel."""

    mean: Float32
    spread: Float32
    weight: Float32


class LiftAccumulator:
    """Adds feature maps view by view, in any order, as they are encoded.

    Args:
        grid: whose voxels receive the features.
        dim: D. Memory is V x D float32.
    """

    def __init__(self, grid: RadianceGrid, dim: int) -> None:
        self.grid = grid
        self.views = 0
        self._sum: Float32 = np.zeros((len(grid.index), dim), np.float32)
        self.weight: Float32 = np.zeros(len(grid.index), np.float32)

    def add_slices(self, camera: Camera, features: Float32) -> Iterator[None]:
        """Add one view's map (h, w, D), which covers the whole image of ``camera``; yields between slices.

        Raises:
            ValueError: the map has another number of channels.
        """
        features = np.ascontiguousarray(features, dtype=np.float32)
        h, w, dim = features.shape
        if dim != self._sum.shape[1]:
            raise ValueError(f"the map has {dim} channels, expected {self._sum.shape[1]}")
        grid = self.grid
        view = camera.scaled(w, h)
        project = grid.spec.projection(view)
        origin = grid.spec.to_grid(camera.centre_w[None])[0]
        chunk = max(256, min(16384, SLICE_NUMBERS // dim))
        for start in range(0, len(grid.index), chunk):
            end = min(start + chunk, len(grid.index))
            _gather_features(
                start, end, grid.index, grid.spec.dims, grid.padded_raw, grid.lut.ravel(), grid.skip.ravel(),
                origin, project, features, self._sum, self.weight,
            )  # fmt: skip
            yield
        self.views += 1

    def add(self, camera: Camera, features: Float32) -> None:
        """``add_slices`` at once."""
        for _ in self.add_slices(camera, features):
            pass

    def part(self, rows: slice) -> tuple[Float32, Float32]:
        """Mean (N, D) and spread (N,) of some voxels, as in ``LiftedFeatures``; the accumulator can go on."""
        total, weight = self._sum[rows], self.weight[rows]
        mean, spread = np.empty_like(total), np.empty_like(weight)
        _normalise(total, weight, mean, spread)
        return mean, spread

    def average(self) -> Float32:
        """(V, D) weighted mean over the views, not of unit length; zero where unseen."""
        return self._sum / np.maximum(self.weight, np.float32(1e-12))[:, None]

    def result(self) -> LiftedFeatures:
        """What has been lifted so far; the accumulator can go on."""
        return LiftedFeatures(*self.part(slice(None)), self.weight.copy())


def lift_features(grid: RadianceGrid, cameras: Sequence[Camera], maps: Sequence[Float32]) -> Job[LiftedFeatures]:
    """Lift feature maps (h, w, D), one a camera, onto the voxels of a grid.

    Raises:
        ValueError: no map, or maps of different D.
    """
    if not maps or len(maps) != len(cameras):
        raise ValueError(f"{len(maps)} maps for {len(cameras)} cameras")
    lift = LiftAccumulator(grid, maps[0].shape[2])
    for done, (camera, features) in enumerate(zip(cameras, maps, strict=True)):
        for _ in lift.add_slices(camera, features):
            yield Progress(done, len(maps), "views")
    return lift.result()


@pjit
def _gather_features(start, end, index, size, raw, lut, skip, origin, project, features, total, weight):
    """Add w f to ``total`` (V, D) and w to ``weight`` (V,) for the voxels start <= j < end."""
    nx, ny, nz = size
    height, width, channels = features.shape
    empty = np.uint32(raw.shape[0] - 1)
    for j in nb.prange(start, end):
        row = np.empty(8, np.uint32)
        share = np.empty(8, np.float32)
        px = np.float32(index[j, 0]) + HALF
        py = np.float32(index[j, 1]) + HALF
        pz = np.float32(index[j, 2]) + HALF
        z = project[2, 0] * px + project[2, 1] * py + project[2, 2] * pz + project[2, 3]
        if z <= TINY:
            continue
        u = (project[0, 0] * px + project[0, 1] * py + project[0, 2] * pz + project[0, 3]) / z
        v = (project[1, 0] * px + project[1, 1] * py + project[1, 2] * pz + project[1, 3]) / z
        if u < 0 or v < 0 or u >= width or v >= height:
            continue
        dx = px - origin[0]
        dy = py - origin[1]
        dz = pz - origin[2]
        reach = np.sqrt(dx * dx + dy * dy + dz * dz)
        if reach < np.float32(1e-3):
            continue
        dx /= reach
        dy /= reach
        dz /= reach
        t, _t1 = span(origin[0], origin[1], origin[2], dx, dy, dz, nx, ny, nz)
        t = reach - np.floor(max(reach - t, ZERO))  # so that samples, a voxel apart, end at the voxel itself
        inv_m = inverse_largest(dx, dy, dz)
        left = ONE
        while t < reach - HALF and left > LEAST_WEIGHT:
            qx = origin[0] + t * dx - HALF
            qy = origin[1] + t * dy - HALF
            qz = origin[2] + t * dz - HALF
            ix, iy, iz = dual_cell(qx, nx), dual_cell(qy, ny), dual_cell(qz, nz)
            cell = flat(ix, iy, iz, ny, nz)
            far = skip[cell]
            if far > 0:
                t += stride(far, inv_m)
                continue
            fx, fy, fz = qx - np.float32(ix), qy - np.float32(iy), qz - np.float32(iz)
            corners(lut, cell, ny, nz, fx, fy, fz, empty, row, share)
            s = ZERO
            for k in range(8):
                s += share[k] * raw[row[k]]
            left *= ONE - sigmoid(s)
            t += ONE
        w = left * sigmoid(raw[j])
        if w < LEAST_WEIGHT:
            continue
        x = min(max(u - HALF, ZERO), np.float32(width - 1))
        y = min(max(v - HALF, ZERO), np.float32(height - 1))
        x0 = int(x)
        y0 = int(y)
        x1 = min(x0 + 1, width - 1)
        y1 = min(y0 + 1, height - 1)
        fx = x - np.float32(x0)
        fy = y - np.float32(y0)
        w00 = w * (ONE - fx) * (ONE - fy)
        w01 = w * fx * (ONE - fy)
        w10 = w * (ONE - fx) * fy
        w11 = w * fx * fy
        for k in range(channels):
            total[j, k] += (
                w00 * features[y0, x0, k]
                + w01 * features[y0, x1, k]
                + w10 * features[y1, x0, k]
                + w11 * features[y1, x1, k]
            )
        weight[j] += w


@pjit
def _normalise(total, weight, mean, spread):
    for j in nb.prange(total.shape[0]):
        square = ZERO
        for k in range(total.shape[1]):
            square += total[j, k] * total[j, k]
        norm = np.sqrt(square)
        inv = ONE / norm if norm > 0 else ZERO
        for k in range(total.shape[1]):
            mean[j, k] = total[j, k] * inv
        spread[j] = min(max(ONE - norm / weight[j], ZERO), ONE) if weight[j] > 0 else 0.0
