"""An opened capture: posed photos that are decoded one at a time, points, bounds, up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.api.scene import PointCloud, SceneInfo, ViewInfo
from engine.captures import photos
from engine.captures.depth import DepthFile
from engine.captures.lens import Lens, normalised, pixels, sampling_map, undistort

Float64 = NDArray[np.float64]
Float32 = NDArray[np.float32]
UInt8 = NDArray[np.uint8]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo, decoded at a working size and undistorted.

    Attributes:
        camera: the view's camera at the size of ``rgb``.
        rgb: (h, w, 3) uint8, not premultiplied by alpha.
        alpha: (h, w) uint8 opacity, None when the file has no transparency.
        valid: (h, w) bool, False where the capture's mask says so and where the undistorted image shows nothing of
            the photo; None when every pixel counts.
        depth_z: (h, w) float32 along the camera's z axis, world units, 0 where unknown; None when not asked for or
            not there.
    """

    camera: Camera
    rgb: UInt8
    alpha: UInt8 | None = None
    valid: Bool | None = None
    depth_z: Float32 | None = None


@dataclass(frozen=True, eq=False)
class View:
    """A posed photo on disk.

    Attributes:
        index: place in ``Capture.views``.
        name: the photo's path within the capture.
        camera: the undistorted pinhole at the photo's full size.
        held_out: not to be fitted on: every 8th view.
        image: the photo's file.
        lens: its distortion; None for a pinhole.
        mask: image whose black pixels are left out.
        depth: depth image; ``DepthFile`` says whether it is distorted as the photo is.
    """

    index: int
    name: str
    camera: Camera
    held_out: bool
    image: Path
    lens: Lens | None = None
    mask: Path | None = None
    depth: DepthFile | None = None

    @property
    def has_depth(self) -> bool:
        return self.depth is not None

    def distort_px(self, pos_px: ArrayLike) -> Float64:
        """(N, 2) full-size undistorted pixels to (N, 2) pixels of the photo file; NaN where it shows nothing."""
        p = np.asarray(pos_px, dtype=np.float64).reshape(-1, 2)
        if self.lens is None:
            return p.copy()
        return pixels(self.camera, self.lens.distort(normalised(self.camera, p)))

    def undistort_px(self, pos_px: ArrayLike) -> Float64:
        """Inverse of ``distort_px``: (N, 2) pixels of the photo file to (N, 2) full-size undistorted pixels."""
        p = np.asarray(pos_px, dtype=np.float64).reshape(-1, 2)
        if self.lens is None:
            return p.copy()
        return pixels(self.camera, undistort(self.lens, normalised(self.camera, p)))

    def read(self, max_side: int | None = None, depth: bool = False) -> Photo:
        """Decode the photo with its long side at most ``max_side`` pixels. Safe from any thread.

        Raises:
            CaptureError: the photo, its mask or (when asked for) its depth is truncated, damaged or gone.
        """
        camera = self.camera if max_side is None else self.camera.fitted(max_side)
        size = (camera.width, camera.height)
        positions = None if self.lens is None else sampling_map(self.lens, camera)
        whole = (self.camera.width, self.camera.height)
        pixels_ = photos.remap(photos.decode(self.image, whole, size), positions)
        valid = None if positions is None else ~np.isnan(positions[..., 0])
        if self.mask is not None:
            masked = photos.nearest(photos.read_mask(self.mask), size, positions)
            valid = masked if valid is None else valid & masked
        depth_z = None
        if depth and self.depth is not None:
            depth_z = photos.nearest(self.depth.read(), size, None if self.depth.of_undistorted else positions)
        return Photo(
            camera=camera,
            rgb=np.ascontiguousarray(pixels_[..., :3]),
            alpha=np.ascontiguousarray(pixels_[..., 3]) if pixels_.shape[2] == 4 else None,
            valid=None if valid is None or valid.all() else valid,
            depth_z=depth_z,
        )


@dataclass(frozen=True, eq=False)
class Capture:
    """What ``open_capture`` found.

    Attributes:
        name: short name for titles.
        path: what was opened.
        format: the reader that took it: nerfstudio, blender, colmap, llff, rgbd or geometry.
        views: posed photos; empty for bare geometry.
        points: sparse or bare points, if any.
        bounds_w: (2, 3) float64, lowest and highest corner of the region worth reconstructing.
        bounded: True when all that the photos show lies within the bounds (a closed room with depth, an object cut
            out by alpha); False when there may be background beyond.
        up_w: (3,) float64, unit.
        fingerprint: hash of the content, the same wherever the capture lies.
        warnings: counted, one line a kind.
    """

    name: str
    path: Path
    format: str
    views: tuple[View, ...]
    points: PointCloud | None
    bounds_w: Float64
    bounded: bool
    up_w: Float64
    fingerprint: str
    warnings: tuple[str, ...] = field(default=())

    def read(self, i: int, max_side: int | None = None, depth: bool = False) -> Photo:
        """Decode photo ``i``: see ``View.read``."""
        return self.views[i].read(max_side, depth)

    def readable(
        self,
        max_side: int | None = None,
        depth: bool = False,
        views: Iterable[int] | None = None,
        on_skip: Callable[[int, CaptureError], None] | None = None,
    ) -> Iterator[tuple[int, Photo]]:
        """Decode photos one after another, passing over those that turn out to be damaged.

        Args:
            max_side: as for ``read``.
            depth: as for ``read``.
            views: indices to read; all by default.
            on_skip: told of each view passed over.

        Raises:
            CaptureError: not one could be read; the first photo's error.
        """
        first: CaptureError | None = None
        any_read = False
        for i in range(len(self.views)) if views is None else views:
            try:
                photo = self.read(i, max_side, depth)
            except CaptureError as e:
                first = first or e
                if on_skip is not None:
                    on_skip(i, e)
                continue
            any_read = True
            yield i, photo
        if first is not None and not any_read:
            raise first

    def scene_info(self) -> SceneInfo:
        """What the window is told of the capture."""
        return SceneInfo(
            name=self.name,
            path=str(self.path),
            format=self.format,
            views=tuple(ViewInfo(v.index, v.name, v.camera, v.held_out, v.has_depth) for v in self.views),
            points=self.points,
            bounds_w=self.bounds_w,
            up_w=self.up_w,
            warnings=self.warnings,
        )
