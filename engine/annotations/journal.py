"""The journal of edits: append-only records with checksums, from which everything can be made again.

    magic, then records: length of the payload, kind, CRC-32 of kind and payload, payload

A record is handed to the system as soon as it is made, so a killed program loses none that was written whole; a thread
of its own brings them to the disk within ``SYNC_AFTER_S``, so a power cut loses no more than that. A record that a
crash left half-written is cut off when the journal is opened again.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from engine.api.errors import AnnotationError
from engine.storage import write_atomic

MAGIC = b"CNDANNO1"
SYNC_AFTER_S = 1.0
HEAD, EDIT, UNDO, REDO, BASE = b"H", b"E", b"U", b"R", b"B"
"""Kinds: what the journal is of; an edit; the last edit undone; redone; an edit that cannot be undone."""
MOST_BYTES = 1 << 28
_RECORD = struct.Struct("<IcI")


class Record(NamedTuple):
    """``position``: of its first byte in the file."""

    position: int
    kind: bytes
    payload: bytes

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.position + _RECORD.size + len(self.payload)


def packed(kind: bytes, payload: bytes) -> bytes:
    """A record as it lies in the file."""
    return _RECORD.pack(len(payload), kind, zlib.crc32(kind + payload)) + payload


def read_records(path: Path) -> Iterator[Record]:
    """The whole records of a journal, in order; ends at the first that is cut off or damaged.

    Raises:
        AnnotationError: the file cannot be read, or is no journal of this version.
    """
    try:
        with path.open("rb") as f:
            magic = f.read(len(MAGIC))
            if magic != MAGIC:
                newer = magic[:-1] == MAGIC[:-1]
                raise AnnotationError(
                    "was written by another version of this program" if newer else "is no journal of annotations",
                    path=path, found=repr(magic), expected=repr(MAGIC),
                    mend="update condense-studio" if newer else "move the file elsewhere",
                )  # fmt: skip
            position = len(MAGIC)
            while True:
                head = f.read(_RECORD.size)
                if len(head) < _RECORD.size:
                    return
                length, kind, checksum = _RECORD.unpack(head)
                if length > MOST_BYTES:
                    return
                payload = f.read(length)
                if len(payload) < length or zlib.crc32(kind + payload) != checksum:
                    return
                yield Record(position, kind, payload)
                position += _RECORD.size + length
    except OSError as e:
        raise AnnotationError("cannot be read", path=path, found=str(e), mend="check the folder's permissions") from e


def record_at(path: Path, position: int) -> Record:
    """The record that begins at a byte of a journal.

    Raises:
        AnnotationError: there is no whole record.
    """
    try:
        with path.open("rb") as f:
            f.seek(position)
            length, kind, checksum = _RECORD.unpack(f.read(_RECORD.size))
            payload = f.read(min(length, MOST_BYTES))
    except (OSError, struct.error) as e:
        raise _damaged(path, str(e)) from e
    if zlib.crc32(kind + payload) != checksum:
        raise _damaged(path, "a record whose checksum does not fit")
    return Record(position, kind, payload)


def torn(path: Path, end: int) -> bool:
    """Whether what lies behind the whole records is no more than one that was cut off while it was written."""
    with path.open("rb") as f:
        f.seek(end)
        head = f.read(_RECORD.size)
        size = f.seek(0, os.SEEK_END)
    return len(head) < _RECORD.size or end + _RECORD.size + _RECORD.unpack(head)[0] > size


def write_journal(path: Path, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Write a new journal of (kind, payload) over ``path``, whole or not at all.

    Raises:
        CacheError: it cannot be written.
    """

    def write(tmp: Path) -> None:
        with tmp.open("wb") as f:
            f.write(MAGIC)
            for kind, payload in records:
                f.write(packed(kind, payload))

    write_atomic(path, write)


class Journal:
    """A journal that is open for writing.

    Args:
        path: the file.
        end: where its whole records end; what lies behind is cut off.

    Raises:
        AnnotationError: the file cannot be written.
    """

    def __init__(self, path: Path, end: int) -> None:
        self.path = path
        self.end = end
        self._failure: OSError | None = None
        self._dirty = threading.Event()
        self._closing = threading.Event()
        try:
            self._file = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
            os.ftruncate(self._file, end)
        except OSError as e:
            raise _unwritable(path, e) from e
        self._thread = threading.Thread(target=self._keep_synced, name="annotation journal", daemon=True)
        self._thread.start()

    def append(self, kind: bytes, payload: bytes = b"") -> int:
        """Write a record; its position. What cannot be written whole is taken back.

        Raises:
            AnnotationError: the disk is full, or the file cannot be written.
        """
        if self._failure is not None:
            raise _unwritable(self.path, self._failure) from self._failure
        data = memoryview(packed(kind, payload))
        position = self.end
        try:
            os.lseek(self._file, position, os.SEEK_SET)
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, position)
            raise _unwritable(self.path, e) from e
        self.end = position + _RECORD.size + len(payload)
        self._dirty.set()
        return position

    def read(self, position: int) -> Record:
        """The record at a position that ``append`` or ``read_records`` gave.

        Raises:
            AnnotationError: the file was damaged meanwhile.
        """
        return record_at(self.path, position)

    def sync(self) -> None:
        """Bring all that was written to the disk.

        Raises:
            AnnotationError: the disk says that it cannot.
        """
        self._dirty.clear()
        try:
            os.fsync(self._file)
        except OSError as e:
            self._failure = e
            raise _unwritable(self.path, e) from e

    def close(self) -> None:
        """Sync and close."""
        self._closing.set()
        self._dirty.set()
        self._thread.join()
        try:
            self.sync()
        finally:
            os.close(self._file)

    def _keep_synced(self) -> None:
        while True:
            self._dirty.wait()
            if self._closing.wait(SYNC_AFTER_S):
                return
            with contextlib.suppress(AnnotationError):  # kept, and told at the next edit
                self.sync()


def _unwritable(path: Path, e: OSError) -> AnnotationError:
    return AnnotationError(
        "the edit cannot be saved, so it was not made", path=path, found=str(e),
        mend="free some disk space, or check the folder's permissions; what was saved before is kept",
    )  # fmt: skip


def _damaged(path: Path, found: str) -> AnnotationError:
    return AnnotationError(
        "was changed by something else while it was open", path=path, found=found,
        mend="close this capture and open it again; what is whole is kept",
    )  # fmt: skip
