"""Write a rendered room as a nerfstudio capture with depth and object ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from engine.api.camera import Camera
from engine.api.jobs import Job, Progress
from engine.storage import write_atomic, write_json
from engine.training.rooms.render import LitScene, render, render_geometry
from engine.training.rooms.scene import RoomObject

GL_AXES = np.diag([1.0, -1.0, -1.0, 1.0])
"""nerfstudio's camera looks along -z with y up."""

JPEG_QUALITY = 87


def write_capture(
    lit: LitScene, cameras: Sequence[Camera], objects: Sequence[RoomObject], folder: Path, side_scale: float = 0.5
) -> Job[Path]:
    """Render all views into ``folder``: transforms.json, images (JPEG), depth (16-bit mm) and objects (8-bit ids) at
    ``side_scale`` of the photos' size, objects.json (id, name, label, model, creator, licence).

    Raises:
        CacheError: the folder cannot be written.
    """
    frames = []
    for i, camera in enumerate(cameras):
        yield Progress(i, len(cameras), "views", "rendering")
        small = camera.scaled(round(camera.width * side_scale), round(camera.height * side_scale))
        rgb = render(lit, camera).rgb
        depth_z, ids = render_geometry(lit.scene, small)
        name = f"{i:03}"
        frame = {
            "file_path": f"images/{name}.jpg",
            "depth_file_path": f"depth/{name}.png",
            "object_file_path": f"objects/{name}.png",
            "transform_matrix": np.round(camera.c2w @ GL_AXES, 9).tolist(),
        }
        _save(Image.fromarray(rgb), folder / frame["file_path"], format="JPEG", quality=JPEG_QUALITY, optimize=True)
        millimetres = np.round(depth_z * 1000).clip(0, 65535).astype(np.uint16)
        _save(Image.fromarray(millimetres), folder / frame["depth_file_path"], format="PNG", optimize=True)
        _save(Image.fromarray(ids), folder / frame["object_file_path"], format="PNG", optimize=True)
        frames.append(frame)
    k, first = cameras[0].intrinsics, cameras[0]
    shared = {"camera_model": "OPENCV", "w": first.width, "h": first.height}
    shared |= {"fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
    write_json(folder / "objects.json", [vars(o) for o in objects])
    write_json(folder / "transforms.json", {**shared, "objects_path": "objects.json", "frames": frames})
    return folder


def _save(image: Image.Image, path: Path, **options: object) -> None:
    write_atomic(path, lambda tmp: image.save(tmp, **options))
