"""The best linear start for the head, in closed form.

Principal components keep what varies most, whether or not it tells points apart. Whitening by what varies *between
views of the same point* first, then taking principal components, keeps what separates points beyond that: linear
discriminant analysis with a class per point, as Mikolajczyk & Matas (*Improving Descriptors for Fast Tree Matching by
Optimal Linear Projection*, ICCV 2007) did for SIFT.
"""

from __future__ import annotations

import torch
from torch import Tensor

WHITENING = 0.5
"""Exponent of the whitening: 0 is plain principal components, 1 the full discriminant; between generalises best."""
RIDGE = 0.3
"""Added to the within-point covariance, as a share of its mean variance."""


def discriminant_projection(a: Tensor, b: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """(N, C) features of the same N points in two views to a projection ``weight @ x + bias``.

    With d = a - b, S_w = E[d d^T] / 2 (+ ridge), S_t the total covariance and p = ``WHITENING``, the rows of ``weight``
    are the ``dim`` leading eigenvectors of S_w^(-p/2) S_t S_w^(-p/2), times S_w^(-p/2); ``bias`` takes the mean to 0.

    Returns:
        weight (dim, C) of Frobenius norm sqrt(dim), bias (dim,).
    """
    a, b = a.double(), b.double()
    both = torch.cat([a, b])
    mean = both.mean(dim=0)
    centred = both - mean
    total = centred.T @ centred / len(both)
    difference = a - b
    within = difference.T @ difference / (2 * len(a))
    channels = len(within)
    ridge = RIDGE * torch.trace(within) / channels
    values, vectors = torch.linalg.eigh(within + ridge * torch.eye(channels, dtype=torch.float64))
    whiten = vectors @ torch.diag(values ** (-WHITENING / 2)) @ vectors.T
    _, axes = torch.linalg.eigh(whiten @ total @ whiten)
    weight = axes.flip(1)[:, :dim].T @ whiten
    weight = weight * (dim**0.5 / weight.norm())
    return weight.float(), -(weight @ mean).float()
