"""How one scene lies in another: a similarity transform that most matched keypoints agree with, by RANSAC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from engine.repository.occupancy import contradictions, largest_patch
from engine.repository.pose import RIVAL, mutual_nearest
from engine.repository.record import SceneRecord, decode

Float32, Float64 = NDArray[np.float32], NDArray[np.float64]

WITHIN = 0.03
"""Of the other scene's extent: an inlier's largest error."""
NEAR = 0.05
"""Of the other scene's extent: a keypoint that lies so near to one of the other's overlaps."""
BESIDE = 0.03
"""Of the other scene's extent: a keypoint is compared with those of the other that lie so near."""
LEAST_COSINE = 0.5
"""Of keypoints that are matched because they lie beside each other."""
REACHES = (0.05, 0.05, BESIDE, BESIDE)
"""Of the other scene's extent: how near keypoints are matched anew, before each mending of the transform."""
AGREEING = 0.6
"""Share of these, the nearest, that the transform is mended by."""
LOWEST = 5
"""Percentile of cosines that tells whether all is as it was: where a piece was moved, keypoints meet others."""
UNCHANGED = 0.27
"""Of 64 rooms scanned twice all but those that could not be aligned had more there; of pairs of other rooms that met in
some keypoints, and whose space did not contradict it, hardly one."""
LARGEST_PATCH = 5
"""Solid cells that touch each other, at most in one scan and in the other together, where the other saw free space: so
many may be errors of depth or of the transform. More were moved."""
TRIALS = 2_000
SAMPLE = 3
TRIMMINGS = 6
LEAST_MATCHES = 6
MOST_SCALE = 3.0
"""Of the scenes' extents to each other after alignment: a scene shrunk to a point would agree with anything."""
RIVALS = 24
"""Fewer others that agree with another transform are chance."""
ANOTHER_DEGREES = 20.0
"""Turned by more, a transform is another one."""
MIDDLE, MIDDLE_MOVED, MIDDLE_CHANGED, STEEPNESS = 45.0, 115.0, 64.0, 3.0
"""At which two scenes are as likely of one place as not: so many keypoints beside each other that are alike, where all
is as it was, or so many, where space alone tells that something was moved, or so many inliers anyhow; and how many more
make it e times likelier. Of 64 rooms scanned twice one had less than 45. Of some 3,600 pairs of different rooms, alike
in walls and boxes, none whose space agreed had more than 40, none at all of those that met like things more than 105,
and none had more than 58 inliers."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Scene a in scene b.

    Attributes:
        a_to_b: (4, 4) similarity, from the world of a to that of b.
        matched: (M, 2) int64, rows of mutual nearest keypoints of a and b.
        inliers: (M,) bool.
        overlap: share of the keypoints of a that come to lie near some of b.
        rival: how many of the others agree with one transform that is turned otherwise.
        beside: how many keypoints are each other's best of those that then lie near, and alike.
        agreement: the lowest cosines of keypoints to the best beside them in the other scene (5th percentile).
        patch: how many solid cells touch each other, at most, where the other scan saw free space, those of a and those
            of b; None: nothing is known of the space of either.
    """

    a_to_b: Float64
    matched: NDArray[np.int64]
    inliers: NDArray[np.bool_]
    overlap: float
    rival: int
    beside: int
    agreement: float
    patch: int | None

    @property
    def ambiguous(self) -> bool:
        """Whether another transform is about as likely, as between places that look the same from two sides."""
        return self.rival >= max(RIVALS, RIVAL * int(self.inliers.sum()))

    @property
    def changed(self) -> bool:
        """Whether things were moved or replaced between the scans, as far as their keypoints tell, and their space if
        it is known."""
        return self.agreement < UNCHANGED or (self.patch is not None and self.patch > LARGEST_PATCH)

    @property
    def count(self) -> int:
        """Number of keypoints that agree: those beside each other where these are alike, or else inliers."""
        return self.beside if self.agreement >= UNCHANGED else int(self.inliers.sum())

    @property
    def confidence(self) -> float:
        """In [0, 1], that both are of one place: a logistic function of the number of keypoints that agree."""
        more = float(self.inliers.sum()) - MIDDLE_CHANGED
        if self.agreement >= UNCHANGED:
            more = max(more, self.beside - (MIDDLE_MOVED if self.changed else MIDDLE))
        return float(1 / (1 + np.exp(-more / STEEPNESS)))


