"""``condense bench repository``: rooms in, rows out."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.api.errors import QueryError
from engine.driving import run_job
from engine.metrics.repository import (
    Found,
    RepositoryRow,
    Rescanned,
    asked_names,
    duplicates_row,
    elsewhere,
    finder,
    photo_row,
    text_row,
)
from engine.metrics.room_scenes import BY_PHOTOS, AskedPhoto, Condenser, condense_rooms, parted, present
from engine.metrics.sift_scenes import SiftFinder, sift_scene
from engine.prompting import vocabularies
from engine.repository.cli import BenchRepository
from engine.repository.record import SceneRecord
from engine.repository.scenes import SceneStore
from engine.repository.search import Repository
from engine.repository.store import open_store
from engine.runtime import resolve_device
from engine.training.rooms.shards import RoomRef, open_shards

ROOMS = "rooms"
"""Of the folder of records: the repository's own scenes."""


def run(command: BenchRepository) -> dict[str, Any]:
    """Condense what is not condensed yet, and ask.

    Raises:
        QueryError: scans of rooms that are not there, or records of others.
        CondenseError: shards cannot be read, or records not be written.
    """
    folders = {ROOMS: command.rooms, "rescanned": command.rescanned}
    folders |= {f"elsewhere-{n}": path for n, path in enumerate(command.elsewhere)}
    folders |= {f"changed-{n}": path for n, path in enumerate(command.changed)}
    for name, path in folders.items():
        if path is not None:
            print(f"condensing {path}", file=sys.stderr)
            condense_rooms(path, command.records / name, command.workers)
    store = open_store(command.records / ROOMS)
    refs = {ref.name: ref for ref in open_shards(command.rooms)}
    other = sorted({row.name for row in store.rows()} - set(refs))
    if other:
        mend = "give another folder with --records"
        raise QueryError("the records are of other rooms too", path=command.records, found=other[0], mend=mend)
    rng = np.random.default_rng(command.seed)
    rows = _photo_rows(command, store, refs)
    if command.rescanned is not None:
        others = [f"elsewhere-{n}" for n in range(len(command.elsewhere))]
        rows.append(_duplicates("duplicates", command, store, refs, others))
        if command.changed:
            others += [f"changed-{n}" for n in range(len(command.changed))]
            rows.append(_duplicates("duplicates beside changed rooms", command, store, refs, others))
    holds = {name: present(parted(ref.load())[0]) for name, ref in refs.items()}
    taught, classes = vocabularies()
    asked = asked_names(holds, taught.names)
    if asked:
        lifted = Repository(open_store(command.records / ROOMS / BY_PHOTOS))
        rows.append(text_row("condense", Repository(store), (taught, classes), holds, asked, rng))
        rows.append(text_row("ImageNet classes of the photos", lifted, (classes,), holds, asked, rng))
    return {"rows": rows, "names": asked, "rooms": len(refs), "seed": command.seed}


def _photo_rows(command: BenchRepository, store: SceneStore, refs: dict[str, RoomRef]) -> list[RepositoryRow]:
    repository = Repository(store)
    extents = {row.name: row.extent_w for row in repository.rows}
    condenser = Condenser(str(resolve_device(command.device)))
    ours = finder(repository)
    sift = SiftFinder([sift_scene(name, parted(ref.load())[0].views) for name, ref in refs.items()])

    def by_sift(photo: AskedPhoto) -> Found:
        return sift.find(photo.rgb, float(photo.camera.intrinsics[0, 0]), command.seed)

    unknown = [] if command.unknown is None else list(_photos(condenser, open_shards(command.unknown)))
    rows: list[RepositoryRow] = []
    for task, folder in (("image", command.rooms), ("image of another scan", command.rescanned)):
        if folder is None:
            continue
        known = list(_photos(condenser, open_shards(folder)))
        strange = unknown if task == "image" else []
        for method, find in (("condense", ours), ("SIFT + ratio test + PnP", by_sift)):
            job = photo_row(task, method, find, known, strange, extents)
            rows.append(run_job(f"{task}: {method}", job))
    return rows


def _photos(condenser: Condenser, refs: Sequence[RoomRef]) -> Iterator[AskedPhoto]:
    """The photos that rooms are asked by; a second scan's show the first one's room."""
    for ref in refs:
        room, asked = parted(ref.load())
        for view in asked:
            yield run_job(f"describing {room.name}", condenser.photo(view, first_scan(room.name)))


def first_scan(name: str) -> str:
    """Name of the room that a variant is of: "held-out 3-00005 moved" of "held-out 3-00005"."""
    return " ".join(name.split()[:2])


def _duplicates(
    task: str, command: BenchRepository, store: SceneStore, refs: dict[str, RoomRef], others: list[str]
) -> RepositoryRow:
    """All pairs among rooms, their second scans, and ``others``, none of which is one."""
    rng = np.random.default_rng(command.seed)
    first = {record.name: record for record in _records(store)}
    scans: list[Rescanned] = []
    with tempfile.TemporaryDirectory() as folder:
        everything = open_store(Path(folder), make=True)
        for record in first.values():
            everything.add(record)
        for name in ("rescanned", *others):
            for record in _records(open_store(command.records / name)):
                if first_scan(record.name) not in refs:
                    raise QueryError("a scan of a room that is not there", found=record.name)
                scan = elsewhere(record, first_scan(record.name), rng)
                everything.add(scan.record)
                if name == "rescanned":
                    scans.append(scan)
        repository = Repository(everything)
        found = run_job("Comparing scenes", repository.duplicates(command.seed))
        return duplicates_row(task, repository, scans, first, found)


def _records(store: SceneStore) -> Iterator[SceneRecord]:
    for row in store.rows():
        yield store.load(row.id)
