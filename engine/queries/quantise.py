"""Unit features in a quarter of the space: int8 codes with one scale per vector.

``codes = round(127 v / max|v|)`` and ``scale = 1 / |codes|``, so that ``codes * scale`` has unit length again. An entry
is off by at most half a step, ``max|v| / 254``, and a few parts in a thousand of itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.api.scene import Float32


def quantise(features: Float32) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """(..., D) features of unit length (or zero) to codes (..., D) int8 and scale (...) float16."""
    largest = np.abs(features).max(axis=-1, keepdims=True)
    codes = np.round(features * (127 / np.maximum(largest, 1e-12))).astype(np.int8)
    length = np.linalg.norm(codes.astype(np.float32), axis=-1)
    scale = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    return codes, scale.astype(np.float16)


def dequantise(codes: NDArray[np.int8], scale: NDArray[np.float16]) -> Float32:
    """What ``quantise`` made, back to (..., D) float32 of unit length to within 1e-3; zero vectors stay zero."""
    return codes.astype(np.float32) * scale.astype(np.float32)[..., None]
