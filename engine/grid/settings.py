"""How a radiance grid is fitted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSettings:
    """How a grid is fitted.

    Attributes:
        seconds: wall-clock budget, reading the photos included. A fit ends before it when it has seen every pixel
            as often as does it good, see ``engine.grid.fit``.
        seed: of the random rays.
        cells: dense cells of the finest grid.
        voxels: about how many active voxels are kept; a grid that needs more is made coarser.
        steps: optimise for so many batches instead of by the clock: slower or faster, the result is the same.
    """

    seconds: float = 60.0
    seed: int = 0
    cells: int = 4_000_000
    voxels: int = 250_000
    steps: int | None = None
