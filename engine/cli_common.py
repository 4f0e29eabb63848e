"""What the commands of ``condense`` share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

CapturePath = Annotated[Positional[str], arg(metavar="CAPTURE")]


@dataclass(frozen=True, kw_only=True)
class Common:
    """What most commands take."""

    device: Annotated[str, arg(metavar="NAME")] = "auto"
    """Where torch runs: auto, cpu, cuda, cuda:1, …"""
    cache: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for results (default: the user's cache folder)."""
    threads: Annotated[int | None, arg(metavar="N")] = None
    """Processor threads to use (default: all)."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Seed of everything random."""
