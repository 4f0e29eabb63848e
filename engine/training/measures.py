"""What is watched while a training runs: whether 2D and 3D features agree, and whether they still say anything.

Raw cosines flatter (a constant has cosine one): the gate against collapse is the variance, the centred cosine and the
recall.
"""

from __future__ import annotations

from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

NEAR = 0.02
"""Of the diagonal: an answer this near to the truth is right."""


class PairMeasures(TypedDict):
    """Of 2D and marched 3D features at true correspondences of two views.

    ``variance``: 1 - |mean|^2 of unit features, 0 when all are alike. ``agreement``: centred cosine of the 3D and 2D
    features of one pixel. ``recall``: share of points whose most similar point of the other view, among the pair's,
    lies within ``NEAR`` of the true one.
    """

    recall_2d: float
    recall_3d: float
    variance_2d: float
    variance_3d: float
    agreement: float


class Measures(PairMeasures):
    """``geometry``: centred cosine of what the 3D encoder says of the voxels without photos and what photos say."""

    geometry: float


def variance(x: Tensor) -> float:
    """Of (N, D) unit features."""
    return float(1 - x.mean(dim=0).square().sum())


def centred_cosine(x: Tensor, y: Tensor) -> float:
    """Mean cosine of rows of two (N, D), each less its own mean."""
    return float(F.cosine_similarity(x - x.mean(dim=0), y - y.mean(dim=0), dim=1).mean())


def point_recall(a: Tensor, b: Tensor, place_b: Tensor) -> float:
    """See ``Measures``: (N, D) features of the same points in two views, (N, 2) places in the second, in diagonals."""
    best = (a @ b.T).argmax(dim=1)
    return float(((place_b[best] - place_b).norm(dim=1) <= NEAR).float().mean())


def measure(marched: tuple[Tensor, Tensor], photo: tuple[Tensor, Tensor], place: tuple[Tensor, Tensor]) -> PairMeasures:
    """Measure one pair of views: each (N, D) and (N, 2)."""

    def both(features: tuple[Tensor, Tensor]) -> float:
        there, back = point_recall(*features, place[1]), point_recall(features[1], features[0], place[0])
        return (there + back) / 2

    return PairMeasures(
        recall_2d=both(photo),
        recall_3d=both(marched),
        variance_2d=variance(torch.cat(photo)),
        variance_3d=variance(torch.cat(marched)),
        agreement=centred_cosine(torch.cat(marched), torch.cat(photo)),
    )
