"""RGB-D folders: colour, depth and a camera-to-world pose per frame, OpenCV axes.

Understood are ScanNet (``color/ depth/ pose/ intrinsic/``), 7-Scenes and 3DMatch (``frame-000000.color.png``,
``.depth.png``, ``.pose.txt`` in one folder) and Open3D (``color/ depth/``, ``camera_intrinsic.json``, a Redwood
``trajectory.log``). Depth is in millimetres, registered to the colour photos. Intrinsics of these formats count from
the first pixel's centre, so half a pixel is added to their principal point.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.captures import photos
from engine.captures.depth import ARRAYS, DepthFile
from engine.captures.files import is_dir, is_file, number, read_json
from engine.captures.frames import Contents, FrameCollector, Intrinsics

COLOUR_FOLDERS = ("color", "colour", "rgb", "image", "images")
DEPTH_FOLDERS = ("depth", "depths")
POSE_FOLDERS = ("pose", "poses")
TRAJECTORIES = ("trajectory.log", "scene/trajectory.log")
INTRINSICS = (
    "intrinsic/intrinsic_color.txt",
    "intrinsic_color.txt",
    "intrinsics_color.txt",
    "intrinsic.txt",
    "intrinsics.txt",
    "camera-intrinsics.txt",
    "camera_intrinsics.txt",
    "camera_intrinsic.json",
    "intrinsic.json",
    "intrinsics.json",
)
MAX_TEXT_BYTES = 16 << 20
MILLIMETRE = 0.001


@dataclass(frozen=True)
class Layout:
    """Files of a folder by frame number; ``pose`` reads a frame's matrix and may raise ValueError."""

    colour: dict[int, Path]
    depth: dict[int, Path]
    poses: dict[int, Callable[[], NDArray[np.float64]]]
    described_by: tuple[Path, ...]


def find_layout(root: Path) -> Layout | None:
    """The frames of an RGB-D folder, or None when this is not one."""
    together = _numbered(root, r"frame-(\d+)\.color\.(?:png|jpe?g)$")
    if together:
        colour, depth = together, _numbered(root, r"frame-(\d+)\.depth\.(?:png|pgm|tiff?)$")
        pose_files = _numbered(root, r"frame-(\d+)\.pose\.txt$")
    else:
        colour_folder = _first_folder(root, COLOUR_FOLDERS)
        if colour_folder is None:
            return None
        suffixes = "|".join(s[1:] for s in photos.SUFFIXES)
        colour = _numbered(colour_folder, rf"(\d+)\D*\.(?:{suffixes})$")
        depth_folder, pose_folder = _first_folder(root, DEPTH_FOLDERS), _first_folder(root, POSE_FOLDERS)
        arrays = "|".join(s[1:] for s in ARRAYS)
        depth = _numbered(depth_folder, rf"(\d+)\D*\.(?:png|pgm|tiff?|{arrays})$") if depth_folder else {}
        pose_files = _numbered(pose_folder, r"(\d+)\D*\.txt$") if pose_folder else {}
    if pose_files:
        poses = {i: _pose_reader(p) for i, p in pose_files.items()}
        return Layout(colour, depth, poses, tuple(pose_files.values())) if colour else None
    log = next((p for name in TRAJECTORIES if is_file(p := root / name)), None)
    if log is None or not colour:
        return None
    # Entries of a trajectory follow the photos in order.
    entries = _trajectory(log)
    numbers = itertools.chain(sorted(colour), itertools.count(max(colour) + 1))
    poses = {i: (lambda m=m: m) for i, m in zip(numbers, entries, strict=False)}
    return Layout(colour, depth, poses, (log,))


def read(root: Path, layout: Layout, frames: FrameCollector) -> Contents:
    """Read an RGB-D folder.

    Raises:
        CaptureError: there are no readable intrinsics.
    """
    path, intrinsics = _intrinsics(root)
    for i in sorted(layout.poses.keys() - layout.colour.keys()):
        frames.notes.count("frames skipped, the photo is missing", f"frame {i}")
    for i, photo in sorted(layout.colour.items()):
        name = photo.relative_to(root).as_posix()
        if i not in layout.poses:
            frames.notes.count("frames skipped, no pose", name)
            continue
        try:
            pose = layout.poses[i]()
        except ValueError:
            frames.notes.count("frames skipped, the pose is not a matrix of numbers", name)
            continue
        depth = layout.depth.get(i)
        if depth is None and layout.depth:
            frames.notes.count("frames have no depth image", name)
        frames.add(
            name,
            photo,
            pose,
            lambda: intrinsics,
            depth=None if depth is None else DepthFile(depth, integer_unit=MILLIMETRE, float_unit=1.0),
        )
    return Contents("rgbd", root, (path, *layout.described_by))


