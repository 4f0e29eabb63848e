"""Peak signal-to-noise ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

CEILING_DB = 99.0
"""What identical images score: the ratio itself is infinite, which JSON cannot hold."""


def mse(image: ArrayLike, truth: ArrayLike, valid: NDArray[np.bool_] | None = None) -> float:
    """Mean squared error over the valid pixels of (h, w, C) images in [0, 1]; NaN when no pixel is valid."""
    error = np.asarray(image, np.float64) - np.asarray(truth, np.float64)
    if valid is not None:
        error = error[valid]
    return float(np.mean(error**2)) if error.size else float("nan")


def psnr_of_mse(value: float) -> float:
    """PSNR = -10 log10(MSE) in dB for signals in [0, 1], at most ``CEILING_DB``."""
    return min(CEILING_DB, -10.0 * float(np.log10(max(value, 1e-12))))


def psnr(image: ArrayLike, truth: ArrayLike, valid: NDArray[np.bool_] | None = None) -> float:
    """PSNR in dB of an (h, w, C) image in [0, 1] against the truth, over ``valid`` (h, w) pixels only."""
    return psnr_of_mse(mse(image, truth, valid))
