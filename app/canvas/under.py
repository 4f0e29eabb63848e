"""What lies under a canvas pixel: surface, keypoint, camera, or the photo that is overlaid."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.canvas.camera_sync import to_view_px
from app.canvas.picking import inside_quad, nearest_point
from app.canvas.renderer import Renderer
from app.glyphs import shown
from app.view_state import CanvasView, KeypointsView
from engine.api.camera import Camera

POINT_RADIUS_PX = 7.0
KEYPOINT_RADIUS_PX = 6.0
FAINT = 0.55  # of the distance to what is looked at, as in quads.frag
BEHIND = 0.02
"""Share of its distance that a keypoint may lie behind the surface that is seen there, being a voxel's centre."""

Pos = tuple[float, float, float]
Pixel = tuple[float, float]
Float64 = NDArray[np.float64]


def surface(view: CanvasView, renderer: Renderer, camera: Camera, pos_px: Pixel) -> Pos | None:
    """The point of the volume, or of the bare points, or None."""
    if renderer.opacity["volume"] > 0 and renderer.volume.picker is not None:
        hit = renderer.volume.picker.surface(camera, pos_px, cutaway=view.volume.cutaway, clip=view.volume.clip)
        if hit is not None:
            return triple(hit)
    points = renderer.points.pos_w
    if renderer.opacity["points"] > 0 and points is not None:
        i = nearest_point(camera, points, pos_px, POINT_RADIUS_PX)
        return None if i is None else triple(np.asarray(points[i], np.float64))
    return None


def keypoint(view: CanvasView, renderer: Renderer, camera: Camera, pos_px: Pixel, hit: Pos | None) -> int | None:
    """Row of the frontmost keypoint that shows there, or None. ``hit``: the surface there."""
    count, found = shown(view.keypoints), view.keypoints.found
    if count == 0 or found is None or renderer.opacity["keypoints"] <= 0:
        return None
    pos_w = found.pos_w[:count]
    if view.volume.clip is not None:
        pos_w = np.where(view.volume.clip.holds(pos_w)[:, None], pos_w, np.nan)
    row = nearest_point(camera, pos_w, pos_px, KEYPOINT_RADIUS_PX)
    if row is None or hit is None:
        return row
    depth = camera.to_camera(np.array([found.pos_w[row], hit], np.float64))[:, 2]
    return row if depth[0] <= depth[1] * (1 + BEHIND) + renderer.keypoints_pull else None


def place(view: KeypointsView, row: int) -> Pos:
    """Where a keypoint lies."""
    assert view.found is not None
    x, y, z = view.found.pos_w[row]
    return float(x), float(y), float(z)


def photo_pixel(view: CanvasView, camera: Camera, x: float, y: float) -> tuple[int, float, float] | None:
    """View and full-size pixel of the photo that is overlaid, or None."""
    if view.through is None or view.photo.view is None:
        return None
    if view.photo.photo is None or not view.photo.layer.visible or view.photo.layer.opacity <= 0:
        return None
    px, py = to_view_px(view.through, camera, x, y)
    if not (0 <= px < view.through.width and 0 <= py < view.through.height):
        return None
    return view.photo.view, px, py


def frustum(quads_w: Mapping[int, Float64], camera: Camera, pos_px: Pixel, hit: Pos | None, focus: float) -> int | None:
    """The frontmost view whose thumbnail (4, 3) is there and not behind the scene at ``hit``, or None.

    ``focus``: distance of what is looked at; what is much nearer is drawn faintly, and what is behind it is meant.
    """
    limit = np.inf if hit is None else float(camera.to_camera(np.array([hit]))[0, 2])
    best: int | None = None
    for i, quad in quads_w.items():
        px, depth = camera.project(quad)
        near = depth.mean() < FAINT * focus
        if (depth > 0).all() and not near and depth.mean() < limit and inside_quad(px, pos_px):
            best, limit = i, float(depth.mean())
    return best


def triple(v: Float64 | None) -> Pos | None:
    """As three floats."""
    return None if v is None else (float(v[0]), float(v[1]), float(v[2]))