def _first_folder(root: Path, names: tuple[str, ...]) -> Path | None:
    return next((f for name in names if is_dir(f := root / name)), None)


def _numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Files of a folder by the number in their name; of two with one number the first in the order of names."""
    out: dict[int, Path] = {}
    try:
        for path in sorted(folder.iterdir()):
            match = re.search(pattern, path.name, re.IGNORECASE | re.ASCII)
            if match and len(match[1]) <= 18 and is_file(path):
                out.setdefault(int(match[1]), path)
    except OSError:
        return {}
    return out


def _numbers(path: Path) -> NDArray[np.float64]:
    """All numbers of a text file, flat.

    Raises:
        ValueError: there is something else in it, or it is too large or unreadable.
    """
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise ValueError("the text file is too large")
        return np.array([float(w) for w in path.read_text("utf-8").replace(",", " ").split()])
    except OSError as e:
        raise ValueError(str(e)) from e


def _pose_reader(path: Path) -> Callable[[], NDArray[np.float64]]:
    def read_pose() -> NDArray[np.float64]:
        m = _numbers(path)
        if len(m) not in (12, 16):
            raise ValueError("neither 3×4 nor 4×4")
        return m.reshape(-1, 4)

    return read_pose


def _trajectory(path: Path) -> list[NDArray[np.float64]]:
    """Redwood's log: per frame a line of three numbers and four lines of a camera-to-world matrix."""
    try:
        flat = _numbers(path)
        if len(flat) % 19 or not len(flat):
            raise ValueError(f"{len(flat)} numbers, not a multiple of 19")
    except ValueError as e:
        raise CaptureError(
            "is not a Redwood trajectory",
            path=path,
            found=str(e)[:200],
            expected="for each frame a line of three numbers and a 4×4 matrix",
        ) from e
    return list(flat.reshape(-1, 19)[:, 3:].reshape(-1, 4, 4))


def _intrinsics(root: Path) -> tuple[Path, Intrinsics]:
    """The intrinsics file of the folder or of its parent (7-Scenes and 3DMatch keep sequences side by side)."""
    places = [p for base in (root, root.parent) for name in INTRINSICS if is_file(p := base / name)]
    if not places:
        raise CaptureError(
            "the RGB-D folder says nothing of its camera",
            path=root,
            expected="one of " + ", ".join(INTRINSICS),
            mend='write intrinsics.txt with the four numbers "fx fy cx cy" of the colour camera into the folder',
        )
    path = places[0]
    try:
        return path, _from_json(path) if path.suffix == ".json" else _from_text(path)
    except (ValueError, KeyError, TypeError) as e:
        raise CaptureError(
            "is not a readable intrinsics file",
            path=path,
            found=str(e)[:200],
            expected='a 3×3 or 4×4 matrix, "fx fy cx cy", or Open3D\'s JSON',
        ) from e


def _from_text(path: Path) -> Intrinsics:
    m = _numbers(path)
    if not np.isfinite(m).all():
        raise ValueError("not finite")
    if len(m) == 4:
        fx, fy, cx, cy = m
    elif len(m) in (9, 16):
        k = m.reshape(int(len(m) ** 0.5), -1)
        fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    else:
        raise ValueError(f"{len(m)} numbers")
    return Intrinsics(fl_x=float(fx), fl_y=float(fy), cx=float(cx) + 0.5, cy=float(cy) + 0.5)


def _from_json(path: Path) -> Intrinsics:
    data = read_json(path)
    if not isinstance(data, dict):
        raise ValueError("not an object")
    if isinstance(k := data.get("intrinsic_matrix"), list):  # Open3D writes it column by column
        if len(k) != 9:
            raise ValueError("intrinsic_matrix has not 9 numbers")
        names = dict(zip(("fx", "fy", "cx", "cy"), (k[0], k[4], k[6], k[7]), strict=True))
        data = {**data, **names}
    fx, fy, cx, cy = (number(data, name) for name in ("fx", "fy", "cx", "cy"))
    if fx is None or cx is None or cy is None:
        raise ValueError("no fx, cx, cy")
    return Intrinsics(
        fl_x=fx, fl_y=fy, cx=cx + 0.5, cy=cy + 0.5, width=number(data, "width"), height=number(data, "height")
    )
