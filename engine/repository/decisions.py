"""What was decided on pairs of scenes, beside the repository they are in: which are duplicates, and which are not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import cast, get_args

from engine.api.errors import RepositoryError
from engine.api.repository import Decision, PairDecision

FILE = "decisions.sqlite"
PATIENCE_S = 20.0
MOST = 100_000
_MADE = "CREATE TABLE IF NOT EXISTS decisions (a TEXT, b TEXT, decision TEXT NOT NULL, PRIMARY KEY (a, b))"


class Decisions:
    """Of the repository in one folder. Scenes are named by their fingerprints, so that they can be removed and added
    again.

    Args:
        folder: of the repository.
        writable: whether it can be changed.
    """

    def __init__(self, folder: Path, *, writable: bool) -> None:
        self.path = folder / FILE
        self._writable = writable

    def all(self) -> tuple[PairDecision, ...]:
        """Those there are.

        Raises:
            RepositoryError: they cannot be read.
        """
        if not self.path.is_file():
            return ()
        with self._open() as db:
            rows = db.execute("SELECT a, b, decision FROM decisions ORDER BY a, b LIMIT ?", (MOST,)).fetchall()
        known = get_args(Decision)
        return tuple(PairDecision(str(a), str(b), cast("Decision", d)) for a, b, d in rows if d in known)

    def decide(self, a: str, b: str, decision: Decision | None) -> None:
        """Remember one, or forget it.

        Raises:
            RepositoryError: it cannot be written.
        """
        if not self._writable:
            mend = "copy the repository to a folder you may write to"
            raise RepositoryError("nothing can be written here", path=self.path, mend=mend)
        pair = (min(a, b), max(a, b))
        with self._open() as db:
            db.execute("PRAGMA synchronous = FULL")
            db.execute(_MADE)
            if decision is None:
                db.execute("DELETE FROM decisions WHERE a = ? AND b = ?", pair)
            else:
                db.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?)", (*pair, decision))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        mode = "mode=rwc" if self._writable else "mode=ro&immutable=1"
        try:
            uri = f"{self.path.absolute().as_uri()}?{mode}"
            with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, isolation_level=None)) as db:
                yield db
        except sqlite3.Error as e:
            raise RepositoryError(
                "the decisions on duplicates cannot be read or written",
                path=self.path,
                found=str(e),
                mend="make room on the disk; if the file is damaged, delete it: scenes are not in it",
            ) from e
