"""A linear probe: multinomial logistic regression on features that stay as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]

PENALTY = 1e-2
"""Of the squared weights, per standardised feature, beside the mean cross-entropy of a row."""
ROUNDS = 100


def fit_logistic(x: Float32, label: NDArray[np.int64], classes: int, weight: Float64) -> tuple[Float64, Float64]:
    """Weights (K, F) and biases (K,) that minimise mean cross-entropy + ``PENALTY`` / 2 |W|^2, by L-BFGS from zero.

    Convex, so the answer is the only one.

    Args:
        x: (N, F) standardised features.
        label: (N,) of each in [0, K).
        classes: K.
        weight: (K,) how much all rows of a class count together.
    """
    n, dim = x.shape
    weight = (weight / np.maximum(np.bincount(label, minlength=classes), 1))[label]
    weight = weight / weight.sum()
    said = np.zeros((n, classes))
    said[np.arange(n), label] = 1

    def loss(flat: Float64) -> tuple[float, Float64]:
        w, b = flat[:-classes].reshape(classes, dim), flat[-classes:]
        z = (x @ w.T.astype(np.float32) + b.astype(np.float32)).astype(np.float64)
        cost = weight @ (logsumexp(z, axis=1) - z[np.arange(n), label]) + 0.5 * PENALTY * (w * w).sum()
        pull = weight[:, None] * (softmax(z, axis=1) - said)
        slope = pull.T.astype(np.float32) @ x
        return float(cost), np.concatenate([(slope + PENALTY * w).ravel(), pull.sum(axis=0)])

    found = minimize(loss, np.zeros(classes * (dim + 1)), jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS})
    return found.x[:-classes].reshape(classes, dim), found.x[-classes:]
