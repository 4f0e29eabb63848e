"""Losses of the joint training (the paper's 2D-3D consistency, and our form of everything around it).

With F_A, F_B the features marched into two views at true correspondences, f_A, f_B those of the photos there, x the
frozen trunk's hypercolumns and h a linear map, fitted once to f as it is before the training:

    rendered  NCE(F_A, F_B)
    crossed   (NCE(F_A, f_B) + NCE(f_A, F_B)) / 2
    photo     NCE(f_A, f_B)
    agree     1 - cos(F, f)                         L_2d3d of the paper, gradients to both branches
    anchor    1 - cos(h(f), x)                      L_anchor
    distil    1 - cos(h(F), x)                      L_distil
    lifted    1 - cos(f3, sg l)                     l: the lifted features of both views' sides, voxel by voxel
    score     BCE(K, sg k)                          marched against the photo's keypoint scores

``agree`` alone has trivial solutions; the anchor and the contrast of the others keep them away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.training.config import LossWeights
from engine.training.head import info_nce


@dataclass(frozen=True, eq=False)
class ViewSample:
    """What both branches say at R pixels of one view.

    Attributes:
        marched: (R, D) F, of unit length.
        photo: (R, D) f, of unit length.
        told_marched, told_photo: (R, C) h(F) and h(f).
        column: (R, C) x, the frozen hypercolumn.
        place: (R, 2) the pixels, in diagonals of the photo.
    """

    marched: Tensor
    photo: Tensor
    told_marched: Tensor
    told_photo: Tensor
    column: Tensor
    place: Tensor


def dense_terms(a: ViewSample, b: ViewSample) -> dict[str, Tensor]:
    """The dense terms of a pair, unweighted."""

    def nce(x: Tensor, y: Tensor) -> Tensor:
        return info_nce(x[None], y[None], a.place[None], b.place[None])

    def apart(x: Tensor, y: Tensor) -> Tensor:
        return 1 - F.cosine_similarity(x, y, dim=1).mean()

    return {
        "rendered": nce(a.marched, b.marched),
        "crossed": (nce(a.marched, b.photo) + nce(a.photo, b.marched)) / 2,
        "photo": nce(a.photo, b.photo),
        "agree": (apart(a.marched, a.photo) + apart(b.marched, b.photo)) / 2,
        "anchor": (apart(a.told_photo, a.column) + apart(b.told_photo, b.column)) / 2,
        "distil": (apart(a.told_marched, a.column) + apart(b.told_marched, b.column)) / 2,
    }


def lifted_term(features: Tensor, lifted: Tensor) -> Tensor:
    """1 - cos of (V, D) voxel features and (V, D) lifted ones, which are taken as given, where there are any.

    Rays meet a few hundred voxels a step; this speaks for all of them, and from more photos than one side has.
    """
    known = lifted.abs().amax(dim=1) > 0
    return 1 - F.cosine_similarity(features[known], lifted.detach()[known], dim=1).mean()


def score_term(marched: Tensor, photo: Tensor) -> Tensor:
    """Cross-entropy of the marched scores K (R,) in [0, 1] with the photo's k (R,), which is taken as given."""
    return F.binary_cross_entropy(marched.clamp(1e-5, 1 - 1e-5), photo.detach())


def weighted(terms: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """The sum that is minimised."""
    share = asdict(weights)
    return torch.stack([share[name] * term for name, term in terms.items() if share[name] > 0]).sum()
