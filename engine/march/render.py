"""Views of a radiance grid: colour, any table over its voxels, surface points, visibility."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.march.kernels import add_environment, march3, march_points, march_table
from engine.march.rays import FAR

if TYPE_CHECKING:  # grid builds on march, not the other way round
    from engine.grid.radiance import RadianceGrid

Float32 = NDArray[np.float32]

_NO_HOLE: Float32 = np.zeros((2, 3), np.float32)

VISIBLE_MARGIN = 1.5
"""A point is seen if light passes until this many voxels before it: surfaces are as thick as their voxels."""


def render_table(grid: RadianceGrid, table: Float32, camera: Camera) -> tuple[Float32, Float32, Float32]:
    """March a table of values over the voxels into a view: F(r) = sum_j w_j f(x_j), without shells or background.

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
    shape = (camera.height, camera.width)
    image = np.zeros((*shape, values.shape[1]), np.float32)
    opacity, depth_z = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    if values.shape[1] == 3:
        packed = grid.packed.copy()
        packed[:-1, :3] = values
        packed.setflags(write=False)
        _march3(grid, packed, camera, _NO_HOLE, image, opacity, depth_z)
    else:
        march_table(
            grid.spec.rays_from(camera), grid.spec.dims, grid.padded_raw, values, grid.lut.ravel(), grid.skip.ravel(),
            numba.get_num_threads(), image, opacity, depth_z,
        )  # fmt: skip
    return image, opacity, depth_z


def render_colour(grid: RadianceGrid, camera: Camera) -> tuple[Float32, Float32, Float32]:
    """The colour of a view with shells and background behind it: (rgb (h, w, 3) in [0, 1], opacity, depth_z).

    Opacity and depth count the shells, not the environment; both are as in ``render_table``.
    """
    shape = (camera.height, camera.width)
    image = np.zeros((*shape, 3), np.float32)
    opacity, depth_z = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    hole = _NO_HOLE
    inner: RadianceGrid | None = None
    for part in (grid, *grid.shells):
        if inner is not None:
            hole = part.spec.to_grid(inner.spec.to_world(inner.spec.sampled_box))
        _march3(part, part.packed, camera, hole, image, opacity, depth_z)
        inner = part
    add_environment(grid.spec.rays_from(camera), grid.background, numba.get_num_threads(), image, opacity)
    return image, opacity, depth_z


def surface_points(
    grid: RadianceGrid, camera: Camera, pos_px: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """What lies under pixels (N, 2): (pos_w (N, 3) where the transmittance falls through one half, opacity (N,)).

    ``pos_w`` is NaN where the ray's opacity stays below one half. Shells do not count.
    """
    return surface_along(grid, *camera.rays(np.asarray(pos_px, dtype=np.float64).reshape(-1, 2)))


def surface_along(
    grid: RadianceGrid, origin_w: NDArray[np.float64], direction_w: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """As ``surface_points`` for any rays: origins (N, 3) and unit directions (N, 3)."""
    half, left = _march_rays(grid, origin_w, direction_w, np.full(len(direction_w), FAR, np.float32))
    pos_w = origin_w + direction_w * (half * grid.spec.voxel)[:, None]
    pos_w[half == 0] = np.nan
    return pos_w, np.float32(1) - left


def visible(grid: RadianceGrid, camera: Camera, pos_w: ArrayLike) -> NDArray[np.bool_]:
    """Whether each world point (N, 3) falls inside the image with more than half of its light unblocked."""
    p = np.asarray(pos_w, dtype=np.float64).reshape(-1, 3)
    px, z = camera.project(p)
    seen = (z > 0) & camera.contains(np.nan_to_num(px, nan=-1.0))
    seen[seen] = unblocked(grid, np.broadcast_to(camera.centre_w, p[seen].shape), p[seen])
    return seen


def unblocked(grid: RadianceGrid, origin_w: NDArray[np.float64], pos_w: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether more than half of the light of points (N, 3) reaches the origins (N, 3), a little before the points."""
    ray = pos_w - origin_w
    distance = np.linalg.norm(ray, axis=1)
    direction = ray / np.maximum(distance, 1e-12)[:, None]
    t_end = np.maximum(distance / grid.spec.voxel - VISIBLE_MARGIN, 0).astype(np.float32)
    _half, left = _march_rays(grid, origin_w, direction, t_end)
    return left > 0.5


def _march_rays(
    grid: RadianceGrid, origin_w: NDArray[np.float64], direction_w: NDArray[np.float64], t_end: Float32
) -> tuple[Float32, Float32]:
    half = np.empty(len(t_end), np.float32)
    left = np.empty(len(t_end), np.float32)
    march_points(
        grid.spec.to_grid(origin_w), np.ascontiguousarray(direction_w, dtype=np.float32), t_end, grid.spec.dims,
        grid.padded_raw, grid.lut.ravel(), grid.skip.ravel(), half, left,
    )  # fmt: skip
    return half, left


def _march3(
    part: RadianceGrid,
    packed: Float32,
    camera: Camera,
    hole: Float32,
    image: Float32,
    opacity: Float32,
    depth_z: Float32,
) -> None:
    march3(
        part.spec.rays_from(camera), hole, part.spec.dims, packed, part.lut.ravel(), part.skip.ravel(),
        numba.get_num_threads(), image, opacity, depth_z,
    )  # fmt: skip
