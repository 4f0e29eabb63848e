"""True correspondences of a capture: pixels of two views that show the same surface point, by depth.

A pixel of view A with depth is lifted into the world and projected into view B; it is a true correspondence when it
falls inside B and B's depth there agrees with its own to 2 % (nothing stands in front).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.grid import RadianceGrid

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

DEPTH_TOLERANCE = 0.02
ROTATION_DEGREES = (5.0, 60.0)
MIN_OVERLAP = 0.3
MAX_VIEWS = 160
"""Longer captures are thinned evenly: depth of all views is held in memory."""


@dataclass(frozen=True, eq=False)
class DepthView:
    """A view whose geometry is known: camera at the working size and z-depth (h, w), 0 where unknown or masked."""

    index: int
    camera: Camera
    depth_z: Float32

    def depth_at(self, pos_px: Float64) -> Float32:
        """(N, 2) pixels to (N,) depth of the pixel they lie in; 0 outside and for NaN."""
        inside = self.camera.contains(pos_px)
        p = np.where(inside[:, None], pos_px, 0).astype(np.int64)
        return np.where(inside, self.depth_z[p[:, 1], p[:, 0]], 0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Correspondences:
    """N true correspondences: places in a list of ``DepthView`` (N,) and pixels (N, 2) at the working size."""

    source: Int
    target: Int
    source_px: Float64
    target_px: Float64

    def __len__(self) -> int:
        return len(self.source)


def depth_views(
    capture: Capture, long_side: int, grid: RadianceGrid | None = None
) -> Job[tuple[list[DepthView], Literal["depth", "grid"]]]:
    """The views whose depth is known: read from the capture, or, where it has none, rendered from its fitted grid.

    Raises:
        QueryError: the capture has no depth and there is no grid.
        CaptureError: a photo or depth image cannot be read.
    """
    truth: Literal["depth", "grid"] = "depth" if any(v.has_depth for v in capture.views) else "grid"
    if truth == "grid" and grid is None:
        raise QueryError(
            "true correspondences need geometry",
            found="a capture without depth and without a fitted grid",
            mend="fit it first (condense fit CAPTURE), or choose a capture with depth",
        )
    usable = [v for v in capture.views if v.has_depth or truth == "grid"]
    chosen = [usable[i] for i in np.unique(np.linspace(0, len(usable) - 1, MAX_VIEWS).round().astype(int))]
    out: list[DepthView] = []
    for done, view in enumerate(chosen):
        yield Progress(done, len(chosen), "views", "reading depth")
        photo = capture.read(view.index, max_side=long_side, depth=truth == "depth")
        depth_z = photo.depth_z if truth == "depth" else _rendered_depth(grid, photo.camera)
        if depth_z is None:
            continue
        known = np.isfinite(depth_z)
        if photo.valid is not None:
            known &= photo.valid
        if photo.alpha is not None:
            known &= photo.alpha >= 128
        out.append(DepthView(view.index, photo.camera, np.where(known, depth_z, 0).astype(np.float32)))
    return out, truth


def _rendered_depth(grid: RadianceGrid | None, camera: Camera) -> Float32:
    from engine.march import render_colour

    assert grid is not None
    _, opacity, depth_z = render_colour(grid, camera)
    return np.where(opacity > 0.5, depth_z, 0).astype(np.float32)


def reproject(a: DepthView, b: DepthView, pos_px: Float64) -> tuple[Float64, Bool]:
    """(N, 2) pixels of ``a`` to their pixels (N, 2) in ``b`` and (N,) whether they are true correspondences."""
    z = a.depth_at(pos_px)
    pos_w = a.camera.unproject(pos_px, np.where(z > 0, z, 1))
    target_px, z_b = b.camera.project(pos_w)
    seen = b.depth_at(target_px)
    with np.errstate(invalid="ignore"):
        true = (z > 0) & (seen > 0) & (np.abs(seen - z_b) <= DEPTH_TOLERANCE * z_b)
    return target_px, true


def rotation_degrees(a: Camera, b: Camera) -> float:
    """The angle of the rotation between two cameras."""
    relative = a.c2w[:3, :3].T @ b.c2w[:3, :3]
    return float(np.degrees(np.arccos(np.clip((np.trace(relative) - 1) / 2, -1, 1))))


def overlap(a: DepthView, b: DepthView, rng: np.random.Generator, samples: int = 1000) -> float:
    """Share of random pixels of ``a`` with depth that are true correspondences in ``b``."""
    pos_px = random_pixels(a, samples, rng)
    return float(reproject(a, b, pos_px)[1].mean()) if len(pos_px) else 0.0


def random_pixels(view: DepthView, count: int, rng: np.random.Generator) -> Float64:
    """(count, 2) centres of random pixels with depth; fewer when there are fewer."""
    rows, columns = np.nonzero(view.depth_z)
    chosen = rng.choice(len(rows), min(count, len(rows)), replace=False)
    return np.stack([columns[chosen], rows[chosen]], axis=1) + 0.5


def view_pairs(views: Sequence[DepthView], count: int, rng: np.random.Generator) -> Job[list[tuple[int, int]]]:
    """Up to ``count`` random ordered pairs (places in ``views``): turned by 5-60 degrees, overlap 30 % or more."""
    everything = np.array([(i, j) for i in range(len(views)) for j in range(len(views)) if i != j])
    found: list[tuple[int, int]] = []
    for tried, (i, j) in enumerate(rng.permutation(everything) if len(everything) else []):
        if len(found) == count:
            break
        if tried % 16 == 0:
            yield Progress(len(found), count, "pairs", "choosing view pairs")
        if not ROTATION_DEGREES[0] <= rotation_degrees(views[i].camera, views[j].camera) <= ROTATION_DEGREES[1]:
            continue
        if overlap(views[i], views[j], rng) >= MIN_OVERLAP:
            found.append((int(i), int(j)))
    return found


def pixels_of_pairs(
    views: Sequence[DepthView], pairs: Sequence[tuple[int, int]], each: int, rng: np.random.Generator
) -> Correspondences:
    """Up to ``each`` random true correspondences of every pair."""
    parts = [_true_of(views, i, j, random_pixels(views[i], 40 * each, rng), each) for i, j in pairs]
    return join(parts)


def random_correspondences(views: Sequence[DepthView], count: int, rng: np.random.Generator) -> Job[Correspondences]:
    """``count`` random pixels of random views, each with a random other view that sees it, turned by 5-60 degrees."""
    turned = [
        [
            j
            for j, b in enumerate(views)
            if j != i and ROTATION_DEGREES[0] <= rotation_degrees(a.camera, b.camera) <= ROTATION_DEGREES[1]
        ]
        for i, a in enumerate(views)
    ]
    parts: list[Correspondences] = []
    for _ in range(20 * count):
        if len(parts) == count:
            break
        i = int(rng.integers(len(views)))
        pos_px = random_pixels(views[i], 1, rng)
        for j in rng.permutation(turned[i]):
            part = _true_of(views, i, int(j), pos_px, 1)
            if len(part):
                parts.append(part)
                break
        yield Progress(len(parts), count, "pixels", "choosing pixels")
    return join(parts)


def _true_of(views: Sequence[DepthView], i: int, j: int, pos_px: Float64, most: int) -> Correspondences:
    """The first ``most`` of ``pos_px`` in view ``i`` that are true correspondences in view ``j``."""
    target_px, true = reproject(views[i], views[j], pos_px)
    keep = np.flatnonzero(true)[:most]
    full = np.full(len(keep), 0, np.int64)
    return Correspondences(full + i, full + j, pos_px[keep], target_px[keep])


def join(parts: Sequence[Correspondences]) -> Correspondences:
    """All correspondences of ``parts`` in one."""
    if not parts:
        return Correspondences(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros((0, 2)))
    return Correspondences(
        np.concatenate([p.source for p in parts]),
        np.concatenate([p.target for p in parts]),
        np.concatenate([p.source_px for p in parts]),
        np.concatenate([p.target_px for p in parts]),
    )
