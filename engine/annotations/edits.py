"""Edits as values: what was there before and what is there after, in few bytes, applied forwards or backwards.

A stroke changes voxels whose rows mostly follow one another, so rows and their values are kept as runs:
``start, length`` and one old and one new (class, instance) each. Nothing is a copy of the whole.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.annotations.said import Said, check_runs, rows_of, said_of_json
from engine.annotations.things import KINDS, kind_of, of_json, to_json
from engine.api.annotations import Kind, Thing

UInt16 = NDArray[np.uint16]
UInt32 = NDArray[np.uint32]
Rows = NDArray[np.int64]

MOST_BYTES = 1 << 28
"""Of one edit, unpacked."""
_HEAD = struct.Struct("<II")  # bytes of JSON, runs
_COLUMNS = (np.uint32, np.uint32, np.uint16, np.uint16, np.uint32, np.uint32)
_RUN_BYTES = sum(np.dtype(t).itemsize for t in _COLUMNS)


@dataclass(frozen=True, eq=False)
class LabelDelta:
    """R runs of voxels that change alike.

    Attributes:
        start, length: (R,) uint32, ascending and without overlap.
        old_label, new_label: (R,) uint16.
        old_instance, new_instance: (R,) uint32.
    """

    start: UInt32
    length: UInt32
    old_label: UInt16
    new_label: UInt16
    old_instance: UInt32
    new_instance: UInt32

    @classmethod
    def of(
        cls, rows: Rows, old_label: UInt16, new_label: UInt16, old_instance: UInt32, new_instance: UInt32
    ) -> LabelDelta | None:
        """The runs of some voxels (N,), ascending, with (N,) values each; voxels that stay as they are are left out.

        Returns:
            None when nothing changes.
        """
        moved = (old_label != new_label) | (old_instance != new_instance)
        if not moved.any():
            return None
        rows = rows[moved]
        values = [v[moved] for v in (old_label, new_label, old_instance, new_instance)]
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = np.diff(rows) != 1
        for v in values:
            begins[1:] |= v[1:] != v[:-1]
        first = np.flatnonzero(begins)
        length = np.diff(np.append(first, len(rows)))
        a, b, c, d = (v[first] for v in values)
        return cls(
            rows[first].astype(np.uint32), length.astype(np.uint32), a.astype(np.uint16), b.astype(np.uint16),
            c.astype(np.uint32), d.astype(np.uint32),
        )  # fmt: skip

    @property
    def count(self) -> int:
        """Voxels that change."""
        return int(self.length.sum(dtype=np.int64))

    def rows(self) -> Rows:
        """(N,) the voxels, ascending."""
        return rows_of(self.start, self.length)

    def apply(self, labels: UInt16, instances: UInt32, *, forward: bool) -> Rows:
        """Write the new values, or the old ones, into (V,) arrays; the rows written."""
        rows = self.rows()
        label, instance = (self.new_label, self.new_instance) if forward else (self.old_label, self.old_instance)
        labels[rows] = np.repeat(label, self.length)
        instances[rows] = np.repeat(instance, self.length)
        return rows

    def columns(self) -> tuple[NDArray[np.generic], ...]:
        """The six arrays, in the order of the attributes."""
        return self.start, self.length, self.old_label, self.new_label, self.old_instance, self.new_instance


@dataclass(frozen=True)
class Change:
    """A thing before and after; None: it was not there, or is not any more.

    Raises:
        ValueError: both are None, or they are two things.
    """

    before: Thing | None
    after: Thing | None

    def __post_init__(self) -> None:
        some = [t for t in (self.before, self.after) if t is not None]
        if not some or len({(kind_of(t), t.id) for t in some}) != 1:
            raise ValueError(f"a change from {self.before!r:.80} to {self.after!r:.80}")

    @property
    def thing(self) -> Thing:
        """The one of the two that is there."""
        found = self.after if self.after is not None else self.before
        assert found is not None
        return found

    @property
    def kind(self) -> Kind:
        return kind_of(self.thing)


@dataclass(frozen=True, eq=False)
class Edit:
    """One step that is done and undone as a whole.

    Attributes:
        title: what it did, as the undo menu says it.
        at: seconds since 1970.
        labels: of voxels, None when they stay.
        changes: of things, in order.
        said: which photos say so, where photos do.
    """

    title: str
    at: float
    labels: LabelDelta | None = None
    changes: tuple[Change, ...] = field(default=())
    said: tuple[Said, ...] = field(default=())

    @property
    def empty(self) -> bool:
        return self.labels is None and not self.changes and not self.said


def encode(edit: Edit) -> bytes:
    """The edit as it is kept in the journal; ``decode`` is the inverse, to the bit."""
    head: dict[str, Any] = {
        "title": edit.title,
        "at": edit.at,
        "changes": [[c.kind, *(None if t is None else to_json(t) for t in (c.before, c.after))] for c in edit.changes],
    }
    if edit.said:
        head["said"] = [s.to_json() for s in edit.said]
    text = json.dumps(head, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    runs = 0 if edit.labels is None else len(edit.labels.start)
    parts = [] if edit.labels is None else [c.tobytes() for c in edit.labels.columns()]
    return zlib.compress(b"".join([_HEAD.pack(len(text), runs), text, *parts]), 1)


def decode(data: bytes, voxels: int) -> Edit:
    """The edit of a journal's record.

    Args:
        data: what ``encode`` made.
        voxels: V of the labels that it is for.

    Raises:
        ValueError: it is damaged, or for other labels.
    """
    try:
        unpacked = zlib.decompressobj()
        raw = unpacked.decompress(data, MOST_BYTES)
        if unpacked.unconsumed_tail or not unpacked.eof:
            raise ValueError("an edit that does not end")
        text_bytes, runs = _HEAD.unpack_from(raw)
        at = _HEAD.size + text_bytes
        if len(raw) != at + runs * _RUN_BYTES:
            raise ValueError(f"an edit of {len(raw)} bytes for {runs} runs")
        head = json.loads(raw[_HEAD.size : at])
        changes = tuple(_change(c) for c in head["changes"])
        said = tuple(said_of_json(s, voxels) for s in head.get("said", ()))
        title, when = str(head["title"]), float(head["at"])
    except (zlib.error, struct.error, KeyError, TypeError, RecursionError) as e:
        raise ValueError(f"{type(e).__name__}: {e}") from e
    columns: list[NDArray[Any]] = []
    for t in _COLUMNS if runs else ():
        columns.append(np.frombuffer(raw, t, runs, at))
        at += runs * np.dtype(t).itemsize
    return Edit(title, when, _delta(columns, voxels) if runs else None, changes, said)


def _delta(columns: Sequence[NDArray[Any]], voxels: int) -> LabelDelta:
    delta = LabelDelta(*columns)
    check_runs(delta.start, delta.length, voxels)
    return delta


def _change(data: object) -> Change:
    if not isinstance(data, list) or len(data) != 3 or data[0] not in KINDS:
        raise ValueError(f"a change {data!r:.60}")
    kind = data[0]
    before, after = (None if d is None else of_json(kind, d) for d in data[1:])
    return Change(before, after)
