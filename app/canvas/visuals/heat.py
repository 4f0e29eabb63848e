"""Heat over the volume: similarity to what was clicked, through a colour map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.canvas import gl
from app.canvas.visuals.overlay import Overlay
from engine.api.scene import Volume

UInt8 = NDArray[np.uint8]


class HeatOverlay(Overlay):
    """One value a voxel."""

    def __init__(self) -> None:
        super().__init__("heat", {"u_heat": 2})
        self.program["u_map"] = gl.gloo.Texture2D(np.zeros((1, 256, 3), np.uint8), interpolation="linear")
        self.set_style(opacity=1.0, threshold=0.4, dim=1.0)

    def set(self, volume: Volume, heat: UInt8) -> None:
        """Show (V,) uint8 heat of ``volume``."""
        self.load(volume, {"u_heat": np.stack([heat, np.full(len(heat), 255, np.uint8)], axis=1)})

    def set_map(self, rgb: UInt8) -> None:
        """(256, 3) colour map."""
        self.program["u_map"].set_data(np.ascontiguousarray(rgb[None]))

    def set_style(self, *, opacity: float, threshold: float, dim: float) -> None:
        """How opaque, from which heat in 0..1 on, and how much what is not hot steps back."""
        self.program["u_heat_opacity"], self.program["u_threshold"] = opacity, threshold
        self.dim = dim
