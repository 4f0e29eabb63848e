"""Features as colours: known axes, stable signs, arrays there and back."""

from __future__ import annotations

import numpy as np
import pytest

from engine.encoders import ColourBasis
from engine.encoders.pca import principal_axes


def cloud(count: int = 4000) -> np.ndarray:
    """Independent normals with standard deviations 3, 2, 1, 0.1, 0.1 around a mean."""
    x = np.random.default_rng(0).normal(size=(count, 5)) * [1, 0.1, 3, 0.1, 2] + [5, 0, -2, 1, 0]
    return x.astype(np.float32)


def test_axes_are_the_directions_of_largest_spread() -> None:
    mean, axes, variances = principal_axes(cloud(), 3)
    np.testing.assert_allclose(mean, [5, 0, -2, 1, 0], atol=0.15)
    np.testing.assert_allclose(np.sqrt(variances), [3, 2, 1], rtol=0.05)
    np.testing.assert_allclose(axes, np.eye(5)[:, [2, 4, 0]], atol=0.05)


def test_axes_agree_with_the_singular_value_decomposition() -> None:
    x = np.random.default_rng(1).normal(size=(200, 8)) @ np.random.default_rng(2).normal(size=(8, 8))
    _, axes, variances = principal_axes(x.astype(np.float32), 4)
    centred = x - x.mean(axis=0)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(variances, s[:4] ** 2 / 199, rtol=1e-4)
    np.testing.assert_allclose(np.abs((vt[:4] * axes.T).sum(axis=1)), 1, atol=1e-5)
    assert (axes[np.abs(axes).argmax(axis=0), range(4)] > 0).all()


def test_colours_rank_as_the_components() -> None:
    x = cloud()
    rgb = ColourBasis.fit(x).apply(x.reshape(40, 100, 5))
    assert rgb.shape == (40, 100, 3)
    assert rgb.dtype == np.uint8
    for channel, column in enumerate((2, 4, 0)):
        assert np.corrcoef(rgb.reshape(-1, 3)[:, channel], x[:, column])[0, 1] > 0.99
    # 2 % lie beyond each end of the scale.
    assert 0.01 < (rgb[..., 0] == 0).mean() < 0.03
    assert 0.01 < (rgb[..., 0] == 255).mean() < 0.03


def test_the_same_features_give_the_same_colours() -> None:
    x = cloud()
    np.testing.assert_array_equal(ColourBasis.fit(x, samples=500).apply(x), ColourBasis.fit(x, samples=500).apply(x))
    assert (ColourBasis.fit(x, seed=1, samples=500).mean != ColourBasis.fit(x, seed=2, samples=500).mean).any()


@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (10, 2)])
def test_few_features_or_channels_still_give_colours(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    basis = ColourBasis.fit(x)
    assert basis.axes.shape == (shape[1], 3)
    assert basis.apply(x).shape == (shape[0], 3)


def test_equal_features_are_one_colour() -> None:
    rgb = ColourBasis.fit(np.ones((50, 4), np.float32)).apply(np.ones((50, 4), np.float32))
    assert (rgb == rgb[0]).all()


def test_arrays_there_and_back() -> None:
    x = cloud()
    basis = ColourBasis.fit(x)
    np.testing.assert_array_equal(ColourBasis.from_arrays(basis.to_arrays()).apply(x), basis.apply(x))


@pytest.mark.parametrize(
    "change", [{"mean": np.zeros((5, 1))}, {"axes": np.zeros((4, 3))}, {"axes": np.zeros((5, 2))}, {"low": np.zeros(2)}]
)
def test_arrays_that_do_not_fit(change: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="not a colour basis"):
        ColourBasis.from_arrays(ColourBasis.fit(cloud()).to_arrays() | change)


def test_arrays_missing() -> None:
    arrays = ColourBasis.fit(cloud()).to_arrays()
    del arrays["high"]
    with pytest.raises(ValueError, match="high"):
        ColourBasis.from_arrays(arrays)


@pytest.mark.parametrize("shape", [(0, 5), (5,), (2, 3, 4)])
def test_only_a_table_can_be_fitted(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ColourBasis.fit(np.zeros(shape, np.float32))
