"""The pixels that a fit learns from: photos of the training views at working resolution, and those held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.grid.spec import GridSpec

Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]

LONG_SIDE = 640
"""Photos are read at this long side at most: finer than the voxels project."""

BANK_BYTES = 400_000_000
"""Memory that the photos of a fit may take; many photos are read smaller, very many are thinned."""

MIN_SIDE = 200


class PhotoLike(Protocol):
    """One decoded photo, as captures give it."""

    camera: Camera
    rgb: UInt8
    alpha: UInt8 | None
    valid: NDArray[np.bool_] | None
    depth_z: Float32 | None


class ViewLike(Protocol):
    """One posed photo of a capture."""

    index: int
    camera: Camera
    held_out: bool
    has_depth: bool


class CaptureLike(Protocol):
    """What a fit asks of a capture."""

    @property
    def views(self) -> tuple[ViewLike, ...]: ...
    @property
    def bounds_w(self) -> NDArray[np.float64]: ...
    @property
    def bounded(self) -> bool: ...
    def read(self, i: int, max_side: int | None = None, depth: bool = False) -> PhotoLike: ...


@dataclass(frozen=True)
class ReadingPlan:
    """Which views are read, in which order, and how large."""

    order: tuple[int, ...]
    max_side: int


def plan_reading(capture: CaptureLike, max_side: int = LONG_SIDE, budget: int = BANK_BYTES) -> ReadingPlan:
    """Training views so that any first few are spread over the capture, at a size that fits ``budget`` bytes.

    Held-out views are never in the plan.
    """
    train = [v for v in capture.views if not v.held_out]
    if not train:
        return ReadingPlan((), max_side)
    area = float(np.mean([v.camera.width * v.camera.height / max(v.camera.width, v.camera.height) ** 2 for v in train]))
    full = max(max(v.camera.width, v.camera.height) for v in train)
    side = min(max_side, full, int((budget / (4 * area * len(train))) ** 0.5))
    side = max(side, min(MIN_SIDE, full))
    most = max(1, int(budget / (4 * area * side**2)))
    if len(train) > most:
        train = [train[i] for i in np.linspace(0, len(train) - 1, most).round().astype(int)]
    return ReadingPlan(tuple(train[i].index for i in spread(len(train))), side)


def spread(count: int) -> list[int]:
    """0 … count-1 in bit-reversed (van der Corput) order: every prefix is spread over the whole."""
    bits = max(1, (count - 1).bit_length())
    order = [int(f"{i:0{bits}b}"[::-1], 2) for i in range(1 << bits)]
    return [i for i in order if i < count]


def over_white(photo: PhotoLike) -> UInt8:
    """(h, w, 3) uint8: the photo's colour, composited over white where it has alpha."""
    if photo.alpha is None:
        return np.ascontiguousarray(photo.rgb)
    a = photo.alpha[..., None].astype(np.uint16)
    return ((photo.rgb * a + 255 * (255 - a) + 127) // 255).astype(np.uint8)


class PhotoBank:
    """Training pixels in one flat array, filled photo by photo.

    Attributes:
        pixels: (P, 4) uint8, colour and 1 where the pixel may be learnt from.
        views: (n, 3) int64, first pixel, width, height of each photo read.
        cameras: the photos' cameras, at working resolution.
    """

    def __init__(self, capture: CaptureLike, plan: ReadingPlan) -> None:
        size = [capture.views[i].camera.fitted(plan.max_side) for i in plan.order]
        # one spare row and column a photo: readers may round the size otherwise than we do
        self.pixels: UInt8 = np.zeros((sum((c.width + 1) * (c.height + 1) for c in size), 4), np.uint8)
        self.views: NDArray[np.int64] = np.zeros((0, 3), np.int64)
        self.cameras: list[Camera] = []
        self._used = 0

    def add(self, photo: PhotoLike) -> None:
        """Append one photo's pixels."""
        h, w = photo.rgb.shape[:2]
        need = self._used + h * w
        if need > len(self.pixels):
            self.pixels = np.concatenate([self.pixels, np.zeros((need - len(self.pixels), 4), np.uint8)])
        block = self.pixels[self._used : need]
        block[:, :3] = over_white(photo).reshape(-1, 3)
        block[:, 3] = 1 if photo.valid is None else photo.valid.ravel()
        self.views = np.concatenate([self.views, np.array([[self._used, w, h]], np.int64)])
        self.cameras.append(photo.camera)
        self._used = need

    def cams(self, spec: GridSpec) -> Float32:
        """(n, 12) the photos' cameras in grid coordinates."""
        return np.stack([spec.rays_from(c) for c in self.cameras])
