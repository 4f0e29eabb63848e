"""What is exported, what was read, and how what was read is brought onto the scene's voxels and palette."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.annotations.edits import Change, Edit
from engine.annotations.palette import fresh_colour
from engine.annotations.places import VoxelPlaces
from engine.annotations.said import Said
from engine.annotations.state import AnnotationState
from engine.annotations.things import kind_of
from engine.api.annotations import NOTHING, LabelClass, Landmark, Note, OrientedBox, Polyline, Thing
from engine.api.errors import AnnotationError

MOST_BYTES = 1 << 30
"""Larger files are not read."""


@dataclass(frozen=True, eq=False)
class Content:
    """What is exported.

    Attributes:
        capture, fingerprint: its name and its identity.
        places: the V voxels.
        rgb: (V, 3) uint8.
        state: what is annotated.
    """

    capture: str
    fingerprint: str
    places: VoxelPlaces
    rgb: NDArray[np.uint8]
    state: AnnotationState


@dataclass(frozen=True, eq=False)
class Incoming:
    """What was read from a file.

    Attributes:
        path: the file.
        classes: its palette; ids as the file's voxels and things use them.
        labels, instances: (N,) uint16 and (N,) uint32 of its points; class 0: none.
        pos_w: (N, 3) where they are; None: they are the scene's voxels, in order.
        key: fingerprint of the grid that they are of; empty: the file does not say.
        fingerprint: of the capture; empty: the file does not say.
        things: boxes and so on, not classes.
        said: what each photo said, where photos were read.
        lost: what the format or the reader could not keep, one line a kind.
    """

    path: Path
    classes: tuple[LabelClass, ...]
    labels: NDArray[np.uint16]
    instances: NDArray[np.uint32]
    pos_w: NDArray[np.float64] | None
    key: str = ""
    fingerprint: str = ""
    things: tuple[Thing, ...] = ()
    said: tuple[Said, ...] = ()
    lost: tuple[str, ...] = field(default=())


class Brought(NamedTuple):
    """The edit that an import makes, and what is to be told of it."""

    edit: Edit
    told: tuple[str, ...]


def bring(
    incoming: Incoming, state: AnnotationState, places: VoxelPlaces, fingerprint: str, *, by_position: bool
) -> Brought:
    """Bring what was read onto the scene, as one edit. Classes are the same by their names; unknown ones are added.
    Instances and things get new numbers where theirs are taken.

    Args:
        incoming: what was read.
        state: what is annotated now; voxels that the file labels are labelled anew.
        places: the scene's voxels.
        fingerprint: of the capture.
        by_position: points of another capture or grid go to the voxels at their places.

    Raises:
        AnnotationError: the file is of another capture or grid, and ``by_position`` is not set; or its points are no
            voxels of this scene.
    """
    told = list(incoming.lost)
    elsewhere = of_elsewhere(incoming, places, fingerprint)
    if elsewhere and not by_position:
        raise AnnotationError(
            elsewhere, path=incoming.path, found=f"{len(incoming.labels)} points",
            expected=f"the {len(places)} voxels of this one",
            mend="bring them over by position: condense annotate import … --by-position",
        )  # fmt: skip
    classes, changes = _matched(incoming, state, told)
    labels = np.array([classes.get(int(c), 0) for c in range(int(incoming.labels.max(initial=0)) + 1)], np.uint16)
    new_labels = labels[incoming.labels] if len(incoming.labels) else incoming.labels
    given = (new_labels != NOTHING) | (incoming.instances != NOTHING)
    rows, kept = _rows(incoming, places, np.flatnonzero(given), told)
    instances = incoming.instances[kept]
    taken = np.isin(np.unique(instances[instances > 0]), np.unique(state.instances[state.labels > 0]))
    shift = state.next_instance() if taken.any() and len(instances) else 0
    if shift and int(instances.max()) + shift > 0xFFFFFFFF:
        raise AnnotationError("there are no more numbers for instances", path=incoming.path)
    instances = np.where(instances > 0, instances + np.uint32(shift), np.uint32(0)).astype(np.uint32)
    changes += _things(incoming, state, classes, shift)
    edit = state.relabel(rows, new_labels[kept], instances, changes, title=f"Import {incoming.path.name}")
    said = tuple(replace(s, class_id=classes[s.class_id]) for s in incoming.said)
    return Brought(replace(edit, said=said), tuple(told))


def of_elsewhere(incoming: Incoming, places: VoxelPlaces, fingerprint: str) -> str:
    """What a file is of that does not lie on these voxels; "": it does, or does not say."""
    if incoming.fingerprint and incoming.fingerprint != fingerprint:
        return "holds annotations of another capture"
    other = bool(incoming.key) and incoming.key != places.key
    return "holds annotations of another grid of this capture" if other else ""


def _matched(incoming: Incoming, state: AnnotationState, told: list[str]) -> tuple[dict[int, int], list[Change]]:
    """Class ids of the file to those of the palette, and the classes that are added."""
    by_name = {c.name.casefold(): c.id for c in state.palette}
    used, digits = {c.id for c in state.palette}, {c.digit for c in state.palette}
    matched: dict[int, int] = {NOTHING: NOTHING}
    changes: list[Change] = []
    for c in incoming.classes:
        name = c.name.casefold()
        if name not in by_name:
            id = c.id if c.id not in used else max(used) + 1
            added = replace(c, id=id, digit=None if c.digit in digits else c.digit)
            used.add(id)
            digits.add(added.digit)
            by_name[name] = id
            changes.append(Change(None, added))
        matched[c.id] = by_name[name]
    held = {int(i) for i in np.unique(incoming.labels)}
    held |= {t.class_id for t in incoming.things if isinstance(t, OrientedBox | Polyline | Landmark)}
    for id in sorted(held - set(matched)):
        new = max(used, default=0) + 1 if id in used else id
        used.add(new)
        matched[id] = new
        changes.append(Change(None, LabelClass(new, f"class {id}", fresh_colour(new))))
        told.append(f"Class {id} has no name in the file; it was added as 'class {id}'.")
    if changes and state.palette:
        names = ", ".join(c.thing.name for c in changes if isinstance(c.thing, LabelClass))
        told.append(f"Classes that were not in the palette were added: {names}")
    return matched, changes


def _rows(
    incoming: Incoming, places: VoxelPlaces, given: NDArray[np.int64], told: list[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The voxels (n,), ascending, that are labelled, and which point of the file labels each."""
    if incoming.pos_w is None:
        if len(incoming.labels) != len(places):
            raise AnnotationError(
                "does not fit this scene, and does not say where its points are", path=incoming.path,
                found=f"{len(incoming.labels)} points", expected=f"{len(places)} voxels",
                mend="import a format with positions: JSON, NPZ or PLY",
            )  # fmt: skip
        return given, given
    found = places.rows_at(incoming.pos_w[given])
    outside = int((found < 0).sum())
    if outside:
        told.append(f"{outside} of {len(given)} labelled points lie on no voxel of this scene and were left out.")
    if len(given) and outside == len(given):
        raise AnnotationError(
            "lies outside this scene", path=incoming.path, found=f"{outside} points on no voxel",
            mend="check that it is of the same capture, in the same units",
        )  # fmt: skip
    kept, rows = given[found >= 0], found[found >= 0]
    # of several points in a voxel the one nearest to its middle decides
    away = np.linalg.norm(incoming.pos_w[kept] - places.spec.to_world(places.index[rows] + 0.5), axis=1)
    order = np.lexsort((away, rows))
    rows, kept = rows[order], kept[order]
    first = np.ones(len(rows), np.bool_)
    first[1:] = rows[1:] != rows[:-1]
    if not first.all():
        told.append(f"{int((~first).sum())} points share a voxel with one nearer to its middle, which decided.")
    return rows[first], kept[first]


