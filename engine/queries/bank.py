"""All feature maps of a scene in one array, 8 bits an entry, so that a click costs one matrix-vector product.

A map (h, w, D) covers its whole photo: pixel (x, y) of W x H is at map position (x / W * w, y / H * h), and cell
(i, j) has its centre at (j + 0.5, i + 0.5). Positions here are map positions divided by (w, h): *relative* positions
in [0, 1), the same for every size of the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.scene import Float32
from engine.queries.quantise import Codes, cosines, dequantise, quantise, unit_scale

MUTUAL_RADIUS = 0.03
"""A match is mutual when its own best match comes back within this share of the source photo's diagonal."""


def sample_many(features: Float32, rel: NDArray[np.float64]) -> Float32:
    """Features of a map (h, w, D) at (N, 2) relative positions: (N, D) of unit length; clamped at the border."""
    h, w, _ = features.shape
    p = np.clip(rel * [w, h] - 0.5, 0, [w - 1, h - 1])
    j, i = np.minimum(p.astype(np.int64), [max(w - 2, 0), max(h - 2, 0)]).T
    fx, fy = (p - np.stack([j, i], axis=1)).astype(np.float32).T[:, :, None]
    j1, i1 = np.minimum(j + 1, w - 1), np.minimum(i + 1, h - 1)
    top = features[i, j] * (1 - fx) + features[i, j1] * fx
    bottom = features[i1, j] * (1 - fx) + features[i1, j1] * fx
    f = top * (1 - fy) + bottom * fy
    return f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-12)


def sample_bilinear(features: Float32 | Codes, rel: tuple[float, float], scale: Float32 | None = None) -> Float32:
    """The (D,) feature at one relative position: ``sample_many`` without its cost per call.

    ``scale`` (h, w) multiplies the features of a map that is quantised.
    """
    h, w, _ = features.shape
    x = min(max(rel[0] * w - 0.5, 0.0), w - 1.0)
    y = min(max(rel[1] * h - 0.5, 0.0), h - 1.0)
    j, i = min(int(x), max(w - 2, 0)), min(int(y), max(h - 2, 0))
    j1, i1 = min(j + 1, w - 1), min(i + 1, h - 1)
    fx, fy = np.float32(x - j), np.float32(y - i)
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    if scale is not None:
        a, b, c, d = a * scale[i, j], b * scale[i, j1], c * scale[i1, j], d * scale[i1, j1]
    f = features[i, j] * a + features[i, j1] * b + features[i1, j] * c + features[i1, j1] * d
    return f / np.float32(max(float(np.sqrt(f @ f)), 1e-12))


def peak(heat: Float32) -> tuple[float, float, float]:
    """The hottest place of an (h, w) map: (relative x, relative y, value), refined by a parabola along each axis."""
    h, w = heat.shape
    i, j = divmod(int(heat.argmax()), w)
    x = j + 0.5 + _vertex(heat[i], j)
    y = i + 0.5 + _vertex(heat[:, j], i)
    return x / w, y / h, float(heat[i, j])


def _vertex(values: Float32, k: int) -> float:
    """Offset in (-0.5, 0.5) of the parabola through the maximum at k and its neighbours; 0 at the border."""
    if not 0 < k < len(values) - 1:
        return 0.0
    a, b, c = float(values[k - 1]), float(values[k]), float(values[k + 1])
    curve = a - 2 * b + c
    return 0.0 if curve >= 0 else float(np.clip(0.5 * (a - c) / curve, -0.5, 0.5))


@dataclass(frozen=True)
class Best:
    """The best match of a query in one view: relative position, cosine, and the flat row of its cell."""

    view: int
    rel: tuple[float, float]
    score: float


class FeatureBank:
    """Maps of unit features, added view by view and held quantised, as they are stored.

    Args:
        dim: D.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._codes: Codes = np.empty((0, dim), np.int8)
        self._scale: Float32 = np.empty(0, np.float32)
        self._rows = 0
        self._shape: dict[int, tuple[int, int]] = {}
        self._start: dict[int, int] = {}

    def views(self) -> list[int]:
        """The views held, in the order they came."""
        return list(self._shape)

    def __contains__(self, view: object) -> bool:
        return view in self._shape

    def add_view(self, view: int, features: Float32) -> None:
        """Add the map (h, w, D) of a view.

        Raises:
            ValueError: another number of channels, or the view is held already.
        """
        self.add_codes(view, quantise(features)[0])

    def add_codes(self, view: int, codes: Codes) -> None:
        """``add_view`` of a map that is quantised already."""
        h, w, dim = codes.shape
        if dim != self.dim or view in self._shape:
            raise ValueError(f"a map of {dim} channels for view {view} does not fit a bank of {self.dim}")
        self._reserve(self._rows + h * w)
        new = slice(self._rows, self._rows + h * w)
        self._codes[new] = codes.reshape(-1, dim)
        self._scale[new] = unit_scale(self._codes[new])
        self._shape[view], self._start[view] = (h, w), self._rows
        self._rows += h * w

    def _reserve(self, rows: int) -> None:
        if rows > len(self._codes):
            more = max(rows, 2 * len(self._codes)) - self._rows
            self._codes = np.concatenate([self._codes[: self._rows], np.empty((more, self.dim), np.int8)])
            self._scale = np.concatenate([self._scale[: self._rows], np.empty(more, np.float32)])

    def codes(self, view: int) -> tuple[Codes, Float32]:
        """The (h, w, D) codes and (h, w) scale of a view, not to be written to."""
        h, w = self._shape[view]
        rows = slice(self._start[view], self._start[view] + h * w)
        return self._codes[rows].reshape(h, w, self.dim), self._scale[rows].reshape(h, w)

    def map(self, view: int) -> Float32:
        """The (h, w, D) map of a view."""
        return dequantise(*self.codes(view))

    def feature(self, view: int, rel: tuple[float, float]) -> Float32:
        """The (D,) unit feature of a view at a relative position."""
        codes, scale = self.codes(view)
        return sample_bilinear(codes, rel, scale)

    def heat(self, query: Float32) -> dict[int, Float32]:
        """Cosine of a (D,) unit feature with every cell: per view an (h, w) map."""
        heat = cosines(self._codes[: self._rows], self._scale[: self._rows], query)
        return {v: heat[self._start[v] : self._start[v] + h * w].reshape(h, w) for v, (h, w) in self._shape.items()}

    def best(self, heat: dict[int, Float32]) -> list[Best]:
        """The best match in each view of ``heat``, hottest first."""
        found = [Best(v, (x, y), score) for v, (x, y, score) in ((v, peak(h)) for v, h in heat.items())]
        return sorted(found, key=lambda b: -b.score)

    def mutual(self, matches: list[Best], source: int, rel: tuple[float, float]) -> list[bool]:
        """Whether each match's own best match in view ``source`` comes back to ``rel`` (one product for all)."""
        if not matches:
            return []
        h, w = self._shape[source]
        queries = torch.from_numpy(np.stack([self.feature(m.view, m.rel) for m in matches]))
        back = (queries @ torch.from_numpy(self.map(source)).view(h * w, -1).T).argmax(dim=1).numpy()
        x, y = (back % w + 0.5) / w, (back // w + 0.5) / h
        # Cells are about square, so (w, h) serves as the photo's aspect.
        away = np.hypot((x - rel[0]) * w, (y - rel[1]) * h) / np.hypot(w, h)
        return [bool(a <= MUTUAL_RADIUS) for a in away]
