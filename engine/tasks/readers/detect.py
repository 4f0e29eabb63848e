"""Which of the layouts a folder of labelled scans has."""

from __future__ import annotations

from pathlib import Path

from engine.api.errors import CaptureError
from engine.api.tasks import TaskKind
from engine.tasks.folders import list_items
from engine.tasks.readers.rooms import is_rooms, list_rooms
from engine.tasks.readers.s3dis import areas, list_s3dis
from engine.tasks.readers.scannet import is_labelled, list_labelled
from engine.tasks.readers.scanobjectnn import is_scanobjectnn
from engine.tasks.readers.shapenetpart import is_shapenetpart, list_shapenetpart
from engine.tasks.scans import Listing

EXPECTED = (
    "train/ and test/ of room shards, of annotations exported as NPZ, PLY or ScanNet; Area_N/ROOM/Annotations (S3DIS); "
    "scans/ with scannetv2_train.txt and scannetv2_val.txt; synsetoffset2category.txt (ShapeNetPart)"
)


def list_scans(folder: Path) -> Listing:
    """The scans of a folder of any of the layouts.

    Raises:
        CaptureError: no such folder, of none of the layouts, or a list in it is damaged.
    """
    if not folder.is_dir():
        raise CaptureError("there is no such folder", path=folder, expected=EXPECTED)
    if is_shapenetpart(folder):
        found = list_shapenetpart(folder)
    elif areas(folder):
        found = list_s3dis(folder)
    elif is_rooms(folder):
        found = list_rooms(folder)
    elif is_labelled(folder):
        found = list_labelled(folder)
    else:
        raise CaptureError("holds no labelled scans", path=folder, expected=EXPECTED)
    return found


def task_of(folder: Path) -> TaskKind:
    """What a folder is labelled for: objects in class folders, or points of scans.

    Raises:
        CaptureError: for neither.
    """
    if is_scanobjectnn(folder):
        return "classify"
    try:
        list_items(folder)
    except CaptureError as classes:
        try:
            if list_scans(folder).items:
                return "segment"
        except CaptureError as scans:
            if not folder.is_dir() or "the class" in classes.what:
                raise classes from scans
            raise CaptureError(
                "holds neither class folders nor labelled scans",
                path=folder,
                expected=f"of objects: {classes.expected}; or of scans: {EXPECTED}",
            ) from scans
        raise
    return "classify"
