"""Examples in place of words: where does the scene look like one of its places, or like a picture?

For a place, a linear discriminant tells the mean of its features from all others of the scene (exemplar LDA, Hariharan
et al., 2012): 0 is what the scene is like on the whole, 1 what the place is like. A plain cosine to the mean lit up a
quarter of the demo for its sofa, the discriminant an eighth of that; for crops, whose features lie elsewhere, the best
cosine to any of their cells does better (area under the curve .85, the discriminant .73, the cosine to the mean .83).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import QueryError
from engine.api.requests import Example, PictureExample, RegionExample
from engine.api.scene import Float32, UInt8
from engine.captures.photos import decode, image_size
from engine.grid.places import grown, places
from engine.queries.quantise import dequantise

if TYPE_CHECKING:
    from engine.features import ViewFeatureSet
    from engine.lifted import LiftedOn
    from engine.naming import NamedScene
    from engine.scene_state import SceneState

PICTURE_SIDE = 256
"""Pixels along a picture's longer side: a crop that is enlarged says no more."""
LEAST_SIDE = 32
"""A sliver is widened: an encoder needs some pixels to look at."""
ALIKE = 0.9
"""Cosine to a cell of a picture at which a block counts as shown in it."""
SHRINKAGE = 0.1
"""Share of the mean variance that is added to the covariance."""


@dataclass(frozen=True, eq=False)
class _Blocks:
    """Features (W, D) of a scene's blocks, of unit length or zero, made of ``lifted``; and what was found with them."""

    lifted: LiftedOn
    features: Float32
    found: dict[Example, Float32] = field(default_factory=dict)


_blocks: WeakKeyDictionary[NamedScene, _Blocks] = WeakKeyDictionary()


def alike(scene: SceneState, named: NamedScene, example: Example) -> Float32:
    """Relevancy (W,) in [0, 1] of the blocks to an example.

    Raises:
        QueryError: there are no features yet, or the example's place is gone.
        CaptureError: the picture cannot be read.
    """
    features, lifted = scene.features, scene.lifted
    if features is None or lifted is None:
        raise QueryError("the photos are not encoded yet", mend="wait until they are, or encode them")
    blocks = _blocks.get(named)
    if blocks is None or blocks.lifted is not lifted:
        blocks = _blocks[named] = _Blocks(lifted, block_features(named, lifted))
    if example not in blocks.found:
        if isinstance(example, PictureExample):
            relevancy = _in_picture(blocks.features, _cells(features, Path(example.path)))
        else:
            relevancy = _told_apart(blocks.features, _place(scene, named, example))
        blocks.found[example] = grown(named.coarse, relevancy)
    return blocks.found[example]


def _told_apart(features: Float32, rows: NDArray[np.int64]) -> Float32:
    """(W,) how far each block is from the mean of all towards that of ``rows``."""
    seen = features.any(axis=1)
    if not seen[rows].any():
        return np.zeros(len(features), np.float32)
    mean = features[seen].mean(axis=0)
    own = features[rows[seen[rows]]].mean(axis=0) - mean
    covariance = np.cov((features[seen] - mean).T)
    shrunk = covariance + (SHRINKAGE * np.trace(covariance) / len(own) + 1e-9) * np.eye(len(own))
    across = np.linalg.solve(shrunk, own)
    score = (features - mean) @ across / max(float(own @ across), 1e-12)
    return np.where(seen, np.clip(score, 0, 1), 0).astype(np.float32)


def _in_picture(features: Float32, cells: Float32) -> Float32:
    """(W,) how near each block comes to some cell (N, D): 0 for the scene's middle one, 1 from ``ALIKE`` on."""
    seen = features.any(axis=1)
    if not seen.any():
        return np.zeros(len(features), np.float32)
    nearest = (features @ cells.T).max(axis=1)
    middle = float(np.median(nearest[seen]))
    score = (nearest - middle) / max(ALIKE - middle, 1e-3)
    return np.where(seen, np.clip(score, 0, 1), 0).astype(np.float32)


def _place(scene: SceneState, named: NamedScene, example: RegionExample) -> NDArray[np.int64]:
    """Rows of the blocks of an example's place."""
    if isinstance(example.of, str):
        relevancy = named.answer(example.of, example.negatives)[1]
    else:
        relevancy = alike(scene, named, example.of)
    coarse = named.coarse
    parts = places(coarse, relevancy, example.threshold)
    if not parts:
        raise QueryError("the place that others should be like is gone", mend="forget that prompt, and ask anew")
    away = [coarse.spec.to_world(coarse.index[p].mean(axis=0) + 0.5) - np.array(example.centre_w) for p in parts]
    return parts[int(np.argmin(np.linalg.norm(away, axis=1)))]


def block_features(named: NamedScene, lifted: LiftedOn) -> Float32:
    """(W, D) mean of the lifted features in each block, of unit length, or zero where there are none."""
    codes = lifted.carry(named.grid, lifted.codes)
    scale = lifted.carry(named.grid, lifted.scale)
    out = np.zeros((len(named.coarse.index), codes.shape[1]), np.float32)
    for d in range(codes.shape[1]):
        out[:, d] = np.bincount(named.parent, dequantise(codes[:, d : d + 1], scale)[:, 0], len(out))
    length = np.linalg.norm(out, axis=1, keepdims=True)
    return np.divide(out, length, out=np.zeros_like(out), where=length > 1e-6)


def _cells(features: ViewFeatureSet, path: Path) -> Float32:
    """(N, D) what the encoder says of a picture's cells."""
    width, height = image_size(path)
    scale = PICTURE_SIDE / max(width, height)
    small = (max(LEAST_SIDE, round(width * scale)), max(LEAST_SIDE, round(height * scale)))
    rgb: UInt8 = np.asarray(decode(path, (width, height), small).convert("RGB"))
    return features.encoder.encode(rgb).reshape(-1, features.dim)
