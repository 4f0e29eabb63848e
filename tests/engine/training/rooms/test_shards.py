"""Shards: rooms come back as captures, their places are true, a fused grid shows them; damaged files are refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from engine.api.errors import CaptureError
from engine.api.jobs import finish
from engine.grid import FitSettings, fit_grid
from engine.march import render_colour
from engine.metrics.psnr import psnr
from engine.metrics.truth import depth_views, reproject
from engine.training.rooms.catalogues import Library
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.pack import PackedRoom, Recipe, make_room, write_shard
from engine.training.rooms.shards import RoomCapture, open_shards
from engine.training.rooms.surfaces import read_photos


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory, make_boxes: Callable, make_photos: Callable) -> list[PackedRoom]:
    """A room and a single object, 9 views of 128 x 96 each."""
    folder = tmp_path_factory.mktemp("catalogue")
    library, photos = Library((make_boxes(folder),), "train"), read_photos(make_photos(folder))
    return [make_room(library, photos, Recipe(1, 9, 128, share), n) for n, share in enumerate((0.0, 1.0))]


@pytest.fixture
def shard(packed: list[PackedRoom], tmp_path: Path) -> Path:
    path = tmp_path / "shard-0000.safetensors"
    write_shard(path, packed, {"seed": 1})
    return path


def rooms_of(shard: Path) -> list[RoomCapture]:
    return [ref.load() for ref in open_shards(shard.parent)]


def test_rooms_come_back_with_what_stands_in_them(shard: Path) -> None:
    refs = open_shards(shard.parent)
    assert [(r.kind, r.split, r.seed, r.number, r.size) for r in refs] == [
        ("room", "train", 1, 0, (128, 96)),
        ("object", "train", 1, 1, (128, 96)),
    ]
    room, single = rooms_of(shard)
    assert [v.held_out for v in room.views] == [False] * 7 + [True, False]
    assert room.bounded
    assert single.labels()[1] == "floor"
    assert len(single.objects) == 2
    assert refs[0].fingerprint != refs[1].fingerprint
    assert room.scene_info().views[8].has_depth
    for i in range(9):
        ids, photo = room.object_ids(i), room.read(i, depth=True)
        assert ids.shape == photo.rgb.shape[:2] == (96, 128)
        assert set(np.unique(ids)) <= set(room.labels())
        assert photo.alpha is None
        eye = room.views[i].camera.centre_w
        assert (room.bounds_w[0] < eye).all()
        assert (eye < room.bounds_w[1]).all()
    photo = single.read(0, max_side=64, depth=True)
    assert photo.rgb.shape == (48, 64, 3)
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha > 0, photo.depth_z > 0)
    assert 0.05 < (photo.alpha > 0).mean() < 0.95


def test_depth_and_ids_agree_between_views(shard: Path) -> None:
    for room in rooms_of(shard):
        views, truth = finish(depth_views(room, 128))
        assert truth == "depth"
        same = found = 0
        for a in views:
            for b in views:
                if a is b:
                    continue
                pos = a.camera.pixel_grid()
                target, true = reproject(a, b, pos)
                at = target[true].astype(int)
                same += (room.object_ids(a.index).ravel()[true] == room.object_ids(b.index)[at[:, 1], at[:, 0]]).sum()
                found += true.sum()
        assert found > 20_000
        assert same / found > 0.97


def test_fused_grid_shows_its_own_views(shard: Path) -> None:
    for room, least in zip(rooms_of(shard), (20, 20), strict=True):
        grid = finish(fused_grid(room, 150_000))
        assert grid.spec.cells <= 160_000
        scores = []
        for i in (0, 4):
            camera = room.views[i].camera
            image = render_colour(grid, camera)[0].reshape(camera.height, camera.width, 3)
            truth = np.where(room.object_ids(i)[..., None] > 0, room.read(i).rgb / 255, 1)
            scores.append(psnr(image, truth))
        assert min(scores) > least
        few = finish(fused_grid(room, 150_000, views=[0, 1]))
        assert 0 < len(few.index) < len(grid.index)


def test_rooms_can_be_fitted_like_any_capture(shard: Path) -> None:
    grid = finish(fit_grid(rooms_of(shard)[0], FitSettings(cells=20_000, voxels=4_000, steps=4)))
    assert grid.meta["heldout"] == 1
    assert grid.meta["skipped"] == 0


def test_no_depth_within_the_bounds_is_said_in_words(shard: Path) -> None:
    room = rooms_of(shard)[0]
    with pytest.raises(CaptureError, match="no depth to build a grid from"):
        finish(fused_grid(room, views=[]))


@pytest.fixture(scope="module")
def good(packed: list[PackedRoom], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "shard-0000.safetensors"
    write_shard(path, packed[1:], {})
    return path.read_bytes()


def header(data: bytes) -> dict[str, Any]:
    size = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["meta"])


def read_all(path: Path) -> None:
    for ref in open_shards(path.parent):
        room = ref.load()
        for i in range(len(room.views)):
            room.read(i, depth=True)
            room.object_ids(i)


Change = Callable[[dict[str, Any], dict[str, Any]], object]


def _nan_pose(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.c2w"][3, 0, 3] = np.nan


def _sheared(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.c2w"][1, 0, 1] += 0.2


def _mirrored(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.c2w"][1, :3, 0] *= -1


def _no_focal(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.intrinsics"][0, 0, 0] = 0


def _infinite_focal(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.intrinsics"][0, 0, 0] = np.inf


def _ends_backwards(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.depth_ends"][2] = 1


def _ends_beyond(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.photos_ends"][-1] += 10


def _other_image(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.depth"], t["000.depth_ends"] = t["000.objects"], t["000.objects_ends"]


def _gigapixels(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.objects"][16:24] = np.frombuffer(b"\x7f\xff\xff\xff" * 2, np.uint8)


def _noise(t: dict[str, Any], _: dict[str, Any]) -> None:
    t["000.photos"][:] = np.random.default_rng(0).integers(0, 256, len(t["000.photos"]))


CHANGES: dict[str, Change] = {
    "NaN pose": _nan_pose,
    "sheared pose": _sheared,
    "mirrored pose": _mirrored,
    "no focal length": _no_focal,
    "infinite focal length": _infinite_focal,
    "offsets backwards": _ends_backwards,
    "offsets beyond the end": _ends_beyond,
    "ids in place of depth": _other_image,
    "a few bytes that speak of gigapixels": _gigapixels,
    "noise for photos": _noise,
    "a missing array": lambda t, m: t.pop("000.c2w"),
    "poses of another type": lambda t, m: t.update({"000.c2w": t["000.c2w"].astype(np.float32)}),
    "poses of another shape": lambda t, m: t.update({"000.c2w": t["000.c2w"][:, :3].copy()}),
    "one camera too few": lambda t, m: t.update({"000.intrinsics": t["000.intrinsics"][1:].copy()}),
    "flat poses": lambda t, m: t.update({"000.c2w": np.zeros(())}),
    "another format": lambda t, m: m.update(format="other"),
    "rooms that are no list": lambda t, m: m.update(rooms={"a": 1}),
    "no settings": lambda t, m: m.pop("settings"),
    "a room that is no object": lambda t, m: m.update(rooms=[3]),
    "a huge photo": lambda t, m: m["rooms"][0].update(size=[10**9, 10**9]),
    "a size in words": lambda t, m: m["rooms"][0].update(size="large"),
    "another size": lambda t, m: m["rooms"][0].update(size=[128, 97]),
    "NaN bounds": lambda t, m: m["rooms"][0].update(bounds_w=[[0, 0, 0], [1, float("nan"), 1]]),
    "bounds inside out": lambda t, m: m["rooms"][0].update(bounds_w=[[0, 0, 0], [1, -1, 1]]),
    "an object without a name": lambda t, m: m["rooms"][0]["objects"][0].pop("name"),
    "an id beyond 8 bits": lambda t, m: m["rooms"][0]["objects"][0].update(id=4000),
    "an infinite seed": lambda t, m: m["rooms"][0].update(seed=float("inf")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_malformed_shards_are_refused(change: Change, good: bytes, tmp_path: Path) -> None:
    path = tmp_path / "shard-0000.safetensors"
    path.write_bytes(good)
    tensors, meta = {k: v.copy() for k, v in load_file(path).items()}, header(good)
    change(tensors, meta)
    save_file(tensors, path, metadata={"meta": json.dumps(meta)})
    with pytest.raises(CaptureError) as e:
        read_all(path)
    assert e.value.path == str(path)
    assert e.value.found
    assert "engine.training.rooms.generate" in (e.value.mend or "")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.binary(min_size=8, max_size=8))
def test_truncated_or_overwritten_shards_are_refused_or_read(
    good: bytes, tmp_path: Path, cut: bool, place: float, other: bytes
) -> None:
    path = tmp_path / "shard-0000.safetensors"
    if cut:
        path.write_bytes(good[: int(place * len(good))])
        with pytest.raises(CaptureError, match="cannot be read"):
            read_all(path)
        return
    at = int(place * (len(good) - 8))
    path.write_bytes(good[:at] + other + good[at + 8 :])
    with contextlib.suppress(CaptureError):  # what was overwritten may be a pixel
        read_all(path)


def test_an_empty_folder_holds_no_rooms(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CaptureError, match="holds no rooms"):
            open_shards(folder)
