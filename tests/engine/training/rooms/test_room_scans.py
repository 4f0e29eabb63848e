"""Rooms of shards as labelled scans for ``condense task segment``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.api.jobs import finish
from engine.tasks.readers.detect import list_scans
from engine.tasks.readers.rooms import kind_of
from engine.tasks.scans import read_scans
from engine.tasks.segmenter import SeenScan
from engine.training.rooms.generate import Options, generate


def test_rooms_are_read_by_voxel(
    make_boxes: Callable[[Path], Path], make_photos: Callable[[Path], Path], tmp_path: Path
) -> None:
    out = tmp_path / "data" / "train"
    options = Options((make_boxes(tmp_path),), make_photos(tmp_path), out, rooms=2, views=9, width=96, objects=0.0)
    generate(replace(options, workers=1))
    shutil.copytree(out, tmp_path / "data" / "test")
    data = finish(read_scans(tmp_path / "data", list_scans(tmp_path / "data"), tmp_path / "cache"))
    assert data.test.tolist() == [False, False, True, True]
    assert {"wall", "floor"} <= set(data.names)
    scan = data.scans[0]
    seen = SeenScan.of(scan)
    assert len(seen.index) == len(scan.pos)  # a point is a voxel's centre
    floor = scan.label == data.names.index("floor")
    wall = scan.label == data.names.index("wall")
    assert scan.pos[floor, 2].max() < 0.3
    assert np.median(scan.pos[wall, 2]) > 0.5


def test_a_name_is_of_the_kind_of_its_last_word() -> None:
    assert [kind_of(n) for n in ("coffee table", "table", "bookcase/shelves")] == ["table", "table", "bookcase/shelves"]
