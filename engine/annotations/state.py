"""What is annotated now: labels of the voxels and things by kind, and the edits that tools make of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.annotations.edits import Change, Edit, LabelDelta, Rows, UInt16, UInt32
from engine.annotations.things import KINDS, MOST_ID, check, kind_of
from engine.api.annotations import (
    MOST_CLASSES,
    NOTHING,
    Changed,
    Kind,
    LabelClass,
    Landmark,
    Note,
    OrientedBox,
    Polyline,
    Thing,
)
from engine.api.errors import AnnotationError


@dataclass(frozen=True, eq=False)
class AnnotationState:
    """Labels (V,) uint16, instances (V,) uint32, things by kind and id. ``apply`` alone changes it.

    Functions that make edits change nothing: an edit is handed to the document, which keeps it before it applies it.
    """

    labels: UInt16
    instances: UInt32
    things: dict[Kind, dict[int, Thing]] = field(default_factory=lambda: {k: {} for k in KINDS})

    @classmethod
    def empty(cls, voxels: int) -> AnnotationState:
        """Nothing annotated on V voxels."""
        return cls(np.zeros(voxels, np.uint16), np.zeros(voxels, np.uint32))

    def copy(self) -> AnnotationState:
        """Another one that holds the same."""
        return AnnotationState(self.labels.copy(), self.instances.copy(), {k: dict(v) for k, v in self.things.items()})

    def same_as(self, other: AnnotationState) -> bool:
        """Whether both hold the same, to the bit."""
        return (
            self.labels.tobytes() == other.labels.tobytes()
            and self.instances.tobytes() == other.instances.tobytes()
            and self.things == other.things
        )

    @property
    def palette(self) -> list[LabelClass]:
        """The classes by id."""
        return [t for _, t in sorted(self.things["class"].items()) if isinstance(t, LabelClass)]

    @property
    def boxes(self) -> list[OrientedBox]:
        return [t for _, t in sorted(self.things["box"].items()) if isinstance(t, OrientedBox)]

    @property
    def polylines(self) -> list[Polyline]:
        return [t for _, t in sorted(self.things["polyline"].items()) if isinstance(t, Polyline)]

    @property
    def landmarks(self) -> list[Landmark]:
        return [t for _, t in sorted(self.things["landmark"].items()) if isinstance(t, Landmark)]

    @property
    def notes(self) -> list[Note]:
        return [t for _, t in sorted(self.things["note"].items()) if isinstance(t, Note)]

    def apply(self, edit: Edit, *, forward: bool = True) -> Changed:
        """Do an edit, or take it back; what is other now."""
        rows = np.zeros(0, np.int64)
        if edit.labels is not None:
            rows = edit.labels.apply(self.labels, self.instances, forward=forward)
        for change in edit.changes if forward else reversed(edit.changes):
            of_kind, wanted = self.things[change.kind], change.after if forward else change.before
            if wanted is None:
                of_kind.pop(change.thing.id, None)
            else:
                of_kind[wanted.id] = wanted
        kinds: frozenset[Kind] = frozenset(c.kind for c in edit.changes)
        return Changed(edit.title, rows, self.labels[rows], self.instances[rows], kinds, undone=not forward)

    # -- edits ---------------------------------------------------------------------------------------------------------

    def paint(
        self, rows: ArrayLike, class_id: int, instance: int | NDArray[np.uint32] = NOTHING, *, title: str = ""
    ) -> Edit:
        """Give voxels a class and an instance; class 0 erases. Voxels of locked classes are left as they are.

        Args:
            rows: (N,) voxels in any order.
            class_id: of the palette, or 0.
            instance: one for all, or (N,) one each.
            title: of the edit; by default what it does.

        Raises:
            AnnotationError: no such class, the class is locked, or a row is none of the voxels.
        """
        where = np.asarray(rows, np.int64).reshape(-1)
        self.check_rows(where)
        self._check_class(class_id)
        wanted = np.broadcast_to(np.asarray(instance, np.uint32), where.shape)
        where, first = np.unique(where, return_index=True)
        wanted = wanted[first] if class_id else np.zeros(len(first), np.uint32)
        free = ~np.isin(self.labels[where], [c.id for c in self.palette if c.locked])
        where, wanted = where[free], wanted[free]
        name = "Erase" if class_id == NOTHING else f"Label {self.name_of(class_id)}"
        return self.relabel(where, np.full(len(where), class_id, np.uint16), wanted, title=title or name)

    def relabel(
        self, rows: Rows, labels: UInt16, instances: UInt32, changes: Iterable[Change] = (), *, title: str
    ) -> Edit:
        """Give voxels (N,), ascending, a class and an instance each, whether locked or not, as imports do."""
        self.check_rows(rows)
        delta = LabelDelta.of(rows, self.labels[rows], labels, self.instances[rows], instances)
        return Edit(title, time.time(), delta, tuple(changes))

    def put(self, thing: Thing, *, title: str = "") -> Edit:
        """Add a thing, or put it in the place of the one of its id.

        Raises:
            AnnotationError: a field is outside its range, or a class of that name or key is there already.
        """
        try:
            thing = check(thing)
        except ValueError as e:
            raise AnnotationError("this cannot be annotated", found=str(e)) from e
        kind = kind_of(thing)
        before = self.things[kind].get(thing.id)
        changes: list[Change] = []
        if isinstance(thing, LabelClass):
            for other in self.palette:
                if other.id != thing.id and other.name.casefold() == thing.name.casefold():
                    raise AnnotationError("there is a class of that name already", found=thing.name)
                if other.id != thing.id and thing.digit is not None and other.digit == thing.digit:
                    changes.append(Change(other, replace(other, digit=None)))  # the key goes to the newer one
        elif not isinstance(thing, Note):
            self._check_class(thing.class_id)
            self._check_unlocked(before)
        changes.append(Change(before, thing))
        done = "Add" if before is None else "Change"
        return Edit(title or f"{done} {kind}", time.time(), None, tuple(changes) if before != thing else ())

    def remove(self, kind: Kind, id: int) -> Edit:
        """Take a thing away. With a class go its labels, and its things keep their place without a class.

        Raises:
            AnnotationError: there is none of that id, or it is locked.
        """
        thing = self.things[kind].get(id)
        if thing is None:
            raise AnnotationError(f"there is no such {kind}", found=str(id))
        self._check_unlocked(thing)
        changes: list[Change] = []
        delta = None
        if isinstance(thing, LabelClass):
            for other in (*self.boxes, *self.polylines, *self.landmarks):
                if other.class_id == id:
                    changes.append(Change(other, replace(other, class_id=NOTHING)))
            rows = np.flatnonzero(self.labels == id)
            none = np.zeros(len(rows), np.uint16)
            delta = LabelDelta.of(rows, self.labels[rows], none, self.instances[rows], none.astype(np.uint32))
        changes.append(Change(thing, None))
        return Edit(f"Remove {kind}", time.time(), delta, tuple(changes))

    # -- numbers and names ---------------------------------------------------------------------------------------------

    def next_id(self, kind: Kind) -> int:
        """One that no thing of the kind has.

        Raises:
            AnnotationError: all are used up.
        """
        used = self.things[kind]
        new = max(used, default=0) + 1
        most = MOST_CLASSES if kind == "class" else MOST_ID
        if new > most:
            new = next((i for i in range(1, most + 1) if i not in used), 0)
        if not new:
            raise AnnotationError(f"there is no room for another {kind}", found=f"{len(used)} of them")
        return new

    def next_instance(self) -> int:
        """One that no voxel and no box belongs to."""
        return max(int(self.instances.max(initial=0)), *(b.instance for b in self.boxes), 0) + 1

    def name_of(self, class_id: int) -> str:
        """The name of a class; "unlabelled" for 0."""
        found = self.things["class"].get(class_id)
        return found.name if isinstance(found, LabelClass) else "unlabelled"

    def check_rows(self, rows: Rows) -> None:
        """Raises:
        AnnotationError: one of them is none of the voxels.
        """
        if len(rows) and not (rows.min() >= 0 and rows.max() < len(self.labels)):
            raise AnnotationError(
                "these are not voxels of this scene", found=f"rows {rows.min()} to {rows.max()}",
                expected=f"0 to {len(self.labels) - 1}",
            )  # fmt: skip

    def _check_class(self, class_id: int) -> None:
        if class_id == NOTHING:
            return
        found = self.things["class"].get(class_id)
        if not isinstance(found, LabelClass):
            raise AnnotationError("there is no such class", found=str(class_id), mend="add it to the palette first")
        if found.locked:
            raise AnnotationError(f"the class {found.name} is locked", mend="unlock it first")

    def _check_unlocked(self, thing: Thing | None) -> None:
        if isinstance(thing, LabelClass):
            locked = thing
        elif isinstance(thing, OrientedBox | Polyline | Landmark):
            locked = self.things["class"].get(thing.class_id)
        else:
            return
        if isinstance(locked, LabelClass) and locked.locked:
            raise AnnotationError(f"the class {locked.name} is locked", mend="unlock it first")
