"""What the correspondence measure compares: dense maps (our encoders, plain RGB patches) and SIFT at its keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.scene import Float32, UInt8

PATCH = 7
STRIDE = 4


def rgb_patches(rgb: UInt8) -> Float32:
    """The plainest dense feature: 7x7 RGB patches every 4 pixels, centred on grey, of unit length.

    Args:
        rgb: (H, W, 3).

    Returns:
        (h, w, 147) with h = round(H / 4); cell (i, j) is the patch around the pixel nearest its centre.
    """
    height, width = rgb.shape[:2]
    h, w = max(1, round(height / STRIDE)), max(1, round(width / STRIDE))
    margin = PATCH // 2
    padded = np.pad(rgb, ((margin, margin), (margin, margin), (0, 0)), mode="edge").astype(np.float32) / 255 - 0.5
    rows = ((np.arange(h) + 0.5) * height / h).astype(int)
    columns = ((np.arange(w) + 0.5) * width / w).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), axis=(0, 1))
    patches = windows[rows][:, columns].reshape(h, w, -1)
    length = np.linalg.norm(patches, axis=2, keepdims=True)
    return (patches / np.maximum(length, 1e-6)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Keypoints:
    """Keypoints of one image: ``pos_px`` (N, 2) with pixel centres at +0.5, unit ``descriptor`` (N, 128)."""

    pos_px: NDArray[np.float64]
    descriptor: Float32


def sift(rgb: UInt8) -> Keypoints:
    """SIFT (Lowe, IJCV 2004) by OpenCV with its defaults, at the image's own size."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    found, descriptors = cv2.SIFT_create().detectAndCompute(grey, None)
    if descriptors is None or not len(found):
        return Keypoints(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    pos_px = np.array([k.pt for k in found], dtype=np.float64) + 0.5  # OpenCV counts from pixel centres
    length = np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Keypoints(pos_px, (descriptors / np.maximum(length, 1e-6)).astype(np.float32))


def nearest_cells(queries: Float32, features: Float32) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each of (N, D) queries the most similar cell of an (h, w, D) map.

    Returns:
        flat cell index (N,), and the mean cosine of each query over the whole map (N,).
    """
    cosines = torch.from_numpy(queries) @ torch.from_numpy(features.reshape(-1, features.shape[2])).T
    return cosines.argmax(dim=1).numpy(), cosines.mean(dim=1).double().numpy()
