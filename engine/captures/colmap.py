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
from engine.captures.colmap_audit import check_binary_model, check_plain_files
from engine.captures.files import inside, is_dir, is_file, printable
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
        with np.errstate(all="ignore"):
            pos_px = c.img_from_cam(rays)
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


@dataclass(frozen=True)
class _Camera:
    """Copied out, because pycolmap's objects do not keep the reconstruction alive that owns their memory."""

    model: str
    size: tuple[int, int]
    params: tuple[float, ...]
    pinhole: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class _Image:
    name: str
    c2w: Float64 | None
    camera: _Camera


def read(model: Path, frames: FrameCollector) -> Contents:
    """Read the sparse model in folder ``model``.

    Raises:
        CaptureError: a file is damaged, or they contradict each other.
    """
    suffix = ".bin" if is_file(model / "cameras.bin") and is_file(model / "images.bin") else ".txt"
    check_plain_files(model)
    if suffix == ".bin":
        check_binary_model(model, _parameter_counts())
    try:
        images, points, reliable_w = _load(model, suffix)
    except Exception as e:  # COLMAP checks by throwing anything at all
        raise CaptureError(
            "is not a consistent COLMAP model",
            path=model,
            found=printable((str(e).splitlines() or [""])[0]) or type(e).__name__,
            expected="cameras, images and points3D of one reconstruction",
            mend="export the model again",
        ) from e
    root, photos = _photo_folder(model, [image.name for image in images[:20]])
    for image in images:
        if image.c2w is None:
            frames.notes.count("frames skipped, not registered by COLMAP", image.name)
            continue
        frames.add(
            image.name,
            inside(photos, image.name),
            image.c2w,
            lambda camera=image.camera: _intrinsics(camera),
            lens=lambda camera=image.camera: _lens(camera),
        )
    described_by = tuple(p for name in FILES if is_file(p := model / (name + suffix)))
    return Contents("colmap", root, described_by, points, reliable_w)


def _parameter_counts() -> dict[int, int]:
    import pycolmap

    models = {name: int(id_) for name, id_ in pycolmap.CameraModelId.__members__.items() if name != "INVALID"}
    create = pycolmap.Camera.create_from_model_name
    return {id_: len(create(1, name, 1.0, 1, 1).params) for name, id_ in models.items()}


def _load(model: Path, suffix: str) -> tuple[list[_Image], PointCloud | None, Float64 | None]:
    import pycolmap  # 0.3 s

    reconstruction = pycolmap.Reconstruction()
    (reconstruction.read_binary if suffix == ".bin" else reconstruction.read_text)(str(model))
    images = []
    for image in reconstruction.images.values():
        c2w = None
        if image.has_pose:
            c2w = np.eye(4)
            c2w[:3] = image.cam_from_world().inverse().matrix()
        images.append(_Image(image.name, c2w, _copied(image.camera)))
    return sorted(images, key=lambda i: i.name), *_points(reconstruction)


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


def _copied(c: pycolmap.Camera) -> _Camera:
    pinhole = None
    if not c.is_spherical():
        pinhole = (c.focal_length_x, c.focal_length_y, c.principal_point_x, c.principal_point_y)
    return _Camera(c.model_name, (c.width, c.height), tuple(float(v) for v in c.params), pinhole)


def _intrinsics(camera: _Camera) -> Intrinsics:
    if camera.pinhole is None:
        raise ValueError("the camera is a panorama")
    if not np.isfinite(camera.params).all():
        raise ValueError("the intrinsics are not finite")
    fx, fy, cx, cy = camera.pinhole
    return Intrinsics(fl_x=fx, fl_y=fy, cx=cx, cy=cy, width=camera.size[0], height=camera.size[1])


def _lens(camera: _Camera) -> Lens | None:
    p = camera.params
    if camera.model in ("SIMPLE_PINHOLE", "PINHOLE"):
        return None
    lens: Lens = ColmapLens(camera.model, p)
    if camera.model in ("SIMPLE_RADIAL", "RADIAL"):
        lens = BrownLens(*p[3:])
    elif camera.model == "OPENCV":
        lens = BrownLens(k1=p[4], k2=p[5], p1=p[6], p2=p[7])
    elif camera.model == "OPENCV_FISHEYE":
        lens = FisheyeLens(*p[4:])
    return None if lens == BrownLens() else lens


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
