"""Strokes in a photo, or in any view of the scene, lifted to voxels by ray marching, and labels seen in any view.

Of each view it is marched once which voxel every pixel's ray ends in and how deep (``ViewHits``); from then on a stroke
is a look-up, and so is the mask of a label in that view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.api.errors import AnnotationError
from engine.api.jobs import Job, Progress
from engine.api.scene import Float32
from engine.carry import rows_beside
from engine.grid.radiance import RadianceGrid
from engine.march import surface_along

Bool = NDArray[np.bool_]
Rows = NDArray[np.int64]

SIDE = 480
"""Pixels along the long side of a view's hits."""
SLICE_RAYS = 1 << 13
SLICE_VOXELS = 1 << 16
BEHIND = 1.5
"""A voxel so many voxels before or behind the surface belongs to it: fused surfaces are as thick."""
MAJORITY = 0.5
"""A voxel is meant when this share of the pixels that show it lies within the stroke."""


@dataclass(frozen=True, eq=False)
class ViewHits:
    """What a view sees.

    Attributes:
        camera: at the size of the maps.
        rows: (h, w) int64, the voxel in which each pixel's ray ends, -1 for none.
        depth_z: (h, w) float32, along the camera's z axis, world units, 0 where a ray ends in nothing.
        pos_px: (V, 2) float32 where each voxel's centre lies in the view.
        shown: (V,) whether it lies on the surface that the view sees.
        pixels: (V,) int64, how many pixels' rays end in it.
    """

    camera: Camera
    rows: Rows
    depth_z: Float32
    pos_px: Float32
    shown: Bool
    pixels: Rows


def view_hits(grid: RadianceGrid, camera: Camera, side: int = SIDE) -> Job[ViewHits]:
    """March a view once.

    Args:
        grid: the scene.
        camera: of a photo or of the canvas.
        side: of the maps; strokes of any size are brought to it.
    """
    small = camera.fitted(side)
    pixels = small.pixel_grid()
    rows = np.full(len(pixels), -1, np.int64)
    depth = np.zeros(len(pixels), np.float32)
    for start in range(0, len(pixels), SLICE_RAYS):
        yield Progress(start, len(pixels), "rays", "looking through the view")
        some = slice(start, start + SLICE_RAYS)
        pos_w, _ = surface_along(grid, *small.rays(pixels[some]))
        ends = np.flatnonzero(np.isfinite(pos_w).all(axis=1))
        rows[start + ends] = rows_beside(grid.spec.to_grid(pos_w[ends]), grid.lut)
        depth[start + ends] = small.to_camera(pos_w[ends])[:, 2]
    depth_z = depth.reshape(small.height, small.width)
    pos_px, shown = np.empty((len(grid.index), 2), np.float32), np.empty(len(grid.index), np.bool_)
    for start in range(0, len(grid.index), SLICE_RAYS):
        yield Progress(start, len(grid.index), "voxels", "looking through the view")
        some = slice(start, start + SLICE_RAYS)
        px, z = small.project(grid.spec.to_world(grid.index[some] + 0.5))
        inside = small.contains(px) & (z > 0)
        column, row = np.where(inside[:, None], px, 0).astype(np.int64).T
        pos_px[some] = px
        shown[some] = inside & (np.abs(depth_z[row, column] - z) <= BEHIND * grid.spec.voxel)
    pixels_of = np.bincount(rows[rows >= 0], minlength=len(grid.index))
    return ViewHits(small, rows.reshape(depth_z.shape), depth_z, pos_px, shown, pixels_of)


def lifted(hits: ViewHits, mask: Bool) -> Rows:
    """The voxels (N,), ascending, that a stroke means: of those that pixels show, where most of their pixels lie within
    it; of the others on the same surface, where their centre does.

    Args:
        hits: of the view that it was drawn in.
        mask: (h, w) at any size, the whole view.
    """
    rows_there = hits.rows
    mask = _fitted(mask, rows_there.shape)
    under = rows_there[mask]
    within = np.bincount(under[under >= 0], minlength=len(hits.shown))
    seen = hits.pixels > 0
    meant = seen & (within > MAJORITY * hits.pixels)
    rest = np.flatnonzero(hits.shown & ~seen)
    column, row = hits.pos_px[rest].astype(np.int64).T
    meant[rest] = mask[row, column]
    return np.flatnonzero(meant)


