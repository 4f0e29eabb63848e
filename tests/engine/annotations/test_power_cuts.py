"""Power cuts: whatever of the unsynced writes and renames reaches the disk, what was synced is there, and its history.

A disk is modelled as files that hold what they held at their last ``fsync``, then any part of what was written since,
in sectors of which some may be zeros, and folders whose renames since the folder's last ``fsync`` may be undone from
the newest on.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.annotations import document as document_module
from engine.annotations import journal as journal_module
from engine.annotations import recovery
from engine.annotations.document import AnnotationDocument
from engine.annotations.recovery import JOURNAL
from engine.annotations.snapshot import FILE as SNAPSHOT
from engine.annotations.store import VOXELS, open_annotations, read_annotations
from tests.engine.annotations.made import document, places

SECTOR = 512


class Disk:
    """What of a folder has reached the disk, by watching ``fsync`` and ``replace``.

    Attributes:
        synced: what each file, by its inode, held at its last sync.
        names: per name the inodes it stood for: the one that is sure, then those that renames since may have made.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.synced: dict[int, bytes] = {}
        self.names: dict[str, list[int]] = {}
        self._fsync, self._replace = os.fsync, os.replace
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "replace", self.replace)

    def fsync(self, handle: int) -> None:
        self._fsync(handle)
        inode = os.fstat(handle).st_ino
        if inode == self.folder.stat().st_ino:
            self.names = {name: inodes[-1:] for name, inodes in self.names.items()}
        for entry in os.scandir(self.folder):  # others may come and go meanwhile
            if entry.inode() == inode:
                self.synced[inode] = Path(entry.path).read_bytes()

    def replace(self, source: Any, target: Any) -> None:
        inode = os.stat(source).st_ino
        self._replace(source, target)
        if Path(target).parent == self.folder:
            self.names.setdefault(Path(target).name, []).append(inode)

    def after_a_cut(self, into: Path, rng: random.Random) -> None:
        """One of the states that a power cut now may leave."""
        into.mkdir()
        now = {p.stat().st_ino: p.read_bytes() for p in self.folder.iterdir() if p.is_file()}
        for name, inodes in self.names.items():
            inode = rng.choice(inodes)
            sure = self.synced[inode]
            (into / name).write_bytes(sure + _torn(now.get(inode, sure)[len(sure) :], rng))


def _torn(tail: bytes, rng: random.Random) -> bytes:
    """Any part of what was written since."""
    kept = bytearray(tail[: rng.randint(0, len(tail))])
    for at in range(0, len(kept), SECTOR):
        if rng.random() < 0.2:
            kept[at : at + SECTOR] = bytes(len(kept[at : at + SECTOR]))
    return bytes(kept)


def paint(made: AnnotationDocument, step: int) -> None:
    made.do(made.state.paint(range(step % 1900, step % 1900 + 50), 1 + step % 2, step))


Run = Callable[[Disk, AnnotationDocument, random.Random], int]


def some_edits(disk: Disk, made: AnnotationDocument, rng: random.Random) -> int:
    """Edits, synced now and then; how many are sure to be kept."""
    sure = 0
    for step in range(1, rng.randrange(2, 60)):
        paint(made, step)
        if rng.random() < 0.2:
            made._journal.sync()
            sure = step
    if made._snapshot is not None:
        made._snapshot.join()
    return sure


@pytest.mark.parametrize("seed", range(12))
def test_what_was_synced_survives_with_its_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(journal_module, "SYNC_AFTER_S", 1e6)  # only when it is said
    monkeypatch.setattr(document_module, "SNAPSHOT_EVERY", 7)
    monkeypatch.setattr(recovery, "COMPACT_ABOVE", 400)
    rng = random.Random(seed)
    folder = tmp_path / "annotations"
    folder.mkdir()
    disk = Disk(folder, monkeypatch)
    made = document(folder)
    for _ in range(10):  # some useless steps, so that opening again compacts the journal
        paint(made, 0)
        made.undo()
    made.close()
    made = open_annotations(folder, places())
    classes = made.steps[0]
    sure = some_edits(disk, made, rng)
    done = made.steps[0]
    for cut in range(25):
        left = tmp_path / f"cut-{cut}"
        disk.after_a_cut(left, rng)
        assert {p.name for p in left.iterdir()} >= {VOXELS, JOURNAL, SNAPSHOT}
        _, state = read_annotations(left)
        newest = int(state.instances.max())
        assert newest >= sure
        again = open_annotations(left, places())
        assert not [w for w in again.warnings if "without its history" in w]
        assert again.steps == (classes + newest, 0)
        assert again.steps[0] <= done
        for _ in range(newest):
            again.undo()
        assert not again.labels.any()
        again.close()
    made.close()
