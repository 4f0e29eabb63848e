"""Eight-bit features: the bound of the error, on any vector."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from engine.queries.quantise import dequantise, quantise


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 80)), elements=st.floats(-1, 1, width=32)))
def test_each_entry_is_off_by_half_a_step_at_most(x: np.ndarray) -> None:
    length = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    x = np.where(length > 1e-3, x / np.maximum(length, 1e-3), 0).astype(np.float32)
    codes, scale = quantise(x)
    assert (codes.dtype, scale.dtype) == (np.int8, np.float16)
    largest = np.abs(x).max(axis=1, keepdims=True)
    # Half a step of 1/127 of the largest entry, and what bringing all entries back to unit length may add.
    steps = np.sqrt(x.shape[1]) * largest / 254
    bound = largest / 254 + np.abs(x) * (steps + 2.0**-10) * 1.1 + 1e-6
    assert (np.abs(dequantise(codes, scale) - x) <= bound).all()


def test_by_hand() -> None:
    codes, scale = quantise(np.array([[0.0, 0.9, -0.45], [0.0, 0.0, 0.0]], np.float32))
    np.testing.assert_array_equal(codes, [[0, 127, -64], [0, 0, 0]])
    np.testing.assert_allclose(scale, [1 / np.hypot(127, 64), 0], rtol=1e-3)
    np.testing.assert_array_equal(dequantise(codes, scale)[1], 0)


def test_cosines_survive() -> None:
    x = np.random.default_rng(0).normal(size=(30, 40, 64)).astype(np.float32)
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    y = dequantise(*quantise(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(y, axis=2), 1, atol=1e-3)
    assert (x * y).sum(axis=2).min() > 0.9995
