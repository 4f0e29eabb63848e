"""Two views of a flat photo: random homographies and light, with free true correspondences.

Every photo is a plane seen from the front. A second, tilted and turned look at it is a homography; where each pixel
goes is known exactly (as in DeTone et al., *SuperPoint*, 2018). There is no parallax or occlusion in it: captures with
depth teach those.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.api.scene import UInt8

Float64 = NDArray[np.float64]

PHOTO_SIDE = 700
"""Photos are brought to this long side first, so that scales mean the same for all."""


@dataclass(frozen=True, eq=False)
class WarpedPair:
    """Two looks at one photo: ``a``, ``b`` (h, w, 3) uint8 and the (3, 3) homography from pixels of a to those of b."""

    a: UInt8
    b: UInt8
    a_to_b: Float64

    def transfer(self, pos_px: Float64) -> Float64:
        """(N, 2) pixels of ``a`` to pixels of ``b``."""
        p = np.concatenate([pos_px, np.ones((len(pos_px), 1))], axis=1) @ self.a_to_b.T
        return p[:, :2] / p[:, 2:]


def warped_pair(photo: UInt8, rng: np.random.Generator) -> WarpedPair:
    """Two random looks at a photo (H, W, 3), the second tilted, turned and lit otherwise."""
    photo = _resized(photo)
    size = (448, 336) if rng.random() < 0.7 else (336, 448)
    from_a, centre, width = _look(photo, size, rng, strength=0.3)
    for _ in range(20):
        from_b, other, _ = _look(photo, size, rng, strength=1.0)
        if np.abs(other - centre).max() < 0.4 * width:  # so that the looks overlap
            break
    a, b = (
        cv2.warpPerspective(photo, m, size, flags=_FLAGS, borderMode=cv2.BORDER_REFLECT_101) for m in (from_a, from_b)
    )
    # Warping maps pixel indices; with centres at +0.5 the homography is shifted by half a pixel on both sides.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
    a_to_b = half @ np.linalg.inv(from_b) @ from_a @ np.linalg.inv(half)
    return WarpedPair(relit(a, rng) if rng.random() < 0.5 else a, relit(b, rng), a_to_b)


_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def _resized(photo: UInt8) -> UInt8:
    scale = PHOTO_SIDE / max(photo.shape[:2])
    size = (max(2, round(photo.shape[1] * scale)), max(2, round(photo.shape[0] * scale)))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))


def _look(
    photo: UInt8, size: tuple[int, int], rng: np.random.Generator, strength: float
) -> tuple[Float64, Float64, float]:
    """A random quadrangle of the photo as an image of ``size`` (width, height).

    Returns:
        (3, 3) from the image's pixel indices to the photo's, the quadrangle's centre (2,) and its width.
    """
    height, width = photo.shape[:2]
    w, h = size
    scale = rng.uniform(0.55, 1.0) * min(width / w, height / h)
    half = np.array([w, h]) * scale / 2
    centre = rng.uniform(half, np.maximum(np.array([width, height]) - half, half + 1e-6))
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1.0]]) * half
    corners *= 1 + strength * rng.uniform(-0.22, 0.22, (4, 1))
    corners += strength * rng.uniform(-0.08, 0.08, (4, 2)) * 2 * half
    angle = np.radians(8 * strength) * rng.normal()
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = (corners @ turn.T + centre).astype(np.float32)
    frame = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(frame, target), np.float64), centre, float(2 * half[0])


def relit(image: UInt8, rng: np.random.Generator) -> UInt8:
    """The same image under other light: exposure, contrast, white balance, focus and noise."""
    x = image.astype(np.float32) / 255
    x = x ** np.exp(rng.normal(0, 0.25)) * rng.uniform(0.75, 1.25) * (1 + rng.normal(0, 0.06, 3))
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.3, 1.2))
    x = x + rng.normal(0, rng.uniform(0, 0.02), x.shape)
    return (np.clip(x, 0, 1) * 255).astype(np.uint8)
