"""Snapshots: what was annotated at one place of the journal, so that opening need not make every edit again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.annotations.state import AnnotationState
from engine.annotations.things import KINDS, of_json, to_json
from engine.api.errors import CacheError
from engine.storage import read_tensors, write_tensors

FILE = "snapshot.safetensors"
FORMAT = "annotations-snapshot/1"


@dataclass(frozen=True, eq=False)
class Snapshot:
    """``state`` after all records of the journal ``generation`` before byte ``end``."""

    state: AnnotationState
    generation: str
    end: int


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write it over the one that was there, whole or not at all.

    Raises:
        CacheError: it cannot be written.
    """
    state = snapshot.state
    things = {kind: [to_json(t) for t in of_kind.values()] for kind, of_kind in state.things.items()}
    meta = {"format": FORMAT, "generation": snapshot.generation, "end": snapshot.end, "things": things}
    write_tensors(folder / FILE, {"labels": state.labels, "instances": state.instances}, meta)


def read_snapshot(folder: Path, voxels: int) -> Snapshot:
    """What ``write_snapshot`` wrote.

    Raises:
        CacheError: missing, damaged, of another version or of other voxels.
    """
    path = folder / FILE
    tensors, meta = read_tensors(path)
    try:
        return _parse(tensors, meta, voxels)
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        raise CacheError("is no snapshot of these annotations", path=path, found=str(e)) from e


def _parse(tensors: dict[str, Any], meta: dict[str, Any], voxels: int) -> Snapshot:
    if meta.get("format") != FORMAT:
        raise ValueError(f"the format {meta.get('format')!r:.40}")
    labels, instances = tensors["labels"], tensors["instances"]
    if labels.dtype != np.uint16 or instances.dtype != np.uint32 or not labels.shape == instances.shape == (voxels,):
        raise ValueError(f"labels of {labels.dtype} {labels.shape} for {voxels} voxels")
    state = AnnotationState(labels.copy(), instances.copy())
    for kind in KINDS:
        for data in meta["things"][kind]:
            thing = of_json(kind, data)
            state.things[kind][thing.id] = thing
    return Snapshot(state, str(meta["generation"]), int(meta["end"]))
