"""Codebook and postings: against plain formulas, followed through changes, and never needed."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api.jobs import Progress, finish
from engine.encoders.words import WordEncoder
from engine.queries.prompt import Vocabulary
from engine.repository import codebook, shortlist
from engine.repository.codebook import Codebook, nearest, train
from engine.repository.record import NamedPlace, decode, encode
from engine.repository.scenes import SceneStore
from engine.repository.search import Repository
from engine.repository.shortlist import Shortlist, build_index, index_due, listed_of, tally
from engine.repository.store import open_store
from tests.engine.repository.made import DIM, consistent, record, unit
from tests.engine.repository.test_align import moved


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexed from 20 scenes on, with few centres."""
    monkeypatch.setattr(shortlist, "EXACT", 20)
    monkeypatch.setattr(shortlist, "LEAST_LISTED", 8)
    monkeypatch.setattr(shortlist, "LISTED", 1.0)
    monkeypatch.setattr(shortlist, "BLOCK", 16)
    monkeypatch.setattr(codebook, "CENTRES", 64)
    monkeypatch.setattr(shortlist, "CENTRES", 64)


@pytest.fixture
def store(tmp_path: Path) -> SceneStore:
    store = open_store(tmp_path, make=True)
    store.add_all(record(seed, keypoints=64) for seed in range(40))
    finish(build_index(store))
    return store


def test_words_by_hand() -> None:
    book = Codebook(encode(np.eye(3, DIM, dtype=np.float32) * 0.9), 5)
    seen = np.zeros((4, DIM), np.float32)
    seen[[0, 1, 2, 3], [2, 0, 2, 0]] = 0.4
    assert book.words(encode(seen)).tolist() == [0, 2]
    words, worth = book.probes(np.array([[0.8, 0.6, *[0] * (DIM - 2)]], np.float32), 2)
    assert words.tolist() == [[0, 1]]
    np.testing.assert_allclose(worth, [[0.8, 0.6]], atol=1e-6)
    assert not len(book.words(np.ones((4, 7), np.int8)))


def test_centres_are_where_descriptors_gather() -> None:
    rng = np.random.default_rng(3)
    centres = unit(rng, 64)
    noisy = np.repeat(centres, 50, axis=0) + 0.5 * unit(rng, 64 * 50)
    noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
    steps: list[Progress] = []
    book = finish(train(encode(noisy), 40, seed=1), steps.append)
    assert len(book.codes) == 64
    drawn = noisy[rng.choice(len(noisy), 64, replace=False)]
    assert (noisy @ book.centres.T).max(axis=1).mean() > (noisy @ drawn.T).max(axis=1).mean() + 0.03
    assert ((book.centres @ centres.T).max(axis=0) > 0.98).mean() > 0.4  # where two began in one, others share
    assert steps[-1].done < steps[-1].total
    assert (finish(train(encode(noisy), 40, seed=1)).codes == book.codes).all()


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 20))
def test_tallies_are_the_first_probe_that_a_scene_has(seed: int, probes: int, scenes: int) -> None:
    rng = np.random.default_rng(seed)
    has = rng.random((scenes, 12)) < 0.3
    words = np.stack([rng.permutation(12)[:probes] for _ in range(9)]).astype(np.int32)
    worth = -np.sort(-rng.random((9, probes)).astype(np.float32), axis=1)
    order = np.argwhere(has.T)
    starts = np.concatenate([[0], np.cumsum(has.sum(axis=0))]).astype(np.int64)
    score = np.zeros(scenes, np.float32)
    tally(starts, order[:, 1].astype(np.uint16), words, worth, score)
    expected = [sum(max((v for w, v in zip(ws, vs, strict=True) if has[s, w]), default=0)
                    for ws, vs in zip(words, worth, strict=True)) for s in range(scenes)]  # fmt: skip
    np.testing.assert_allclose(score, expected, rtol=1e-5)


def test_the_shortlist_grows_with_the_repository() -> None:
    lengths = [listed_of(n) for n in (1, 20, 21, 100, 10_000)]
    assert lengths == [1, 20, 8, 10, 100]


def test_scenes_are_found_by_their_own_keypoints(store: SceneStore) -> None:
    assert consistent(store)
    repository = Repository(store)
    for row in repository.rows:
        scene = store.load(row.id)
        found = repository.best(decode(scene.codes)[::2])
        assert 8 <= len(found) < 40
        assert found[0][0].name == scene.name
        exact = repository.scores(decode(scene.codes)[::2])
        assert found[0][1] == pytest.approx(exact.max())


