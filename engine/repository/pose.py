"""Where a photo was taken, from its keypoints and those of a scene: PnP and RANSAC, by poselib."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import poselib
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.scene import Float32

Float64 = NDArray[np.float64]

WITHIN = 0.008
"""Of a photo's width: an inlier's largest error. Keypoints of a scene are centres of voxels."""
LEAST_MATCHES = 6
ITERATIONS, FEWER_ITERATIONS = 2_000, 1_000
"""Of RANSAC, and of each try of a focal length."""
FOCALS = (0.55, 0.68, 0.85, 1.05, 1.3, 1.6)
"""Of the longer side, that are tried where the focal length is not known: 85 to 35 degrees."""
FINER = (0.9, 0.95, 1.05, 1.1)
"""Of the best of these, where it is no chance."""
PROMISING = 8
"""Inliers; fewer are found in any scene."""
MIDDLE, STEEPNESS = 11.0, 1.5
"""Of 40 photos of 20 rooms, 39 had 11 inliers or more in their own room, focal length known or not; 39 had at most 8 in
any other, one had 9 or, its focal length unknown, 11. Inliers at which a pose is as likely right as wrong, and how many
more make it e times likelier."""

GUESSED = 1.5
"""Inliers more where the focal length is not known: of more cameras that are tried one fits better by chance. Of 40
photos of places that are not there seven had 11 inliers or more then, two of them more than 12."""
RIVAL = 0.7
"""Of a pose's inliers, that another pose must have without these for nothing to tell the two apart: so it is where a
place looks the same from two sides."""


@dataclass(frozen=True, eq=False)
class Pose:
    """A photo in a scene.

    Attributes:
        camera: with the focal length that was given or found.
        matched: (M, 2) int64, rows of mutual nearest keypoints of the photo and of the scene.
        inliers: (M,) bool, those that the camera agrees with.
        rival: how many of the others agree with one other camera.
        guessed: whether the focal length was not known.
    """

    camera: Camera
    matched: NDArray[np.int64]
    inliers: NDArray[np.bool_]
    rival: int = 0
    guessed: bool = False

    @property
    def ambiguous(self) -> bool:
        """Whether another camera is about as likely, as in a place that looks the same from two sides."""
        return self.rival >= max(MIDDLE, RIVAL * self.count)

    @property
    def count(self) -> int:
        """Number of inliers."""
        return int(self.inliers.sum())

    @property
    def confidence(self) -> float:
        """In [0, 1], that the photo shows this scene from there: a logistic function of the number of inliers."""
        middle = MIDDLE + GUESSED if self.guessed else MIDDLE
        return float(1 / (1 + np.exp(-(self.count - middle) / STEEPNESS)))


def mutual_nearest(photo: Float32, scene: Float32) -> NDArray[np.int64]:
    """(M, 2) rows of descriptors (N, D) and (K, D), unit or zero, that are each other's nearest."""
    if not len(photo) or not len(scene):
        return np.empty((0, 2), np.int64)
    cosine = photo @ scene.T
    there, back = cosine.argmax(axis=1), cosine.argmax(axis=0)
    rows = np.flatnonzero((back[there] == np.arange(len(there))) & (cosine.max(axis=1) > 0))
    return np.stack([rows, there[rows]], axis=1)


def place(
    pos_px: Float64,
    pos_w: Float32,
    matched: NDArray[np.int64],
    size: tuple[int, int],
    focal: float | None,
    seed: int = 0,
) -> Pose | None:
    """The camera that most matches agree with.

    Args:
        pos_px: (N, 2) keypoints of the photo, pixel centres at +0.5.
        pos_w: (K, 3) keypoints of the scene.
        matched: (M, 2) rows of both.
        size: (width, height) of the photo; its principal point is its middle.
        focal: pixels; None: it is looked for.
        seed: of RANSAC.

    Returns:
        None when there are too few matches, or no camera is found.
    """
    if len(matched) < LEAST_MATCHES:
        return None
    seen, there = pos_px[matched[:, 0]], pos_w[matched[:, 1]].astype(np.float64)

    def solve(f: float, iterations: int = ITERATIONS) -> Pose | None:
        return _solved(seen, there, matched, size, f, seed, iterations)

    if focal is not None:
        found = solve(focal)
    else:
        found = _most([solve(f * max(size), FEWER_ITERATIONS) for f in FOCALS])
        if found is not None and found.count >= PROMISING:
            best = float(found.camera.intrinsics[0, 0])
            found = _most([found, *(solve(f * best) for f in FINER)])
    if found is None:
        return None
    found = replace(found, guessed=focal is None)
    others = ~found.inliers
    if others.sum() < max(MIDDLE, RIVAL * found.count):
        return found
    best = float(found.camera.intrinsics[0, 0])
    second = _solved(seen[others], there[others], matched[others], size, best, seed)
    return found if second is None else replace(found, rival=second.count)


def _most(poses: list[Pose | None]) -> Pose | None:
    """The one with the most inliers, the first of equals."""
    return max((p for p in poses if p is not None), key=lambda p: p.count, default=None)


def _solved(
    seen: Float64,
    there: Float64,
    matched: NDArray[np.int64],
    size: tuple[int, int],
    focal: float,
    seed: int,
    iterations: int = ITERATIONS,
) -> Pose | None:
    width, height = size
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    model = {"model": "PINHOLE", "width": width, "height": height, "params": [focal, focal, width / 2, height / 2]}
    options = {"max_reproj_error": WITHIN * width, "seed": seed, "max_iterations": iterations}
    pose, told = poselib.estimate_absolute_pose(seen, there, model, options, {})
    inliers = np.asarray(told["inliers"], np.bool_)
    if inliers.sum() < LEAST_MATCHES or not np.isfinite(pose.R).all() or not np.isfinite(pose.t).all():
        return None
    c2w = np.eye(4)
    c2w[:3, :3], c2w[:3, 3] = pose.R.T, -pose.R.T @ pose.t
    return Pose(Camera(intrinsics, c2w, width, height), matched, inliers)
