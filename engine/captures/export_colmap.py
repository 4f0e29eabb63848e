"""Write any capture as a COLMAP model, by pycolmap."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.api.errors import CaptureError
from engine.captures.bounds import depth_points
from engine.captures.capture import Capture, View
from engine.captures.colmap import ColmapLens
from engine.captures.lens import BrownLens, FisheyeLens
from engine.captures.whole import refuse_existing, whole_folder

if TYPE_CHECKING:
    import pycolmap


def export_colmap(capture: Capture, folder: str | Path) -> Path:
    """Write ``folder/sparse/0`` (cameras.bin, images.bin, points3D.bin) and copy the photos to ``folder/images``.

    Photos keep their pixels and cameras their distortion. Points are the capture's own, else back-projected depth
    (grey, without tracks). Everything is written beside ``folder`` first and renamed, so that a failure leaves nothing.

    Args:
        capture: with at least one view.
        folder: must not exist yet.

    Returns:
        ``folder``.

    Raises:
        CaptureError: no views, ``folder`` exists, it cannot be written, or a lens has no equal in COLMAP.
    """
    folder = Path(folder)
    if not capture.views:
        raise CaptureError("has no photos to export", path=capture.path)
    refuse_existing(folder)
    names = _names(capture)
    model = _reconstruction(capture, names)
    with whole_folder(folder, "the model") as whole:
        (whole / "sparse" / "0").mkdir(parents=True)
        model.write_binary(str(whole / "sparse" / "0"))
        for view, name in zip(capture.views, names, strict=True):
            copy = whole / "images" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(view.image, copy)
    return folder


def _names(capture: Capture) -> list[str]:
    """Photo names below the folder that all photos share."""
    folder = os.path.commonpath([v.image.parent for v in capture.views])
    return [v.image.relative_to(folder).as_posix() for v in capture.views]


def _reconstruction(capture: Capture, names: list[str]) -> pycolmap.Reconstruction:
    import pycolmap

    out = pycolmap.Reconstruction()
    ids: dict[tuple[object, ...], int] = {}
    for view, name in zip(capture.views, names, strict=True):
        camera = _camera(view)
        key = (camera.model_name, camera.width, camera.height, *camera.params)
        if key not in ids:
            ids[key] = camera.camera_id = len(ids) + 1
            out.add_camera_with_trivial_rig(camera)
        w2c = np.linalg.inv(view.camera.c2w)
        image = pycolmap.Image(name=name, camera_id=ids[key], image_id=view.index + 1)
        out.add_image_with_trivial_frame(image, pycolmap.Rigid3d(w2c[:3]))
    if capture.points is not None:
        pos_w, rgb = capture.points.pos_w.astype(np.float64), capture.points.rgb
    else:
        pos_w = depth_points(capture.views)[0]
        rgb = np.full((len(pos_w), 3), 128, np.uint8)
    for p, c in zip(pos_w, rgb, strict=True):
        out.add_point3D(p, pycolmap.Track(), c)
    return out


def _camera(view: View) -> pycolmap.Camera:
    import pycolmap

    k, lens = view.camera.intrinsics, view.lens
    pinhole = [k[0, 0], k[1, 1], k[0, 2], k[1, 2]]
    model, params = "PINHOLE", pinhole
    if isinstance(lens, BrownLens) and not lens.k4:
        model, params = "OPENCV", [*pinhole, lens.k1, lens.k2, lens.p1, lens.p2]
        if lens.k3:
            model, params = "FULL_OPENCV", [*params, lens.k3, 0.0, 0.0, 0.0]
    elif isinstance(lens, FisheyeLens):
        model, params = "OPENCV_FISHEYE", [*pinhole, lens.k1, lens.k2, lens.k3, lens.k4]
    elif isinstance(lens, ColmapLens):
        model, params = lens.model, list(lens.params)
    elif lens is not None:
        raise CaptureError("the lens has no equal in COLMAP", path=view.image, found=f"{lens}")
    return pycolmap.Camera(model=model, width=view.camera.width, height=view.camera.height, params=params)
