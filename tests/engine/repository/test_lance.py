"""The second store gives the same answers as the first, in a folder and in a bucket; skipped without its libraries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import RepositoryError
from engine.api.jobs import finish
from engine.encoders.words import WordEncoder
from engine.queries.prompt import Vocabulary
from engine.repository import codebook, lance, shortlist
from engine.repository.cli import IndexRemove
from engine.repository.commands import listed, remove
from engine.repository.occupancy import SOLID, Occupancy
from engine.repository.record import NamedPlace, SceneRecord, decode
from engine.repository.scenes import SceneStore
from engine.repository.search import Repository
from engine.repository.shortlist import build_index
from engine.repository.store import open_store
from tests.engine.repository.made import record, unit
from tests.engine.repository.test_align import moved
from tests.engine.repository.test_search import photo_of


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a server on this machine that speaks S3."""
    pytest.importorskip("lance")
    pytest.importorskip("flask_cors")
    server = pytest.importorskip("moto.server")
    import boto3

    run = server.ThreadedMotoServer(port=0, verbose=False)
    run.start()
    host, port = run.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        told = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
        for name, value in {**told, "AWS_ENDPOINT": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true"}.items():
            patch.setenv(name, value)
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
        client.create_bucket(Bucket="scenes")
        yield "s3://scenes"
    run.stop()


@pytest.fixture(params=["folder", "bucket"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        pytest.importorskip("lance")
        return f"file://{tmp_path}/lance"
    return f"{request.getfixturevalue('bucket')}/{tmp_path.name}"


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlist, "EXACT", 20)
    monkeypatch.setattr(shortlist, "LEAST_LISTED", 8)
    monkeypatch.setattr(shortlist, "LISTED", 1.0)
    monkeypatch.setattr(codebook, "CENTRES", 64)
    monkeypatch.setattr(shortlist, "CENTRES", 64)


def scenes() -> list[SceneRecord]:
    places = [NamedPlace("lamp", 0.75, (0.5, -1.0, 2.0)), NamedPlace("sofa", 0.25, (1.0, 0.0, 0.0))]
    made = [record(n, places=tuple(places[: n % 3])) for n in range(28)]
    return [*made, moved(made[4], 9, kept=60)[0]]


def answers(store: SceneStore) -> list[object]:
    """What the queries say, by names: ids are a store's own."""
    repository = Repository(store)
    words = WordEncoder(("lamp", "sofa"), np.eye(2, dtype=np.float32), "hand-made")
    photo, _ = photo_of(7, 1.0)
    ranked = repository.by_photo(photo)
    alike = repository.by_scene(scenes()[4])
    worded = repository.by_words("lamp", [Vocabulary(["lamp", "sofa"], words)])
    query = unit(np.random.default_rng(5), 40)
    return [
        [row.name for row in repository.rows],
        [(r.row.name, round(r.score, 6), round(r.confidence, 6)) for r in ranked],
        [(a.row.name, round(a.score, 6), round(a.confidence, 6)) for a in alike],
        [(w.row.name, w.score, w.places) for w in worded],
        [(row.name, round(score, 6)) for row, score in repository.best(query)],
        [{d.a.name, d.b.row.name} for d in finish(repository.duplicates())],
    ]


@pytest.mark.usefixtures("_small")
def test_both_stores_give_the_same_answers(where: str, tmp_path: Path) -> None:
    stores = [open_store(tmp_path / "sqlite", make=True), open_store(where, make=True)]
    for store in stores:
        store.add_all(scenes()[:24])
        finish(build_index(store))
        for scene in scenes()[24:]:
            store.add(scene)
        store.add(replace(scenes()[3], name="again"))
        (gone,) = (row for row in store.rows() if row.name == "room 5")
        store.remove(gone.id)
    first, second = (answers(open_store(place)) for place in (tmp_path / "sqlite", where))
    assert first == second
    assert "room 5" not in first[0]  # type: ignore[operator]  # a list of names
    assert first[5] == [{"room 4", "again 9"}]
    there = stores[1].load(stores[1].rows()[0].id)
    assert (there.codes == scenes()[0].codes).all()
    np.testing.assert_allclose(there.pos_w, scenes()[0].pos_w, atol=4 / 4095)
    assert there.thumbnail == b"jpeg"
    assert there.cameras.shape == (3, 4, 4)


def test_changes_are_seen_and_repeated_adds_are_one_scene(where: str) -> None:
    store = open_store(where, make=True)
    reader = Repository(open_store(where))
    assert reader.rows == []
    seen = {store.changes()}
    for n in (1, 2, 1):
        store.add(record(n))
        seen.add(store.changes())
    assert len(seen) == 4
    assert sorted(row.name for row in reader.rows) == ["room 1", "room 2"]
    assert [row.name for row in reader.rows] == ["room 2", "room 1"]
    store.remove(reader.rows[0].id)
    assert [row.name for row in reader.rows] == ["room 1"]
    with pytest.raises(RepositoryError, match="no such scene"):
        store.remove(5)
    with pytest.raises(RepositoryError, match="no such scene"):
        store.load(5)
    with pytest.raises(RepositoryError, match="other weights"):
        store.add(record(3, weights="others"))
    with pytest.raises(RepositoryError, match="other weights"):
        store.add_all([record(3), record(4, weights="others")])
    assert store.count() == 1


def test_commands_take_an_address(where: str) -> None:
    store = open_store(where, make=True)
    store.add_all([record(1), record(2)])
    told = listed(where)
    assert [scene["name"] for scene in told["scenes"]] == ["room 1", "room 2"]
    assert told["bytes_per_scene"] > 4000
    assert remove(IndexRemove(repository=where, scenes=("room 1",))) == {"removed": 1, "scenes": 1}


def test_two_writers_lose_nothing(where: str) -> None:
    open_store(where, make=True)

    def write(first: int) -> None:
        store = open_store(where)
        for n in range(first, first + 6):
            store.add(record(n, keypoints=8))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 100)))
    names = {row.name for row in open_store(where).rows()}
    assert names == {f"room {n}" for n in (*range(6), *range(100, 106))}


