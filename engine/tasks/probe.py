"""A linear probe: multinomial logistic regression on features that stay as they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

Float64 = NDArray[np.float64]

PENALTY = 3e-3
"""Of the squared weights, per standardised feature, beside the mean cross-entropy of an object."""
ROUNDS = 300


def fit_logistic(x: Float64, label: NDArray[np.int64], classes: int) -> tuple[Float64, Float64]:
    """Weights (K, F) and biases (K,) that minimise mean cross-entropy + ``PENALTY`` / 2 |W|^2, by L-BFGS from zero.

    Convex, so the answer is the only one; every class counts the same, however many objects it has.

    Args:
        x: (N, F) standardised features.
        label: (N,) of each in [0, K); no class without one.
        classes: K.
    """
    n, dim = x.shape
    weight = 1.0 / np.bincount(label, minlength=classes)[label] / classes
    said = np.zeros((n, classes))
    said[np.arange(n), label] = 1

    def loss(flat: Float64) -> tuple[float, Float64]:
        w, b = flat[:-classes].reshape(classes, dim), flat[-classes:]
        z = x @ w.T + b
        cost = weight @ (logsumexp(z, axis=1) - z[np.arange(n), label]) + 0.5 * PENALTY * (w * w).sum()
        pull = weight[:, None] * (softmax(z, axis=1) - said)
        return float(cost), np.concatenate([(pull.T @ x + PENALTY * w).ravel(), pull.sum(axis=0)])

    found = minimize(loss, np.zeros(classes * (dim + 1)), jac=True, method="L-BFGS-B", options={"maxiter": ROUNDS})
    return found.x[:-classes].reshape(classes, dim), found.x[-classes:]
