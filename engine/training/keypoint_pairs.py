"""Pairs of looks for the keypoint head: two images, where each pixel of one is in the other, the encoder's maps.

Captures with depth teach parallax and occlusion; photos, seen twice through random homographies, everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.api.jobs import Job, Progress
from engine.api.scene import UInt8
from engine.captures import Capture
from engine.encoders.hypercolumn import LONG_SIDE
from engine.encoders.image import ImageEncoder
from engine.encoders.layout import working_size
from engine.keypoints.network import MULTIPLE
from engine.metrics.truth import Bool, DepthView, Float64, depth_views, reproject, view_pairs
from engine.training.warps import warped_pair

Transfer = Callable[[Float64], tuple[Float64, Bool]]
"""(N, 2) pixels of one look to their pixels in the other, and (N,) whether the same surface is seen there."""


@dataclass(frozen=True, eq=False)
class Look:
    """One image at the working size, (h, w, 3) with sides that the network takes, and the encoder's (D, h', w')."""

    rgb: UInt8
    features: Tensor


@dataclass(frozen=True, eq=False)
class LookPair:
    """Two looks at the same thing; ``kind`` is ``depth`` or ``photos``."""

    a: Look
    b: Look
    there: Transfer
    back: Transfer
    kind: str

    @property
    def turned(self) -> LookPair:
        """The same pair the other way round."""
        return LookPair(self.b, self.a, self.back, self.there, self.kind)


def look(rgb: UInt8, encoder: ImageEncoder) -> Look:
    """An image as a look: resized to the working size, encoded once."""
    height, width = working_size(rgb.shape[0], rgb.shape[1], LONG_SIDE, MULTIPLE)
    if rgb.shape[:2] != (height, width):
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return Look(rgb, torch.from_numpy(encoder.encode(rgb)).permute(2, 0, 1).half().contiguous())


def at_working_size(view: DepthView) -> DepthView:
    """A view's geometry at the size of its look."""
    height, width = working_size(view.camera.height, view.camera.width, LONG_SIDE, MULTIPLE)
    depth_z = cv2.resize(view.depth_z, (width, height), interpolation=cv2.INTER_NEAREST)
    return replace(view, camera=view.camera.scaled(width, height), depth_z=np.asarray(depth_z, np.float32))


def depth_looks(capture: Capture, encoder: ImageEncoder, count: int, rng: np.random.Generator) -> Job[list[LookPair]]:
    """Up to ``count`` pairs of views of a capture with depth, turned by 5-60 degrees, overlapping by 30 % or more."""
    read, _ = yield from depth_views(capture, LONG_SIDE)
    views = [at_working_size(v) for v in read]
    looks: dict[int, Look] = {}
    pairs: list[LookPair] = []
    for i, j in (yield from view_pairs(views, count, rng)):
        for v in (i, j):
            if v not in looks:
                yield Progress(len(pairs), count, "pairs", f"encoding {capture.name}")
                looks[v] = look(capture.read(views[v].index, LONG_SIDE).rgb, encoder)
        pairs.append(
            LookPair(looks[i], looks[j], _by_depth(views[i], views[j]), _by_depth(views[j], views[i]), "depth")
        )
    return pairs


def _by_depth(a: DepthView, b: DepthView) -> Transfer:
    return lambda pos_px: reproject(a, b, pos_px)


def warped_looks(
    photos: Sequence[UInt8], encoder: ImageEncoder, count: int, rng: np.random.Generator
) -> Job[list[LookPair]]:
    """``count`` pairs of looks at ``photos``, taken in turn."""
    pairs: list[LookPair] = []
    while len(pairs) < count:
        yield Progress(len(pairs), count, "pairs", "warping photos")
        pair = warped_pair(photos[len(pairs) % len(photos)], rng)
        a, b = look(pair.a, encoder), look(pair.b, encoder)
        there, back = _by_plane(pair.a_to_b, b), _by_plane(np.asarray(np.linalg.inv(pair.a_to_b), np.float64), a)
        pairs.append(LookPair(a, b, there, back, "photos"))
    return pairs


def _by_plane(homography: Float64, target: Look) -> Transfer:
    height, width = target.rgb.shape[:2]

    def transfer(pos_px: Float64) -> tuple[Float64, Bool]:
        p = np.concatenate([pos_px, np.ones((len(pos_px), 1))], axis=1) @ homography.T
        to = p[:, :2] / p[:, 2:]
        return to, np.all((to >= 0) & (to < [width, height]), axis=1)

    return transfer


def drawing(rng: np.random.Generator, width: int = 800, height: int = 600) -> UInt8:
    """A picture of plain polygons on a plain ground, where only corners are points (as MagicPoint's shapes)."""
    image = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(rng.integers(3, 14)):
        corners = int(rng.integers(3, 6))
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        outline = np.stack([np.cos(angle), np.sin(angle)], axis=1) * rng.uniform(30, 200, (corners, 1))
        points = (outline + rng.uniform(0, [width, height])).astype(np.int32)
        cv2.fillPoly(image, [points], [int(c) for c in rng.integers(0, 256, 3)], cv2.LINE_AA)
    return image
