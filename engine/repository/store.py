"""Where the scenes of a repository live: one SQLite file in one folder, whole whatever happens to its writers.

``synchronous=FULL`` and a rollback journal: what ``add`` has returned from survives a power cut, what it has not is not
there at all. A journal, and not a write-ahead log, because a log cannot be opened where nothing may be written.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import RepositoryError
from engine.queries.quantise import Codes
from engine.repository.record import LEAST_KEYPOINTS, MOST_KEYPOINTS, Packed, SceneRecord, pack, unpack

FILE = "repository.sqlite"
FORMAT = 1
PATIENCE_S = 60.0
"""A writer waits so long for another's turn to end; a turn is one scene."""
_MADE = """
CREATE TABLE scenes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fingerprint TEXT NOT NULL UNIQUE, name TEXT NOT NULL, path TEXT NOT NULL,
    weights TEXT NOT NULL, added REAL NOT NULL, extent_w REAL NOT NULL, keypoints INTEGER NOT NULL,
    dim INTEGER NOT NULL, thumbnail BLOB NOT NULL
);
CREATE TABLE condensed (
    id INTEGER PRIMARY KEY REFERENCES scenes (id) ON DELETE CASCADE,
    box BLOB NOT NULL, pos BLOB NOT NULL, codes BLOB NOT NULL, places BLOB NOT NULL, cameras BLOB NOT NULL
);
"""


class SceneRow(NamedTuple):
    """A scene in a list. ``added``: seconds since 1970."""

    id: int
    fingerprint: str
    name: str
    path: str
    weights: str
    added: float
    extent_w: float
    keypoints: int


class SceneStore(Protocol):
    """What the queries of a repository need of wherever its scenes live. All raise ``RepositoryError``."""

    def rows(self) -> list[SceneRow]:
        """All scenes, in the order they were added."""
        ...

    def add(self, record: SceneRecord) -> int:
        """Add a scene, or put it in the place of the one of the same content; its id, once it is there for good."""
        ...

    def remove(self, id: int) -> None:
        """Take a scene out."""
        ...

    def load(self, id: int) -> SceneRecord:
        """One scene."""
        ...

    def codes(self, ids: list[int]) -> Iterator[tuple[int, Codes]]:
        """Ids and descriptors (K, D) of some scenes."""
        ...

    def changes(self) -> int:
        """A number that is another one after any change."""
        ...


@dataclass(frozen=True)
class SqliteStore:
    """Scenes in a folder.

    Attributes:
        folder: that holds the file.
        writable: whether scenes can be added and removed.
    """

    folder: Path
    writable: bool

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    def rows(self) -> list[SceneRow]:
        """See ``SceneStore``."""
        with self._open() as db:
            columns = ", ".join(SceneRow._fields)
            return [SceneRow(*row) for row in db.execute(f"SELECT {columns} FROM scenes ORDER BY id")]

    def add(self, record: SceneRecord) -> int:
        """See ``SceneStore``.

        Raises:
            RepositoryError: a record that makes no sense or is of other weights; the folder cannot be written; the disk
                is full; another writer did not end its turn.
        """
        _check(record)
        packed = pack(record)
        with self._open(write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            other = db.execute("SELECT weights FROM scenes WHERE weights != ? LIMIT 1", (record.weights,)).fetchone()
            if other is not None:
                raise _other_weights(self.path, other[0], record.weights)
            db.execute("DELETE FROM scenes WHERE fingerprint = ?", (record.fingerprint,))
            added = db.execute(
                "INSERT INTO scenes (fingerprint, name, path, weights, added, extent_w, keypoints, dim, thumbnail)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (record.fingerprint, record.name, record.path, record.weights, time.time(), record.extent_w,
                 *record.codes.shape, record.thumbnail),
            )  # fmt: skip
            id = int(added.lastrowid or 0)
            db.execute("INSERT INTO condensed VALUES (?, ?, ?, ?, ?, ?)", (id, *packed))
            db.execute("COMMIT")
            return id

    def remove(self, id: int) -> None:
        """See ``SceneStore``."""
        with self._open(write=True) as db:
            if db.execute("DELETE FROM scenes WHERE id = ?", (id,)).rowcount == 0:
                raise RepositoryError("there is no such scene", path=self.path, found=f"scene {id}")

    def load(self, id: int) -> SceneRecord:
        """See ``SceneStore``."""
        asked = (
            "SELECT fingerprint, name, path, weights, extent_w, keypoints, dim, thumbnail, box, pos, codes, places,"
            " cameras FROM scenes JOIN condensed USING (id) WHERE id = ?"
        )
        with self._open() as db:
            found = db.execute(asked, (id,)).fetchone()
        if found is None:
            raise RepositoryError("there is no such scene", path=self.path, found=f"scene {id}")
        fingerprint, name, path, weights, extent_w, count, dim, thumbnail, *blobs = found
        pos_w, codes, places, cameras = unpack(Packed(*blobs), count, dim)
        return SceneRecord(fingerprint, name, path, weights, pos_w, codes, extent_w, places, thumbnail, cameras)

    def codes(self, ids: list[int]) -> Iterator[tuple[int, Codes]]:
        """See ``SceneStore``."""
        with self._open() as db:
            for id in ids:
                asked = "SELECT keypoints, dim, codes FROM scenes JOIN condensed USING (id) WHERE id = ?"
                found = db.execute(asked, (id,)).fetchone()
                if found is None:
                    continue  # removed meanwhile
                count, dim, codes = found
                if len(codes) != count * dim:
                    raise RepositoryError("a scene's record is damaged", path=self.path, found=f"scene {id}")
                yield id, np.frombuffer(codes, np.int8).reshape(count, dim)

    def changes(self) -> int:
        """See ``SceneStore``."""
        with self._open() as db:
            last, count = db.execute("SELECT coalesce(max(id), 0), count(*) FROM scenes").fetchone()
            return int(last) * 1_000_003 + int(count)

    @contextmanager
    def _open(self, write: bool = False) -> Iterator[sqlite3.Connection]:
        if write and not self.writable:
            raise RepositoryError(
                "nothing can be written here", path=self.path, mend="copy the repository to a folder you may write to"
            )
        mode = "mode=rw" if self.writable else "mode=ro&immutable=1"
        try:
            uri = f"{self.path.absolute().as_uri()}?{mode}"
            with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("PRAGMA foreign_keys = ON")
                yield db
        except sqlite3.Error as e:
            raise _failed(self.path, e) from e


