"""Rooms like another one: scanned again they are the same, moved and swapped they are not, though their walls are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import CaptureError
from engine.training.rooms import variants
from engine.training.rooms.cameras import room_cameras
from engine.training.rooms.catalogues import LARGE_M, Library
from engine.training.rooms.furnish import Plan, random_room
from engine.training.rooms.generate import Options, generate
from engine.training.rooms.mesh import Mesh
from engine.training.rooms.pack import Recipe, make_room
from engine.training.rooms.render import Rendering
from engine.training.rooms.scene import Room, RoomScene
from engine.training.rooms.surfaces import read_photos
from engine.training.rooms.variants import Variant, cameras_again, sensed, varied

GREY = [np.full((30, 30, 3), 90, np.uint8)]


def a_room(boxes_dir: Path, seed: int = 0) -> tuple[Library, Room, Plan]:
    library = Library((boxes_dir,), "train")
    return library, *random_room(library, GREY, np.random.default_rng(seed))


def models(room: Room) -> list[str]:
    return sorted(o.model for o in room.objects if o.model is not None)


def own(room: Room) -> list[tuple[str, np.ndarray]]:
    return [(o.name, m.corners) for o, m in zip(room.objects, room.meshes, strict=True) if o.model is None]


def test_every_placement_has_its_box(boxes_dir: Path) -> None:
    _, _, plan = a_room(boxes_dir)
    assert len(plan.placed) == len(plan.boxes)
    for where, (lo, hi) in zip(plan.placed, plan.boxes, strict=True):
        np.testing.assert_allclose(where.position, [*(lo + hi)[:2] / 2, lo[2]])
        if where.on is not None:
            assert plan.boxes[where.on][1][2] == pytest.approx(lo[2])


@pytest.mark.parametrize("variant", ["moved", "swapped"])
def test_walls_and_pictures_stay(boxes_dir: Path, variant: Variant) -> None:
    library, room, plan = a_room(boxes_dir)
    other, there = varied(room, plan, library, GREY, variant, np.random.default_rng(1))
    assert [n for n, _ in own(room)] == [n for n, _ in own(other)]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(own(room), own(other), strict=True))
    assert [o.id for o in other.objects] == list(range(1, len(other.objects) + 1))
    assert (there.half == plan.half).all()
    assert there.height == plan.height


def test_moved_furniture_is_the_same_in_other_places(boxes_dir: Path) -> None:
    library, room, plan = a_room(boxes_dir)
    other, there = varied(room, plan, library, GREY, "moved", np.random.default_rng(1))
    assert set(models(other)) <= set(models(room))
    assert len(models(other)) > 0.6 * len(models(room))  # what finds no place is left out
    before = {p.entry.id: p.position for p in plan.placed}
    assert all(np.linalg.norm(before[p.entry.id] - p.position) > 0.01 for p in there.placed)


def test_swapped_furniture_is_other_in_the_same_places(boxes_dir: Path) -> None:
    library, room, plan = a_room(boxes_dir)
    _, there = varied(room, plan, library, GREY, "swapped", np.random.default_rng(1))
    assert len(there.placed) == len(plan.placed)
    for old, new, (lo, hi) in zip(plan.placed, there.placed, there.boxes, strict=True):
        assert new.entry.id != old.entry.id
        assert (new.entry.size[0] > LARGE_M) == (old.entry.size[0] > LARGE_M)
        np.testing.assert_allclose(new.position[:2], old.position[:2])
        assert new.yaw == old.yaw
        assert lo[2] == (0 if new.on is None else there.boxes[new.on][1][2])
        assert hi[2] - lo[2] == pytest.approx(new.entry.size[2])


def test_elsewhere_the_furniture_goes_on_and_the_walls_do_not(boxes_dir: Path, photos_dir: Path) -> None:
    library, room, plan = a_room(boxes_dir)
    photos, seen = read_photos(photos_dir), set(models(room))

    def floor(of: Room) -> Mesh:
        return next(m for o, m in zip(of.objects, of.meshes, strict=True) if o.label == "floor")

    for variant in ("moved-elsewhere", "swapped-elsewhere"):
        there, _ = varied(room, plan, library, photos, variant, np.random.default_rng(1))
        assert np.array_equal(floor(room).corners, floor(there).corners)
        assert not np.array_equal(floor(room).materials[0].mean, floor(there).materials[0].mean)
        assert len(models(there)) > 3
        assert (set(models(there)) <= seen) if variant.startswith("moved") else not set(models(there)) & seen


def test_a_room_that_takes_no_other_order_is_told(boxes_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library, room, plan = a_room(boxes_dir)
    monkeypatch.setattr(variants, "stand_large", lambda *_: None)
    with pytest.raises(CaptureError, match="no other way"):
        varied(room, plan, library, GREY, "moved", np.random.default_rng(1))


def test_another_scan_sees_much_of_the_same_from_elsewhere(boxes_dir: Path) -> None:
    _, room, plan = a_room(boxes_dir)
    rng = np.random.default_rng(2)
    scene, first = RoomScene(room), room_cameras(plan, 8, 64, rng)
    again = cameras_again(scene, plan, first, 64, rng)
    assert min(np.linalg.norm(a.centre_w - b.centre_w) for a in first for b in again) > 1e-6
    before, now = (variants._cells_seen(scene, cameras) for cameras in (first, again))
    assert len(before & now) >= 0.5 * max(len(before), len(now))


def test_a_sensor_changes_little() -> None:
    rgb, depth_z = np.full((60, 80, 3), 128, np.uint8), np.full((60, 80), 2.0, np.float32)
    (view,) = sensed([Rendering(rgb, depth_z, np.zeros((60, 80), np.uint8))], np.random.default_rng(0))
    assert view.rgb.dtype == np.uint8
    assert 1 < view.rgb.astype(float).std(axis=(0, 1)).max() < 8
    assert abs(view.rgb.mean() - 128) < 25
    answered = view.depth_z > 0
    assert 0.97 < answered.mean() < 1
    assert abs(view.depth_z[answered] - 2).max() < 0.06
    assert abs(view.depth_z[answered].std() - 0.008) < 0.001


def test_the_same_variant_twice_is_the_same_and_plain_rooms_do_not_change(boxes_dir: Path, photos_dir: Path) -> None:
    library, photos = Library((boxes_dir,), "train"), read_photos(photos_dir)
    seen: set[str] = set()
    for variant in variants.VARIANTS:
        one, two = (make_room(library, photos, Recipe(3, 3, 64, 0, variant), 1) for _ in range(2))
        assert one.entry["fingerprint"] == two.entry["fingerprint"]
        assert one.entry["name"].endswith(variant) == (variant != "plain")
        seen.add(one.entry["fingerprint"])
    assert len(seen) == len(variants.VARIANTS)


def test_single_objects_have_no_variants(boxes_dir: Path, photos_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="--objects 0"):
        generate(Options((boxes_dir,), photos_dir, tmp_path, rooms=1, objects=0.5, variant="moved"))
