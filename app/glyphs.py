"""How keypoints look: colour and size of the best of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app import colormaps
from app.view_state import KeypointsView

Float32 = NDArray[np.float32]
LEAST_PX, MOST_PX = 4.0, 10.0


def shown(view: KeypointsView) -> int:
    """How many are."""
    return 0 if view.found is None or view.opacity <= 0 else min(view.count, len(view.found.score))


def levels(view: KeypointsView) -> Float32:
    """(N,) the square root of the shown ones' scores, stretched over [0, 1]: few are high, and most would be alike."""
    assert view.found is not None
    score = view.found.score[: shown(view)]
    low, high = (float(score.min()), float(score.max())) if len(score) else (0.0, 1.0)
    return np.sqrt((score - np.float32(low)) / np.float32(max(high - low, 1e-6)))


def colours(view: KeypointsView) -> NDArray[np.uint8]:
    """(N, 3) of the shown ones."""
    assert view.found is not None
    if view.colouring == "features":
        return view.found.rgb[: shown(view)]
    return colormaps.score_table()[(levels(view) * 255).astype(np.uint8)]


def card(view: KeypointsView, row: int) -> str:
    """What is said of one of them while the pointer is on it."""
    assert view.found is not None
    seen = int(view.found.seen[row].sum())
    return f"Keypoint {row + 1:,} of {shown(view):,} · score {view.found.score[row]:.2f} · seen in {seen} photos"


def glyphs(view: KeypointsView) -> tuple[Float32, Float32, Float32]:
    """Places (N, 3), colours (N, 4), and (N, 2) diameters in logical pixels and 1 for filled; the best come last."""
    count = shown(view)
    if view.found is None or count == 0:
        return np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32)
    rgba = np.concatenate([colours(view) / np.float32(255), np.full((count, 1), view.opacity, np.float32)], axis=1)
    size = LEAST_PX + (MOST_PX - LEAST_PX) * levels(view)
    shape = np.stack([size, np.ones_like(size)], axis=1)
    return view.found.pos_w[:count][::-1], rgba[::-1].astype(np.float32), shape[::-1].astype(np.float32)
