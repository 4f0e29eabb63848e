"""What ``condense photograph`` does."""

from __future__ import annotations

from typing import Any

from engine.api.errors import QueryError
from engine.bare.cli import Photograph
from engine.bare.photograph import photograph_geometry
from engine.captures import open_capture
from engine.driving import run_job


def photograph(command: Photograph) -> dict[str, Any]:
    """``condense photograph``.

    Raises:
        QueryError: not one photo is wanted.
        CaptureError: there is no geometry, or the folder cannot be written.
    """
    if command.count < 1:
        raise QueryError("nothing to photograph", found=f"--count {command.count}", expected="1 or more")
    capture = open_capture(command.capture)
    job = photograph_geometry(capture, command.out, command.count, command.seed)
    folder = run_job(f"Photographing {capture.name}", job)
    return {"capture": capture.name, "photos": len(open_capture(folder).views), "folder": str(folder)}
