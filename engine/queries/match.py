"""Where else is this? Cosine heat of one feature over tables and maps, the best match per view, the mutual check.

Positions are in map coordinates: (x, y) in cells of an (h, w) map, cell centres at +0.5, so that the image's corners
are (0, 0) and (w, h). ``to_map`` and ``to_pixels`` convert from and to pixels of an image of any size.
All features are of unit length, so a dot product is a cosine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from engine.api.scene import Float32

Float64 = NDArray[np.float64]

MUTUAL_TOLERANCE = 0.02
"""A match is mutual if it comes back within this fraction of the source map's diagonal."""


def to_map(pos_px: ArrayLike, image_size: tuple[int, int], map_size: tuple[int, int]) -> Float64:
    """(N, 2) pixels of an image of (width, height) to map positions on an (h, w) map."""
    return np.asarray(pos_px, np.float64) * _ratio(image_size, map_size)


def to_pixels(pos_map: ArrayLike, image_size: tuple[int, int], map_size: tuple[int, int]) -> Float64:
    """(N, 2) map positions on an (h, w) map to pixels of an image of (width, height)."""
    return np.asarray(pos_map, np.float64) / _ratio(image_size, map_size)


def _ratio(image_size: tuple[int, int], map_size: tuple[int, int]) -> Float64:
    (width, height), (h, w) = image_size, map_size
    return np.array([w / width, h / height])


def heat(feature: Float32, table: Float32) -> Float32:
    """Cosine of one (D,) feature with each row of an (N, D) table: (N,) float32."""
    return torch.mv(torch.from_numpy(table), torch.from_numpy(feature)).numpy()


def sample_bilinear(features: Float32, pos_map: ArrayLike) -> Float32:
    """Features of an (h, w, D) map at (N, 2) map positions: (N, D) of unit length.

    Positions nearer to the border than half a cell, or outside, take the border's value.
    """
    h, w, _ = features.shape
    p = np.clip(np.asarray(pos_map, np.float64).reshape(-1, 2) - 0.5, 0, [w - 1, h - 1])
    low = np.minimum(p.astype(np.int64), [max(0, w - 2), max(0, h - 2)])
    high = np.minimum(low + 1, [w - 1, h - 1])
    fx, fy = (p - low).astype(np.float32).T[:, :, None]
    top = features[low[:, 1], low[:, 0]] * (1 - fx) + features[low[:, 1], high[:, 0]] * fx
    bottom = features[high[:, 1], low[:, 0]] * (1 - fx) + features[high[:, 1], high[:, 0]] * fx
    out = top * (1 - fy) + bottom * fy
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def best_match(view_heat: Float32) -> tuple[float, float, float]:
    """The highest place of an (h, w) heat map: (x, y) in map coordinates, finer than a cell, and its cell's value.

    The position is that of the vertex of the parabola through the best cell and its two neighbours, in each direction
    (at the border: the cell's centre).
    """
    h, w = view_heat.shape
    row, column = divmod(int(view_heat.argmax()), w)
    centre = float(view_heat[row, column])
    x = column + 0.5 + _vertex(view_heat[row, column - 1 : column + 2], centre, 0 < column < w - 1)
    y = row + 0.5 + _vertex(view_heat[row - 1 : row + 2, column], centre, 0 < row < h - 1)
    return x, y, centre


def _vertex(three: Float32, centre: float, inside: bool) -> float:
    """Offset in [-0.5, 0.5] of the parabola's vertex through three values of which the middle one is the largest."""
    if not inside:
        return 0.0
    left, right = float(three[0]), float(three[2])
    bend = left - 2 * centre + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0


@dataclass(frozen=True)
class MapMatch:
    """The best match in one view: map position, cosine, and whether it comes back to the source (None: not asked)."""

    view: int
    x: float
    y: float
    score: float
    mutual: bool | None


class FeatureBank:
    """The feature maps of a capture's views, ready to be searched; grows as views are encoded.

    Maps stay in an array per view: nothing is copied as the bank grows, and one matrix-vector product per view costs
    the same as one over all of them.

    Args:
        dim: D, the channels of every map.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._maps: dict[int, Float32] = {}

    def add_view(self, view: int, features: Float32) -> None:
        """Add (or replace) the (h, w, D) unit features of a view.

        Raises:
            ValueError: not (h, w, D) with this bank's D, or empty.
        """
        if features.ndim != 3 or features.shape[2] != self.dim or features.size == 0:
            raise ValueError(f"expected a map of (h, w, {self.dim}), got shape {features.shape}")
        self._maps[view] = np.ascontiguousarray(features, dtype=np.float32)

    def views(self) -> tuple[int, ...]:
        """Views in the bank, in the order they came."""
        return tuple(self._maps)

    def map(self, view: int) -> Float32:
        """(h, w, D) features of a view.

        Raises:
            KeyError: the view is not in the bank.
        """
        return self._maps[view]

    def feature(self, view: int, pos_map: ArrayLike) -> Float32:
        """(D,) unit feature of a view at one map position."""
        return sample_bilinear(self._maps[view], pos_map)[0]

    def query(self, feature: Float32) -> dict[int, Float32]:
        """Cosines of one (D,) feature over every view: view to (h, w) float32."""
        q = torch.from_numpy(np.ascontiguousarray(feature, dtype=np.float32))
        return {
            view: torch.mv(torch.from_numpy(m.reshape(-1, self.dim)), q).numpy().reshape(m.shape[:2])
            for view, m in self._maps.items()
        }

    def best(
        self,
        heats: Mapping[int, Float32],
        source_view: int | None = None,
        source_pos_map: tuple[float, float] | None = None,
        tolerance: float = MUTUAL_TOLERANCE,
    ) -> list[MapMatch]:
        """The best match in each view of ``heats`` but the source's, best first.

        Args:
            heats: what ``query`` gave.
            source_view: the view that the query's feature came from, if it came from one.
            source_pos_map: where in it.
            tolerance: see ``MUTUAL_TOLERANCE``.

        Returns:
            One match per view; ``mutual`` is None when there is no source view to come back to.
        """
        found = [(view, *best_match(h)) for view, h in heats.items() if view != source_view]
        mutual: list[bool | None] = [None] * len(found)
        if source_view is not None and source_pos_map is not None and found:
            at = np.stack([self.feature(view, (x, y)) for view, x, y, _ in found])
            mutual = list(self._comes_back(at, source_view, source_pos_map, tolerance))
        matches = [MapMatch(*place, m) for place, m in zip(found, mutual, strict=True)]
        return sorted(matches, key=lambda m: -m.score)

    def _comes_back(
        self, features: Float32, source_view: int, source_pos_map: tuple[float, float], tolerance: float
    ) -> list[bool]:
        """Whether the best match in the source view of each of (M, D) features is near the source: one product."""
        source = self._maps[source_view]
        h, w, _ = source.shape
        scores = torch.from_numpy(features) @ torch.from_numpy(source.reshape(-1, self.dim)).T
        rows, columns = np.divmod(scores.argmax(dim=1).numpy(), w)
        distance = np.hypot(columns + 0.5 - source_pos_map[0], rows + 0.5 - source_pos_map[1])
        # At least a cell: on a small map the tolerance may be finer than the map can tell.
        return list(distance <= max(tolerance * float(np.hypot(h, w)), 1.0))
