"""Scenes in one SQLite file in one folder, whole whatever happens to its writers.

``synchronous=FULL`` and a rollback journal: what ``add`` has returned from survives a power cut, what it has not is not
there at all. A journal, and not a write-ahead log, because a log cannot be opened where nothing may be written.

Names, codebook and postings are derived from the records, and kept by the same transactions. Format 1 had none of them,
format 2 no occupancy: both are brought to format 3 where they can be written, and read as they are where not.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from engine.api.errors import RepositoryError
from engine.queries.quantise import Codes
from engine.repository.codebook import Codebook, Words
from engine.repository.record import Packed, SceneRecord, pack, places_of, unpack
from engine.repository.scenes import Changes, Named, SceneRow, SceneStore, check_record, no_scene, other_weights

FILE = "repository.sqlite"
FORMAT = 3
INDEX = 1
"""Version of what is derived: another one is as good as none."""
PAGE = 2048
PATIENCE_S = 60.0
"""A writer waits so long for another's turn to end; a turn is one scene."""
_SCENES = """
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
_OCCUPANCY = "ALTER TABLE condensed ADD COLUMN occupancy BLOB NOT NULL DEFAULT x''"
_DERIVED = """
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE named (
    name INTEGER NOT NULL, scene INTEGER NOT NULL, permille INTEGER NOT NULL, PRIMARY KEY (name, scene)
) WITHOUT ROWID;
CREATE TABLE codebook (
    id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL, scenes INTEGER NOT NULL, dim INTEGER NOT NULL,
    centres BLOB NOT NULL
);
CREATE TABLE postings (id INTEGER PRIMARY KEY REFERENCES scenes (id) ON DELETE CASCADE, words BLOB NOT NULL);
"""
_Marked = tuple[int, Codebook]


@dataclass(frozen=True)
class SqliteStore:
    """Scenes in a folder.

    Attributes:
        folder: that holds the file.
        writable: whether scenes can be added and removed.
        format: of the file.
    """

    folder: Path
    writable: bool
    format: int = FORMAT
    _known: dict[int, Codebook] = field(default_factory=dict, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / FILE

    def rows(self, after: int = 0) -> list[SceneRow]:
        """See ``SceneStore``."""
        with self._open() as db:
            columns = ", ".join(SceneRow._fields)
            asked = db.execute(f"SELECT {columns} FROM scenes WHERE id > ? ORDER BY id", (after,))
            return [SceneRow(*row) for row in asked]

    def count(self) -> int:
        """See ``SceneStore``."""
        return self.changes().count

    def size(self) -> int:
        """See ``SceneStore``."""
        return self.path.stat().st_size

    def add(self, record: SceneRecord) -> int:
        """See ``SceneStore``.

        Raises:
            RepositoryError: a record that makes no sense or is of other weights; the folder cannot be written; the disk
                is full; another writer did not end its turn.
        """
        return self.add_all([record])[0]

    def add_all(self, records: Iterable[SceneRecord]) -> list[int]:
        """See ``SceneStore``."""
        known = self._book()
        ready: list[tuple[SceneRecord, Packed, Words | None]] = []
        for record in records:
            check_record(record)
            ready.append((record, pack(record), _words(known, record)))
        with self._open(write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            now = self._book(db)
            if (now and now[0]) != (known and known[0]):  # indexed anew meanwhile
                ready = [(record, packed, _words(now, record)) for record, packed, _ in ready]
            ids = [self._insert(db, *each) for each in ready]
            db.execute("COMMIT")
        return ids

    def remove(self, id: int) -> None:
        """See ``SceneStore``."""
        with self._open(write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            self._delete(db, id)
            db.execute("COMMIT")

    def load(self, id: int) -> SceneRecord:
        """See ``SceneStore``."""
        found = self.load_all([id])
        if id not in found:
            raise no_scene(self.path, id)
        return found[id]

    def load_all(self, ids: list[int]) -> dict[int, SceneRecord]:
        """See ``SceneStore``."""
        late = "occupancy" if self.format > 2 else "x''"
        asked = (
            "SELECT fingerprint, name, path, weights, extent_w, keypoints, dim, thumbnail, box, pos, codes, places,"
            f" cameras, {late} FROM scenes JOIN condensed USING (id) WHERE id = ?"
        )
        with self._open() as db:
            found = [(id, db.execute(asked, (id,)).fetchone()) for id in ids]
        out: dict[int, SceneRecord] = {}
        for id, row in found:
            if row is not None:
                *head, extent_w, count, dim, thumbnail = row[:8]
                pos_w, codes, places, cameras, occupancy = unpack(Packed(*row[8:]), count, dim)
                out[id] = SceneRecord(*head, pos_w, codes, extent_w, places, thumbnail, cameras, occupancy)
        return out

    def codes(self, ids: list[int]) -> Iterator[tuple[int, Codes]]:
        """See ``SceneStore``."""
        asked = "SELECT keypoints, dim, codes FROM scenes JOIN condensed USING (id) WHERE id = ?"
        with self._open() as db:
            for id in ids:
                found = db.execute(asked, (id,)).fetchone()
                if found is None:
                    continue  # removed meanwhile
                count, dim, codes = found
                if len(codes) != count * dim:
                    raise RepositoryError("a scene's record is damaged", path=self.path, found=f"scene {id}")
                yield id, np.frombuffer(codes, np.int8).reshape(count, dim)

    def named(self, names: Collection[str]) -> list[Named]:
        """See ``SceneStore``."""
        with self._open() as db:
            if self.format == 1:
                every = db.execute("SELECT id, places FROM condensed ORDER BY id")
                return [Named(id, p.name, p.chance) for id, text in every for p in places_of(text) if p.name in names]
            asked = "SELECT scene, permille FROM named WHERE name = (SELECT id FROM names WHERE name = ?)"
            return [Named(id, name, n / 1000) for name in sorted(names) for id, n in db.execute(asked, (name,))]

    def changes(self) -> Changes:
        """See ``SceneStore``."""
        with self._open() as db:
            last, count = db.execute("SELECT coalesce(max(id), 0), count(*) FROM scenes").fetchone()
            return Changes(int(last), int(count), self._mark(db))

    def codebook(self) -> Codebook | None:
        """See ``SceneStore``."""
        found = self._book()
        return None if found is None else found[1]

    def postings(self, first: int, last: int) -> list[tuple[int, Words]]:
        """See ``SceneStore``."""
        with self._open() as db:
            if not self._mark(db):
                return []
            asked = db.execute("SELECT id, words FROM postings WHERE id BETWEEN ? AND ? ORDER BY id", (first, last))
            return [(id, np.frombuffer(words, "<u2", len(words) // 2)) for id, words in asked]

    def put_index(self, book: Codebook, words: Mapping[int, Words]) -> None:
        """See ``SceneStore``."""
        with self._open(write=True) as db:
            db.execute("BEGIN IMMEDIATE")
            there = [id for (id,) in db.execute("SELECT id FROM scenes ORDER BY id")]
            late = dict(self.codes([id for id in there if id not in words]))
            db.execute("DELETE FROM codebook")
            db.execute("DELETE FROM postings")
            made = (INDEX, book.scenes, book.codes.shape[1], book.codes.tobytes())
            db.execute("INSERT INTO codebook (version, scenes, dim, centres) VALUES (?, ?, ?, ?)", made)
            rows = ((id, words[id] if id in words else book.words(late[id])) for id in there)
            db.executemany("INSERT INTO postings VALUES (?, ?)", ((id, w.astype("<u2").tobytes()) for id, w in rows))
            db.execute("COMMIT")

    def _insert(self, db: sqlite3.Connection, record: SceneRecord, packed: Packed, words: Words | None) -> int:
        other = db.execute("SELECT weights, dim FROM scenes ORDER BY id LIMIT 1").fetchone()
        if other is not None and other != (record.weights, record.codes.shape[1]):
            raise other_weights(self.path, other[0], record.weights)
        for (id,) in db.execute("SELECT id FROM scenes WHERE fingerprint = ?", (record.fingerprint,)).fetchall():
            self._delete(db, id)
        added = db.execute(
            "INSERT INTO scenes (fingerprint, name, path, weights, added, extent_w, keypoints, dim, thumbnail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (record.fingerprint, record.name, record.path, record.weights, time.time(), record.extent_w,
             *record.codes.shape, record.thumbnail),
        )  # fmt: skip
        id = int(added.lastrowid or 0)
        db.execute("INSERT INTO condensed VALUES (?, ?, ?, ?, ?, ?, ?)", (id, *packed))
        _name(db, id, packed.places)
        if words is not None:
            db.execute("INSERT INTO postings VALUES (?, ?)", (id, words.astype("<u2").tobytes()))
        return id

    def _delete(self, db: sqlite3.Connection, id: int) -> None:
        found = db.execute("SELECT places FROM condensed WHERE id = ?", (id,)).fetchone()
        if found is None:
            raise no_scene(self.path, id)
        try:
            names = {p.name for p in places_of(found[0])}
            asked = "DELETE FROM named WHERE name = (SELECT id FROM names WHERE name = ?) AND scene = ?"
            db.executemany(asked, ((name, id) for name in names))
        except RepositoryError:  # a damaged record must be possible to remove
            db.execute("DELETE FROM named WHERE scene = ?", (id,))
        db.execute("DELETE FROM scenes WHERE id = ?", (id,))

    def _mark(self, db: sqlite3.Connection) -> int:
        if self.format == 1:
            return 0
        found = db.execute("SELECT id FROM codebook WHERE version = ? ORDER BY id DESC LIMIT 1", (INDEX,)).fetchone()
        return 0 if found is None else int(found[0])

    def _book(self, db: sqlite3.Connection | None = None) -> _Marked | None:
        """The codebook and its number, read once."""
        if db is None:
            with self._open() as db:
                return self._book(db)
        mark = self._mark(db)
        if not mark:
            return None
        if mark not in self._known:
            asked = "SELECT scenes, dim, centres FROM codebook WHERE id = ?"
            scenes, dim, codes = db.execute(asked, (mark,)).fetchone()
            if dim < 1 or not codes or len(codes) % dim:
                return None  # damaged: as good as none
            self._known.clear()
            self._known[mark] = Codebook(np.frombuffer(codes, np.int8).reshape(-1, dim), scenes)
        return mark, self._known[mark]

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


_ANEW = "bring back a copy, or make the repository anew with condense index add"


def open_store(where: Path | str, *, make: bool = False) -> SceneStore:
    """The repository in a folder, or under an address such as ``s3://bucket/prefix``.

    Args:
        where: its folder or address.
        make: make one if there is none.

    Raises:
        RepositoryError: there is none; it is damaged, of a newer version, or cannot be read or made.
    """
    if isinstance(where, str) and "://" in where:
        from engine.repository.lance import open_lance

        return open_lance(where, make=make)
    return open_sqlite(Path(where), make=make)


def open_sqlite(folder: Path, *, make: bool = False) -> SqliteStore:
    """The repository in a folder, brought to the present format if it can be written; see ``open_store``."""
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
        version = _version(db)
        if version > FORMAT:
            raise RepositoryError(
                "was written by a newer version of this program", path=path, found=f"format {version}",
                expected=f"at most {FORMAT}", mend="update condense-studio",
            )  # fmt: skip
        if version < 1:
            raise RepositoryError("is no repository of scenes", path=path, mend="choose another folder")
        db.execute("SELECT id FROM scenes JOIN condensed USING (id) LIMIT 1").fetchone()
        if version < FORMAT and writable:
            _bring_up(db)
        elif version < FORMAT:
            store = SqliteStore(folder, writable, format=version)
        if store.format == 1:
            return store
        db.execute("SELECT 1 FROM names, named, codebook, postings LIMIT 1").fetchone()
    return store


def _make(folder: Path) -> None:
    """All in one transaction: another process that makes it too, or a crash, leaves it whole or not there."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as db:
            db.execute(f"PRAGMA page_size = {PAGE}")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            if _version(db) == 0:
                _run(db, _SCENES + _DERIVED)
                db.execute(_OCCUPANCY)
                db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("COMMIT")
    except OSError as e:
        raise RepositoryError("cannot be made", path=folder, found=str(e), mend="choose another folder") from e
    except sqlite3.Error as e:
        raise _failed(path, e) from e


