"""Random rooms: nothing overlaps, the same seed gives the same room, and the captures open with true depth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.api.jobs import finish
from engine.captures import open_capture
from engine.metrics.truth import depth_views, reproject
from engine.training import random_rooms
from engine.training.random_rooms import Options, Plan, random_cameras, random_room
from engine.training.rooms.models import Catalogue
from engine.training.rooms.render import LightSettings

CUBE = """\
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
f 1 4 3 2
f 5 6 7 8
f 1 2 6 5
f 2 3 7 6
f 3 4 8 7
f 4 1 5 8
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "cube.obj").write_text(CUBE)
    rows = [
        {
            "id": f"box {n}",
            "name": f"box {n}",
            "class": "box",
            "width_cm": side,
            "depth_cm": side,
            "height_cm": 60,
            "creator": "nobody",
            "licence": "CC0",
            "obj": "cube.obj",
        }
        for n, side in enumerate(
            [60, 55, 70, 50, 48, 65, 80, 52, 90, 58, 61, 62, 63, 64, 66] + [20 + n for n in range(12)]
        )
    ]
    (folder / "catalog.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(2):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    return folder


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.1, 1), st.floats(0, 0.2))
def test_free_means_in_the_room_and_away_from_every_piece(x: float, y: float, side: float, gap: float) -> None:
    piece = (np.array([-0.5, -0.5]), np.array([0.5, 0.5]))
    plan = Plan(np.array([1.5, 1.2]), 2.5, [piece])
    lo, hi = np.array([x, y]) - side / 2, np.array([x, y]) + side / 2
    inside = abs(x) + side / 2 <= 1.5 and abs(y) + side / 2 <= 1.2
    apart = max(abs(x), abs(y)) >= 0.5 + side / 2 + gap
    assert plan.free(lo, hi, gap) == (inside and apart)


def test_pieces_stand_apart_and_within_the_walls(catalogue: Path) -> None:
    for seed in range(5):
        pictures = [np.full((30, 30, 3), 90, np.uint8)]
        room, plan = random_room(Catalogue(catalogue), pictures, np.random.default_rng(seed))
        assert len(plan.footprints) >= 4
        for n, (lo, hi) in enumerate(plan.footprints):
            assert (lo >= -plan.half).all()
            assert (hi <= plan.half).all()
            for a, b in plan.footprints[:n]:
                assert (lo >= b).any() or (hi <= a).any()
        assert {o.label for o in room.objects} == {"wall", "floor", "ceiling", "picture", "box"}
        for camera in random_cameras(plan, 6, 64, np.random.default_rng(seed)):
            assert (np.abs(camera.centre_w[:2]) < plan.half).all()


def test_captures_open_with_true_depth(catalogue: Path, photos: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(random_rooms, "LIGHT", LightSettings(0.2, 0.4, 1, 16, 1))
    for out in ("one", "two"):
        random_rooms.main(Options(catalogue, photos, tmp_path / out, rooms=1, views=3, width=96, seed=4))
    first, second = (tmp_path / out / "room000" / "images" / "001.jpg" for out in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    capture = open_capture(tmp_path / "one" / "room000")
    assert len(capture.views) == 3
    views, truth = finish(depth_views(capture, 96))
    assert truth == "depth"
    found = 0
    for a in views:
        for b in views:
            found += reproject(a, b, a.camera.pixel_grid())[1].sum() if a is not b else 0
    assert found > 1000
