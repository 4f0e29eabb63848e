"""Voxels know the object they belong to, and query pixels whether they show a piece of furniture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.api.jobs import finish
from engine.metrics.consistency import thing_pixels
from engine.metrics.truth import depth_views, pixels_of_pairs, view_pairs
from engine.training.rooms.catalogues import Library
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.labels import voxel_objects
from engine.training.rooms.pack import Recipe, make_room, write_shard
from engine.training.rooms.shards import RoomCapture, is_shards, open_shards
from engine.training.rooms.surfaces import read_photos


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory, make_boxes: Callable, make_photos: Callable) -> RoomCapture:
    folder: Path = tmp_path_factory.mktemp("labels")
    library = Library((make_boxes(folder),), "train")
    packed = make_room(library, read_photos(make_photos(folder)), Recipe(3, 8, 128, 0.0), 0)
    shards = folder / "shards"
    shards.mkdir()
    assert not is_shards(shards)
    write_shard(shards / "shard-0000.safetensors", [packed], {})
    assert is_shards(shards)
    return open_shards(shards)[0].load()


def test_voxels_of_floor_and_furniture(room: RoomCapture) -> None:
    grid = finish(fused_grid(room, 60_000, views=[v.index for v in room.views]))
    ids = voxel_objects(room, grid)
    labels = room.labels()
    known = ids > 0
    assert known.mean() > 0.5
    floor = [i for i, name in labels.items() if name == "floor"]
    z = grid.centres_w()[:, 2]
    on_floor = np.isin(ids, floor)
    assert on_floor.any()
    assert np.abs(z[on_floor]).max() < 3 * grid.spec.voxel
    pieces = np.isin(ids, [o.id for o in room.objects if o.model is not None])
    assert pieces.any()
    assert z[pieces].mean() > z[on_floor].mean()


def test_pixels_of_pairs_that_show_furniture(room: RoomCapture) -> None:
    views, _ = finish(depth_views(room, 128))
    rng = np.random.default_rng(0)
    pairs = finish(view_pairs(views, 4, rng))
    drawn = [(pair, pixels_of_pairs(views, [pair], 30, rng)) for pair in pairs]
    things = thing_pixels(room, views, drawn)
    assert things is not None
    assert len(things) == sum(len(truth) for _, truth in drawn)
    (a, _), truth = drawn[0]
    ids = room.object_ids(views[a].index)
    pieces = {o.id for o in room.objects if o.model is not None}
    column, row = truth.source_px.astype(int).T
    assert things[: len(truth)].tolist() == [int(ids[r, c]) in pieces for r, c in zip(row, column, strict=True)]