def align(a: SceneRecord, b: SceneRecord, seed: int = 0) -> Alignment | None:
    """The transform from a to b that most of their mutual nearest keypoints agree with; None where there is none."""
    described_a, described_b = decode(a.codes), decode(b.codes)
    matched = mutual_nearest(described_a, described_b)
    if len(matched) < LEAST_MATCHES:
        return None
    source, target = a.pos_w[matched[:, 0]].astype(np.float64), b.pos_w[matched[:, 1]].astype(np.float64)
    rng = np.random.default_rng(seed)
    drawn = rng.random((TRIALS, len(matched))).argpartition(SAMPLE, axis=1)[:, :SAMPLE]
    linear, shift = similarity(source[drawn], target[drawn])
    scale = np.cbrt(np.maximum(np.linalg.det(linear), 0)) * a.extent_w / b.extent_w
    within = WITHIN * b.extent_w
    tried = np.flatnonzero((scale > 1 / MOST_SCALE) & (scale < MOST_SCALE))
    if not len(tried):
        return None
    linear, shift = linear[tried], shift[tried]
    errors = np.linalg.norm(source @ linear.transpose(0, 2, 1) + (shift[:, None] - target), axis=2) / within
    first = int(np.minimum(errors**2, 1).sum(axis=1).argmin())  # MSAC: Torr and Zisserman, CVIU 2000
    error, agreeing = errors[first], errors < 1
    agree = np.flatnonzero(error < 1)
    if len(agree) < LEAST_MATCHES:
        return None
    turn, move = linear[first : first + 1], shift[first : first + 1]
    for _ in range(TRIMMINGS):  # by the half that agrees best: least trimmed squares (Rousseeuw, JASA 1984)
        half = agree[np.argsort(error[agree], kind="stable")[: max(SAMPLE, len(agree) // 2)]]
        turn, move = similarity(source[None, half], target[None, half])
        error = np.linalg.norm(source @ turn[0].T + move[0] - target, axis=1) / within
    inliers = error < 1
    turned = _degrees(linear, linear[first]) > ANOTHER_DEGREES
    rival = int(agreeing[turned][:, ~inliers].sum(axis=1).max(initial=0))
    a_to_b, beside = _mended(_affine(turn[0], move[0]), a, b, described_a @ described_b.T)
    there = a.pos_w @ a_to_b[:3, :3].T + a_to_b[:3, 3]
    distance, _ = KDTree(b.pos_w).query(there)
    overlap = float((distance < NEAR * b.extent_w).mean())
    agreement = _agreement(there, b, described_a, described_b)
    return Alignment(a_to_b, matched, inliers, overlap, rival, beside, agreement, _patch(a, b, a_to_b))


def _affine(linear: Float64, shift: Float64) -> Float64:
    """(4, 4)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = linear, shift
    return out


def _mended(a_to_b: Float64, a: SceneRecord, b: SceneRecord, cosine: Float32) -> tuple[Float64, int]:
    """The transform that keypoints agree with which are each other's best of those that lie near by the one given, and
    how many of them there are in the end: far more than are each other's best of all."""
    pos_a, pos_b = a.pos_w.astype(np.float64), b.pos_w.astype(np.float64)
    for reach in REACHES:
        i, j, distance = _best_beside(a_to_b, pos_a, pos_b, cosine, reach * b.extent_w)
        if len(i) < LEAST_MATCHES:
            return a_to_b, len(i)
        nearest = np.argsort(distance, kind="stable")[: max(SAMPLE, int(AGREEING * len(i)))]
        linear, shift = similarity(pos_a[None, i[nearest]], pos_b[None, j[nearest]])
        a_to_b = _affine(linear[0], shift[0])
    return a_to_b, len(_best_beside(a_to_b, pos_a, pos_b, cosine, BESIDE * b.extent_w)[0])


def _best_beside(
    a_to_b: Float64, pos_a: Float64, pos_b: Float64, cosine: Float32, reach_w: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Rows of a and b that are each other's best within reach, and how far apart they are."""
    there = pos_a @ a_to_b[:3, :3].T + a_to_b[:3, 3]
    apart = cdist(there, pos_b)
    near = np.where(apart < reach_w, cosine, -1)
    best = near.argmax(axis=1)
    rows = np.arange(len(best))
    i = np.flatnonzero((near.argmax(axis=0)[best] == rows) & (near[rows, best] > LEAST_COSINE))
    return i, best[i], apart[i, best[i]]


def _degrees(linear: Float64, other: Float64) -> Float64:
    """(T,) angles between scaled rotations (T, 3, 3) and another one."""
    scale = np.sqrt((linear**2).sum(axis=(1, 2)) * (other**2).sum()) / 3
    cosine = ((linear * other).sum(axis=(1, 2)) / np.maximum(scale, 1e-12) - 1) / 2
    return np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))


def _agreement(there: Float64, b: SceneRecord, described_a: Float32, described_b: Float32) -> float:
    """Of keypoints of a at (K, 3) in the world of b, and of those of b, see ``Alignment``; -1 where none meet."""
    beside = KDTree(there).sparse_distance_matrix(KDTree(b.pos_w), BESIDE * b.extent_w, output_type="coo_matrix")
    row, column = beside.row, beside.col
    cosine = np.einsum("nd,nd->n", described_a[row], described_b[column])
    best: list[Float64] = []
    for place, count in ((row, len(described_a)), (column, len(described_b))):
        most = np.full(count, -2.0)
        np.maximum.at(most, place, cosine)
        best.append(most[most > -2])
    met = np.concatenate(best)
    return float(np.percentile(met, LOWEST)) if len(met) else -1.0


def _patch(a: SceneRecord, b: SceneRecord, a_to_b: Float64) -> int | None:
    """See ``Alignment``."""
    if a.occupancy is None or b.occupancy is None:
        return None
    in_a = contradictions(a.occupancy, b.occupancy, a_to_b)
    in_b = contradictions(b.occupancy, a.occupancy, np.linalg.inv(a_to_b))
    return largest_patch(in_a) + largest_patch(in_b)


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
