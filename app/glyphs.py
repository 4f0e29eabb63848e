"""How keypoints look: colour and size of the best of them; and what is known of the voxels they are in."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from app import colormaps
from app.canvas.look import rgb
from app.prompt_state import blended
from app.view_state import KeypointsView
from engine.api.replies import SceneKeypoints
from engine.api.scene import Volume

Float32 = NDArray[np.float32]
LEAST_PX, MOST_PX = 4.0, 10.0
UNASKED = (110, 115, 122)
"""Of keypoints that no prompt found."""
UNLIKELY = 12
"""Of 255: names of less are not told."""

_rows: WeakKeyDictionary[SceneKeypoints, tuple[Volume, NDArray[np.int64]]] = WeakKeyDictionary()


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
    if view.colouring == "prompts":
        return _by_prompt(view)
    return colormaps.score_table()[(levels(view) * 255).astype(np.uint8)]


def names(view: KeypointsView, row: int) -> list[tuple[str, float]]:
    """The likeliest names of what one of them is on, with their probabilities, the first first."""
    assert view.found is not None
    at = -1 if view.volume is None else int(voxel_rows(view.found, view.volume)[row])
    if view.named is None or at < 0:
        return []
    told = zip(view.named.likely[at], view.named.chance[at], strict=True)
    return [(view.named.vocabulary[n], float(c) / 255) for n, c in told if c >= UNLIKELY]


def voxel_rows(found: SceneKeypoints, volume: Volume) -> NDArray[np.int64]:
    """(K,) which voxel of a volume each keypoint is in, -1 for none."""
    known = _rows.get(found)
    if known is not None and known[0] is volume:
        return known[1]
    index = np.floor((found.pos_w - volume.lo_w) / volume.voxel).astype(np.int64)
    inside = ((index >= 0) & (index < np.array(volume.dims))).all(axis=1)
    if not len(volume.index):
        return np.full(len(index), -1, np.int64)
    keys, wanted = _keys(volume.index.astype(np.int64), volume.dims), _keys(index, volume.dims)
    order = np.argsort(keys, kind="stable")
    nearest = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
    rows = np.where(inside & (keys[nearest] == wanted), nearest, -1)
    _rows[found] = (volume, rows)
    return rows


def _keys(index: NDArray[np.int64], dims: tuple[int, int, int]) -> NDArray[np.int64]:
    return (index[:, 0] * dims[1] + index[:, 1]) * dims[2] + index[:, 2]


def glyphs(view: KeypointsView) -> tuple[Float32, Float32, Float32]:
    """Places (N, 3), colours (N, 4), and (N, 2) diameters in logical pixels and 1 for filled; the best come last."""
    count = shown(view)
    if view.found is None or count == 0:
        return np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32)
    rgba = np.concatenate([colours(view) / np.float32(255), np.full((count, 1), view.opacity, np.float32)], axis=1)
    size = LEAST_PX + (MOST_PX - LEAST_PX) * levels(view)
    shape = np.stack([size, np.ones_like(size)], axis=1)
    return view.found.pos_w[:count][::-1], rgba[::-1].astype(np.float32), shape[::-1].astype(np.float32)


def _by_prompt(view: KeypointsView) -> NDArray[np.uint8]:
    """Each in the colour of the prompts that found it, grey where none did."""
    assert view.found is not None
    count, answer = shown(view), view.prompts.answer
    grey = np.tile(np.array(UNASKED, np.uint8), (count, 1))
    if answer is None or not view.prompts.shown or view.volume is not answer.volume:
        return grey
    rows = voxel_rows(view.found, answer.volume)[:count]
    levels = [
        np.where(rows >= 0, answer.by_text[p.text].relevancy[rows], 0).astype(np.uint8) for p in view.prompts.shown
    ]
    table = [rgb(code) for code in colormaps.prompt_colours()]
    colour, alpha = blended(levels, view.prompts.shown, [table[p.colour] for p in view.prompts.shown])
    alpha = np.minimum(alpha * 1.4, 1)[:, None]  # a faint prompt is still told apart on a small mark
    return np.round(grey * (1 - alpha) + 255 * colour * alpha).astype(np.uint8)
