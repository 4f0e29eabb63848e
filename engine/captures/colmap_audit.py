"""Structure check of COLMAP's binary files.

COLMAP's own reader trusts the counts in them: a damaged count makes it loop or allocate without end. Here each file is
walked record by record, so that it is read only when it ends where its counts say.
(Format: COLMAP documentation, "Output format", and scene/reconstruction_io_binary.cc.)
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from pathlib import Path

from engine.api.errors import CaptureError

SENSOR, POSE = 8, 56


class _Cursor:
    """Walks a file; any step beyond its end is an error."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise ValueError(f"it ends within a record at byte {self.at}")
        self.at += size

    def take(self, form: str) -> int:
        start = self.at
        self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, start)[0]

    def skip_name(self) -> None:
        end = self.data.find(b"\0", self.at, self.at + 4096)
        if end < 0:
            raise ValueError(f"a name without end at byte {self.at}")
        self.at = end + 1


def _camera(c: _Cursor, models: dict[int, int]) -> None:
    c.skip(4)
    model = c.take("<i")
    if model not in models:
        raise ValueError(f"camera model {model} is not known")
    c.skip(16 + 8 * models[model])


def _image(c: _Cursor) -> None:
    c.skip(4 + POSE + 4)
    c.skip_name()
    c.skip(24 * c.take("<Q"))


def _point(c: _Cursor) -> None:
    c.skip(8 + 24 + 3 + 8)
    c.skip(8 * c.take("<Q"))


def _rig(c: _Cursor) -> None:
    c.skip(4)
    sensors = c.take("<I")
    if sensors:
        c.skip(SENSOR)
    for _ in range(sensors - 1):
        c.skip(SENSOR)
        if c.take("<B"):
            c.skip(POSE)


def _frame(c: _Cursor) -> None:
    c.skip(8 + POSE)
    c.skip((SENSOR + 8) * c.take("<I"))


RECORDS: dict[str, Callable[[_Cursor], None]] = {"images": _image, "points3D": _point, "rigs": _rig, "frames": _frame}


def check_plain_files(folder: Path) -> None:
    """Refuse folders, pipes and devices where COLMAP expects files: opening a pipe would wait for ever.

    Raises:
        CaptureError: names the entry.
    """
    for name in ("cameras", *RECORDS):
        for path in (folder / f"{name}.bin", folder / f"{name}.txt"):
            if path.exists() and not path.is_file():
                raise CaptureError("is not a file", path=path, expected="a file of a COLMAP model")


def check_binary_model(folder: Path, models: dict[int, int]) -> None:
    """Check every .bin of a COLMAP model.

    Args:
        folder: holds cameras.bin, images.bin and so on.
        models: number of parameters by camera model id.

    Raises:
        CaptureError: a file is cut short, goes on beyond its records, or names an unknown camera model.
    """
    records = {"cameras": lambda c: _camera(c, models), **RECORDS}
    for name, record in records.items():
        path = folder / f"{name}.bin"
        if path.is_file():
            try:
                _walk(path, record)
            except (OSError, ValueError) as e:
                raise CaptureError(
                    "is not a whole COLMAP file",
                    path=path,
                    found=str(e),
                    mend="export the model again, or copy it again from where it came",
                ) from e


def _walk(path: Path, record: Callable[[_Cursor], None]) -> None:
    if path.stat().st_size == 0:
        raise ValueError("the file is empty")
    with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
        cursor = _Cursor(data)
        for _ in range(cursor.take("<Q")):
            record(cursor)
        if cursor.at != len(data):
            raise ValueError(f"{len(data) - cursor.at} bytes follow the last record")
