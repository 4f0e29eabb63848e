"""Measures of a repository against what was worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.api.camera import Camera
from engine.api.jobs import finish
from engine.metrics.repository import (
    Found,
    alignment_error,
    area_under_roc,
    asked_names,
    duplicates_row,
    elsewhere,
    finder,
    photo_row,
    pose_error,
    text_row,
)
from engine.metrics.repository_bench import first_scan
from engine.metrics.room_scenes import AskedPhoto
from engine.queries.prompt import Vocabulary
from engine.repository.photo import PhotoQuery
from engine.repository.pose import Pose
from engine.repository.record import NamedPlace, decode
from engine.repository.search import Repository
from engine.repository.store import open_store
from tests.engine.repository.made import record

K = np.array([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]])


def camera(turn_degrees: float = 0.0, x: float = 0.0) -> Camera:
    c2w = np.eye(4)
    c2w[:3, :3] = Rotation.from_euler("y", turn_degrees, degrees=True).as_matrix()
    c2w[0, 3] = x
    return Camera(K, c2w, 320, 240)


def pose(turn_degrees: float = 0.0, x: float = 0.0) -> Pose:
    return Pose(camera(turn_degrees, x), np.zeros((9, 2), np.int64), np.ones(9, np.bool_))


def photo(room: str, seed: int = 0) -> AskedPhoto:
    pos_px = np.random.default_rng(0).uniform(0, [320, 240], (64, 2))
    query = PhotoQuery(pos_px, decode(record(seed).codes), (320, 240), 300.0)
    return AskedPhoto(room, np.zeros((240, 320, 3), np.uint8), query, camera())


def test_poses_are_measured_in_place_and_angle() -> None:
    distance, degrees = pose_error(pose(30, 0.5), camera(10, 0.1))
    assert distance == pytest.approx(0.4)
    assert degrees == pytest.approx(20)
    assert pose_error(None, camera()) == (np.inf, np.inf)


def test_area_under_roc_counts_pairs() -> None:
    assert area_under_roc([0.9, 0.5], [0.1, 0.5]) == (1 + 1 + 1 + 0.5) / 4
    assert area_under_roc([0.2], [0.2, 0.9]) == 0.25


def test_photos_are_counted_right_near_and_turned_away() -> None:
    answers = {
        "a": Found(("a", "b"), pose(), 0.9, 0.010),
        "b": Found(("a", "b"), pose(), 0.6, 0.030),  # second: never placed
        "c": Found(("c",), pose(4.9, 0.49), 0.9, 0.020),
        "d": Found(("d",), pose(5.1), 0.9, 0.020),
        "strange": Found(("a",), None, 0.1, 0.5),
        "stranger": Found(("a",), pose(), 0.7, 0.5),
    }
    known, unknown = [photo(r) for r in "abcd"], [photo("strange"), photo("stranger")]
    row = finish(photo_row("image", "m", lambda p: answers[p.room], known, unknown, dict.fromkeys("abcd", 10.0)))
    assert (row["questions"], row["scenes"], row["recall_1"], row["recall_5"]) == (4, 4, 0.75, 1.0)
    assert row["placed"] == 0.5
    assert row["rejected"] == 0.5
    assert row["auc"] == pytest.approx((2 + 1 + 2 + 2) / 8)
    assert row["query_ms"] == 20
    assert row["precision"] is None


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_a_scan_elsewhere_is_where_it_says(seed: int) -> None:
    first = record(seed)
    scan = elsewhere(first, first.name, np.random.default_rng(seed))
    into = scan.first_to_it
    np.testing.assert_allclose(first.pos_w @ into[:3, :3].T + into[:3, 3], scan.record.pos_w, atol=1e-3)
    scale = np.cbrt(np.linalg.det(into[:3, :3]))
    assert scan.record.extent_w == pytest.approx(first.extent_w * scale)
    assert alignment_error(into, scan, first) == pytest.approx((0, 0), abs=1e-4)
    turn = scan.record.cameras[0, :3, :3]
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)
    shifted = into.copy()
    shifted[0, 3] += 0.1 * scan.record.extent_w
    assert alignment_error(shifted, scan, first)[0] == pytest.approx(0.1)


def test_pairs_are_judged_whichever_way_round(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    firsts = {r.name: r for r in (record(1, 200), record(2, 200))}
    store = open_store(tmp_path, make=True)
    again = [elsewhere(replace(r, name=f"{n} again", fingerprint=f"{n} again"), n, rng) for n, r in firsts.items()]
    store.add(again[0].record)  # before its first scan: the pair comes the other way round
    for scene in (*firsts.values(), again[1].record, record(3, 200)):
        store.add(scene)
    repository = Repository(store)
    row = duplicates_row("duplicates", repository, again, firsts, finish(repository.duplicates()))
    assert (row["precision"], row["recall"], row["placed"]) == (1, 1, 1)
    assert row["error_extent"] is not None
    assert row["error_extent"] < 0.01
    none = duplicates_row("duplicates", repository, again, firsts, [])
    assert (none["precision"], none["recall"], none["error_extent"]) == (None, 0, None)


def test_our_finder_finds_its_own(tmp_path: Path) -> None:
    store = open_store(tmp_path, make=True)
    for seed in (4, 5):
        store.add(record(seed))
    found = finder(Repository(store))(photo("room 5", seed=5))
    assert found.scenes[0] == "room 5"
    assert found.confidence < 0.5  # its keypoints lie anywhere: no camera


def test_words_are_counted_and_the_names_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path, make=True)
    for seed, places in ((1, ("piano", 0.9)), (2, ("piano", 0.5)), (3, ("sofa", 0.8))):
        store.add(record(seed, places=(NamedPlace(*places, (0.0, 0.0, 0.0)),)))
    repository = Repository(store)
    ranked = {"piano": ["room 1", "room 2"], "sofa": ["room 3"]}

    def by_words(prompt: str, _vocabularies: object, most: int) -> list[object]:
        assert most == 3
        rows = {row.name: row for row in repository.rows}
        return [type("W", (), {"row": rows[n]}) for n in ranked[prompt.removeprefix("room with a ")]]

    monkeypatch.setattr(repository, "by_words", by_words)
    holds = {"room 1": ("lamp",), "room 2": ("piano",), "room 3": ("lamp",)}
    vocabularies: list[Vocabulary] = []
    row = text_row("m", repository, vocabularies, holds, ["piano"], np.random.default_rng(0))
    assert (row["questions"], row["recall_1"], row["recall_5"]) == (1, 0, 1)
    many = {f"r{n}": ("wall", "bed", "cup") if n < 3 else ("wall",) for n in range(10)} | {"r": ("wall", "bed")}
    assert asked_names(many, ["wall", "bed", "cup", "x"]) == ["bed", "cup"]


def test_variants_are_scans_of_the_plain_room() -> None:
    assert first_scan("held-out 3-00005 moved") == first_scan("held-out 3-00005") == "held-out 3-00005"
