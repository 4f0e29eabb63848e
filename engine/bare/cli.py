"""The command that photographs bare geometry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from engine.cli_common import CapturePath, Common


@dataclass(frozen=True, kw_only=True)
class Photograph(Common):
    """Photograph bare geometry: render views of a mesh or a point cloud as a capture with depth."""

    capture: CapturePath
    """A mesh or a point cloud, or a capture with points."""
    out: Annotated[Path, arg(metavar="DIR")]
    """Folder to write; it must not exist yet."""
    count: Annotated[int, arg(aliases=["-n"])] = 24
    """How many photos at most."""
    json: bool = False
    """Print one JSON object on stdout."""
