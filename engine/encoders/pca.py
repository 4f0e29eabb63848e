"""Features as colours: the first three principal components, one basis for photos and scene alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api.scene import Float32, UInt8


def principal_axes(
    features: Float32, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Principal component analysis of (N, D) features.

    Returns:
        mean (D,), axes (D, count) of unit length by falling variance, variances (count,). The sign of an axis is
        fixed by making its largest entry positive, so that the same data always give the same axes.
    """
    x = np.asarray(features, dtype=np.float64)
    mean = x.mean(axis=0)
    covariance = (x - mean).T @ (x - mean) / max(1, len(x) - 1)
    variances, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-variances, kind="stable")[:count]
    axes = vectors[:, order]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    return mean, axes, np.maximum(variances[order], 0)


@dataclass(frozen=True, eq=False)
class ColourBasis:
    """Maps features to RGB: centre, project on three principal axes, stretch each to [0, 1].

    Attributes:
        mean: (D,) float32.
        axes: (D, 3) float32, unit columns (zero where the data have no such direction).
        low, high: (3,) float32, the 2nd and 98th percentile of each component, shown as 0 and 255.
    """

    mean: Float32
    axes: Float32
    low: Float32
    high: Float32

    @classmethod
    def fit(cls, features: Float32, seed: int = 0, samples: int = 100_000) -> ColourBasis:
        """Fit on (N, D) features; a random ``samples`` of them when there are more.

        Raises:
            ValueError: not (N, D) with N >= 1.
        """
        if features.ndim != 2 or len(features) == 0:
            raise ValueError(f"expected (N, D) features with N >= 1, got shape {features.shape}")
        if len(features) > samples:
            features = features[np.random.default_rng(seed).choice(len(features), samples, replace=False)]
        mean, found, _ = principal_axes(features, 3)
        axes = np.zeros((features.shape[1], 3))
        axes[:, : found.shape[1]] = found
        components = (features - mean) @ axes
        low, high = np.percentile(components, [2, 98], axis=0)
        return cls(*(np.asarray(a, dtype=np.float32) for a in (mean, axes, low, high)))

    def apply(self, features: Float32) -> UInt8:
        """(..., D) features to (..., 3) uint8."""
        components = (features.reshape(-1, features.shape[-1]) - self.mean) @ self.axes
        span = np.maximum(self.high - self.low, 1e-6)
        rgb = np.clip((components - self.low) / span, 0, 1) * 255 + 0.5
        return rgb.astype(np.uint8).reshape(*features.shape[:-1], 3)

    def to_arrays(self) -> dict[str, Float32]:
        """The basis as named arrays, for storing."""
        return {"mean": self.mean, "axes": self.axes, "low": self.low, "high": self.high}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Float32]) -> ColourBasis:
        """What ``to_arrays`` gave.

        Raises:
            ValueError: arrays missing or of other shapes.
        """
        try:
            basis = cls(*(np.asarray(arrays[k], dtype=np.float32) for k in ("mean", "axes", "low", "high")))
        except KeyError as e:
            raise ValueError(f"a colour basis needs the array {e}") from e
        d = len(basis.mean) if basis.mean.ndim == 1 else -1
        if basis.axes.shape != (d, 3) or basis.low.shape != (3,) or basis.high.shape != (3,):
            raise ValueError(f"not a colour basis: mean {basis.mean.shape}, axes {basis.axes.shape}")
        return basis
