"""The SQLite store: whole records, other weights, older, newer and damaged files, folders that cannot be written."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import RepositoryError
from engine.repository.occupancy import SOLID, Occupancy
from engine.repository.record import NamedPlace, SceneRecord, decode, encode, pack, unpack
from engine.repository.search import Repository
from engine.repository.store import _SCENES, FILE, open_store
from tests.engine.repository.made import DIM, record, unit

LAMP = NamedPlace("lamp", 0.75, (0.5, -1.0, 2.0))


def test_what_is_added_is_there_whole(tmp_path: Path) -> None:
    store = open_store(tmp_path / "new" / "repo", make=True)
    made = record(1, places=(LAMP,))
    id = store.add(made)
    found = open_store(tmp_path / "new" / "repo").load(id)
    np.testing.assert_allclose(found.pos_w, made.pos_w, atol=4 / 4095 / 2 + 1e-6)
    assert (found.codes == made.codes).all()
    assert (found.cameras == made.cameras).all()
    assert found.places == (LAMP,)
    assert (found.name, found.path, found.thumbnail) == (made.name, made.path, made.thumbnail)
    (row,) = store.rows()
    assert (row.id, row.keypoints, row.extent_w) == (id, 64, 6.9)
    assert row.added == pytest.approx(time.time(), abs=60)


def test_a_scene_is_there_once_and_can_be_removed(tmp_path: Path) -> None:
    store = open_store(tmp_path, make=True)
    seen = {store.changes()}
    for step in range(3):
        id = store.add(record(step % 2))
        seen.add(store.changes())
    assert [r.name for r in store.rows()] == ["room 1", "room 0"]
    store.remove(id)
    seen.add(store.changes())
    store.add(record(7))
    seen.add(store.changes())
    assert len(seen) == 6
    assert [r.name for r in store.rows()] == ["room 1", "room 7"]
    with pytest.raises(RepositoryError, match="no such scene"):
        store.remove(id)
    with pytest.raises(RepositoryError, match="no such scene"):
        store.load(id)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pos_w": np.full((64, 3), np.nan, np.float32)}, "make no sense"),
        ({"extent_w": 0.0}, "make no sense"),
        ({"pos_w": np.zeros((63, 3), np.float32)}, "make no sense"),
        ({"codes": np.zeros((2, DIM), np.int8)}, "too few"),
        ({"codes": np.zeros((513, DIM), np.int8)}, "too many"),
        ({"weights": "others"}, "other weights"),
    ],
)
def test_records_that_do_not_fit_are_refused(tmp_path: Path, change: dict[str, object], says: str) -> None:
    store = open_store(tmp_path, make=True)
    store.add(record(0))
    with pytest.raises(RepositoryError, match=says) as e:
        store.add(replace(record(1), **change))
    assert e.value.path
    assert len(store.rows()) == 1


def test_no_repository_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="condense index add"):
        open_store(tmp_path)


def test_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    open_store(tmp_path, make=True)
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 99")
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(RepositoryError, match="newer version"):
        open_store(tmp_path, make=True)
    assert (tmp_path / FILE).read_bytes() == before


def made_by_format_1(folder: Path, scenes: list[SceneRecord]) -> None:
    """A repository as the first version wrote it: no names, no index, positions of 16 bits."""
    with sqlite3.connect(folder / FILE) as db:
        db.executescript(_SCENES)
        db.execute("PRAGMA user_version = 1")
        for id, scene in enumerate(scenes, start=1):
            head = (id, scene.fingerprint, scene.name, scene.path, scene.weights, 0.0, scene.extent_w)
            db.execute("INSERT INTO scenes VALUES (?,?,?,?,?,?,?,?,?,?)", (*head, *scene.codes.shape, scene.thumbnail))
            packed = pack(scene)
            lo, hi = np.frombuffer(packed.box, "<f8").reshape(2, 3)
            pos = np.round((scene.pos_w.astype(np.float64) - lo) / (hi - lo) * 65535).astype("<u2").tobytes()
            db.execute("INSERT INTO condensed VALUES (?,?,?,?,?,?)", (id, *packed._replace(pos=pos)[:5]))


@pytest.mark.parametrize("writable", [True, False])
def test_the_first_format_is_read_and_brought_up_where_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    scenes = [record(1, places=(LAMP,)), record(2), record(3, places=(LAMP._replace(chance=0.25),))]
    made_by_format_1(tmp_path, scenes)
    monkeypatch.setattr(os, "access", lambda *_: writable)  # root may write anywhere
    before = (tmp_path / FILE).read_bytes()
    store = open_store(tmp_path)
    assert [r.name for r in store.rows()] == ["room 1", "room 2", "room 3"]
    np.testing.assert_allclose(store.load(1).pos_w, scenes[0].pos_w, atol=4 / 65535)
    assert store.named({"lamp", "sofa"}) == [(1, "lamp", 0.75), (3, "lamp", 0.25)]
    assert store.codebook() is None
    assert store.postings(0, 9) == []
    query = decode(scenes[1].codes)
    assert Repository(store).best(query)[0][0].name == "room 2"
    if writable:
        store.remove(1)
        store.add(record(4, places=(LAMP,)))
        assert open_store(tmp_path).named({"lamp"}) == [(3, "lamp", 0.25), (4, "lamp", 0.75)]
    else:
        assert (tmp_path / FILE).read_bytes() == before
        with pytest.raises(RepositoryError, match="nothing can be written"):
            store.add(record(4))


@pytest.mark.parametrize("writable", [True, False])
def test_the_second_format_knows_nothing_of_space_and_learns_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writable: bool
) -> None:
    store = open_store(tmp_path, make=True)
    store.add(record(1, places=(LAMP,)))
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("ALTER TABLE condensed DROP COLUMN occupancy")
        db.execute("PRAGMA user_version = 2")
    monkeypatch.setattr(os, "access", lambda *_: writable)
    store = open_store(tmp_path)
    assert store.load(1).occupancy is None
    assert store.named({"lamp"}) == [(1, "lamp", 0.75)]
    if writable:
        space = Occupancy(np.full((2, 3, 4), SOLID, np.uint8), np.eye(4))
        store.add(replace(record(2), occupancy=space))
        again = open_store(tmp_path).load(2).occupancy
        assert again is not None
        np.testing.assert_array_equal(again.states, space.states)


def test_a_full_disk_leaves_the_first_format_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by_format_1(tmp_path, [record(1, places=(LAMP,))])
    before = (tmp_path / FILE).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", full(sqlite3.connect))
        with pytest.raises(RepositoryError, match="free some space"):
            open_store(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before
    assert open_store(tmp_path).named({"lamp"}) == [(1, "lamp", 0.75)]


def test_many_are_added_or_none(tmp_path: Path) -> None:
    store = open_store(tmp_path, make=True)
    with pytest.raises(RepositoryError, match="other weights"):
        store.add_all([record(0), record(1), record(2, weights="others")])
    assert store.rows() == []
    assert store.add_all(record(n) for n in range(3)) == [1, 2, 3]


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\x00" + b"\xff" * 4000, os.urandom(9000)])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(RepositoryError) as e:
        open_store(tmp_path, make=True)
    assert str(tmp_path / FILE) in e.value.text()
    assert e.value.mend


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("PRAGMA user_version = 1")
        db.execute("CREATE TABLE other (x)")
    with pytest.raises(RepositoryError):
        open_store(tmp_path, make=True)


@given(st.integers(0, 12_000), st.binary(min_size=1, max_size=64))
def test_bytes_that_rot_are_an_error_or_the_truth(place: int, rot: bytes) -> None:
    packed = pack(record(3, places=(LAMP,)))
    damaged = [bytes(b) for b in packed]
    which = place % len(damaged)
    at = place % max(1, len(damaged[which]))
    damaged[which] = damaged[which][:at] + rot + damaged[which][at + 2 * len(rot) :]
    try:
        pos_w, codes, _, cameras, _ = unpack(type(packed)(*damaged), 64, DIM)
    except RepositoryError:
        return
    assert pos_w.shape == (64, 3)
    assert codes.shape == (64, DIM)
    assert np.isfinite(cameras).all()


def test_codes_keep_the_cosine() -> None:
    rng = np.random.default_rng(0)
    a, b = unit(rng, 200), unit(rng, 200)
    a = b * 0.6 + a * 0.4
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    assert np.abs((decode(encode(a)) * decode(encode(b))).sum(1) - (a * b).sum(1)).max() < 0.02


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be made read-only so")
def test_a_folder_that_may_not_be_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_store(tmp_path, make=True).add(record(0))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    store = open_store(tmp_path)
    assert [r.name for r in store.rows()] == ["room 0"]
    assert len(store.load(store.rows()[0].id)) == 64
    with pytest.raises(RepositoryError, match="nothing can be written"):
        store.add(record(1))


def full(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    """Connections to files that cannot grow any more."""

    def connected(*args: object, **options: object) -> sqlite3.Connection:
        db = connect(*args, **options)
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    return connected


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path, make=True)
    store.add(record(0))
    monkeypatch.setattr(sqlite3, "connect", full(sqlite3.connect))
    with pytest.raises(RepositoryError, match="free some space"):
        store.add(record(1, keypoints=512))
    assert [r.name for r in store.rows()] == ["room 0"]
