"""``open_capture``: find out what lies at a path and read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.api.errors import CaptureError
from engine.captures import bounds, colmap, geometry, llff, nerfstudio, rgbd
from engine.captures.capture import Capture, View
from engine.captures.files import Notes, is_dir, is_file
from engine.captures.fingerprint import fingerprint
from engine.captures.frames import Contents, FrameCollector
from engine.captures.upright import estimate_up

UNDERSTOOD = (
    "transforms.json (nerfstudio, instant-ngp); transforms_train.json (Blender NeRF-synthetic); "
    "sparse/0/cameras.bin or .txt (COLMAP); poses_bounds.npy (LLFF); colour, depth and pose folders (RGB-D); "
    "a .ply, .obj, .glb, .gltf, .stl, .off or .pcd file"
)


def open_capture(path: str | Path) -> Capture:
    """Open a capture, whatever its format. No photo is decoded yet, save one to see whether objects are cut out.

    Args:
        path: a folder, or the file in it that describes the capture, or a geometry file.

    Raises:
        CaptureError: nothing is there, it is of no known format, or not one frame of it can be shown.
    """
    path = Path(path).expanduser().absolute()
    frames = FrameCollector(Notes())
    contents = _read(path, frames)
    if contents.format == "geometry":
        return _assemble(path, contents, (), frames.notes)
    return _assemble(path, contents, frames.finish(path), frames.notes)


def _read(path: Path, frames: FrameCollector) -> Contents:
    if is_file(path):
        return _read_file(path, frames)
    if is_dir(path):
        return _read_folder(path, frames)
    raise CaptureError("there is no such file or folder", path=path, expected=UNDERSTOOD)


def _read_file(path: Path, frames: FrameCollector) -> Contents:
    name, suffix = path.name.lower(), path.suffix.lower()
    if suffix in geometry.SUFFIXES:
        return geometry.read(path)
    if suffix == ".json":
        if path in nerfstudio.splits(path.parent):
            return nerfstudio.read_splits([path], frames)
        return nerfstudio.read(path, frames)
    if name == "poses_bounds.npy":
        return llff.read(path, frames)
    if suffix in (".bin", ".txt") and path.stem in colmap.FILES and colmap.has_model(path.parent):
        return colmap.read(path.parent, frames)
    raise CaptureError("is not a capture", path=path, found=f"a {suffix or 'nameless'} file", expected=UNDERSTOOD)


def _read_folder(path: Path, frames: FrameCollector) -> Contents:
    if is_file(path / "transforms.json"):
        return nerfstudio.read(path / "transforms.json", frames)
    if splits := nerfstudio.splits(path):
        return nerfstudio.read_splits(splits, frames)
    if model := colmap.find_model(path):
        return colmap.read(model, frames)
    if is_file(path / "poses_bounds.npy"):
        return llff.read(path / "poses_bounds.npy", frames)
    if layout := rgbd.find_layout(path):
        return rgbd.read(path, layout, frames)
    try:
        entries = sorted(p.name + ("/" if is_dir(p) else "") for p in path.iterdir() if not p.name.startswith("."))
    except OSError as e:
        raise CaptureError("the folder cannot be listed", path=path, found=str(e)) from e
    shapes = [p for n in entries if Path(n).suffix.lower() in geometry.SUFFIXES and is_file(p := path / n)]
    if len(shapes) == 1:
        return geometry.read(shapes[0])
    more = f" and {len(entries) - 8} more" if len(entries) > 8 else ""
    raise CaptureError(
        "no capture was recognised here",
        path=path,
        found=(", ".join(entries[:8]) + more) or "an empty folder",
        expected=UNDERSTOOD,
        mend="open the folder that holds one of these, or the file itself",
    )


def _assemble(path: Path, contents: Contents, views: Sequence[View], notes: Notes) -> Capture:
    files = [*contents.described_by, *(v.image for v in views)]
    files += [v.depth.path for v in views if v.depth is not None]
    files += [v.mask for v in views if v.mask is not None]
    if views:
        region = bounds.region(views, contents.reliable_w, contents.near_far, notes)
        up_w = estimate_up([v.camera for v in views], region.surface_w)
    else:
        assert contents.points is not None
        pos_w = contents.points.pos_w.astype(np.float64)
        region = bounds.Region(bounds.from_points(pos_w, 0.5, 99.5), True, pos_w)
        up_w = np.asarray(contents.up_w, np.float64)
    return Capture(
        name=_name(path, contents),
        path=path,
        format=contents.format,
        views=tuple(views),
        points=contents.points,
        bounds_w=region.bounds_w,
        bounded=region.bounded,
        up_w=up_w,
        fingerprint=fingerprint(contents.root, files),
        warnings=notes.messages(),
    )


def _name(path: Path, contents: Contents) -> str:
    return path.stem if contents.format == "geometry" else contents.root.name
