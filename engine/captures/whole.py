"""Folders that are either whole or not there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.api.errors import CaptureError


def refuse_existing(folder: Path) -> None:
    """Raises:
    CaptureError: ``folder`` exists.
    """
    if folder.exists():
        raise CaptureError("already exists", path=folder, mend="choose another folder; nothing is overwritten")


@contextmanager
def whole_folder(folder: Path, what: str) -> Iterator[Path]:
    """A folder to write into, beside ``folder``; it becomes that when nothing fails, and else is gone.

    Args:
        folder: must not exist yet.
        what: is written, for the message.

    Raises:
        CaptureError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent) as tmp:
            whole = Path(tmp) / "whole"
            whole.mkdir()
            yield whole
            whole.rename(folder)
    except OSError as e:
        raise CaptureError(f"{what} cannot be written", path=folder, found=str(e)) from e
