"""Landmarks on places that are found again: the scene's decorated keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from engine.api.scene import Float32


def snapped(pos_w: ArrayLike, keypoints_w: Float32, score: Float32, radius_w: float) -> int | None:
    """Which keypoint a click means.

    Of those within the radius, the one whose score, falling to nothing towards the radius, is best: a strong keypoint
    wins over a weak one that is a little nearer.

    Args:
        pos_w: (3,) the click.
        keypoints_w: (K, 3).
        score: (K,) in [0, 1].
        radius_w: world units.

    Returns:
        its place among the K, or None when none is near.
    """
    away = np.linalg.norm(keypoints_w - np.asarray(pos_w, np.float64), axis=1)
    near = np.flatnonzero(away < radius_w)
    if not len(near):
        return None
    pull = (1 - away[near] / radius_w) * (0.1 + score[near])
    return int(near[int(pull.argmax())])
