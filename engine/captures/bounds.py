"""The region worth reconstructing, from the best evidence there is: depth, sparse points, near/far, or poses alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.captures.capture import View
from engine.captures.files import Notes
from engine.captures.photos import has_alpha, nearest
from engine.captures.poses import Float64

DEPTH_VIEWS = 16
DEPTH_SIDE = 64
ALPHA_SIDE = 256
MARGIN = 0.03
ENOUGH = 100
CLOSED = 0.75


@dataclass(frozen=True)
class Region:
    """``bounds_w`` (2, 3); ``bounded``: nothing worth showing lies beyond; ``surface_w`` (N, 3): the evidence."""

    bounds_w: Float64
    bounded: bool
    surface_w: Float64


def depth_points(views: Sequence[View], notes: Notes | None = None) -> tuple[Float64, float]:
    """Back-projected depth of up to 16 views spread over the capture, about 64 × 48 pixels of each.

    Returns:
        ((N, 3) world points, the share of pixels that had a depth). Views whose depth cannot be read are left out, and
        counted in ``notes``.
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
        except CaptureError as e:
            if notes is not None:
                notes.count(f"views do not count for the bounds, {e.what}", view.name)
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


def looked_at(cameras: Sequence[Camera], turned: float) -> tuple[Float64, bool]:
    """``focus_point``, and whether it is one place that most cameras have before them.

    Args:
        cameras: at least one.
        turned: how well the axes must fix it: 0.5 is reached by a full circle around it, 0.15 by a quarter.
    """
    focus, fixed = focus_point(cameras)
    ahead = np.array([c.to_camera(focus[None])[0, 2] for c in cameras])
    return focus, fixed > turned and float(np.mean(ahead > 0)) > 0.7


def from_poses(cameras: Sequence[Camera]) -> Float64:
    """(2, 3) bounds when nothing but poses is known.

    Cameras that look at one place: a cube around that place, as large as a typical photo shows there. Cameras that
    look outwards or all one way: what they see up to a few times the distance they moved.
    """
    centres = np.stack([c.centre_w for c in cameras])
    focus, converge = looked_at(cameras, 0.01)
    if converge:
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
    pad = MARGIN * (hi - lo) + 0.01 * float((hi - lo).max()) + 1e-6
    return np.stack([lo - pad, hi + pad])


def grown(bounds_w: Float64) -> Float64:
    """(2, 3) bounds a tenth larger on every side, for evidence that covers the subject in part only."""
    return bounds_w + 0.1 * (bounds_w[1] - bounds_w[0]) * np.array([[-1.0], [1.0]])


def near_focus(points_w: Float64, cameras: Sequence[Camera]) -> Float64:
    """(M, 3) the points no farther from where the cameras look than the cameras are: the subject, not the background.

    All points when the cameras do not go well around one place (what lies behind a subject that is seen from one side
    only is seen as well as the subject), or when hardly any point is there.
    """
    focus, converge = looked_at(cameras, 0.25)
    if not converge:
        return points_w
    reach = float(np.median([np.linalg.norm(c.centre_w - focus) for c in cameras]))
    kept = points_w[np.linalg.norm(points_w - focus, axis=1) < reach]
    return kept if len(kept) >= max(ENOUGH, 0.1 * len(points_w)) else points_w


def is_cut_out(views: Sequence[View]) -> bool:
    """Whether photos show an object without background: the middle photo is transparent over 2 % of its area or more,
    and another photo has transparency too."""
    probes = [views[len(views) // 2], views[0]]
    try:
        if not all(has_alpha(v.image) for v in probes):
            return False
        alpha = probes[0].read(ALPHA_SIDE).alpha
    except CaptureError:
        return False
    return alpha is not None and float((alpha < 128).mean()) > 0.02


def region(
    views: Sequence[View],
    sparse_w: Float64 | None = None,
    near_far: Sequence[tuple[float, float]] | None = None,
    notes: Notes | None = None,
) -> Region:
    """Choose by the best evidence there is.

    1. Depth: percentiles 0.5 and 99.5 of what it shows. Where it covers the photos (75 %: sensors leave holes) all of
       it counts and the scene is bounded; else, if the cameras look at one place, what is no farther from it than
       they, grown by a tenth.
    2. near/far per view: the frusta between them, far cut at eight times near.
    3. Sparse points: percentiles 1 and 99 of those near the subject, grown by a tenth, for texture is found on parts
       of surfaces only.
    4. Poses alone: a cube around what the cameras look at.

    Objects cut out by alpha are bounded too.

    Args:
        views: posed photos, at least one.
        sparse_w: (N, 3) reliable sparse points (seen by three views or more where that is known).
        near_far: (near, far) per view, depth along z.
        notes: told of depth images that cannot be read.
    """
    cameras = [v.camera for v in views]
    cut_out = is_cut_out(views)
    surface, known = depth_points(views, notes)
    if len(surface) >= ENOUGH:
        closed = known > CLOSED
        bounds_w = (
            from_points(surface, 0.5, 99.5) if closed else grown(from_points(near_focus(surface, cameras), 0.5, 99.5))
        )
        return Region(bounds_w, closed or cut_out, surface)
    if near_far:
        return Region(from_range(cameras, near_far), cut_out, np.zeros((0, 3)))
    if sparse_w is not None and len(sparse_w) >= ENOUGH:
        return Region(grown(from_points(near_focus(sparse_w, cameras), 1, 99)), cut_out, sparse_w)
    return Region(from_poses(cameras), cut_out, np.zeros((0, 3)))
