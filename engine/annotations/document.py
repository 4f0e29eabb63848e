"""Annotations that are open for editing: an edit is kept before it is made, and undone as often as one likes.

Undo has no limit, and memory a small one: of each step only the place of its record in the journal is held (8 bytes);
undo reads the record back. Steps that were undone and then overwritten lie in the journal until it is compacted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import BaseFileLock

from engine.annotations.edits import Edit, UInt16, UInt32, decode, encode
from engine.annotations.history import History
from engine.annotations.journal import EDIT, REDO, UNDO, Journal
from engine.annotations.places import VoxelPlaces
from engine.annotations.snapshot import Snapshot, write_snapshot
from engine.annotations.state import AnnotationState
from engine.api.annotations import Changed, HistoryEntry
from engine.api.errors import AnnotationError, CondenseError

log = logging.getLogger(__name__)

SNAPSHOT_EVERY = 256
"""Records after which a snapshot is written: so many at most are made again when a capture is opened after a crash."""


class AnnotationDocument:
    """Annotations of the voxels of one grid, open for one writer. Made by ``engine.annotations.store``; one thread at a
    time may use it.

    Attributes:
        folder: where it is kept.
        places: which voxels the labels are of.
        state: what is annotated; only ``do``, ``undo`` and ``redo`` change it.
        warnings: what was found when it was opened, one line a kind.
    """

    def __init__(
        self,
        folder: Path,
        places: VoxelPlaces,
        state: AnnotationState,
        journal: Journal,
        history: History,
        generation: str,
        lock: BaseFileLock,
        warnings: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.places = places
        self.state = state
        self.warnings = tuple(warnings)
        self._journal = journal
        self._history = history
        self._generation = generation
        self._lock = lock
        self._since_snapshot = 0
        self._snapshot: threading.Thread | None = None

    @property
    def labels(self) -> UInt16:
        """(V,) the class of each voxel; not to be written to."""
        return self.state.labels

    @property
    def instances(self) -> UInt32:
        """(V,) the instance of each voxel; not to be written to."""
        return self.state.instances

    @property
    def can_undo(self) -> bool:
        return bool(self._history.done)

    @property
    def can_redo(self) -> bool:
        return bool(self._history.undone)

    def do(self, edit: Edit) -> Changed:
        """Keep an edit and make it; what was undone before can no longer be redone. One that changes nothing is passed
        over.

        Raises:
            AnnotationError: it cannot be saved; then it is not made.
        """
        if edit.empty:
            return self.state.apply(edit)
        self._history.did(self._journal.append(EDIT, encode(edit)))
        return self._applied(edit, forward=True)

    def undo(self) -> Changed | None:
        """Take the last edit back; None when there is none.

        Raises:
            AnnotationError: it cannot be saved, or the journal was damaged by something else.
        """
        if not self._history.done:
            return None
        edit = self._read(self._history.done[-1])
        self._journal.append(UNDO)
        self._history.undid()
        return self._applied(edit, forward=False)

    def redo(self) -> Changed | None:
        """Make the edit again that was taken back last; None when there is none.

        Raises:
            AnnotationError: as ``undo``.
        """
        if not self._history.undone:
            return None
        edit = self._read(self._history.undone[-1])
        self._journal.append(REDO)
        self._history.redid()
        return self._applied(edit, forward=True)

    def history(self, most: int = 200) -> list[HistoryEntry]:
        """The newest steps, the oldest of them first; those that are undone come last.

        Raises:
            AnnotationError: the journal was damaged by something else.
        """
        undone = self._history.undone[::-1][:most]
        done = self._history.done[-most:]
        places = [(p, False) for p in done] + [(p, True) for p in undone]
        out: list[HistoryEntry] = []
        for position, is_undone in places:
            edit = self._read(position)
            out.append(HistoryEntry(edit.title, edit.at, edit.labels.count if edit.labels else 0, is_undone))
        return out

    def backwards(self) -> Iterator[Edit]:
        """The edits that are made, the newest first, as they were when the first is taken.

        Raises:
            AnnotationError: the journal was damaged by something else.
        """
        for position in list(self._history.done)[::-1]:
            yield self._read(position)

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps can be undone, and how many redone."""
        return len(self._history.done), len(self._history.undone)

    def save(self) -> None:
        """Bring every edit to the disk now; it happens by itself a second after the last one.

        Raises:
            AnnotationError: the disk says that it cannot.
        """
        self._journal.sync()

    def close(self) -> None:
        """Save, write a snapshot, and let others in.

        Raises:
            AnnotationError: what was edited last cannot be brought to the disk.
        """
        try:
            if self._snapshot is not None:
                self._snapshot.join()
            self._journal.close()
            if self._since_snapshot:
                self._write(Snapshot(self.state, self._generation, self._journal.end))
        finally:
            self._lock.release()

    def _read(self, position: int) -> Edit:
        try:
            return decode(self._journal.read(position).payload, len(self.places))
        except ValueError as e:
            raise AnnotationError("an edit cannot be read back", path=self._journal.path, found=str(e)) from e

    def _applied(self, edit: Edit, *, forward: bool) -> Changed:
        changed = self.state.apply(edit, forward=forward)
        self._since_snapshot += 1
        if self._since_snapshot >= SNAPSHOT_EVERY and (self._snapshot is None or not self._snapshot.is_alive()):
            self._since_snapshot = 0
            snapshot = Snapshot(self.state.copy(), self._generation, self._journal.end)
            self._snapshot = threading.Thread(target=self._keep, args=(snapshot,), name="annotation snapshot")
            self._snapshot.start()
        return changed

    def _keep(self, snapshot: Snapshot) -> None:
        try:
            self._journal.sync()  # a snapshot of edits that a power cut takes from the journal would lose their history
        except CondenseError as e:
            log.warning("%s", e)
            return
        self._write(snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        try:
            write_snapshot(self.folder, snapshot)
        except CondenseError as e:  # nothing is lost: the journal holds every edit
            log.warning("%s", e)
