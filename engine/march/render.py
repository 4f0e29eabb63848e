"""Views of a radiance grid: colour, any table over its voxels, surface points, visibility."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.march.kernels import FAR, add_background, march3, march_points, march_table

if TYPE_CHECKING:  # grid builds on march, not the other way round
    from engine.grid.radiance import RadianceGrid

Float32 = NDArray[np.float32]

VISIBLE_MARGIN = 1.5
"""A point is seen if light passes until this many voxels before it: surfaces are as thick as their voxels."""


def render_table(grid: RadianceGrid, table: Float32, camera: Camera) -> tuple[Float32, Float32, Float32]:
    """March a table of values over the voxels into a view: F(r) = sum_j w_j f(x_j), without background.

    Rendering is linear in the table, so a projection (PCA colours, a relevancy) is applied to the voxels first and
    costs what colour costs; three channels take the specialised kernel.

    Args:
        grid: the radiance grid.
        table: (V, C) float32, one row a voxel.
        camera: the view; its size is the image's.

    Returns:
        image (h, w, C) float32, not divided by the opacity; opacity (h, w) float32 = 1 - T; depth_z (h, w) float32
        along the camera's z axis in world units where the transmittance falls through one half, 0 where it does not.

    Raises:
        ValueError: the table has not one row per voxel.
    """
    values = np.ascontiguousarray(table, dtype=np.float32).view()
    values.setflags(write=False)
    if values.ndim != 2 or len(values) != len(grid.index):
        raise ValueError(f"table is {values.shape}, expected ({len(grid.index)}, C)")
    if values.shape[1] == 3:
        packed = np.concatenate([values, grid.raw[:, None]], axis=1)
        packed.setflags(write=False)
        return _march3(grid, packed, camera)
    image, opacity, depth_z = _outputs(camera, values.shape[1])
    cam = grid.spec.rays_from(camera)
    threads = numba.get_num_threads()
    march_table(
        cam, camera.height, camera.width, grid.raw, values, grid.lut, grid.skip, threads, image, opacity, depth_z
    )
    return image, opacity, depth_z


def render_colour(grid: RadianceGrid, camera: Camera) -> tuple[Float32, Float32, Float32]:
    """The colour of a view with the background behind it: (rgb (h, w, 3) in [0, 1], opacity, depth_z)."""
    image, opacity, depth_z = _march3(grid, grid.packed, camera)
    add_background(grid.spec.rays_from(camera), grid.background, numba.get_num_threads(), image, opacity)
    return image, opacity, depth_z


def surface_points(
    grid: RadianceGrid, camera: Camera, pos_px: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What lies under pixels (N, 2): (pos_w (N, 3) where the transmittance falls through one half, opacity (N,)).

    ``pos_w`` is NaN where the ray's opacity stays below one half.
    """
    origin, direction = camera.rays(np.asarray(pos_px, dtype=np.float64).reshape(-1, 2))
    half, left = _march_rays(grid, origin, direction, np.full(len(direction), FAR, np.float32))
    pos_w = origin + direction * (half * grid.spec.voxel)[:, None]
    pos_w[half == 0] = np.nan
    return pos_w, np.float32(1) - left


def visible(grid: RadianceGrid, camera: Camera, pos_w: ArrayLike) -> NDArray[np.bool_]:
    """Whether each world point (N, 3) falls inside the image with more than half of its light unblocked."""
    p = np.asarray(pos_w, dtype=np.float64).reshape(-1, 3)
    px, z = camera.project(p)
    seen = (z > 0) & camera.contains(np.nan_to_num(px, nan=-1.0))
    ray = p[seen] - camera.centre_w
    distance = np.linalg.norm(ray, axis=1)
    direction = ray / np.maximum(distance, 1e-12)[:, None]
    t_end = np.maximum(distance / grid.spec.voxel - VISIBLE_MARGIN, 0).astype(np.float32)
    _half, left = _march_rays(grid, np.broadcast_to(camera.centre_w, ray.shape), direction, t_end)
    seen[seen] = left > 0.5
    return seen


def _march_rays(
    grid: RadianceGrid, origin_w: NDArray[np.float64], direction_w: NDArray[np.float64], t_end: Float32
) -> tuple[Float32, Float32]:
    half = np.empty(len(t_end), np.float32)
    left = np.empty(len(t_end), np.float32)
    direction = np.ascontiguousarray(direction_w, dtype=np.float32)
    march_points(grid.spec.to_grid(origin_w), direction, t_end, grid.raw, grid.lut, grid.skip, half, left)
    return half, left


def _march3(grid: RadianceGrid, packed: Float32, camera: Camera) -> tuple[Float32, Float32, Float32]:
    image, opacity, depth_z = _outputs(camera, 3)
    cam = grid.spec.rays_from(camera)
    threads = numba.get_num_threads()
    march3(cam, camera.height, camera.width, packed, grid.lut, grid.skip, threads, image, opacity, depth_z)
    return image, opacity, depth_z


def _outputs(camera: Camera, channels: int) -> tuple[Float32, Float32, Float32]:
    shape = (camera.height, camera.width)
    return np.empty((*shape, channels), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
