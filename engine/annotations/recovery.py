"""From the files of annotations to what is annotated, whatever happened to their writer.

The journal is the truth: from nothing, all its edits make everything. A snapshot spares making those before its place
again. Where the journal is damaged before that place, the snapshot is all there is: a new journal begins with it, and
the damaged one is kept beside.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.annotations.edits import Change, Edit, LabelDelta, decode, encode
from engine.annotations.history import History
from engine.annotations.journal import (
    BASE,
    EDIT,
    HEAD,
    REDO,
    UNDO,
    Record,
    read_records,
    record_at,
    torn,
    write_journal,
)
from engine.annotations.places import VoxelPlaces
from engine.annotations.snapshot import FILE as SNAPSHOT
from engine.annotations.snapshot import Snapshot, read_snapshot, write_snapshot
from engine.annotations.state import AnnotationState
from engine.api.errors import AnnotationError, CacheError
from engine.api.jobs import Job, Progress

log = logging.getLogger(__name__)

JOURNAL = "journal.bin"
FORMAT = 1
SLICE_RECORDS = 32
COMPACT_ABOVE = 1 << 22
"""Bytes of steps that can no longer be redone, from which on a journal is written anew without them."""


@dataclass(eq=False)
class Recovered:
    """What the files say.

    Attributes:
        state: what is annotated.
        generation: of the journal; a snapshot belongs to one.
        history: the steps.
        bases: positions of records that cannot be undone.
        end: where the journal's whole records end.
        live: bytes of the records that count.
        warnings: one line a kind.
    """

    state: AnnotationState
    generation: str = ""
    history: History = field(default_factory=History)
    bases: list[int] = field(default_factory=list)
    end: int = 0
    live: int = 0
    warnings: list[str] = field(default_factory=list)


def recover(folder: Path, places: VoxelPlaces) -> Job[Recovered]:
    """Read what is there; changes nothing.

    Raises:
        AnnotationError: the journal is of other voxels or of a newer version, or cannot be read.
    """
    snapshot = _snapshot(folder, len(places))
    path = folder / JOURNAL
    if not path.exists():
        return Recovered(AnnotationState.empty(len(places)) if snapshot is None else snapshot.state)
    found = yield from _replayed(path, places, snapshot)
    if found is None:  # a snapshot that lies beyond the journal's whole records
        assert snapshot is not None
        text = (
            "The journal of edits is damaged. What is annotated was taken from the last snapshot, without its history."
        )
        return Recovered(snapshot.state, warnings=[text])
    if not found.generation or not torn(path, found.end):
        found.warnings.append("The journal of edits is damaged; what lies behind the damage could not be read.")
    return found


def mend(folder: Path, places: VoxelPlaces, found: Recovered) -> Job[Recovered]:
    """Make the files fit for writing on: a journal where there is none or a damaged one, a smaller one where most of it
    is of no use any more.

    Raises:
        CacheError: a file cannot be written.
    """
    path = folder / JOURNAL
    if found.warnings:
        aside = path.with_name(f"journal-damaged-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}.bin")
        try:
            shutil.copyfile(path, aside)
        except OSError as e:
            raise AnnotationError("cannot be kept beside", path=path, found=str(e), mend="free some disk space") from e
        found.warnings.append(f"It was kept as {aside}")
    if not found.generation:
        yield Progress(0, 0, "edits", "beginning a journal")
        return _begun(folder, places, found)
    if found.end - found.live > max(COMPACT_ABOVE, found.live):
        yield Progress(0, 0, "edits", "compacting the history")
        return (yield from _compacted(folder, places, found))
    return found


def _snapshot(folder: Path, voxels: int) -> Snapshot | None:
    if not (folder / SNAPSHOT).exists():
        return None
    try:
        return read_snapshot(folder, voxels)
    except CacheError as e:
        log.warning("A snapshot was not used. %s", e)
        return None


def _replayed(path: Path, places: VoxelPlaces, snapshot: Snapshot | None) -> Job[Recovered | None]:
    """None: the whole records end before the snapshot's place."""
    records = read_records(path)
    head = next(records, None)
    generation = _generation(path, head, places)
    if head is None or not generation:
        return None if snapshot is not None else Recovered(AnnotationState.empty(len(places)))
    if snapshot is not None and snapshot.generation != generation:
        snapshot = None
    state = AnnotationState.empty(len(places)) if snapshot is None else snapshot.state
    found = Recovered(state, generation, end=head.end, live=head.end)
    size: dict[int, int] = {}
    for number, record in enumerate(records):
        if number % SLICE_RECORDS == 0:
            yield Progress(number, 0, "edits", "reading edits")
        try:
            made = snapshot is not None and record.position < snapshot.end
            _step(path, found, record, len(places), made=made)
        except ValueError:
            break
        size[record.position] = record.end - record.position
        found.end = record.end
    if snapshot is not None and found.end < snapshot.end:
        return None
    history = found.history
    found.live += sum(size[p] for p in (*found.bases, *history.done, *history.undone))
    return found


