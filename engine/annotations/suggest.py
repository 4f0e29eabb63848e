"""Suggestions: where else is what was labelled, here or in another scene, and what words mean; each to be accepted or
refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.annotations.region_sums import described
from engine.annotations.select import SelectScene
from engine.api.errors import AnnotationError
from engine.api.reviewing import Example
from engine.grid.places import places

if TYPE_CHECKING:
    from engine.naming import NamedScene

Rows = NDArray[np.int64]

LEAST_LIKENESS = 0.6
LARGEST = 2.5
"""Times larger or smaller than the example a suggestion may be."""
COMMON, FORM = 0.8, 0.3
"""How much of what a whole scene's features share is taken off them, for it says nothing of a thing; and how much
another size and shape counts. Both were chosen on 8 rooms of models of the training: of first suggestions in another
room .36 were right instead of .26 with 0 and 1."""
MOST = 32
SURE = 0.5
"""A union that the network is less sure of is no thing."""
LEAST_VOXELS = 100
"""Smaller regions are not worth going to."""


@dataclass(frozen=True, eq=False)
class Suggestion:
    """Voxels (N,) that may be the same thing, and how like it in [0, 1]."""

    rows: Rows
    score: float


def example_of(scene: SelectScene, rows: ArrayLike) -> Example:
    """What some voxels are like.

    Raises:
        AnnotationError: no voxels, or no photo sees them.
    """
    tree = scene.tree
    blocks = np.unique(scene.block[np.asarray(rows, np.int64)])
    if not len(blocks):
        raise AnnotationError("there is no example to look for", mend="select or label something first")
    total = tree.voxels.image[blocks].astype(np.float64).sum(axis=0)
    norm = float(np.linalg.norm(total))
    if norm < 1e-9:
        raise AnnotationError("no photo sees this, so nothing like it can be found")
    image = _own(scene, (total / norm)[None])[0]
    spread = np.cov(tree.voxels.pos[blocks].T) if len(blocks) > 1 else np.zeros((3, 3))
    extent = np.sqrt(np.maximum(np.linalg.eigvalsh(spread), 1e-8))
    return Example(image, len(blocks) / tree.voxels.usual, extent)


def alike(
    scene: SelectScene,
    examples: Sequence[Example],
    taken: NDArray[np.bool_] | None = None,
    least: float = LEAST_LIKENESS,
) -> list[Suggestion]:
    """Regions of a scene that are like one of some examples in features, size and shape, the likest first; none
    overlaps another.

    Args:
        scene: to look in: the examples' own or another.
        examples: what to look for.
        taken: (V,) voxels that are labelled already.
        least: likeness in [0, 1].

    Raises:
        AnnotationError: the features are of another encoder.
    """
    tree = scene.tree
    d = described(tree.sums, tree.voxels.usual)
    image, score = _own(scene, d.image), np.zeros(len(d.count))
    for example in examples:
        if d.image.shape[1] != len(example.image):
            raise AnnotationError("the example is of another encoder", found=f"{len(example.image)} numbers a place")
        size = np.abs(np.log(np.maximum(d.count, 1e-9) / example.size)) / np.log(LARGEST)
        shape = np.abs(np.log(d.extent / example.extent)).mean(axis=1) / np.log(LARGEST)
        own = (image @ example.image) * np.exp(-0.5 * FORM * (size**2 + shape**2))
        score = np.maximum(score, np.where(size > 1, 0, own))
    free = np.ones(tree.small, np.bool_)
    if taken is not None:
        share = np.bincount(tree.region[scene.block[taken]], minlength=tree.small)
        whole = np.bincount(tree.region[scene.block], minlength=tree.small)
        free = share <= 0.5 * np.maximum(whole, 1)
    out: list[Suggestion] = []
    for node in np.argsort(-score, kind="stable"):
        if score[node] < least or len(out) == MOST:
            break
        holds = tree.holds([node])[0]
        if (holds & ~free).any():
            continue
        free &= ~holds
        out.append(Suggestion(np.flatnonzero(holds[tree.region[scene.block]]), float(min(1.0, score[node]))))
    return out


def _own(scene: SelectScene, image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Unit features (N, D) without what all of the scene shares, of unit length again."""
    common = scene.tree.voxels.image.mean(axis=0, dtype=np.float64)
    own = image - COMMON * common
    return own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9)


def unlabelled_things(scene: SelectScene, taken: NDArray[np.bool_]) -> list[Rows]:
    """What to label next: regions that are likely whole things and have no label, the largest first.

    Args:
        scene: to look in.
        taken: (V,) voxels that are labelled already.
    """
    tree = scene.tree
    sure = tree.own >= SURE
    # from the top down: a union that the network is not sure of is no thing, but its parts may be
    inside = np.zeros(len(sure), np.bool_)
    for node in range(len(sure) - 1, -1, -1):
        up = tree.parent[node]
        inside[node] = up >= 0 and (inside[up] or sure[up])
    region = tree.region[scene.block]
    size = np.bincount(region, minlength=tree.small)
    free = np.bincount(region, ~taken, tree.small)
    found: list[tuple[float, int]] = []
    for node in np.flatnonzero(sure & ~inside):
        holds = tree.holds([node])[0]
        count = float(free[holds].sum())
        if count >= LEAST_VOXELS and count > 0.5 * size[holds].sum():
            found.append((-count, int(node)))
    return [np.flatnonzero(tree.holds([node])[0][region] & ~taken) for _, node in sorted(found)[:MOST]]


def meant(named: NamedScene, words: str, without: tuple[str, ...] = (), threshold: float = 0.5) -> list[Suggestion]:
    """The places of a scene that words mean, the largest first, to be labelled at once or one by one.

    Args:
        named: the scene, named.
        words: such as "chair".
        without: what is not meant.
        threshold: least relevancy.
    """
    _, relevancy = named.answer(words, without)
    found = places(named.coarse, relevancy, threshold)
    out: list[Suggestion] = []
    for blocks in sorted(found, key=len, reverse=True):
        inside = np.zeros(len(named.coarse.index), np.bool_)
        inside[blocks] = True
        out.append(Suggestion(np.flatnonzero(inside[named.parent]), float(relevancy[blocks].mean())))
    return out
