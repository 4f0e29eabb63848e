"""Labels and selection over the volume: only the part of the textures that changed is uploaded again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas import dense, gl
from app.canvas.look import Rgb
from app.canvas.visuals.overlay import Overlay
from engine.api.camera import Camera
from engine.api.scene import Volume

UInt8 = NDArray[np.uint8]
GROUPS = {"u_labels": 4, "u_selected": 1}
MOST_SHARE = 0.5
"""Of the box: where more than this is to be uploaded, all of it is, into the other texture."""


class LabelOverlay(Overlay):
    """A colour a voxel, and whether it is selected.

    Attributes:
        nothing: all that was set is empty: a frame costs less without it, and the textures are ready for what comes.
    """

    def __init__(self) -> None:
        super().__init__("labels", GROUPS)
        self.nothing = True
        self._of: Volume | None = None
        self._values: dict[str, UInt8] = {}
        self._patching: NDArray[np.int64] | None = None  # rows that differ from what is on the GPU
        self._drawn: object = None  # what ``_picture`` was drawn of
        self._picture: Any = None
        self.dim = 0.0
        self.set_style(opacity=1.0, accent=(1.0, 1.0, 1.0))

    @property
    def on(self) -> bool:
        return super().on and not self.nothing

    def clear(self) -> None:
        super().clear()
        self._of = self._patching = None

    def set(self, volume: Volume, colours: UInt8, selected: UInt8) -> None:
        """Show (V, 4) uint8 colours, alpha 255 where there is a label and all 0 elsewhere, and (V,) uint8 255 where
        selected."""
        values = {"u_labels": colours, "u_selected": selected[:, None]}
        before, self._values = self._values, values
        loading = self.busy and self._patching is None
        if self._of is not volume or loading or not super().on:
            self._of, self._patching = volume, None
            self.load(volume, values)
            return
        differ = (colours.view(np.uint32) != before["u_labels"].view(np.uint32)).ravel()
        rows = np.flatnonzero(differ | (selected != before["u_selected"][:, 0]))
        if self._patching is not None:
            rows = np.union1d(rows, self._patching)
        if len(rows):
            self._patch(volume, rows)

    def draw(self, marched: gl.Target, camera: Camera, size: tuple[int, int]) -> Any:
        """As ``Overlay.draw``, but what was drawn last serves again while it is the same: ink over a still scene."""
        seen = camera.c2w.tobytes(), camera.intrinsics.tobytes(), size
        key = marched, marched.version, seen, self.revision, self._style
        if key != self._drawn:
            self._drawn, self._picture = key, super().draw(marched, camera, size)
        return self._picture

    def set_style(self, *, opacity: float, accent: Rgb) -> None:
        """How opaque labels are, and the colour of what is selected."""
        self._style = opacity, accent
        self.program["u_opacity"], self.program["u_accent"] = opacity, accent

    def _patch(self, volume: Volume, rows: NDArray[np.int64]) -> None:
        box = dense.box_of(volume)
        found = dense.blocks(volume.index[rows] - box.lo)
        if sum(int(np.prod(size)) for _, size in found) > MOST_SHARE * np.prod(box.dims):
            self._patching = None
            self.load(volume, self._values)
        else:
            self._patching = rows
            self.queue(self._upload(box, found))

    def _upload(self, box: dense.Box, found: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Iterator[None]:
        """Fill blocks of the textures that are shown, as far as they hold voxels."""
        for at, size in found:
            rows, x, y, z = dense.rows_within(box, at, size)
            for name, channels in GROUPS.items():
                block = np.zeros((*size, channels), np.uint8)
                block[x, y, z] = self._values[name][rows]
                self.shown_texture(name).set_data(block, offset=tuple(int(v) for v in at))
            yield
        self._patching = None
        self.revision += 1