def open_store(folder: Path, *, make: bool = False) -> SqliteStore:
    """The repository in a folder.

    Args:
        folder: of the repository.
        make: make one if there is none.

    Raises:
        RepositoryError: there is none; it is damaged, of a newer version, or cannot be read or made.
    """
    path = folder / FILE
    if not path.is_file():
        if not make:
            raise RepositoryError(
                "there is no repository here", path=folder, found=f"no {FILE}", mend="make one: condense index add"
            )
        _make(folder)
    writable = os.access(folder, os.W_OK) and os.access(path, os.W_OK)
    store = SqliteStore(folder, writable)
    with store._open() as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > FORMAT:
            raise RepositoryError(
                "was written by a newer version of this program", path=path, found=f"format {version}",
                expected=f"at most {FORMAT}", mend="update condense-studio",
            )  # fmt: skip
        if version < 1:
            raise RepositoryError("is no repository of scenes", path=path, mend="choose another folder")
        db.execute("SELECT count(*) FROM scenes, condensed LIMIT 1").fetchone()
    return store


def _make(folder: Path) -> None:
    """All in one transaction: another process that makes it too, or a crash, leaves it whole or not there."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                for statement in _MADE.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
    except OSError as e:
        raise RepositoryError("cannot be made", path=folder, found=str(e), mend="choose another folder") from e
    except sqlite3.Error as e:
        raise _failed(path, e) from e


def _check(record: SceneRecord) -> None:
    count = len(record)
    if not LEAST_KEYPOINTS <= count <= MOST_KEYPOINTS:
        raise RepositoryError(
            "the scene has too few keypoints to be found again" if count < LEAST_KEYPOINTS else "too many keypoints",
            path=record.path, found=str(count), expected=f"{LEAST_KEYPOINTS} to {MOST_KEYPOINTS}",
        )  # fmt: skip
    finite = np.isfinite(record.pos_w).all() and np.isfinite(record.cameras).all() and np.isfinite(record.extent_w)
    if record.pos_w.shape != (count, 3) or not finite or record.extent_w <= 0:
        raise RepositoryError("the scene's keypoints make no sense", path=record.path)


def _other_weights(path: Path, here: str, new: str) -> RepositoryError:
    return RepositoryError(
        "holds scenes encoded by other weights, and theirs cannot be compared",
        path=path, found=new, expected=here, mend="use the same encoder, or make another repository",
    )  # fmt: skip


def _failed(path: Path, e: sqlite3.Error) -> RepositoryError:
    text = str(e)
    if "disk is full" in text or "full" in text:
        mend = "free some space; what was added before is kept"
    elif "locked" in text or "busy" in text:
        mend = "wait until the other program that writes to it is done"
    elif "readonly" in text or "unable to open" in text:
        mend = "check the folder's permissions"
    else:
        mend = "bring back a copy, or make the repository anew with condense index add"
    return RepositoryError("the repository cannot be read or written", path=path, found=text, mend=mend)


def as_rows(codes: list[Codes], count: int = MOST_KEYPOINTS) -> NDArray[np.int8]:
    """(S, count, D) of scenes' descriptors, filled up with zeros, which are like nothing."""
    out = np.zeros((len(codes), count, codes[0].shape[1]), np.int8)
    for row, some in zip(out, codes, strict=True):
        row[: len(some)] = some
    return out
