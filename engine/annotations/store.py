"""Where annotations live, apart from the photos, in the capture's folder of the cache, by the grid they are of::

annotations/<fingerprint of the grid>/voxels.safetensors    which voxels the labels are of
                                      journal.bin           every edit
                                      snapshot.safetensors  labels and things at one place of the journal
                                      lock                  held by the one writer
"""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from engine.annotations.document import AnnotationDocument
from engine.annotations.journal import Journal
from engine.annotations.places import VoxelPlaces
from engine.annotations.recovery import JOURNAL, mend, recover
from engine.annotations.state import AnnotationState
from engine.api.errors import AnnotationError
from engine.api.jobs import Job, finish

FOLDER, VOXELS, LOCK = "annotations", "voxels.safetensors", "lock"


def annotations_folder(cache_dir: Path, capture: str, grid: str) -> Path:
    """Of a capture's and a grid's fingerprint."""
    return cache_dir / capture / FOLDER / grid


def annotated_grids(cache_dir: Path, capture: str) -> list[Path]:
    """The folders of all grids of a capture that were annotated, the last written first."""
    folder = cache_dir / capture / FOLDER
    found = [p.parent for p in folder.glob(f"*/{JOURNAL}")] if folder.is_dir() else []
    return sorted(found, key=lambda p: (p / JOURNAL).stat().st_mtime, reverse=True)


def open_annotations(folder: Path, places: VoxelPlaces) -> AnnotationDocument:
    """``open_annotations_slices`` at once."""
    return finish(open_annotations_slices(folder, places))


def open_annotations_slices(folder: Path, places: VoxelPlaces) -> Job[AnnotationDocument]:
    """Open the annotations of some voxels for writing, or begin them.

    Raises:
        AnnotationError: another window has them open; the folder cannot be written; they are of other voxels or of a
            newer version.
        CacheError: a file cannot be written.
    """
    lock = _locked(folder)
    try:
        voxels = folder / VOXELS
        if not voxels.exists():
            places.write(voxels)
        found = yield from recover(folder, places)
        found = yield from mend(folder, places, found)
        journal = Journal(folder / JOURNAL, found.end)
        return AnnotationDocument(
            folder, places, found.state, journal, found.history, found.generation, lock, found.warnings
        )
    except BaseException:
        lock.release()
        raise


def read_annotations(folder: Path) -> tuple[VoxelPlaces, AnnotationState]:
    """Annotations as they are on the disk now; others may have them open.

    Raises:
        AnnotationError: there are none, or they cannot be read.
    """
    places = VoxelPlaces.read(folder / VOXELS)
    return places, finish(recover(folder, places)).state


def _locked(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout as e:
        raise AnnotationError(
            "another window has these annotations open", path=folder,
            mend="close the capture there; nothing that is annotated there is lost",
        ) from e  # fmt: skip
    except OSError as e:
        raise AnnotationError(
            "annotations cannot be kept here", path=folder, found=str(e),
            mend="check the folder's permissions, or choose another one for results: --cache DIR",
        ) from e  # fmt: skip
    return lock
