"""The written capture: readable, exact, the same bytes for the same seed; the demo room and the demo that ships."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.api.camera import Camera
from engine.api.jobs import finish
from engine.captures import open_capture
from engine.runtime import asset_path
from engine.training.rooms.capture import write_capture
from engine.training.rooms.layout import HALF_X, HALF_Y, HEIGHT, PIECES, build_cameras
from engine.training.rooms.light import RectLight
from engine.training.rooms.render import LightSettings, light_scene, render_geometry
from engine.training.rooms.scene import Room, RoomScene

COARSE = LightSettings(direct_cell=0.06, bounce_cell=0.2, bounces=1, rays=16, supersampling=1)


def written(room: Room, cameras: list[Camera], lamp: RectLight, folder: Path) -> Path:
    lit = finish(light_scene(RoomScene(room), [lamp], cameras, COARSE, 0))
    return finish(write_capture(lit, cameras, room.objects, folder))


def test_capture_reads_back_with_exact_poses_and_depth(
    small_room: Room, two_cameras: list[Camera], lamp: RectLight, tmp_path: Path
) -> None:
    capture = open_capture(written(small_room, two_cameras, lamp, tmp_path / "room"))
    assert capture.format == "nerfstudio"
    assert capture.warnings == ()
    for view, camera in zip(capture.views, two_cameras, strict=True):
        np.testing.assert_allclose(view.camera.c2w, camera.c2w, atol=1e-8)
        np.testing.assert_allclose(view.camera.intrinsics, camera.intrinsics)
    photo = capture.read(1, max_side=48, depth=True)
    true_z, _ = render_geometry(RoomScene(small_room), two_cameras[1].scaled(48, 36))
    assert photo.depth_z is not None
    np.testing.assert_allclose(photo.depth_z, true_z, atol=0.0006)


def test_same_seed_same_bytes(small_room: Room, two_cameras: list[Camera], lamp: RectLight, tmp_path: Path) -> None:
    a, b = (written(small_room, two_cameras, lamp, tmp_path / name) for name in "ab")
    files = sorted(p.relative_to(a) for p in a.rglob("*") if p.is_file())
    assert len(files) == 3 * 2 + 2
    for file in files:
        assert (a / file).read_bytes() == (b / file).read_bytes(), file


def test_demo_cameras_sweep_smoothly_inside_the_room() -> None:
    cameras = build_cameras(64, 48)
    assert len(cameras) == 48
    eyes = np.array([c.centre_w for c in cameras])
    assert (np.abs(eyes) < [HALF_X - 0.2, HALF_Y - 0.2, HEIGHT]).all()
    within = np.linalg.norm(np.diff(eyes, axis=0), axis=1).reshape(-1)
    assert np.delete(within, [15, 31]).max() < 0.35  # metres between neighbours of one sweep
    assert min(c.forward_w[1] for c in cameras) > 0.4  # northwards


def test_demo_pieces_have_names_of_their_own() -> None:
    assert len({p.name for p in PIECES}) == len(PIECES)


@pytest.fixture(scope="module")
def demo() -> Path:
    return asset_path("demo")


def test_demo_opens_with_depth(demo: Path) -> None:
    capture = open_capture(demo)
    assert len(capture.views) == 48
    assert capture.warnings == ()
    assert all(v.has_depth for v in capture.views)
    assert [v.index for v in capture.views if v.held_out] == [7, 15, 23, 31, 39, 47]
    assert np.argmax(np.abs(capture.up_w)) == 2
    photo = capture.read(0, max_side=320, depth=True)
    assert photo.rgb.std() > 30
    assert photo.depth_z is not None
    assert 0.3 < photo.depth_z[photo.depth_z > 0].min() < photo.depth_z.max() < 8


def test_demo_names_its_objects(demo: Path) -> None:
    objects = {o["id"]: o for o in json.loads((demo / "objects.json").read_text())}
    frames = json.loads((demo / "transforms.json").read_text())["frames"]
    seen: set[int] = set()
    for frame in frames:
        with Image.open(demo / frame["object_file_path"]) as ids:
            assert ids.size == (320, 240)
            seen |= set(np.unique(np.asarray(ids)).tolist())
    assert seen <= set(objects)
    assert {objects[i]["label"] for i in seen} >= {"sofa", "armchair", "coffee table", "rug", "piano", "plant", "lamp"}


def test_demo_is_free_small_and_credited(demo: Path) -> None:
    credits = asset_path("LICENSES.md").read_text(encoding="utf-8")
    for made in json.loads((demo / "objects.json").read_text()):
        assert made["licence"] in {"CC0", "CC-BY-3.0", "CC-BY-3.0-US", "Apache-2.0"}
        if made["model"] is not None:
            row = next(line for line in credits.splitlines() if f"`{made['model']}`" in line)
            assert made["creator"] in row
    assert sum(p.stat().st_size for p in demo.rglob("*") if p.is_file()) < 12e6
