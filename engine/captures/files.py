"""What every reader needs of the disk: JSON with limits, paths that stay inside the capture, counted warnings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from engine.api.errors import CaptureError
from engine.captures.photos import SUFFIXES

MAX_JSON_BYTES = 64 << 20


class Notes:
    """Warnings of one opening, counted by kind: a thousand missing photos make one line, with the first named."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[int, str]] = {}

    def count(self, what: str, example: str) -> None:
        """Note one more ``what`` (a plural sentence, as in "frames skipped, the photo is missing")."""
        n, first = self._kinds.get(what, (0, printable(example)))
        self._kinds[what] = (n + 1, first)

    def messages(self) -> tuple[str, ...]:
        """One line a kind: "3 frames skipped, the photo is missing (first: images/000.png)"."""
        return tuple(f"{n} {what} (first: {first})" for what, (n, first) in self._kinds.items())


def printable(text: str) -> str:
    """Text from a file, safe to print: control characters and lone surrogates replaced, cut at 100 characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:100])


def read_json(path: Path) -> Any:
    """Parse a JSON file of at most 64 MiB.

    Raises:
        CaptureError: unreadable, too large, not JSON or nested absurdly.
    """
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise CaptureError(
                "is too large for a capture description",
                path=path,
                found=f"{size >> 20} MiB",
                expected=f"at most {MAX_JSON_BYTES >> 20} MiB",
            )
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError, MemoryError) as e:
        raise CaptureError(
            "is not readable JSON",
            path=path,
            found=str(e).splitlines()[0] if str(e) else type(e).__name__,
            expected="a whole JSON document",
            mend="export the capture again, or fix the file at the place named",
        ) from e


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file; names the system refuses (too long, NUL) are simply not files."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_dir(path: Path) -> bool:
    """Whether ``path`` is a folder; never raises."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def inside(root: Path, name: object) -> Path | None:
    """The path that ``name``, as a capture's file states it, means below ``root``; None when it may not be followed.

    Refused: anything but a string, absolute paths and drives, and paths that climb out of ``root`` by ``..``. The
    check is on the words: a symbolic link that the user put into the capture may lead elsewhere.
    """
    if not isinstance(name, str) or not name or len(name) > 4096 or any(ord(c) < 32 for c in name):
        return None
    windows = PureWindowsPath(name)
    if windows.drive or windows.root:
        return None
    depth = 0
    parts = []
    for part in PurePosixPath(name.replace("\\", "/")).parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return None
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return root.joinpath(*parts) if parts else None


def number(data: Mapping[str, Any], key: str) -> float | None:
    """The finite number under ``key``; None when the key is absent or null.

    Raises:
        ValueError: there is something else, NaN and infinity included.
    """
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key} is not a number")
    try:
        out = float(value)
    except OverflowError:
        out = math.inf
    if not math.isfinite(out):
        raise ValueError(f"{key} is not finite")
    return out


def photos_in(folder: Path) -> list[Path]:
    """The photos directly in a folder, in the order of their names; none when it cannot be listed."""
    try:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and is_file(p))
    except OSError:
        return []
