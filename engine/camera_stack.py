"""All cameras of a capture as arrays, so that one point or one pixel per view costs one pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera

Float64 = NDArray[np.float64]


class CameraStack:
    """N cameras.

    Args:
        cameras: in view order.
    """

    def __init__(self, cameras: Sequence[Camera]) -> None:
        self.size = np.array([[c.width, c.height] for c in cameras], dtype=np.float64).reshape(-1, 2)
        self.centre_w = np.array([c.centre_w for c in cameras], dtype=np.float64).reshape(-1, 3)
        rotation = np.array([c.c2w[:3, :3] for c in cameras], dtype=np.float64).reshape(-1, 3, 3)
        k = np.array([c.intrinsics for c in cameras], dtype=np.float64).reshape(-1, 3, 3)
        self._to_px = k @ rotation.transpose(0, 2, 1)
        self._to_ray = rotation @ np.linalg.inv(k)

    def project(self, pos_w: NDArray[np.float64]) -> tuple[Float64, NDArray[np.bool_]]:
        """One world point (3,) into every view: ((N, 2) pixels, (N,) whether it lies in front and inside)."""
        uvz = np.einsum("nij,nj->ni", self._to_px, pos_w - self.centre_w)
        z = uvz[:, 2]
        with np.errstate(divide="ignore", invalid="ignore"):
            px = uvz[:, :2] / z[:, None]
            inside = (z > 0) & (px >= 0).all(axis=1) & (px < self.size).all(axis=1)
        return px, inside

    def rays(self, views: NDArray[np.int64], pos_px: Float64) -> tuple[Float64, Float64]:
        """One pixel (M, 2) in each of the views (M,): origins (M, 3) and unit directions (M, 3)."""
        h = np.concatenate([pos_px, np.ones((len(pos_px), 1))], axis=1)
        d = np.einsum("nij,nj->ni", self._to_ray[views], h)
        return self.centre_w[views], d / np.linalg.norm(d, axis=1, keepdims=True)
