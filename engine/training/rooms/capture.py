"""Write a rendered room as a nerfstudio capture with depth and object ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress
from engine.captures.nerfstudio import lens_json
from engine.captures.poses import GL_TO_CV
from engine.storage import write_atomic, write_json
from engine.training.rooms.render import LitScene, render, render_geometry
from engine.training.rooms.scene import RoomObject

JPEG_QUALITY = 87


def write_capture(
    lit: LitScene, cameras: Sequence[Camera], objects: Sequence[RoomObject], folder: Path, side_scale: float = 0.5
) -> Job[Path]:
    """Render all views into ``folder``: transforms.json, images (JPEG), depth (16-bit mm) and objects (8-bit ids) at
    ``side_scale`` of the photos' size, objects.json (id, name, label, model, creator, licence).

    Raises:
        CacheError: the folder cannot be written.
    """
    for i, camera in enumerate(cameras):
        yield Progress(i, len(cameras), "views", "rendering")
        small = camera.scaled(round(camera.width * side_scale), round(camera.height * side_scale))
        rgb = render(lit, camera).rgb
        depth_z, ids = render_geometry(lit.scene, small)
        photo, depth, objects_ = (folder / path for path in frame_files(i))
        _save(Image.fromarray(rgb), photo, format="JPEG", quality=JPEG_QUALITY, optimize=True)
        millimetres = np.round(depth_z * 1000).clip(0, 65535).astype(np.uint16)
        _save(Image.fromarray(millimetres), depth, format="PNG", optimize=True)
        _save(Image.fromarray(ids), objects_, format="PNG", optimize=True)
    write_transforms(cameras, objects, folder)
    return folder


def frame_files(i: int) -> tuple[str, str, str]:
    """Where the photo, the depth and the object ids of view ``i`` lie in a capture's folder."""
    return f"images/{i:03}.jpg", f"depth/{i:03}.png", f"objects/{i:03}.png"


def write_transforms(cameras: Sequence[Camera], objects: Sequence[RoomObject], folder: Path) -> None:
    """Write transforms.json and objects.json; intrinsics stand once when all views share them, else with each view.

    Raises:
        CacheError: the folder cannot be written.
    """
    lenses = [lens_json(camera) for camera in cameras]
    one_lens = all(lens == lenses[0] for lens in lenses)
    frames = []
    for i, (camera, lens) in enumerate(zip(cameras, lenses, strict=True)):
        frame: dict[str, object] = dict(
            zip(("file_path", "depth_file_path", "object_file_path"), frame_files(i), strict=True)
        )
        frame["transform_matrix"] = np.round(camera.c2w @ GL_TO_CV, 9).tolist()
        frames.append(frame if one_lens else {**lens, **frame})
    shared = {"camera_model": "OPENCV", **(lenses[0] if one_lens else {})}
    write_json(folder / "objects.json", [vars(o) for o in objects])
    write_json(folder / "transforms.json", {**shared, "objects_path": "objects.json", "frames": frames})


def _save(image: Image.Image, path: Path, **options: Any) -> None:
    write_atomic(path, lambda tmp: image.save(tmp, **options))
