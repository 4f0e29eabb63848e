"""The SQLite store: whole records, other weights, damaged and newer files, read-only folders, kills and two writers."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.errors import RepositoryError
from engine.repository.record import NamedPlace, decode, encode, pack, unpack
from engine.repository.store import FILE, open_store
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
        pos_w, codes, _, cameras = unpack(type(packed)(*damaged), 64, DIM)
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


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path, make=True)
    store.add(record(0))
    connect = sqlite3.connect

    def full(*args: object, **options: object) -> sqlite3.Connection:
        db = connect(*args, **options)  # type: ignore[arg-type]
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    monkeypatch.setattr(sqlite3, "connect", full)
    with pytest.raises(RepositoryError, match="free some space"):
        store.add(record(1, keypoints=512))
    assert [r.name for r in store.rows()] == ["room 0"]


WRITER = """
import sys
from pathlib import Path
from engine.repository.store import open_store
from tests.engine.repository.made import record
store = open_store(Path(sys.argv[1]), make=True)
print("ready", flush=True)
for seed in range(int(sys.argv[2]), int(sys.argv[3])):
    store.add(record(seed, keypoints=256))
    print(seed, flush=True)
"""


def writer(folder: Path, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def whole(folder: Path) -> set[str]:
    """Names of all scenes, each of which was read whole and compared."""
    store = open_store(folder)
    for row in store.rows():
        made = record(int(row.name.split()[1]), keypoints=256)
        assert (store.load(row.id).codes == made.codes).all()
    return {r.name for r in store.rows()}


def test_two_writers_take_turns(tmp_path: Path) -> None:
    runs = [writer(tmp_path, 0, 15), writer(tmp_path, 100, 115)]
    for run in runs:
        run.communicate(timeout=120)
        assert run.returncode == 0
    assert whole(tmp_path) == {f"room {n}" for n in (*range(15), *range(100, 115))}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
@pytest.mark.timeout(600)
def test_killed_at_any_moment_what_was_said_to_be_added_is_there(tmp_path: Path) -> None:
    rng, said, tried = random.Random(0), set[str](), set[str]()
    for kill in range(50):
        first = kill * 1000
        with writer(tmp_path, first, first + 1000) as run:
            assert run.stdout is not None
            run.stdout.readline()
            time.sleep(rng.uniform(0, 0.2))
            run.send_signal(signal.SIGKILL)
            lines = run.stdout.read().splitlines()
        said |= {f"room {line}" for line in lines if line.isdigit()}
        tried |= {f"room {n}" for n in range(first, first + len(lines) + 1)}
        there = whole(tmp_path) if kill % 10 == 9 else {r.name for r in open_store(tmp_path).rows()}
        assert said <= there <= tried
    assert len(said) > 50
