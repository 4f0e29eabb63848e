"""Where the results of one capture live, and how they are read back.

Two places: the user's cache folder, keyed by the capture's content, and, looked at second and never written unless
asked, a ``results`` folder inside the capture itself (the demo ships one; ``condense fit --ship`` makes one).
Every file is safetensors with a format version; one that is damaged or of another version counts as absent.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CacheError
from engine.storage import Tensors, read_tensors, write_tensors

log = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True)
class ResultStore:
    """The files of one capture's results."""

    cache: Path
    shipped: Path

    @classmethod
    def of(cls, fingerprint: str, capture_path: Path, cache_dir: Path) -> ResultStore:
        folder = capture_path if capture_path.is_dir() else capture_path.parent
        return cls(cache=cache_dir / fingerprint, shipped=folder / "results")

    def candidates(self, name: str) -> list[Path]:
        """Existing files of that name, the cache's first."""
        return [p for p in (self.cache / name, self.shipped / name) if p.is_file()]

    def write_path(self, name: str, ship: bool = False) -> Path:
        return (self.shipped if ship else self.cache) / name

    def read(self, name: str, fingerprint: str) -> tuple[Tensors, dict[str, Any]] | None:
        """The first readable file of that name made for this capture, or None; unreadable ones are logged."""
        for path in self.candidates(name):
            try:
                tensors, meta = read_tensors(path)
            except CacheError as e:
                log.warning("%s", e)
                continue
            if meta.get("format") == FORMAT and meta.get("capture") == fingerprint:
                return tensors, meta
        return None


def write_features(
    path: Path,
    *,
    capture: str,
    encoder: str,
    maps: dict[int, tuple[NDArray[np.int8], NDArray[np.float16]]],
    basis: Tensors,
) -> None:
    """Store quantised feature maps: per view ``codes`` (h, w, D) int8 and ``scale`` (h, w) float16."""
    tensors: Tensors = {f"basis.{k}": v for k, v in basis.items()}
    for view, (codes, scale) in maps.items():
        tensors[f"codes.{view}"], tensors[f"scale.{view}"] = codes, scale
    write_tensors(path, tensors, {"format": FORMAT, "capture": capture, "encoder": encoder})


def parse_features(
    tensors: Tensors, views: int
) -> tuple[dict[int, tuple[NDArray[np.int8], NDArray[np.float16]]], Tensors]:
    """Undo ``write_features``.

    Raises:
        CacheError: arrays missing, of the wrong type or shape, or for views that do not exist.
    """
    maps: dict[int, tuple[NDArray[np.int8], NDArray[np.float16]]] = {}
    for key, codes in tensors.items():
        if not key.startswith("codes."):
            continue
        number = key.removeprefix("codes.")
        scale = tensors.get(f"scale.{number}")
        fits = (
            number.isdigit()
            and int(number) < views
            and scale is not None
            and codes.ndim == 3
            and codes.dtype == np.int8
            and scale.dtype == np.float16
            and scale.shape == codes.shape[:2]
            and bool(np.isfinite(scale).all())
        )
        if not fits or scale is None:
            raise CacheError("stored features do not fit this capture", found=f"array {key}", mend="encode again")
        maps[int(number)] = (codes, scale)
    if not maps:
        raise CacheError("stored features are empty", mend="encode again")
    return maps, {k.removeprefix("basis."): v for k, v in tensors.items() if k.startswith("basis.")}