def _things(incoming: Incoming, state: AnnotationState, classes: Mapping[int, int], shift: int) -> list[Change]:
    taken = {kind: set(of_kind) for kind, of_kind in state.things.items()}
    changes: list[Change] = []
    for thing in incoming.things:
        used = taken[kind_of(thing)]
        id = thing.id if thing.id not in used else max(used) + 1
        used.add(id)
        if isinstance(thing, OrientedBox):
            instance = thing.instance + shift if thing.instance else 0
            changes.append(Change(None, replace(thing, id=id, class_id=classes[thing.class_id], instance=instance)))
        elif isinstance(thing, Polyline | Landmark):
            changes.append(Change(None, replace(thing, id=id, class_id=classes[thing.class_id])))
        elif isinstance(thing, Note):
            changes.append(Change(None, replace(thing, id=id)))
    return changes


def read_json(path: Path) -> Any:
    """JSON values of a file.

    Raises:
        AnnotationError: missing, too large, or no JSON.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise AnnotationError("is too large", path=path, expected=f"at most {MOST_BYTES >> 20} MB")
        return json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as e:
        raise AnnotationError(
            "cannot be read", path=path, found=str(e)[:200], expected="a whole JSON file", mend="export it again"
        ) from e


def _no_constant(text: str) -> float:
    raise ValueError(f"the number {text}")


def malformed(path: Path, e: Exception | str, expected: str) -> AnnotationError:
    """The error of a file that does not hold what it should."""
    found = e if isinstance(e, str) else f"{type(e).__name__}: {e}"
    return AnnotationError("is malformed", path=path, found=found[:200], expected=expected, mend="export it again")
