"""What one photo said of voxels, kept with the edit it made: what a later edit overwrites is still known to have been
said.

A label is one for all photos, so photos contradict only in what was drawn in them, or imported for them.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.annotations import MOST_CLASSES

UInt32 = NDArray[np.uint32]
Rows = NDArray[np.int64]
MOST_VIEWS = 0xFFFF


@dataclass(frozen=True, eq=False)
class Said:
    """Voxels of one class, as R runs.

    Attributes:
        view: the photo; None: whoever looked at them decided, and what photos said of them before no longer counts.
        class_id: what was said.
        start, length: (R,) uint32, ascending and without overlap.
        mask: it was imported as a mask of the photo, not drawn.
    """

    view: int | None
    class_id: int
    start: UInt32
    length: UInt32
    mask: bool = False

    @classmethod
    def of(cls, view: int | None, class_id: int, rows: ArrayLike, *, mask: bool = False) -> Said:
        """Of voxels (N,) in any order."""
        start, length = runs_of(np.unique(np.asarray(rows, np.int64)))
        return cls(view, class_id, start, length, mask)

    def rows(self) -> Rows:
        """(N,) the voxels, ascending."""
        return rows_of(self.start, self.length)

    def to_json(self) -> dict[str, Any]:
        runs = np.stack([self.start, self.length]).astype("<u4").tobytes()
        return {
            "view": self.view, "class": self.class_id, "mask": self.mask, "runs": base64.b64encode(runs).decode(),
        }  # fmt: skip


def said_of_json(told: object, voxels: int) -> Said:
    """What ``Said.to_json`` told, for V voxels.

    Raises:
        ValueError: it makes no sense.
    """
    if not isinstance(told, Mapping):
        raise ValueError(f"what a photo said is {told!r:.60}")
    try:
        view, class_id, mask = told["view"], told["class"], told["mask"]
        raw = base64.b64decode(told["runs"], validate=True)
    except (KeyError, TypeError, binascii.Error) as e:
        raise ValueError(f"what a photo said: {type(e).__name__}: {e}") from e
    known = view is None or (type(view) is int and 0 <= view <= MOST_VIEWS)
    if not known or type(class_id) is not int or not 1 <= class_id <= MOST_CLASSES or not isinstance(mask, bool):
        raise ValueError(f"photo {view!r:.40} said {class_id!r:.40}")
    if len(raw) % 8:
        raise ValueError(f"runs of {len(raw)} bytes")
    start, length = np.frombuffer(raw, "<u4").astype(np.uint32).reshape(2, -1)
    check_runs(start, length, voxels)
    return Said(view, class_id, start, length, mask)


def runs_of(rows: Rows) -> tuple[UInt32, UInt32]:
    """Starts and lengths (R,) of voxels (N,), ascending."""
    first = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
    return rows[first].astype(np.uint32), np.diff(np.append(first, len(rows))).astype(np.uint32)


def rows_of(start: UInt32, length: UInt32) -> Rows:
    """(N,) the voxels of runs, ascending."""
    long = length.astype(np.int64)
    before = np.cumsum(long) - long
    return np.arange(int(long.sum())) + np.repeat(start.astype(np.int64) - before, long)


def check_runs(start: UInt32, length: UInt32, voxels: int) -> None:
    """Raises:
    ValueError: they are not ascending, overlap, or lie beyond the V voxels.
    """
    begin, long = start.astype(np.int64), length.astype(np.int64)
    end = begin + long
    if (long < 1).any() or (begin[1:] < end[:-1]).any() or (len(end) and end[-1] > voxels):
        raise ValueError(f"runs of voxels beyond the {voxels} that there are")
