"""nerfstudio, instant-ngp and Blender NeRF-synthetic: ``transforms.json`` and ``transforms_train.json`` and so on.

Poses are camera-to-world in OpenGL axes. ``applied_transform`` is what nerfstudio's converter did to the original
world before it wrote the poses, so nothing remains to be done to them: the file's world is the capture's world.
``applied_scale`` likewise scaled the poses but not the depth images, so depth is multiplied by it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.api.scene import PointCloud
from engine.captures.depth import DepthFile
from engine.captures.files import inside, is_file, number, printable, read_json
from engine.captures.frames import Contents, FrameCollector, Intrinsics
from engine.captures.geometry import read_points
from engine.captures.lens import BrownLens, FisheyeLens, Lens
from engine.captures.photos import SUFFIXES
from engine.captures.poses import GL_TO_CV

SPLITS = ("train", "val", "test")

UNIT_KEYS = ("depth_unit_scale_factor", "depth_unit_m", "integer_depth_scale", "depth_scale")
MILLIMETRE = 0.001


def splits(folder: Path) -> list[Path]:
    """The files of a Blender NeRF-synthetic folder, training views first."""
    return [p for name in SPLITS if is_file(p := folder / f"transforms_{name}.json")]


def read(path: Path, frames: FrameCollector) -> Contents:
    """Read one ``transforms.json``.

    Raises:
        CaptureError: not JSON, or not of this format.
    """
    data = _read_frames(path, frames)
    points, ply = None, data.get("ply_file_path")
    if ply is not None:
        points = _sparse_points(inside(path.parent, ply), str(ply)[:80], frames)
    return Contents(
        "nerfstudio", path.parent, (path,), points, None if points is None else points.pos_w.astype(np.float64)
    )


def read_splits(paths: list[Path], frames: FrameCollector) -> Contents:
    """Read the splits of a Blender NeRF-synthetic folder as one capture: every photo counts, whatever its split.

    Raises:
        CaptureError: one is not JSON, or not of this format.
    """
    for path in paths:
        _read_frames(path, frames)
    return Contents("blender", paths[0].parent, tuple(paths))


def _sparse_points(path: Path | None, name: str, frames: FrameCollector) -> PointCloud | None:
    """nerfstudio writes these in the world of the poses, ``applied_transform`` included."""
    try:
        if path is None or not is_file(path):
            raise CaptureError("missing, or outside the capture")
        return read_points(path)
    except CaptureError as e:
        frames.notes.count(f"point files ignored, {e.what}", name)
        return None


def _read_frames(path: Path, frames: FrameCollector) -> dict[str, Any]:
    """Collect the frames of a ``transforms.json``.

    Returns:
        The parsed document, for what concerns the whole capture.

    Raises:
        CaptureError: not JSON, or not of this format.
    """
    data = read_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("frames"), list):
        raise CaptureError(
            "is not a transforms.json",
            path=path,
            found=printable(f"keys {', '.join(sorted(data)[:8])}") if isinstance(data, dict) else type(data).__name__,
            expected='an object with a list of "frames"',
        )
    for i, frame in enumerate(data["frames"]):
        if not isinstance(frame, dict):
            frames.notes.count("frames skipped, not an object", f"frames[{i}]")
            continue
        _add(path.parent, {**{k: v for k, v in data.items() if k != "frames"}, **frame}, i, frames)
    return data


def _add(root: Path, frame: Mapping[str, Any], i: int, frames: FrameCollector) -> None:
    file_path = frame.get("file_path")
    if not isinstance(file_path, str) or not file_path:
        frames.notes.count("frames skipped, no file_path", f"frames[{i}]")
        return
    image = _image_path(root, file_path)
    frames.add(
        file_path.removeprefix("./") if image is None else image.relative_to(root).as_posix(),
        image,
        frame.get("transform_matrix"),
        lambda: intrinsics_of(frame),
        axes=GL_TO_CV,
        lens=lambda: lens_of(frame),
        mask=_optional(root, frame, ("mask_path",), "masks", frames),
        depth=_depth(root, frame, frames),
    )


def _image_path(root: Path, file_path: str) -> Path | None:
    """The photo's path; Blender's files name it without its suffix."""
    path = inside(root, file_path)
    if path is None or is_file(path) or path.suffix.lower() in SUFFIXES:
        return path
    return next((p for suffix in SUFFIXES if is_file(p := path.with_name(path.name + suffix))), path)


def intrinsics_of(frame: Mapping[str, Any]) -> Intrinsics:
    """Intrinsics from a frame merged over the document's shared keys.

    Raises:
        ValueError: a figure is not a finite number.
    """
    return Intrinsics(
        fl_x=number(frame, "fl_x"),
        fl_y=number(frame, "fl_y"),
        cx=number(frame, "cx"),
        cy=number(frame, "cy"),
        width=number(frame, "w"),
        height=number(frame, "h"),
        angle_x=number(frame, "camera_angle_x"),
        angle_y=number(frame, "camera_angle_y"),
    )


def lens_json(camera: Camera) -> dict[str, float]:
    """What ``intrinsics_of`` reads."""
    k = camera.intrinsics
    lens = {"w": camera.width, "h": camera.height, "fl_x": k[0, 0], "fl_y": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
    return {key: value if isinstance(value, int) else float(value) for key, value in lens.items()}


def lens_of(frame: Mapping[str, Any]) -> Lens | None:
    """The lens that ``camera_model`` and k1, k2, k3, k4, p1, p2 describe; None without distortion.

    Raises:
        ValueError: another camera model (a panorama, say), or a figure that is not finite.
    """
    model = frame.get("camera_model") or ("OPENCV_FISHEYE" if frame.get("is_fisheye") is True else "OPENCV")
    k = {name: number(frame, name) or 0.0 for name in ("k1", "k2", "k3", "k4", "p1", "p2")}
    if model == "OPENCV_FISHEYE":
        return FisheyeLens(k["k1"], k["k2"], k["k3"], k["k4"])
    if model in ("OPENCV", "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE"):
        return BrownLens(**k) if any(k.values()) else None
    raise ValueError(f"camera model {str(model)[:40]!r} is not a perspective or fisheye camera")


def _optional(
    root: Path, frame: Mapping[str, Any], keys: tuple[str, ...], what: str, frames: FrameCollector
) -> Path | None:
    name = next((frame[k] for k in keys if frame.get(k)), None)
    if name is None:
        return None
    path = inside(root, name)
    if path is None:
        frames.notes.count(f"{what} ignored, the path leads out of the capture", str(name)[:80])
    return path


def _depth(root: Path, frame: Mapping[str, Any], frames: FrameCollector) -> DepthFile | None:
    path = _optional(root, frame, ("depth_file_path", "depth_path"), "depth images", frames)
    if path is None:
        return None
    try:
        stated = next((u for key in UNIT_KEYS if (u := number(frame, key)) is not None), None)
        scale = number(frame, "applied_scale")
        if not all(u is None or 1e-9 < u < 1e6 for u in (stated, scale)):
            raise ValueError("the unit is not a unit of length")
    except ValueError as e:
        frames.notes.count(f"depth images ignored, {e}", str(path.name))
        return None
    scale = 1.0 if scale is None else scale
    # Floating-point depth is taken to be in world units unless the file says otherwise.
    return DepthFile(
        path,
        integer_unit=(MILLIMETRE if stated is None else stated) * scale,
        float_unit=(1.0 if stated is None else stated) * scale,
    )