def test_many_small_pieces_are_put_together(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lance, "FRAGMENTS", 5)
    store = open_store(where, make=True)
    for n in range(12):
        store.add(record(n, keypoints=8))
    import lance as library

    assert len(library.dataset(f"{where}/scenes.lance").get_fragments()) < 6
    assert store.count() == 12


def test_the_first_format_is_read_and_learns_of_space(where: str) -> None:
    store = open_store(where, make=True)
    store.add_all([record(0), record(1)])
    table = lance._lance().dataset(f"{where}/scenes.lance")
    table.drop_columns(["occupancy"])
    table.update_schema_metadata({"condense": "1"})
    store = open_store(where)
    assert {r.occupancy for r in store.load_all([row.id for row in store.rows()]).values()} == {None}
    space = Occupancy(np.full((2, 3, 4), SOLID, np.uint8), np.diag([0.5, 0.5, 0.5, 1.0]))
    with ThreadPoolExecutor(2) as pool:  # both find it old
        list(pool.map(store.add, [replace(record(n), occupancy=space) for n in (2, 3)]))
    known = {r.name: r.occupancy for r in store.load_all([row.id for row in store.rows()]).values()}
    assert known["room 0"] is None
    for name in ("room 2", "room 3"):
        again = known[name]
        assert again is not None
        assert (again.states == SOLID).all()
        assert again.states.shape == (2, 3, 4)
    told = lance._lance().dataset(f"{where}/scenes.lance").schema.metadata
    assert int(told[b"condense"]) == lance.FORMAT


def test_what_is_no_repository_is_told(where: str, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="condense index add"):
        open_store(where)
    import lance as library
    import pyarrow as pa

    for version, says in ((None, "is no repository"), (b"99", "newer version")):
        schema = pa.schema([("x", pa.int64())], metadata=None if version is None else {b"condense": version})
        library.write_dataset(pa.table({"x": [1]}, schema=schema), f"{where}/scenes.lance", mode="overwrite")
        with pytest.raises(RepositoryError, match=says) as e:
            open_store(where, make=True)
        assert e.value.mend


def test_a_bucket_that_is_not_there_is_told(bucket: str) -> None:
    with pytest.raises(RepositoryError) as e:
        open_store("s3://nothing-here/x", make=True)
    assert "s3://nothing-here/x" in e.value.text()
    assert e.value.mend


def test_the_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lance", None)
    with pytest.raises(RepositoryError, match="not installed") as e:
        open_store("s3://scenes/x")
    assert "condense-studio[s3]" in str(e.value.mend)


@pytest.mark.usefixtures("_small")
def test_a_query_reads_only_what_it_lists(tmp_path: Path) -> None:
    pytest.importorskip("lance")
    store = open_store(f"file://{tmp_path}/lance", make=True)
    store.add_all(record(n) for n in range(30))
    finish(build_index(store))
    repository = Repository(store)
    assert repository.best(decode(record(9).codes))[0][0].name == "room 9"
    assert len(repository._kept) < 12
