"""Prompts over the volume: each in its colour, from its own threshold on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.canvas.look import Rgb
from app.canvas.visuals.overlay import Overlay
from engine.api.scene import Volume

UInt8 = NDArray[np.uint8]
IN_GROUP, GROUPS = 3, ("u_first", "u_second")
MOST = IN_GROUP * len(GROUPS)


class PromptOverlay(Overlay):
    """Up to ``MOST`` values a voxel; a second texture is looked up only where there are more than three."""

    def __init__(self, groups: int) -> None:
        names = GROUPS[:groups]
        super().__init__("prompts", dict.fromkeys(names, IN_GROUP + 1), **({"SECOND": 1} if groups > 1 else {}))
        self._names = names
        self.set_style([], [], opacity=1.0, dim=1.0)

    def set(self, volume: Volume, relevancies: Sequence[UInt8]) -> None:
        """Show (V,) uint8 relevancies of ``volume``."""
        values: dict[str, UInt8] = {}
        for n, name in enumerate(self._names):
            rgba = np.zeros((len(volume.index), IN_GROUP + 1), np.uint8)
            rgba[:, IN_GROUP] = 255
            for k, relevancy in enumerate(relevancies[n * IN_GROUP : (n + 1) * IN_GROUP]):
                rgba[:, k] = relevancy
            values[name] = rgba
        self.load(volume, values)

    def set_style(
        self, colours: Sequence[Rgb], ramps: Sequence[tuple[float, float]], *, opacity: float, dim: float
    ) -> None:
        """Colours of the prompts, from which relevancy on each shows and how much over it fully, how opaque they are,
        and how much all else steps back."""
        for n, name in enumerate(self._names):
            part = slice(n * IN_GROUP, (n + 1) * IN_GROUP)
            some, ramp = list(colours[part]), list(ramps[part])
            some += [(0.0, 0.0, 0.0)] * (IN_GROUP - len(some))
            ramp += [(1.0, 1.0)] * (IN_GROUP - len(ramp))
            self.program[f"{name}_colours"] = np.array(some, np.float32)  # gloo takes matrices by columns
            self.program[f"{name}_from"] = tuple(from_ for from_, _ in ramp)
            self.program[f"{name}_softness"] = tuple(softness for _, softness in ramp)
        self.program["u_opacity"] = opacity
        self.dim = dim
