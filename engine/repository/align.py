"""How one scene lies in another: a similarity transform that most matched keypoints agree with, by RANSAC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from engine.repository.pose import RIVAL, mutual_nearest
from engine.repository.record import SceneRecord, decode

Float64 = NDArray[np.float64]

WITHIN = 0.03
"""Of the other scene's extent: an inlier's largest error."""
NEAR = 0.05
"""Of the other scene's extent: a keypoint that lies so near to one of the other's overlaps."""
BESIDE = 0.03
"""Of the other scene's extent: a keypoint is compared with those of the other that lie so near."""
LOWEST = 5
"""Percentile of these cosines that tells whether all is as it was: where a piece was moved, keypoints meet others."""
UNCHANGED = 0.28
"""Of 64 rooms scanned twice three had less there; no two of 380 different rooms, as far as many keypoints agreed, had
more; of rooms whose furniture was moved or swapped one in six had."""
TRIALS = 2_000
SAMPLE = 3
TRIMMINGS = 6
LEAST_MATCHES = 6
MOST_SCALE = 3.0
"""Of the scenes' extents to each other after alignment: a scene shrunk to a point would agree with anything."""
ANOTHER_DEGREES = 20.0
"""Turned by more, a transform is another one."""
MIDDLE, MIDDLE_CHANGED, STEEPNESS = 24.0, 64.0, 3.0
"""Inliers at which two scenes are as likely of one place as not, where all is as it was and where it is not, and how
many more make it e times likelier. Of 64 rooms scanned twice three had less than 24 inliers; of two different rooms,
alike in walls and boxes, up to 58 keypoints agreed, but none of these met the same things beside each other."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Scene a in scene b.

    Attributes:
        a_to_b: (4, 4) similarity, from the world of a to that of b.
        matched: (M, 2) int64, rows of mutual nearest keypoints of a and b.
        inliers: (M,) bool.
        overlap: share of the keypoints of a that come to lie near some of b.
        rival: how many of the others agree with one transform that is turned otherwise.
        agreement: the lowest cosines of keypoints to the best beside them in the other scene (5th percentile).
    """

    a_to_b: Float64
    matched: NDArray[np.int64]
    inliers: NDArray[np.bool_]
    overlap: float
    rival: int
    agreement: float

    @property
    def ambiguous(self) -> bool:
        """Whether another transform is about as likely, as between places that look the same from two sides."""
        return self.rival >= max(MIDDLE, RIVAL * self.count)

    @property
    def changed(self) -> bool:
        """Whether things were moved or replaced between the scans, for all one can tell from so few keypoints."""
        return self.agreement < UNCHANGED

    @property
    def count(self) -> int:
        """Number of inliers."""
        return int(self.inliers.sum())

    @property
    def confidence(self) -> float:
        """In [0, 1], that both are of one place: a logistic function of the number of inliers."""
        middle = MIDDLE_CHANGED if self.changed else MIDDLE
        return float(1 / (1 + np.exp(-(self.count - middle) / STEEPNESS)))


def align(a: SceneRecord, b: SceneRecord, seed: int = 0) -> Alignment | None:
    """The transform from a to b that most of their mutual nearest keypoints agree with; None where there is none."""
    matched = mutual_nearest(decode(a.codes), decode(b.codes))
    if len(matched) < LEAST_MATCHES:
        return None
    source, target = a.pos_w[matched[:, 0]].astype(np.float64), b.pos_w[matched[:, 1]].astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.random((TRIALS, len(matched))).argpartition(SAMPLE, axis=1)[:, :SAMPLE]
    linear, shift = similarity(source[drawn], target[drawn])
    scale = np.cbrt(np.maximum(np.linalg.det(linear), 0)) * a.extent_w / b.extent_w
    within = WITHIN * b.extent_w
    error, least, first = np.full(len(matched), np.inf), float(len(matched)), 0
    agreeing = np.zeros((TRIALS, len(matched)), np.bool_)
    for n in np.flatnonzero((scale > 1 / MOST_SCALE) & (scale < MOST_SCALE)):
        of_n = np.linalg.norm(source @ linear[n].T + shift[n] - target, axis=1) / within
        agreeing[n] = of_n < 1
        cost = float(np.minimum(of_n**2, 1).sum())  # MSAC: Torr and Zisserman, CVIU 2000
        if cost < least:
            error, least, first = of_n, cost, int(n)
    agree = np.flatnonzero(error < 1)
    if len(agree) < LEAST_MATCHES:
        return None
    turn, move = linear, shift
    for _ in range(TRIMMINGS):  # by the half that agrees best: least trimmed squares (Rousseeuw, JASA 1984)
        half = agree[np.argsort(error[agree], kind="stable")[: max(SAMPLE, len(agree) // 2)]]
        turn, move = similarity(source[None, half], target[None, half])
        error = np.linalg.norm(source @ turn[0].T + move[0] - target, axis=1) / within
    a_to_b = np.eye(4)
    a_to_b[:3, :3], a_to_b[:3, 3] = turn[0], move[0]
    turned = _degrees(linear, linear[first]) > ANOTHER_DEGREES
    rival = int(agreeing[turned][:, error >= 1].sum(axis=1).max(initial=0))
    there = a.pos_w @ turn[0].T + move[0]
    distance, _ = KDTree(b.pos_w).query(there)
    overlap = float((distance < NEAR * b.extent_w).mean())
    return Alignment(a_to_b, matched, error < 1, overlap, rival, _agreement(there, a, b))


def _degrees(linear: Float64, other: Float64) -> Float64:
    """(T,) angles between scaled rotations (T, 3, 3) and another one."""
    scale = np.sqrt((linear**2).sum(axis=(1, 2)) * (other**2).sum()) / 3
    cosine = ((linear * other).sum(axis=(1, 2)) / np.maximum(scale, 1e-12) - 1) / 2
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def _agreement(there: Float64, a: SceneRecord, b: SceneRecord) -> float:
    """Of keypoints of a at (K, 3) in the world of b, and of those of b, see ``Alignment``; -1 where none meet."""
    beside = KDTree(there).sparse_distance_matrix(KDTree(b.pos_w), BESIDE * b.extent_w, output_type="coo_matrix")
    row, column = beside.row, beside.col
    cosine = np.einsum("nd,nd->n", decode(a.codes)[row], decode(b.codes)[column])
    best: list[Float64] = []
    for place, count in ((row, len(a)), (column, len(b))):
        most = np.full(count, -2.0)
        np.maximum.at(most, place, cosine)
        best.append(most[most > -2])
    met = np.concatenate(best)
    return float(np.percentile(met, LOWEST)) if len(met) else -1.0


def similarity(source: Float64, target: Float64) -> tuple[Float64, Float64]:
    """Least-squares similarity transforms (Umeyama, PAMI 1991) of many sets of points at once.

    Args:
        source: (T, N, 3) points.
        target: (T, N, 3) where each should come to lie.

    Returns:
        scaled rotations (T, 3, 3) and shifts (T, 3), so that ``target ~ linear @ source + shift``.
    """
    from_mean, to_mean = source.mean(axis=1), target.mean(axis=1)
    centred, wanted = source - from_mean[:, None], target - to_mean[:, None]
    u, s, vt = np.linalg.svd(np.einsum("tni,tnj->tij", wanted, centred))
    mirror = np.ones_like(s)
    mirror[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation = (u * mirror[:, None]) @ vt
    scale = (s * mirror).sum(axis=1) / np.maximum((centred**2).sum(axis=(1, 2)), 1e-12)
    linear = rotation * scale[:, None, None]
    return linear, to_mean - np.einsum("tij,tj->ti", linear, from_mean)
