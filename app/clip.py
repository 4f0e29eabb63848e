"""The clip box: what lies outside is hidden. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]
LEAST = 0.02
"""Between two faces, as a share of the scene."""


@dataclass(frozen=True)
class Clip:
    """Faces across the world's axes, as shares of the scene's bounds; a face at 0 or 1 hides nothing.

    Attributes:
        on: whether it hides anything.
        lo, hi: of the lower and the upper faces, x y z.
    """

    on: bool = False
    lo: Triple = (0.0, 0.0, 0.0)
    hi: Triple = (1.0, 1.0, 1.0)

    def flipped(self) -> Clip:
        """On, or off."""
        return replace(self, on=not self.on)

    def moved(self, axis: int, upper: bool, share: float) -> Clip:
        """With one face elsewhere, and the one across from it kept at a distance."""
        lo, hi = list(self.lo), list(self.hi)
        if upper:
            hi[axis] = min(max(share, LEAST), 1.0)
            lo[axis] = min(lo[axis], hi[axis] - LEAST)
        else:
            lo[axis] = min(max(share, 0.0), 1 - LEAST)
            hi[axis] = max(hi[axis], lo[axis] + LEAST)
        return replace(self, lo=(lo[0], lo[1], lo[2]), hi=(hi[0], hi[1], hi[2]))

    def box_w(self, bounds_w: NDArray[np.float64]) -> Box | None:
        """Its lowest and highest corner in the world, endless where a face hides nothing; None where none does."""
        lo, hi = np.array(self.lo), np.array(self.hi)
        if not self.on or not ((lo > 0).any() or (hi < 1).any()):
            return None
        low = np.where(lo > 0, bounds_w[0] + lo * (bounds_w[1] - bounds_w[0]), -np.inf)
        high = np.where(hi < 1, bounds_w[0] + hi * (bounds_w[1] - bounds_w[0]), np.inf)
        return Box(_triple(low), _triple(high))


@dataclass(frozen=True)
class Box:
    """A box in the world, which may be endless."""

    lo_w: Triple
    hi_w: Triple

    def holds(self, pos_w: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N,) which of (N, 3) places are within."""
        within: NDArray[np.bool_] = (pos_w >= np.array(self.lo_w)) & (pos_w <= np.array(self.hi_w))
        return np.logical_and.reduce(within, axis=1)

    def edges_w(self, bounds_w: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Starts and ends (12, 3) of its edges, ending at the scene's bounds."""
        lo, hi = np.maximum(self.lo_w, bounds_w[0]), np.minimum(self.hi_w, bounds_w[1])
        start: list[NDArray[np.float64]] = []
        end: list[NDArray[np.float64]] = []
        for axis in range(3):
            others = [a for a in range(3) if a != axis]
            for first in (lo, hi):
                for second in (lo, hi):
                    a = lo.copy()
                    a[others[0]], a[others[1]] = first[others[0]], second[others[1]]
                    b = a.copy()
                    b[axis] = hi[axis]
                    start.append(a)
                    end.append(b)
        return np.array(start), np.array(end)


def _triple(v: NDArray[np.float64]) -> Triple:
    return float(v[0]), float(v[1]), float(v[2])


WHOLE = Clip()
