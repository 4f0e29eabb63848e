"""From what a reader found to checked views: the same rules for every format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.api.scene import PointCloud
from engine.captures.capture import View
from engine.captures.depth import DepthFile
from engine.captures.files import Notes, is_file, printable
from engine.captures.lens import Lens
from engine.captures.photos import image_size
from engine.captures.poses import rigid_pose

HOLD_OUT_EVERY = 8


@dataclass(frozen=True)
class Intrinsics:
    """Intrinsics as a file states them, in pixels of a ``width`` × ``height`` image; what is None is taken from the
    photo: its size, its middle as the principal point, square pixels.

    ``angle_x``, ``angle_y``: full horizontal and vertical field of view in radians, where no focal length is given.
    """

    fl_x: float | None = None
    fl_y: float | None = None
    cx: float | None = None
    cy: float | None = None
    width: float | None = None
    height: float | None = None
    angle_x: float | None = None
    angle_y: float | None = None

    def matrix(self, photo_width: int, photo_height: int) -> np.ndarray:
        """(3, 3) K at the photo's size.

        Raises:
            ValueError: no focal length, or figures that describe no camera, or an image of another shape.
        """
        w, h = self.width or photo_width, self.height or photo_height
        if not (0 < w < 1e6 and 0 < h < 1e6):
            raise ValueError("the image size is not a size")
        sx, sy = photo_width / w, photo_height / h
        # One pixel of slack: sizes were rounded when the photos were made smaller.
        if abs(sx - sy) * min(w, h) > 1.5 and abs(sx / sy - 1) > 0.01:
            raise ValueError("the photo's shape is not that of the intrinsics")
        fx, fy = self.fl_x, self.fl_y
        if fx is None and self.angle_x is not None:
            fx = w / 2 / _tan_half(self.angle_x)
        if fy is None and self.angle_y is not None:
            fy = h / 2 / _tan_half(self.angle_y)
        fx, fy = fx if fx is not None else fy, fy if fy is not None else fx
        if fx is None or fy is None:
            raise ValueError("no focal length is given")
        cx, cy = self.cx if self.cx is not None else w / 2, self.cy if self.cy is not None else h / 2
        side = max(w, h)
        if not (1e-3 * side < fx < 1e4 * side and 1e-3 * side < fy < 1e4 * side):
            raise ValueError("the focal length is not that of a camera")
        if max(abs(cx), abs(cy)) > 100 * side:
            raise ValueError("the principal point is nowhere near the image")
        return np.array([[fx * sx, 0, cx * sx], [0, fy * sy, cy * sy], [0, 0, 1.0]])


@dataclass(frozen=True)
class Contents:
    """What a reader found besides the frames it handed to the collector.

    Attributes:
        format: the reader's name.
        root: the folder that paths in the capture are relative to.
        described_by: files that count for the fingerprint, beside photos, masks and depth.
        points: sparse points, or bare geometry.
        reliable_w: (N, 3) the points seen by three views or more, where that is known; else all.
        near_far: (near, far) per kept view, depth along z, where the format states it.
        up_w: (3,) where the format defines it.
    """

    format: str
    root: Path
    described_by: tuple[Path, ...]
    points: PointCloud | None = None
    reliable_w: NDArray[np.float64] | None = None
    near_far: tuple[tuple[float, float], ...] | None = None
    up_w: tuple[float, float, float] | None = None


def _tan_half(angle: float) -> float:
    if not 1e-3 < angle < 3.14:
        raise ValueError("the field of view is not an angle between 0 and π")
    return math.tan(angle / 2)


class FrameCollector:
    """Checks frames one by one as a reader finds them and keeps those that can be shown.

    What is wrong with one frame skips that frame and is counted in ``notes``; a capture fails only when none is left.
    """

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.views: list[View] = []
        self._seen: set[Path] = set()

    def add(
        self,
        name: str,
        image: Path | None,
        pose: Any,
        intrinsics: Callable[[], Intrinsics],
        *,
        axes: np.ndarray | None = None,
        lens: Callable[[], Lens | None] = lambda: None,
        mask: Path | None = None,
        depth: DepthFile | None = None,
    ) -> bool:
        """Check one frame and keep it if it holds.

        Args:
            name: how the frame is called in warnings and lists.
            image: the photo's file; None when the stated path may not be followed.
            pose: camera-to-world, 3×4 or 4×4, of anything the file held.
            intrinsics: called once the photo is known to be there; may raise ValueError to skip the frame.
            axes: (4, 4) the reader's camera axes to OpenCV's, multiplied from the right.
            lens: as ``intrinsics``.
            mask: image of the photo's shape; ignored with a warning when it does not fit.
            depth: likewise.

        Returns:
            Whether the frame was kept.
        """
        name = printable(name)
        if image is None:
            self.notes.count("frames skipped, the photo's path leads out of the capture", name)
            return False
        if not is_file(image):
            self.notes.count("frames skipped, the photo is missing", name)
            return False
        if image in self._seen:
            self.notes.count("frames skipped, the photo is listed twice", name)
            return False
        self._seen.add(image)
        try:
            width, height = image_size(image)
            c2w, mended = rigid_pose(pose)
            k = intrinsics().matrix(width, height)
            optics = lens()
        except CaptureError as e:
            self.notes.count(f"frames skipped, {e.what}", name)
            return False
        except ValueError as e:
            self.notes.count(f"frames skipped, {e}", name)
            return False
        if mended:
            self.notes.count("poses were not quite rigid and were made so", name)
        camera = Camera(k, c2w if axes is None else c2w @ axes, width, height)
        self.views.append(
            View(
                index=len(self.views),
                name=name,
                camera=camera,
                held_out=False,
                image=image,
                lens=optics,
                mask=self._fitting_mask(mask, camera, name),
                depth=self._fitting_depth(depth, camera, name),
            )
        )
        return True

    def finish(self, path: Path) -> tuple[View, ...]:
        """The views, every 8th held out from the fit when there are at least eight.

        Raises:
            CaptureError: none is left; the counted warnings say why.
        """
        if not self.views:
            raise CaptureError(
                "no frame of the capture can be shown",
                path=path,
                found="; ".join(self.notes.messages()) or "no frames at all",
                expected="at least one readable photo with a pose",
            )
        if len(self.views) < HOLD_OUT_EVERY:
            return tuple(self.views)
        return tuple(replace(v, held_out=v.index % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1) for v in self.views)

    def _fitting_mask(self, mask: Path | None, camera: Camera, name: str) -> Path | None:
        if mask is None:
            return None
        try:
            fits = is_file(mask) and _same_shape(image_size(mask), camera)
        except CaptureError:
            fits = False
        if not fits:
            self.notes.count("masks ignored, missing, unreadable or of another shape than the photo", name)
        return mask if fits else None

    def _fitting_depth(self, depth: DepthFile | None, camera: Camera, name: str) -> DepthFile | None:
        if depth is None:
            return None
        if not is_file(depth.path):
            self.notes.count("depth images ignored, missing", name)
            return None
        try:
            fits = _same_shape(depth.size(), camera)
        except CaptureError as e:
            self.notes.count(f"depth images ignored, {e.what}", name)
            return None
        if not fits:
            self.notes.count("depth images ignored, of another shape than the photo", name)
        return depth if fits else None


def _same_shape(size: tuple[int, int], camera: Camera) -> bool:
    """Whether an image covers the same view as the photo: equal aspect, but for rounding."""
    sx, sy = size[0] / camera.width, size[1] / camera.height
    return abs(sx / sy - 1) < 0.02 or abs(sx - sy) * min(camera.width, camera.height) <= 1.5
