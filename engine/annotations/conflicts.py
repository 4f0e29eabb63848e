"""Where photos contradict: the later stroke overwrote what another photo said, or an imported mask does not fit.

A photo has one voice a voxel: the last class that was drawn or imported in it there. What was labelled or erased in the
scene afterwards is a decision, and so is a conflict that was settled: voices before it no longer count. What an import
overwrote that no photo had said was said by the scene.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from engine.annotations.edits import Edit
from engine.annotations.state import AnnotationState
from engine.api.annotations import NOTHING
from engine.api.jobs import Job, Progress
from engine.api.reviewing import Disagreement, Side
from engine.grid.places import parts
from engine.grid.radiance import RadianceGrid

Rows = NDArray[np.int64]
Bool = NDArray[np.bool_]

LEAST_VOXELS = 8
"""Smaller places of the same two are told as one: rims of strokes fall apart."""
MOST = 300
FEW = 2000
TOUCHING = 1.8
"""Farthest centres, in voxels, of two that touch by face, edge or corner."""
SLICE = 16
"""Edits, or voices, between two yields."""
NOTE = "reading what photos said"
UNLABELLED = ("unlabelled", (128, 128, 128))


class Voice(NamedTuple):
    """What a photo, or (``view`` None) the scene, said of voxels (N,)."""

    view: int | None
    class_id: int
    mask: bool
    rows: Rows


@dataclass(frozen=True, eq=False)
class Found:
    """Conflicts, the largest first; ``voxels`` in all of them; ``left_out``: how many smaller ones there are."""

    conflicts: tuple[Disagreement, ...]
    voxels: int
    left_out: int


def find_conflicts(state: AnnotationState, edits: Iterable[Edit], grid: RadianceGrid) -> Job[Found]:
    """Compare what photos said with each other and with the labels.

    Args:
        state: what is annotated.
        edits: that made it, the newest first.
        grid: of the V voxels.

    Raises:
        AnnotationError: an edit cannot be read back.
    """
    labels = state.labels.copy()
    voices = yield from _last_words((yield from _voices(edits, len(labels))), len(labels))
    sides = {c.id: (c.name, c.rgb) for c in state.palette}
    out: list[Disagreement] = []
    groups = yield from _against(voices, labels, set(sides))
    for (a, b), some in groups.items():
        yield Progress(0, 0, "edits", NOTE)
        rows = np.unique(np.concatenate(some))
        first, second = (Side(v, c, *sides.get(c, UNLABELLED), mask=m) for v, c, m in (a, b))
        out += apart(grid, rows, first, second)
    if not out:
        return Found((), 0, 0)
    out.sort(key=lambda c: (-len(c.rows), c.rows[0]))
    yield Progress(0, 0, "edits", NOTE)
    touched = np.zeros(len(labels), np.bool_)
    touched[np.concatenate([c.rows for c in out])] = True
    return Found(tuple(out[:MOST]), int(touched.sum()), max(0, len(out) - MOST))


def _voices(edits: Iterable[Edit], voxels: int) -> Job[list[Voice]]:
    """The newest first."""
    decided = np.zeros(voxels, np.bool_)
    out: list[Voice] = []
    for number, edit in enumerate(edits):
        if number % SLICE == 0:
            yield Progress(number, 0, "edits", NOTE)
        photos = [s for s in edit.said if s.view is not None]
        for n, said in enumerate(reversed(photos), start=1):
            rows = said.rows()
            out.append(Voice(said.view, said.class_id, said.mask, rows[~decided[rows]]))
            if n % SLICE == 0:
                yield Progress(number, 0, "edits", NOTE)
        delta = edit.labels
        if any(s.mask for s in photos) and delta is not None:
            rows = delta.rows()
            before, after = (np.repeat(v, delta.length) for v in (delta.old_label, delta.new_label))
            over = (before != NOTHING) & (before != after) & ~decided[rows]
            out += [Voice(None, int(c), False, rows[over & (before == c)]) for c in np.unique(before[over])]
        for said in edit.said:
            if said.view is None:
                decided[said.rows()] = True
        if delta is not None and not photos:
            decided[delta.rows()] = True
    return out


def _last_words(voices: list[Voice], voxels: int) -> Job[list[Voice]]:
    """Without what was said of a voxel before by the same photo; in the same order."""
    of: dict[int | None, list[int]] = {}
    for n, v in enumerate(voices):
        of.setdefault(v.view, []).append(n)
    out = list(voices)
    heard = np.zeros(voxels, np.bool_)
    for spoken in of.values():
        for n in spoken:
            rows = voices[n].rows
            out[n] = voices[n]._replace(rows=rows[~heard[rows]])
            heard[rows] = True
            if n % SLICE == 0:
                yield Progress(0, 0, "edits", NOTE)
        for n in spoken:
            heard[voices[n].rows] = False
    return [v for v in out if len(v.rows)]


Told = tuple[int | None, int, bool]
Against = dict[tuple[Told, Told], list[Rows]]
"""Who said what, against whom, of which voxels."""


def _against(voices: list[Voice], labels: NDArray[np.uint16], known: set[int]) -> Job[Against]:
    # of the photos that say what the voxel is labelled, the one that said it last
    speaker = np.full(len(labels), -1, np.int64)
    said_by_photo: dict[int, Bool] = {}
    for n in range(len(voices) - 1, -1, -1):
        v = voices[n]
        if v.view is not None:
            speaker[v.rows[labels[v.rows] == v.class_id]] = n
            said_by_photo.setdefault(v.class_id, np.zeros(len(labels), np.bool_))[v.rows] = True
        if n % SLICE == 0:
            yield Progress(0, 0, "edits", NOTE)
    groups: Against = {}
    for number, v in enumerate(voices):
        if number % SLICE == 0:
            yield Progress(0, 0, "edits", NOTE)
        rows = v.rows[(labels[v.rows] != v.class_id) & (labels[v.rows] != NOTHING)]
        if v.view is None:  # who is against the scene is a photo, and what a photo had said first is its own
            rows = rows[speaker[rows] >= 0]
            if v.class_id in said_by_photo:
                rows = rows[~said_by_photo[v.class_id][rows]]
        if v.class_id not in known or not len(rows):
            continue
        key = speaker[rows] << 16 | labels[rows]
        for both in np.unique(key):
            n, now = int(both) >> 16, int(both) & 0xFFFF
            other: Told = (None, now, False) if n < 0 else (voices[n].view, now, voices[n].mask)
            groups.setdefault(((v.view, v.class_id, v.mask), other), []).append(rows[key == both])
    return groups


def apart(grid: RadianceGrid, rows: Rows, a: Side, b: Side) -> list[Disagreement]:
    """One for each connected part of voxels (N,) of a grid, and one for all that are small."""
    part = _parts(grid, rows)
    size = np.bincount(part)
    order = np.argsort(part, kind="stable")
    some = np.split(rows[order], np.cumsum(size)[:-1])
    out = [Disagreement(voxels, a, b) for voxels in some if len(voxels) >= LEAST_VOXELS]
    small = rows[size[part] < LEAST_VOXELS]
    if len(small):
        out.append(Disagreement(small, a, b, scattered=sum(0 < n < LEAST_VOXELS for n in size.tolist()) > 1))
    return out


def _parts(grid: RadianceGrid, rows: Rows) -> NDArray[np.int32]:
    """(N,) numbers of the connected parts that voxels are in; few voxels are compared with each other alone."""
    if len(rows) > FEW:
        inside = np.zeros(len(grid.index), np.bool_)
        inside[rows] = True
        return parts(grid, inside)[rows]
    pairs = cKDTree(grid.index[rows]).query_pairs(TOUCHING, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape=(len(rows), len(rows)))
    return connected_components(links, directed=False)[1]
