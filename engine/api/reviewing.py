"""What the window asks of the engine to look over annotations: where photos contradict, how another annotator differs,
and what is like a class in another scene; with the answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.annotating import AnnotationRequest, FileFormat, Rows
from engine.api.replies import Reply
from engine.api.requests import Priority

UInt16 = NDArray[np.uint16]
Rgb = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ReviewRequest(AnnotationRequest):
    """Base of these requests."""


@dataclass(frozen=True)
class Side:
    """One of two that say something.

    Attributes:
        view: the photo; None: the scene, or an annotator.
        class_id: of the palette; 0: that there is nothing, or a class that the palette does not have.
        name, rgb: of the class; "unlabelled" where there is none.
        mask: the photo's mask was imported, not drawn.
    """

    view: int | None
    class_id: int
    name: str
    rgb: Rgb
    mask: bool = False


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Voxels (N,), ascending, of which two say something else.

    ``a`` said it first and was overwritten, or is the one who annotates here; ``b`` is what the voxels are labelled
    now, or the other annotator. ``scattered``: they are many small places, not one.
    """

    rows: Rows
    a: Side
    b: Side
    scattered: bool = False


# --- photos that contradict


@dataclass(frozen=True, kw_only=True, eq=False)
class FindConflicts(ReviewRequest):
    """Where do photos contradict each other, or the scene? JobProgress, ConflictsFound, JobFinished."""

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Looking for conflicts"

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class ConflictsFound(Reply):
    """The largest first. ``voxels``: in all of them; ``left_out``: how many smaller ones are not among them."""

    version: int
    conflicts: tuple[Disagreement, ...]
    voxels: int
    left_out: int


@dataclass(frozen=True, kw_only=True, eq=False)
class SettleConflict(ReviewRequest):
    """These voxels (N,) are of that class, whatever photos said before: AnnotationChanged, one step."""

    rows: Rows
    class_id: int


# --- two annotators


@dataclass(frozen=True, kw_only=True, eq=False)
class CompareAnnotations(ReviewRequest):
    """How does another annotator's file differ from what is annotated? AnnotationsCompared, or ComparedElsewhere.

    ``format``: "" by the file's name; ``by_position``: of another capture or grid.
    """

    path: str
    format: FileFormat | Literal[""] = ""
    by_position: bool = False

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class CompareAgain(ReviewRequest):
    """The same file and what is annotated now: AnnotationsCompared. Clicks and strokes go before."""

    priority: ClassVar[Priority] = Priority.IMAGE

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class StopComparing(ReviewRequest):
    """Forget the other annotator."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TakeTheirs(ReviewRequest):
    """Label these voxels (N,) as the other annotator did, or erase them where that one has nothing: AnnotationChanged.
    Classes that are missing are added; locked ones are left as they are."""

    rows: Rows


@dataclass(frozen=True)
class ClassCompared:
    """One class of two annotators.

    Attributes:
        name, rgb: of it.
        mine, theirs, both: voxels.
        iou: of the voxels; ``instance_iou``: mean over instances, each with the likest one; None: there are none.
    """

    name: str
    rgb: Rgb
    mine: int
    theirs: int
    both: int
    iou: float
    instance_iou: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationsCompared(Reply):
    """Two annotations of the V voxels of one volume.

    Attributes:
        version: of the volume.
        name: of the other's file.
        classes: that either has, the one that differs most first; ids below are places in it, from 1 on.
        mine, theirs: (V,) uint16 ids, 0 for none.
        agreed: share of the voxels labelled by either on which both say the same.
        kappa: Cohen's, over the voxels labelled by both; None where chance leaves nothing to say.
        differ: how many voxels differ.
        places: where they do, the largest first; ``left_out``: how many smaller ones are not among them.
        told: what the file could not say here, one line a kind.
    """

    version: int
    name: str
    classes: tuple[ClassCompared, ...]
    mine: UInt16
    theirs: UInt16
    agreed: float
    kappa: float | None
    differ: int
    places: tuple[Disagreement, ...]
    left_out: int
    told: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparedElsewhere(Reply):
    """The file is of another capture or grid: it can only be compared by position. ``what``: of which; ``request``: to
    be sent again with ``by_position``."""

    what: str
    request: CompareAnnotations


# --- other scenes


@dataclass(frozen=True, eq=False)
class Example:
    """What something that was labelled is like: its unit ``image`` feature (D,) without what its scene shares, ``size``
    and ``extent`` (3,), free of a scene's unit, so that it can be looked for in another scene of the same encoder."""

    image: NDArray[np.float64]
    size: float
    extent: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class DescribeExamples(ReviewRequest):
    """What are these voxels (N,), or all things of a class, like? ExamplesDescribed."""

    rows: Rows | None = None
    class_id: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class ExamplesDescribed(Reply):
    """``encoder``: of the features, by its identity."""

    examples: tuple[Example, ...]
    encoder: str


@dataclass(frozen=True, kw_only=True, eq=False)
class SuggestFrom(ReviewRequest):
    """Which regions here are like one of these examples from elsewhere, by a likeness of at least ``least``?
    SuggestionsFound."""

    examples: tuple[Example, ...]
    encoder: str
    least: float = 0.6


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelAs(ReviewRequest):
    """Give voxels (N,) the class of that name, which is added if it is missing, and a new instance: AnnotationChanged,
    one step."""

    rows: Rows
    name: str
    rgb: Rgb
