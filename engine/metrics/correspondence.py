"""Recall of true correspondences: does a pixel's feature find the same surface point in another view?

Protocols, both at a long side of 448 px with ordered view pairs turned by 5-60 degrees:

* ``pairs``: 40 pairs that overlap by 30 % or more, 50 random true correspondences each;
* ``pixels``: random pixels of random views, each against one random view that sees it.

A dense feature answers with the centre of the most similar cell over the whole target map (no keypoints, no mutual
check, no refinement). SIFT is given its best case: queries are its own keypoints that have a true reprojection, drawn
by the same rules, and it answers with the most similar of the target's own keypoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.encoders import load_encoder
from engine.metrics.descriptors import Keypoints, nearest_cells, rgb_patches, sift
from engine.metrics.truth import (
    Correspondences,
    DepthView,
    depth_views,
    join,
    pixels_of_pairs,
    random_correspondences,
    reproject,
    view_pairs,
)
from engine.queries.bank import sample_many
from engine.runtime import resolve_device

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.grid import RadianceGrid

Float64 = NDArray[np.float64]

LONG_SIDE = 448
PAIRS = 40
PIXELS_A_PAIR = 50
NAMES = {"default": "condense2d"}
"""Encoders whose rows have another name."""


class CorrespondenceRow(TypedDict):
    """One line of the table.

    ``recall_1/2/5``: share of pixels answered within 1, 2, 5 % of the target's diagonal; ``margin``: mean cosine at
    the true place minus mean cosine over the target's map (None for SIFT); ``truth``: where true correspondences come
    from, the capture's ``depth`` or its fitted ``grid``.
    """

    capture: str
    features: str
    protocol: str
    recall_1: float
    recall_2: float
    recall_5: float
    margin: float | None
    pixels: int
    truth: str


def bench_correspondence(
    capture: Capture,
    seed: int = 0,
    pixels: int = 500,
    device: str = "auto",
    encoders: Sequence[str] = ("raw", "default"),
    grid: RadianceGrid | None = None,
) -> Job[list[CorrespondenceRow]]:
    """Measure RGB patches, ``encoders`` and SIFT on a capture.

    Args:
        capture: with depth, or with a fitted ``grid``.
        seed: of the choice of views and pixels.
        pixels: how many the ``pixels`` protocol draws.
        device: for the encoders.
        encoders: names for ``load_encoder``.
        grid: renders the depth of captures without.

    Raises:
        QueryError: no geometry to tell the truth by, or no two views share enough of it.
        WeightsError: an encoder cannot be loaded.
        CaptureError: a photo cannot be read.
    """
    loaded = [load_encoder(name, resolve_device(device)) for name in encoders]
    views, truth = yield from depth_views(capture, LONG_SIDE, grid)
    rng = np.random.default_rng(seed)
    pairs = yield from view_pairs(views, PAIRS, rng)
    if not pairs:
        raise QueryError(
            "no two views share enough to be compared",
            path=capture.path,
            expected="views turned by 5 to 60 degrees that show 30 % of the same surface",
        )
    drawn = {
        "pairs": pixels_of_pairs(views, pairs, PIXELS_A_PAIR, rng),
        "pixels": (yield from random_correspondences(views, pixels, rng)),
    }
    rows: list[CorrespondenceRow] = []
    measured: list[tuple[str, Callable[[UInt8], Float32]]] = [("rgb", rgb_patches)]
    measured += [(NAMES.get(e.name, e.name), e.encode) for e in loaded]
    together = join(list(drawn.values()))
    split = np.cumsum([len(c) for c in drawn.values()])[:-1]
    for name, encode in measured:
        error, margin = yield from dense_errors(capture, views, together, encode, name)
        for protocol, e, m in zip(drawn, np.split(error, split), np.split(margin, split), strict=True):
            rows.append(_row(capture.name, name, protocol, e, float(m.mean()) if len(m) else None, truth))
    for protocol, c in drawn.items():
        error = yield from sift_errors(capture, views, c, rng)
        rows.append(_row(capture.name, "sift", protocol, error, None, truth))
    return rows


def _row(
    capture: str, features: str, protocol: str, error: Float64, margin: float | None, truth: str
) -> CorrespondenceRow:
    def recall(within: float) -> float:
        return round(float((error <= within).mean()), 4) if len(error) else 0.0

    return CorrespondenceRow(
        capture=capture,
        features=features,
        protocol=protocol,
        recall_1=recall(0.01),
        recall_2=recall(0.02),
        recall_5=recall(0.05),
        margin=None if margin is None else round(margin, 4),
        pixels=len(error),
        truth=truth,
    )


def dense_errors(
    capture: Capture,
    views: Sequence[DepthView],
    truth: Correspondences,
    encode: Callable[[UInt8], Float32],
    name: str,
) -> Job[tuple[Float64, Float64]]:
    """Distances of a dense feature's answers to the truth.

    Args:
        capture: its photos.
        views: those whose geometry is known.
        truth: correspondences drawn on them.
        encode: (H, W, 3) uint8 to a map (h, w, D) of unit features covering the image.
        name: for the progress line.

    Returns:
        error (N,) as a fraction of the target's diagonal; margin (N,), cosine at the true place minus the mean over
        the map.
    """
    sources, targets = np.unique(truth.source), np.unique(truth.target)
    total, done = len(sources) + len(targets), 0
    queries: Float32 | None = None
    # Two passes hold one map at a time: 512-d maps of a hundred views would fill the memory.
    for view in sources:
        yield Progress(done, total, "views", f"encoding with {name}")
        features = encode(_read(capture, views[view]))
        mine = np.flatnonzero(truth.source == view)
        if queries is None:
            queries = np.zeros((len(truth), features.shape[2]), np.float32)
        queries[mine] = sample_many(features, _relative(truth.source_px[mine], views[view]))
        done += 1
    error, margin = np.zeros(len(truth)), np.zeros(len(truth))
    for view in targets:
        yield Progress(done, total, "views", f"matching with {name}")
        assert queries is not None
        features = encode(_read(capture, views[view]))
        mine = np.flatnonzero(truth.target == view)
        rel = _relative(truth.target_px[mine], views[view])
        cell, mean = nearest_cells(queries[mine], features)
        h, w, _ = features.shape
        camera = views[view].camera
        row, column = np.divmod(cell, w)
        answer = np.stack([(column + 0.5) / w * camera.width, (row + 0.5) / h * camera.height], axis=1)
        error[mine] = _relative_distance(answer, truth.target_px[mine], views[view])
        margin[mine] = (queries[mine] * sample_many(features, rel)).sum(axis=1) - mean
        done += 1
    return error, margin


def sift_errors(
    capture: Capture, views: Sequence[DepthView], like: Correspondences, rng: np.random.Generator
) -> Job[Float64]:
    """Distances (N,) of SIFT's answers to the truth, for as many keypoints of each pair of views as ``like`` has there.

    Query keypoints are random ones of the source view with a true reprojection in the target; where SIFT has fewer,
    fewer are counted. A target without keypoints counts as missed.
    """
    pairs, counts = np.unique(np.stack([like.source, like.target], axis=1), axis=0, return_counts=True)
    cache: dict[int, Keypoints] = {}
    errors: list[Float64] = []
    for done, ((i, j), count) in enumerate(zip(pairs.tolist(), counts.tolist(), strict=True)):
        yield Progress(done, len(pairs), "pairs", "matching with sift")
        for view in (i, j):
            if view not in cache:
                cache[view] = sift(_read(capture, views[view]))
        a, b = cache[i], cache[j]
        target_px, true = reproject(views[i], views[j], a.pos_px)
        chosen = np.flatnonzero(true)
        chosen = rng.choice(chosen, min(count, len(chosen)), replace=False)
        if len(chosen) == 0:
            continue
        if len(b.pos_px) == 0:
            errors.append(np.full(len(chosen), np.inf))
            continue
        best = (a.descriptor[chosen] @ b.descriptor.T).argmax(axis=1)
        errors.append(_relative_distance(b.pos_px[best], target_px[chosen], views[j]))
    return np.concatenate(errors) if errors else np.zeros(0)


def _read(capture: Capture, view: DepthView) -> UInt8:
    return capture.read(view.index, max_side=LONG_SIDE).rgb


def _relative(pos_px: Float64, view: DepthView) -> Float64:
    return pos_px / [view.camera.width, view.camera.height]


def _relative_distance(a: Float64, b: Float64, view: DepthView) -> Float64:
    return np.linalg.norm(a - b, axis=1) / float(np.hypot(view.camera.width, view.camera.height))