def _step(path: Path, found: Recovered, record: Record, voxels: int, *, made: bool) -> None:
    """Raises:
    ValueError: the record makes no sense here.
    """
    history = found.history
    match record.kind:
        case b"E" | b"B":
            if not made:
                found.state.apply(decode(record.payload, voxels))
            if record.kind == EDIT:
                history.did(record.position)
            else:
                found.bases.append(record.position)
        case b"U" | b"R":
            if not (history.done if record.kind == UNDO else history.undone):
                raise ValueError("an undo of nothing")
            position = history.undid() if record.kind == UNDO else history.redid()
            if not made:
                edit = decode(record_at(path, position).payload, voxels)
                found.state.apply(edit, forward=record.kind == REDO)
        case _:
            raise ValueError(f"a record of the kind {record.kind!r}")


def _generation(path: Path, head: Record | None, places: VoxelPlaces) -> str:
    """Of a journal of these voxels; empty where its head is damaged."""
    if head is None or head.kind != HEAD:
        return ""
    try:
        told = json.loads(head.payload)
        version, grid, generation = int(told["format"]), str(told["grid"]), str(told["generation"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if version > FORMAT:
        raise AnnotationError(
            "was written by a newer version of this program", path=path, found=f"format {version}",
            expected=f"at most {FORMAT}", mend="update condense-studio",
        )  # fmt: skip
    if grid != places.key:
        raise AnnotationError(
            "holds annotations of another grid", path=path, found=f"{told.get('voxels')} voxels",
            expected=f"{len(places)} voxels", mend="transfer them by position: condense annotate import",
        )  # fmt: skip
    return generation


def _head(places: VoxelPlaces, generation: str) -> tuple[bytes, bytes]:
    told = {"format": FORMAT, "grid": places.key, "voxels": len(places), "generation": generation}
    return HEAD, json.dumps(told).encode()


def _begun(folder: Path, places: VoxelPlaces, found: Recovered) -> Recovered:
    """A new journal on top of what is annotated."""
    generation = secrets.token_hex(8)
    records = [_head(places, generation)]
    base = _all_of(found.state)
    if not base.empty:
        records.append((BASE, encode(base)))
    return _written(folder, found, generation, records, History())


def _compacted(folder: Path, places: VoxelPlaces, found: Recovered) -> Job[Recovered]:
    path, generation = folder / JOURNAL, secrets.token_hex(8)
    history = found.history
    edits = [*history.done, *reversed(history.undone)]

    def records() -> Iterator[tuple[bytes, bytes]]:
        yield _head(places, generation)
        for position in (*found.bases, *edits):
            record = record_at(path, position)
            yield record.kind, record.payload
        for _ in history.undone:
            yield UNDO, b""

    yield Progress(0, 0, "edits", "compacting the history")
    return _written(folder, found, generation, records(), history)


def _written(
    folder: Path, found: Recovered, generation: str, records: Iterator[tuple[bytes, bytes]] | list[tuple[bytes, bytes]],
    old: History,
) -> Recovered:  # fmt: skip
    path = folder / JOURNAL
    write_journal(path, records)
    made = Recovered(found.state, generation, warnings=found.warnings)
    for record in read_records(path):
        made.end = record.end
        if record.kind == EDIT:
            made.history.did(record.position)
        elif record.kind == BASE:
            made.bases.append(record.position)
        elif record.kind == UNDO:
            made.history.undid()
    made.live = made.end
    assert (len(made.history.done), len(made.history.undone)) == (len(old.done), len(old.undone))
    write_snapshot(folder, Snapshot(made.state, generation, made.end))
    return made


def _all_of(state: AnnotationState) -> Edit:
    """The edit that makes all of a state out of nothing."""
    rows = np.flatnonzero((state.labels != 0) | (state.instances != 0))
    none = np.zeros(len(rows), np.uint32)
    delta = LabelDelta.of(rows, none.astype(np.uint16), state.labels[rows], none, state.instances[rows])
    changes = tuple(Change(None, t) for of_kind in state.things.values() for t in of_kind.values())
    return Edit("Recovered", time.time(), delta, changes)