def over(
    grid: RadianceGrid, camera: Camera, depth_z: Float32, mask: Bool, *, through: bool = False,
    clip_w: NDArray[np.float64] | None = None,
) -> Job[Rows]:  # fmt: skip
    """The voxels (N,), ascending, whose centres lie within a stroke over a picture of the scene, on what shows there.

    Args:
        grid: the scene.
        camera: of the picture, at any size.
        depth_z: (h, w) camera z of the surface that shows at each pixel, world units, 0 where none does.
        mask: (h, w) the stroke.
        through: those behind the surface too.
        clip_w: (2, 3) outside of which nothing shows.
    """
    small, slack = camera.scaled(mask.shape[1], mask.shape[0]), BEHIND * grid.spec.voxel
    found = np.zeros(len(grid.index), np.bool_)
    for start in range(0, len(grid.index), SLICE_VOXELS):
        yield Progress(start, len(grid.index), "voxels", "what lies within")
        some = slice(start, start + SLICE_VOXELS)
        centres_w = grid.spec.to_world(grid.index[some] + 0.5)
        px, z = small.project(centres_w)
        inside = small.contains(px) & (z > 0)
        if clip_w is not None:
            inside &= ((centres_w >= clip_w[0]) & (centres_w <= clip_w[1])).all(axis=1)
        column, row = np.where(inside[:, None], px, 0).astype(np.int64).T
        surface = depth_z[row, column]
        # where nothing shows, all there is was cut away
        meant = (surface > 0) & (z >= surface - slack) & (through | (z <= surface + slack))
        found[some] = inside & meant & mask[row, column]
    return np.flatnonzero(found)


def seen_values(hits: ViewHits, values: NDArray[Any], nothing: Any = 0) -> NDArray[Any]:
    """(h, w) the value (V,) of the voxel at each pixel of a view; ``nothing`` where there is none."""
    if not len(values):
        return np.full(hits.rows.shape, nothing, values.dtype)
    return np.where(hits.rows >= 0, values[np.maximum(hits.rows, 0)], nothing).astype(values.dtype)


def seen_mask(hits: ViewHits, rows: Rows) -> Bool:
    """(h, w) where a view shows some voxels (N,)."""
    chosen = np.zeros(len(hits.shown), np.bool_)
    chosen[rows] = True
    return seen_values(hits, chosen, False)


def brush(camera: Camera, path_px: ArrayLike, radius_px: float) -> Bool:
    """(h, w) mask of a brush of some radius drawn along pixels (N, 2) of a view.

    Raises:
        AnnotationError: no finite pixels, or no radius.
    """
    path = _path(path_px, 1)
    if not (np.isfinite(radius_px) and 0 < radius_px <= 1e5):
        raise AnnotationError("the brush has no size", found=f"{radius_px}")
    out = np.zeros((camera.height, camera.width), np.uint8)
    thick = max(1, round(2 * radius_px))
    cv2.polylines(out, [_fixed(path)], False, 1, thick, cv2.LINE_8, _SHIFT)
    for centre in _fixed(path[[0, -1]]):
        cv2.circle(out, centre.tolist(), max(1, round(radius_px * 2**_SHIFT)), 1, -1, cv2.LINE_8, _SHIFT)
    return out.astype(np.bool_)


def lasso(camera: Camera, path_px: ArrayLike) -> Bool:
    """(h, w) mask of what lies within a closed line through pixels (N, 2) of a view, even-odd.

    Raises:
        AnnotationError: fewer than 3 pixels, or not finite.
    """
    out = np.zeros((camera.height, camera.width), np.uint8)
    cv2.fillPoly(out, [_fixed(_path(path_px, 3))], 1, cv2.LINE_8, _SHIFT)
    return out.astype(np.bool_)


def rectangle(camera: Camera, a_px: ArrayLike, b_px: ArrayLike) -> Bool:
    """(h, w) mask of the box between two corners; pixels whose centre lies within it.

    Raises:
        AnnotationError: a corner is not finite.
    """
    corners = _path([a_px, b_px], 2)
    lo, hi = corners.min(axis=0), corners.max(axis=0)
    x, y = np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5
    return ((y >= lo[1]) & (y <= hi[1]))[:, None] & ((x >= lo[0]) & (x <= hi[0]))[None]


_SHIFT = 4  # cv2's fixed-point places after the binary point


def _path(path_px: ArrayLike, least: int) -> NDArray[np.float64]:
    path = np.asarray(path_px, np.float64).reshape(-1, 2)
    if len(path) < least or not np.isfinite(path).all():
        raise AnnotationError("the stroke is no line of pixels", found=f"{len(path)} pixels", expected=f">= {least}")
    return np.clip(path, -1e5, 1e5)


def _fixed(path: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint((path - 0.5) * 2**_SHIFT).astype(np.int32)  # cv2 has pixel centres at whole numbers


def _fitted(mask: Bool, shape: tuple[int, ...]) -> Bool:
    if mask.shape == shape:
        return mask
    size = (shape[1], shape[0])
    return cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
