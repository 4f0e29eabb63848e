"""The light from beyond all grids, learnt by direction."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Environment:
    """An equirectangular map at infinity with its own Adam.

    Args:
        height: rows of the map; it has twice as many columns.
        threads: gradient buffers.
        fixed: (h, w, 3) a map to keep as it is (captures cut out by alpha have a white background by convention).

    Attributes:
        map: (H, W, 3) float32 in [0, 1].
        gradient: (threads, H, W, 3) float32, which ``update`` clears.
    """

    def __init__(self, height: int, threads: int, *, fixed: Float32 | None = None) -> None:
        self.fixed = fixed is not None
        self.map: Float32 = np.full((height, 2 * height, 3), 0.5, np.float32) if fixed is None else fixed
        self.gradient: Float32 = np.zeros((threads, *self.map.shape), np.float32)
        self._moment = np.zeros_like(self.map)
        self._second = np.zeros_like(self.map)
        self._step = 0

    def update(self, rate: float) -> None:
        """One step of Adam over the texels that got gradient."""
        if self.fixed:
            self.gradient[:] = 0
            return
        g = self.gradient.sum(axis=0)
        self.gradient[:] = 0
        self._step += 1
        hit = g != 0
        g = g[hit]
        moment = self._moment[hit] = 0.9 * self._moment[hit] + 0.1 * g
        second = self._second[hit] = 0.99 * self._second[hit] + 0.01 * g * g
        step = moment / (1 - 0.9**self._step) / (np.sqrt(second / (1 - 0.99**self._step)) + 1e-15)
        self.map[hit] = np.clip(self.map[hit] - rate * step, 0, 1)
