"""S3DIS (Armeni et al., 2016), aligned version: ``Area_N/ROOM/Annotations/CLASS_N.txt`` of ``x y z r g b`` lines.

Measured on Area 5, as is usual, or on the last area if that one is not there; learnt from all others.
"""

from __future__ import annotations

import io
import re
from functools import partial
from pathlib import Path

import numpy as np

from engine.api.errors import CaptureError
from engine.captures.geometry import MAX_BYTES
from engine.tasks.scans import Listing, Points, ScanItem

NAMES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase", "board",
    "clutter",
)  # fmt: skip
TEST = "Area_5"
_AREA = re.compile(r"Area_\d+")


def areas(folder: Path) -> list[Path]:
    """The areas of a folder, in order."""
    return sorted(d for d in folder.iterdir() if d.is_dir() and _AREA.fullmatch(d.name))


def list_s3dis(folder: Path) -> Listing:
    """All rooms of all areas."""
    found = areas(folder)
    test = TEST if any(a.name == TEST for a in found) else found[-1].name
    items = []
    for area in found:
        for room in sorted(d for d in area.iterdir() if (d / "Annotations").is_dir()):
            files = tuple(sorted(f for f in (room / "Annotations").glob("*.txt") if f.is_file()))
            items.append(ScanItem(f"{area.name}/{room.name}", area.name == test, files, partial(read_room, files)))
    return Listing("S3DIS rooms", items, "scene", NAMES)


def read_room(files: tuple[Path, ...]) -> Points:
    """The points of a room's files, each of which is one thing.

    Raises:
        CaptureError: there is none, or one cannot be read.
    """
    if not files:
        raise CaptureError("has no annotations", found="no CLASS_N.txt", expected="a text file for each thing")
    parts = []
    for path in files:
        kind = path.stem.rsplit("_", 1)[0]
        table = read_table(path, 6)
        label = NAMES.index(kind if kind in NAMES else "clutter")  # stairs, as others take them
        parts.append((table, np.full(len(table), label)))
    whole = np.concatenate([t for t, _ in parts])
    rgb = np.nan_to_num(whole[:, 3:6]).clip(0, 255).astype(np.uint8)
    return Points(whole[:, :3], rgb, np.concatenate([n for _, n in parts]), NAMES)


def read_table(path: Path, columns: int) -> np.ndarray:
    """(N, columns) float64 of a text file of numbers.

    Raises:
        CaptureError: it cannot be read, is too large, or holds anything else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path.stat().st_size >> 20} MiB are more than {MAX_BYTES >> 20}")
        raw = path.read_bytes().replace(b"\x10", b" ")  # a known slip in Area_5/hallway_6
        if not raw.strip():
            raise ValueError("an empty file")
        table = np.loadtxt(io.BytesIO(raw), np.float64, ndmin=2, comments=None)
        if table.shape[1] != columns:
            raise ValueError(f"{table.shape[1]} numbers on a line")
    except (OSError, ValueError, UnicodeDecodeError) as e:
        raise CaptureError(
            "cannot be read",
            path=path,
            found=f"{path.name}: {(str(e).splitlines() or [''])[0][:160]}",
            expected=f"lines of {columns} numbers",
        ) from e
    return table