def _bring_up(db: sqlite3.Connection) -> None:
    """From an older format to the present one, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    version = _version(db)  # another process may have been first
    if version == 1:
        _run(db, _DERIVED)
        for id, text in db.execute("SELECT id, places FROM condensed ORDER BY id").fetchall():
            _name(db, id, text)
    if version < FORMAT:
        db.execute(_OCCUPANCY)
        db.execute(f"PRAGMA user_version = {FORMAT}")
    db.execute("COMMIT")


def _words(known: _Marked | None, record: SceneRecord) -> Words | None:
    return None if known is None else known[1].words(record.codes)


def _run(db: sqlite3.Connection, statements: str) -> None:
    for statement in statements.split(";"):  # not executescript, which would end the transaction
        db.execute(statement)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _name(db: sqlite3.Connection, id: int, text: bytes) -> None:
    """Note what a scene holds by its packed places."""
    best: dict[str, int] = {}
    for p in places_of(text):
        best[p.name] = max(best.get(p.name, 0), round(p.chance * 1000))
    db.executemany("INSERT OR IGNORE INTO names (name) VALUES (?)", ((name,) for name in best))
    asked = "INSERT INTO named SELECT id, ?, ? FROM names WHERE name = ?"
    db.executemany(asked, ((id, permille, name) for name, permille in best.items()))


def _failed(path: Path, e: sqlite3.Error) -> RepositoryError:
    text = str(e)
    if "disk is full" in text or "full" in text:
        mend = "free some space; what was added before is kept"
    elif "locked" in text or "busy" in text:
        mend = "wait until the other program that writes to it is done"
    elif "readonly" in text or "unable to open" in text:
        mend = "check the folder's permissions"
    else:
        mend = _ANEW
    return RepositoryError("the repository cannot be read or written", path=path, found=text, mend=mend)