def test_what_is_added_and_removed_is_followed(store: SceneStore) -> None:
    repository = Repository(store)
    assert len(repository.rows) == 40
    for row in repository.rows[3:30:5]:
        store.remove(row.id)
    store.add(replace(record(5, keypoints=50), name="again"))
    store.add_all(record(seed) for seed in (101, 102))
    assert consistent(store)
    fresh = Repository(open_store(Path(store.path).parent))
    query = unit(np.random.default_rng(0), 40)
    told = [[(row.id, score) for row, score in r.best(query)] for r in (repository, fresh)]
    assert told[0] == told[1]
    assert repository.best(decode(record(101).codes))[0][0].name == "room 101"
    gone = repository.best(decode(record(3).codes))
    assert "room 3" not in [row.name for row, _ in gone]


def test_scenes_without_words_are_always_compared(store: SceneStore) -> None:
    new = store.add(record(200))
    with sqlite3.connect(store.path) as db:
        db.execute("DELETE FROM postings WHERE id = ?", (new,))
    listed = Shortlist(store)
    listed.follow(np.array([row.id for row in store.rows()]), 1)
    best = listed.best(unit(np.random.default_rng(1), 30), 8)
    assert best is not None
    assert new in best


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE codebook SET version = version + 1",
        "UPDATE codebook SET centres = x'0102'",
        "DELETE FROM codebook",
        "UPDATE postings SET words = x'ffffff'",
        "DELETE FROM postings",
    ],
)
def test_no_answer_needs_the_index(store: SceneStore, harm: str) -> None:
    with sqlite3.connect(store.path) as db:
        db.execute(harm)
    there = open_store(Path(store.path).parent)
    new = there.add(record(300))
    query = decode(record(300).codes)
    assert Repository(there).best(query)[0][0].id == new
    assert Repository(there).best(decode(record(7).codes))[0][0].name == "room 7"
    finish(build_index(there))
    assert consistent(there)


def test_scenes_added_while_it_is_made_get_their_words(store: SceneStore) -> None:
    book = finish(build_index(store))
    assert book is not None
    words = dict(store.postings(0, 20))
    store.add(record(400))
    store.remove(store.rows()[0].id)
    store.put_index(book, words)
    assert consistent(store)


def test_an_index_is_due_when_scenes_are_many_or_many_more(tmp_path: Path) -> None:
    store = open_store(tmp_path, make=True)
    assert finish(build_index(store)) is None
    store.add_all(record(seed, keypoints=8) for seed in range(20))
    assert not index_due(store)
    store.add(record(20, keypoints=8))
    assert index_due(store)
    finish(build_index(store))
    assert not index_due(store)
    store.add_all(record(seed, keypoints=8) for seed in range(21, 8 * 21))
    assert index_due(store)


def test_duplicates_are_found_without_comparing_all(store: SceneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    other, _ = moved(record(2, keypoints=64), 9, kept=60)
    store.add(other)
    compared: list[int] = []
    exact = Repository._exact
    monkeypatch.setattr(Repository, "_exact", lambda r, d, ids: (compared.append(len(ids)), exact(r, d, ids))[1])
    (pair,) = finish(Repository(store).duplicates())
    assert {pair.a.name, pair.b.row.name} == {"room 2", "again 9"}
    assert max(compared) < 12


def test_words_read_only_the_scenes_they_tell_of(store: SceneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    words = WordEncoder(("lamp", "piano"), np.eye(2, dtype=np.float32), "hand-made")
    for n in range(6):
        store.add(record(500 + n, places=(NamedPlace("lamp", 0.3 + 0.1 * n, (0.0, 0.0, float(n))),)))
    read: list[int] = []
    load = type(store).load_all
    monkeypatch.setattr(type(store), "load_all", lambda s, ids: (read.extend(ids), load(s, ids))[1])
    found = Repository(store).by_words("lamp", [Vocabulary(["lamp", "piano"], words)], most=2)
    assert [(w.row.name, w.score) for w in found] == [
        ("room 505", pytest.approx(0.8)),
        ("room 504", pytest.approx(0.7)),
    ]
    assert len(read) == 2
    assert Repository(store).by_words("piano", [Vocabulary(["lamp", "piano"], words)]) == []


def test_nearest_is_the_nearest() -> None:
    rng = np.random.default_rng(0)
    a, b = unit(rng, 3000), unit(rng, 50)
    assert (nearest(a, b) == (a @ b.T).argmax(axis=1)).all()
