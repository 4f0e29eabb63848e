"""What the window knows of looking over annotations: conflicts, another annotator, what is looked at. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.annotate_state import Marks, Selection
from engine.api.annotated import PhotoVoxels, Things
from engine.api.annotations import LabelClass
from engine.api.reviewing import AnnotationsCompared, ComparedElsewhere, ConflictsFound, Disagreement

Page = Literal["progress", "conflicts", "compare"]
Rgb = tuple[int, int, int]

AGREE, ONLY_MINE, ONLY_THEIRS, OTHER = 1, 2, 3, 4
COMPARISON: tuple[LabelClass, ...] = (
    LabelClass(AGREE, "both agree", (128, 140, 158)),
    LabelClass(ONLY_MINE, "only here", (56, 176, 255)),
    LabelClass(ONLY_THEIRS, "only theirs", (255, 176, 64)),
    LabelClass(OTHER, "another class", (240, 62, 140)),
)
"""What voxels are coloured by while two annotators are compared; told apart without red and green."""


@dataclass(frozen=True, eq=False)
class Looked:
    """A disagreement that is looked at.

    Attributes:
        of: it.
        voxels: V of the scene.
        views: the photos beside it, of the first and of the second side; None: no photo shows it.
        pixels: how many pixels of each photo, at full size, show it.
    """

    of: Disagreement
    voxels: int
    views: tuple[int | None, int | None]
    pixels: tuple[int, int]

    @cached_property
    def lit(self) -> Selection:
        """Its voxels, as what is selected is drawn."""
        return Selection(self.voxels, self.of.rows)


@dataclass(frozen=True)
class ReviewState:
    """Of the open capture.

    Attributes:
        open: whether the panel is seen: then what it shows is kept up to date.
        page: of the panel.
        found: conflicts; None: not looked for yet. ``looking``: id of the request, 0 when that is over.
        compared: another annotator; None: there is none. ``comparing``: id of the request.
        marks: what is drawn in the labels' stead while two are compared.
        only: the class that is alone shown of them, its place in ``compared.classes`` from 1 on; 0: all.
        elsewhere: that a file can only be compared by position.
        looked: the disagreement that is looked at.
    """

    open: bool = False
    page: Page = "progress"
    found: ConflictsFound | None = None
    looking: int = 0
    compared: AnnotationsCompared | None = None
    comparing: int = 0
    marks: Marks | None = None
    only: int = 0
    elsewhere: ComparedElsewhere | None = None
    looked: Looked | None = None

    @property
    def listed(self) -> tuple[Disagreement, ...]:
        """What the page lists, of the class that is shown."""
        if self.page == "conflicts":
            return () if self.found is None else self.found.conflicts
        if self.page != "compare" or self.compared is None:
            return ()
        if not self.only:
            return self.compared.places
        name = self.compared.classes[self.only - 1].name
        return tuple(p for p in self.compared.places if name in (p.a.name, p.b.name))


def compared_marks(compared: AnnotationsCompared, only: int) -> Marks:
    """What two annotators say, as labels of four kinds; ``only``: of that class, 0 for all."""
    mine, theirs = compared.mine, compared.theirs
    kind = np.zeros(len(mine), np.uint16)
    kind[(mine > 0) & (theirs == 0)] = ONLY_MINE
    kind[(mine == 0) & (theirs > 0)] = ONLY_THEIRS
    kind[(mine > 0) & (theirs > 0)] = OTHER
    kind[(mine > 0) & (mine == theirs)] = AGREE
    if only:
        kind[(mine != only) & (theirs != only)] = 0
    return Marks.of(compared.version, kind, np.zeros(len(kind), np.uint32), Things(COMPARISON))


def rows_of_class(compared: AnnotationsCompared, only: int) -> NDArray[np.int64]:
    """(N,) the voxels on which two annotators differ about a class."""
    mine, theirs = compared.mine, compared.theirs
    return np.flatnonzero((mine != theirs) & ((mine == only) | (theirs == only)))


def looked_at(of: Disagreement, voxels: int, photos: Mapping[int, PhotoVoxels], widths: Mapping[int, int]) -> Looked:
    """A disagreement with the photos that are to be seen beside it: those that speak, or else those that show most.

    Args:
        of: it.
        voxels: V of the scene.
        photos: which voxels photos show.
        widths: of the photos, full-size pixels.
    """
    inside = np.zeros(voxels + 1, np.bool_)
    inside[of.rows] = True
    shown = {view: int(inside[photo.rows].sum()) for view, photo in photos.items()}
    best = [v for v in sorted(shown, key=lambda v: (-shown[v], v)) if shown[v]]
    a, b = of.a.view, of.b.view
    rest = [v for v in best if v not in (a, b)]
    if a is None:
        a = rest.pop(0) if rest else None
    if b is None:
        b = rest.pop(0) if rest else None

    def at_full_size(view: int | None) -> int:
        if view is None or view not in photos:
            return 0
        return round(shown[view] * (widths[view] / photos[view].rows.shape[1]) ** 2)

    return Looked(of, voxels, (a, b), (at_full_size(a), at_full_size(b)))


def photos_left(marks: Marks, photos: Mapping[int, PhotoVoxels]) -> list[tuple[int, float]]:
    """Photos and the share of what each shows that has no label, the largest first."""
    none = np.append(marks.labels == 0, False)
    out: list[tuple[int, float]] = []
    for view, photo in photos.items():
        if photo.version == marks.version:
            out.append((view, float(none[photo.rows].sum() / max(1, (photo.rows >= 0).sum()))))
    return sorted(out, key=lambda p: (-p[1], p[0]))
