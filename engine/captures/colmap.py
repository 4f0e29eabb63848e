"""COLMAP sparse models, binary or text, read by pycolmap.

COLMAP's poses are world-to-camera with OpenCV axes, its pixel centres lie at +0.5: both as here. Camera models that are
OpenCV's become our own lenses; every other one is distorted by pycolmap itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.api.scene import PointCloud
from engine.captures.colmap_audit import check_binary_model
from engine.captures.files import inside, is_dir, is_file
from engine.captures.frames import Contents, FrameCollector, Intrinsics
from engine.captures.lens import BrownLens, FisheyeLens, Lens

if TYPE_CHECKING:
    import pycolmap

Float64 = NDArray[np.float64]

MODEL_FOLDERS = (".", "0", "sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse")
PHOTO_FOLDERS = ("images", "rgb", "input", "images_2", "images_4", "images_8", ".")
FILES = ("cameras", "images", "points3D")
RELIABLE_TRACK = 3


@dataclass(frozen=True)
class ColmapLens:
    """Any of COLMAP's camera models, by pycolmap. NaN where its inverse does not lead back (the image folds there)."""

    model: str
    params: tuple[float, ...]

    @cached_property
    def _camera(self) -> pycolmap.Camera:
        import pycolmap

        return pycolmap.Camera(model=self.model, width=1, height=1, params=list(self.params))

    def distort(self, pos_n: Float64) -> Float64:
        c = self._camera
        finite = np.isfinite(pos_n).all(axis=1)
        rays = np.concatenate([np.where(finite[:, None], pos_n, 0.0), np.ones((len(pos_n), 1))], axis=1)
        pos_px = c.img_from_cam(rays)
        with np.errstate(invalid="ignore"):
            back = c.cam_from_img(pos_px)
            good = finite & (np.abs(back - rays[:, :2]).max(axis=1) < 1e-6 * (1 + np.abs(rays[:, :2]).max(axis=1)))
        out = (pos_px - [c.principal_point_x, c.principal_point_y]) / [c.focal_length_x, c.focal_length_y]
        out[~good] = np.nan
        return out


def has_model(folder: Path) -> bool:
    """Whether a folder holds cameras and images, both binary or both text."""
    return any(is_file(folder / f"cameras{s}") and is_file(folder / f"images{s}") for s in (".bin", ".txt"))


def find_model(path: Path) -> Path | None:
    """The folder of a sparse model at or below ``path`` in the usual places, or None."""
    return next((f for name in MODEL_FOLDERS if has_model(f := path / name)), None)


def read(model: Path, frames: FrameCollector) -> Contents:
    """Read the sparse model in folder ``model``.

    Raises:
        CaptureError: a file is damaged, or they contradict each other.
    """
    reconstruction, described_by = _load(model)
    images = sorted(reconstruction.images.values(), key=lambda image: image.name)
    root, photos = _photo_folder(model, [image.name for image in images[:20]])
    for image in images:
        if not image.has_pose:
            frames.notes.count("frames skipped, not registered by COLMAP", _printable(image.name))
            continue
        c2w = np.eye(4)
        c2w[:3] = image.cam_from_world().inverse().matrix()
        camera = image.camera
        frames.add(
            _printable(image.name),
            inside(photos, image.name),
            c2w,
            lambda camera=camera: _intrinsics(camera),
            lens=lambda camera=camera: _lens(camera),
        )
    points, reliable = _points(reconstruction)
    return Contents("colmap", root, described_by, points, reliable)


def _load(model: Path) -> tuple[pycolmap.Reconstruction, tuple[Path, ...]]:
    import pycolmap  # 0.3 s

    binary = is_file(model / "cameras.bin") and is_file(model / "images.bin")
    suffix = ".bin" if binary else ".txt"
    if binary:
        members = pycolmap.CameraModelId.__members__
        known = {int(id_): name for name, id_ in members.items() if name != "INVALID"}
        counts = {
            id_: len(pycolmap.Camera.create_from_model_name(1, name, 1.0, 1, 1).params) for id_, name in known.items()
        }
        check_binary_model(model, counts)
    try:
        out = pycolmap.Reconstruction()
        (out.read_binary if binary else out.read_text)(str(model))
    except Exception as e:  # COLMAP checks by throwing anything at all
        raise CaptureError(
            "is not a consistent COLMAP model",
            path=model,
            found=(str(e).splitlines() or [""])[0] or type(e).__name__,
            expected="cameras, images and points3D of one reconstruction",
            mend="export the model again",
        ) from e
    return out, tuple(p for name in FILES if is_file(p := model / (name + suffix)))


def _photo_folder(model: Path, names: list[str]) -> tuple[Path, Path]:
    """(the capture's folder, the folder that photo names are relative to): where most of ``names`` are found.

    The model's folder and the three above it are tried; this is our search, so it may leave the model's folder, while
    the names themselves may not.
    """
    best, most = (model, model), 0
    for base in _upwards(model):
        for folder in PHOTO_FOLDERS:
            photos = base / folder
            found = sum(1 for name in names if (p := inside(photos, name)) is not None and is_file(p))
            if found > most and is_dir(photos):
                best, most = (base, photos), found
    return best


def _upwards(model: Path) -> Iterator[Path]:
    yield model
    yield from list(model.parents)[:3]


def _printable(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name[:200])


def _intrinsics(camera: pycolmap.Camera) -> Intrinsics:
    if camera.is_spherical():
        raise ValueError("the camera is a panorama")
    figures = [camera.focal_length_x, camera.focal_length_y, camera.principal_point_x, camera.principal_point_y]
    if not np.isfinite([*figures, *camera.params]).all():
        raise ValueError("the intrinsics are not finite")
    fx, fy, cx, cy = map(float, figures)
    return Intrinsics(fl_x=fx, fl_y=fy, cx=cx, cy=cy, width=camera.width, height=camera.height)


def _lens(camera: pycolmap.Camera) -> Lens | None:
    name, p = camera.model_name, [float(v) for v in camera.params]
    if name in ("SIMPLE_PINHOLE", "PINHOLE"):
        return None
    if name in ("SIMPLE_RADIAL", "RADIAL"):
        return BrownLens(*p[3:]) if any(p[3:]) else None
    if name == "OPENCV":
        return BrownLens(k1=p[4], k2=p[5], p1=p[6], p2=p[7]) if any(p[4:]) else None
    if name == "OPENCV_FISHEYE":
        return FisheyeLens(*p[4:])
    return ColmapLens(name, tuple(p))


def _points(reconstruction: pycolmap.Reconstruction) -> tuple[PointCloud | None, Float64 | None]:
    """(all points, (N, 3) those seen by three views or more; all when tracks are missing)."""
    n = len(reconstruction.points3D)
    if n == 0:
        return None, None
    pos_w, rgb, seen = np.empty((n, 3)), np.empty((n, 3), np.uint8), np.empty(n, np.int64)
    for i, point in enumerate(reconstruction.points3D.values()):
        pos_w[i], rgb[i], seen[i] = point.xyz, point.color, point.track.length()
    good = (np.abs(pos_w) < 1e9).all(axis=1)
    pos_w, rgb, seen = pos_w[good], rgb[good], seen[good]
    if not len(pos_w):
        return None, None
    reliable = seen >= RELIABLE_TRACK
    return PointCloud(pos_w.astype(np.float32), rgb), pos_w[reliable] if reliable.any() else pos_w
