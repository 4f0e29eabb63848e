"""Rendered rooms (``engine.training.rooms``): folders ``train`` and ``test`` of shards, a point for each voxel.

What stands in a room is called by its catalogue; the last word of a name is its class (``coffee table``: ``table``).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from engine.api.jobs import finish
from engine.tasks.folders import SPLITS
from engine.tasks.scans import CELLS, NONE, Listing, Points, ScanItem
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.labels import voxel_objects
from engine.training.rooms.shards import RoomRef, open_shards

SHARDS = "shard-*.safetensors"


def is_rooms(folder: Path) -> bool:
    """Whether both splits hold shards."""
    return all(any((folder / split).glob(SHARDS)) for split in SPLITS)


def list_rooms(folder: Path) -> Listing:
    """All rooms of both splits.

    Raises:
        CaptureError: a shard is damaged.
    """
    refs = [(split, ref) for split in SPLITS for ref in open_shards(folder / split)]
    items = [ScanItem(f"{split}/{r.name}", split == "test", (r.path,), partial(_load, r)) for split, r in refs]
    return Listing("rendered rooms", items, "scene")


def kind_of(name: str) -> str:
    """The last word of a name."""
    return name.split()[-1]


def _load(ref: RoomRef) -> Points:
    room = ref.load()
    grid = finish(fused_grid(room, CELLS))
    ids = voxel_objects(room, grid).astype(np.int64)
    labels = room.labels()
    names = tuple(dict.fromkeys(kind_of(n) for n in labels.values()))
    place = np.full(256, NONE)
    for id, name in labels.items():
        place[id] = names.index(kind_of(name))
    rgb = (grid.rgb.clip(0, 1) * 255).round().astype(np.uint8)
    return Points(grid.centres_w(), rgb, place[ids], names, float(grid.spec.voxel))
