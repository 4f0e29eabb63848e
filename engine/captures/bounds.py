"""The region worth reconstructing, from the best evidence there is: depth, sparse points, near/far, or poses alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.captures.capture import View
from engine.captures.photos import nearest
from engine.captures.poses import Float64

DEPTH_VIEWS = 16
DEPTH_SIDE = 64
MARGIN = 0.03


@dataclass(frozen=True)
class Region:
    """``bounds_w`` (2, 3); ``bounded``: nothing worth showing lies beyond; ``surface_w`` (N, 3) points it was read from."""

    bounds_w: Float64
    bounded: bool
    surface_w: Float64


def depth_points(views: Sequence[View]) -> tuple[Float64, float]:
    """Back-projected depth of up to 16 views spread over the capture, about 64 × 48 pixels of each.

    Returns:
        ((N, 3) world points, the share of pixels that had a depth). Views whose depth cannot be read are left out.
    """
    with_depth = [v for v in views if v.has_depth]
    chosen = np.unique(np.linspace(0, len(with_depth) - 1, DEPTH_VIEWS).round().astype(int)) if with_depth else []
    points, known, total = [np.zeros((0, 3))], 0, 0
    for i in chosen:
        view = with_depth[i]
        camera = view.camera.fitted(DEPTH_SIDE)
        assert view.depth is not None
        try:
            z = nearest(view.depth.read(), (camera.width, camera.height), None).reshape(-1)
        except CaptureError:
            continue
        found = z > 0
        points.append(camera.unproject(camera.pixel_grid()[found], z[found]))
        known += int(found.sum())
        total += len(z)
    return np.concatenate(points), known / max(total, 1)


def focus_point(cameras: Sequence[Camera]) -> tuple[Float64, float]:
    """The point nearest to all optical axes: argmin_p Σ |(I - d dᵀ)(p - o)|².

    Returns:
        ((3,) world point, how well the axes fix it: smallest over largest eigenvalue, 0 = parallel).
    """
    o = np.stack([c.centre_w for c in cameras])
    d = np.stack([c.forward_w for c in cameras])
    across = np.eye(3) - d[:, :, None] * d[:, None, :]
    normal = across.sum(axis=0)
    values = np.linalg.eigvalsh(normal)
    rhs = (across @ o[:, :, None]).sum(axis=0)[:, 0]
    return np.linalg.lstsq(normal, rhs, rcond=1e-9)[0], float(values[0] / values[-1])


def from_poses(cameras: Sequence[Camera]) -> Float64:
    """(2, 3) bounds when nothing but poses is known.

    Cameras that look at one place: a cube around that place, as large as a typical photo shows there. Cameras that
    look outwards or all one way: what they see up to a few times the distance they moved.
    """
    centres = np.stack([c.centre_w for c in cameras])
    focus, fixed = focus_point(cameras)
    ahead = np.array([c.to_camera(focus[None])[0, 2] for c in cameras])
    if fixed > 0.01 and np.mean(ahead > 0) > 0.7:
        half_view = np.median([max(c.width / c.intrinsics[0, 0], c.height / c.intrinsics[1, 1]) / 2 for c in cameras])
        half = 1.1 * float(np.median(np.linalg.norm(centres - focus, axis=1))) * min(float(half_view), 1.0)
        return np.stack([focus - half, focus + half])
    moved = float(np.linalg.norm(np.ptp(centres, axis=0)))
    reach = 4 * moved if moved > 0 else 4.0
    return from_range(cameras, [(0.1 * reach, reach)] * len(cameras))


def from_range(cameras: Sequence[Camera], near_far: Sequence[tuple[float, float]]) -> Float64:
    """(2, 3) bounds of what forward-facing cameras see between near and far (depth along z).

    Far is cut at eight times near: beyond, a few pixels of parallax are left, and that is background.
    """
    near = float(np.median([n for n, _ in near_far]))
    far = min(float(np.median([f for _, f in near_far])), 8 * near)
    corners = []
    for c in cameras:
        px = np.array([[0, 0], [c.width, 0], [0, c.height], [c.width, c.height]], np.float64)
        corners += [c.unproject(px, np.full(4, z)) for z in (near, far)]
    return np.stack([np.min(np.concatenate(corners), axis=0), np.max(np.concatenate(corners), axis=0)])


def from_points(points_w: Float64, low: float, high: float) -> Float64:
    """(2, 3) per-axis percentiles, with a margin, never flat."""
    lo, hi = np.percentile(points_w, [low, high], axis=0)
    pad = MARGIN * (hi - lo) + 1e-3 * float((hi - lo).max()) + 1e-9
    return np.stack([lo - pad, hi + pad])


def region(
    views: Sequence[View],
    sparse_w: Float64 | None = None,
    near_far: Sequence[tuple[float, float]] | None = None,
    cut_out: bool = False,
) -> Region:
    """Choose by the best evidence.

    Args:
        sparse_w: (N, 3) reliable sparse points (seen by three views or more where that is known).
        near_far: (near, far) per view, depth along z.
        cut_out: objects are cut out by alpha, so that there is no background.
    """
    cameras = [v.camera for v in views]
    surface, known = depth_points(views)
    if len(surface) >= 100:
        closed = known > 0.9
        return Region(from_points(surface, 0.5, 99.5), closed or cut_out, surface)
    if near_far:
        return Region(from_range(cameras, near_far), cut_out, np.zeros((0, 3)))
    if sparse_w is not None and len(sparse_w) >= 100:
        return Region(from_points(sparse_w, 2, 98), cut_out, sparse_w)
    return Region(from_poses(cameras), cut_out, np.zeros((0, 3)))
