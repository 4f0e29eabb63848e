"""The classical answer to "where was this photo taken": SIFT, Lowe's ratio test, and the same PnP as ours.

A scene is the strongest SIFT keypoints of its photos, lifted by their depth, as many as ours has keypoints. Scenes are
ranked by how many of a photo's keypoints pass the ratio test (Lowe, IJCV 2004) within each.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api.scene import Float32, UInt8
from engine.captures.capture import View
from engine.metrics.repository import Found
from engine.repository.pose import Pose, place
from engine.repository.search import VERIFIED

COUNT = 512
RATIO = 0.8
Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SiftScene:
    """``pos_w`` (K, 3) and ``descriptors`` (K, 128) of unit length."""

    name: str
    pos_w: Float32
    descriptors: Float32


def described_by_sift(rgb: UInt8, count: int = COUNT) -> tuple[Float64, Float32, NDArray[np.float32]]:
    """Positions (N, 2), descriptors (N, 128) of unit length and strengths (N,) of at most ``count`` keypoints."""
    points, found = cv2.SIFT_create(count).detectAndCompute(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), None)
    if found is None:
        return np.zeros((0, 2)), np.zeros((0, 128), np.float32), np.zeros(0, np.float32)
    length = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    pos = np.array([p.pt for p in points], np.float64) + 0.5
    strength = np.array([p.response for p in points], np.float32)
    return pos, (found / length).astype(np.float32), strength


def sift_scene(name: str, views: Sequence[View], count: int = COUNT, max_side: int | None = None) -> SiftScene:
    """A scene of photos with depth.

    Args:
        name: of the scene.
        views: its photos.
        count: keypoints of each photo, and of the scene, at most.
        max_side: read photos at this long side at most.

    Raises:
        CaptureError: a photo cannot be read.
    """
    pos_w: list[Float64] = []
    descriptors: list[Float32] = []
    strengths: list[NDArray[np.float32]] = []
    for view in views:
        photo = view.read(max_side, depth=True)
        assert photo.depth_z is not None
        pos, found, strength = described_by_sift(photo.rgb, count)
        column, row = np.clip(pos.astype(np.int64), 0, np.array(photo.depth_z.shape[::-1]) - 1).T
        depth_z = photo.depth_z[row, column].astype(np.float64)
        known = depth_z > 0
        at_c = photo.camera.ray_z(pos[known]) * depth_z[known, None]
        pos_w.append(at_c + photo.camera.centre_w)
        descriptors.append(found[known])
        strengths.append(strength[known])
    best = np.argsort(-np.concatenate(strengths), kind="stable")[:count]
    return SiftScene(name, np.concatenate(pos_w)[best].astype(np.float32), np.concatenate(descriptors)[best])


class SiftFinder:
    """All scenes, asked with photos.

    Args:
        scenes: those that can be found.
    """

    def __init__(self, scenes: Sequence[SiftScene]) -> None:
        self._scenes = list(scenes)
        stacked = torch.zeros(len(scenes), COUNT, 128)
        for row, scene in zip(stacked, scenes, strict=True):
            row[: len(scene.descriptors)] = torch.from_numpy(scene.descriptors)
        self._stacked = stacked

    def find(self, rgb: UInt8, focal: float, seed: int = 0) -> Found:
        """Where a photo (H, W, 3) of known focal length in pixels was taken. Its confidence is a number that grows with
        the inliers."""
        pos, descriptors, _ = described_by_sift(rgb)
        start = time.perf_counter()
        query = torch.from_numpy(descriptors)
        passed = [ratio_matches(query, scene) for scene in self._stacked]
        order = np.argsort([-len(m) for m in passed], kind="stable")[:VERIFIED]
        size = (rgb.shape[1], rgb.shape[0])
        tried: list[tuple[int, Pose | None]] = [
            (int(n), place(pos, self._scenes[n].pos_w, passed[n], size, focal, seed)) for n in order
        ]
        tried.sort(key=lambda t: -(t[1].count if t[1] is not None else 0))
        best = tried[0][1]
        names = tuple(self._scenes[n].name for n, _ in tried)
        return Found(names, best, 0.0 if best is None else best.confidence, time.perf_counter() - start)


def ratio_matches(query: Tensor, scene: Tensor) -> NDArray[np.int64]:
    """(M, 2) rows of descriptors (N, 128) of a photo and (K, 128) of a scene, K > 1, that pass the ratio test."""
    if not len(query):
        return np.empty((0, 2), np.int64)
    best, at = (query @ scene.T).topk(2, dim=1)
    distance = (2 - 2 * best).clamp(min=0).sqrt()
    rows = torch.nonzero(distance[:, 0] < RATIO * distance[:, 1])[:, 0]
    return torch.stack([rows, at[rows, 0]], dim=1).numpy()
