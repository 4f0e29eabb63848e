"""What the window asks of the engine to annotate the open capture; ``engine.api.annotated`` has the answers.

Rows are voxels of the volume ``version`` that AnnotationsOpened named. Selections live in the window: requests carry
them, so that the engine holds nothing but what is annotated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.annotations import NOTHING, Kind, Thing, Triple
from engine.api.camera import Camera
from engine.api.requests import PixelSource, PointSource, Priority, Request
from engine.api.scene import Float32

Rows = NDArray[np.int64]
Source = PixelSource | PointSource
StrokeKind = Literal["brush", "lasso", "box"]
OutlineKind = Literal["lasso", "box"]
StrokeUse = Literal["label", "erase", "add", "subtract"]
"""A stroke labels or erases voxels, or adds them to the selection or takes them from it."""
FileFormat = Literal["json", "npz", "ply", "coco", "labelcloud", "kitti", "scannet"]


@dataclass(frozen=True, kw_only=True, eq=False)
class AnnotationRequest(Request):
    """Base of these requests. One does not replace another of its kind, unless it says so."""

    priority: ClassVar[Priority] = Priority.CLICK

    @property
    def key(self) -> str:
        return f"{type(self).__name__}/{self.id}"


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenAnnotations(AnnotationRequest):
    """Open the annotations of the open capture: AnnotationsOpened. ``begin``: begin them where there are none."""

    begin: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class PrepareAnnotating(AnnotationRequest):
    """Find what each photo shows, ``first`` of all in these photos (PhotoVoxels each), and the regions that smart
    select chooses from: JobProgress, JobFinished."""

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Preparing annotation"
    first: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class LookAtPhoto(AnnotationRequest):
    """March one photo for the strokes that are about to be drawn in it: PhotoVoxels, finer than the first."""

    priority: ClassVar[Priority] = Priority.IMAGE
    view: int

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True)
class SelectClick:
    """A place that belongs to what is meant, or (``positive`` False) does not."""

    source: Source
    positive: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class SelectThing(AnnotationRequest):
    """What do these clicks mean? Answered by SelectionFound.

    Attributes:
        clicks: in the order in which they came, the first one positive.
        threshold: of the scores.
        base: (N,) rows that were selected before; what is found is added to them or, with ``subtract``, taken away.
    """

    clicks: tuple[SelectClick, ...]
    threshold: float = 0.5
    base: Rows | None = None
    subtract: bool = False

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class MoveThreshold(AnnotationRequest):
    """The same selection at another threshold of its scores (V,), from the same ``seeds`` (N,): SelectionFound."""

    score: Float32
    seeds: Rows
    threshold: float
    base: Rows | None = None
    subtract: bool = False

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class ResizeSelection(AnnotationRequest):
    """Grow a selection by ``steps`` voxels, or shrink it by -``steps``: SelectionFound."""

    rows: Rows
    steps: int


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawStroke(AnnotationRequest):
    """A stroke in a photo, lifted to the voxels that it covers: AnnotationChanged, or SelectionFound.

    Attributes:
        view: the photo.
        kind: what the path is.
        path_px: full-size undistorted pixels; of a box two opposite corners.
        radius_px: of the brush.
        use: what is done with the voxels.
        class_id: that they get; the stroke goes on with the instance of that class that it touches most, or begins one.
        rows: (N,) selected before.
    """

    view: int
    kind: StrokeKind
    path_px: tuple[tuple[float, float], ...]
    radius_px: float = 8.0
    use: StrokeUse = "label"
    class_id: int = NOTHING
    rows: Rows | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PaintAt(AnnotationRequest):
    """A brush drawn over the scene: all voxels within a radius of points (N, 3), world units. As DrawStroke."""

    points_w: Float32
    radius_w: float
    use: StrokeUse = "label"
    class_id: int = NOTHING
    rows: Rows | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class DrawOver(AnnotationRequest):
    """A lasso or rectangle drawn over the scene, lifted to the voxels that show within it. As DrawStroke.

    Attributes:
        camera: that the scene was seen by.
        depth_z: (h, w) float32, the whole picture at any size: camera z of the surface that shows there, 0 for none.
        kind: what the path is.
        path_px: pixels of the camera; of a box two opposite corners.
        through: voxels behind what shows are meant too.
        clip_w: (2, 3) outside of which nothing shows; None: there is no such box.
        use, class_id, rows: as of DrawStroke.
    """

    camera: Camera
    depth_z: Float32
    kind: OutlineKind
    path_px: tuple[tuple[float, float], ...]
    through: bool = False
    clip_w: NDArray[np.float64] | None = None
    use: StrokeUse = "label"
    class_id: int = NOTHING
    rows: Rows | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FloodFill(AnnotationRequest):
    """Label, or with class 0 erase, what hangs together with a place: all of its class and instance, or, where it has
    none, all unlabelled voxels there of like colour. AnnotationChanged."""

    source: Source
    class_id: int
    tolerance: float = 0.12


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelRows(AnnotationRequest):
    """Give voxels (N,) a class and a new instance, or with class 0 erase them: AnnotationChanged."""

    rows: Rows
    class_id: int


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelNamed(AnnotationRequest):
    """Give voxels (N,) the class of a name and a new instance; where there is no class of that name, one of this colour
    is made in the same step: AnnotationChanged."""

    rows: Rows
    name: str
    rgb: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxRows(AnnotationRequest):
    """Put an upright oriented box around voxels (N,): AnnotationChanged."""

    rows: Rows
    class_id: int


@dataclass(frozen=True, kw_only=True, eq=False)
class PutLandmark(AnnotationRequest):
    """Put a named point at a place, snapped to a keypoint that is near: AnnotationChanged."""

    source: Source
    class_id: int
    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class FindPlace(AnnotationRequest):
    """Where on the surface is this? PlaceFound. ``snap``: a keypoint that is near is meant."""

    source: Source
    snap: bool = True


@dataclass(frozen=True, kw_only=True, eq=False)
class PutPolyline(AnnotationRequest):
    """Join places: AnnotationChanged."""

    points_w: tuple[Triple, ...]
    class_id: int
    name: str
    closed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class PutNote(AnnotationRequest):
    """Write a note at a place: AnnotationChanged."""

    source: Source
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class AddClass(AnnotationRequest):
    """Add a class; its colour and its key are found: AnnotationChanged."""

    name: str


@dataclass(frozen=True, kw_only=True, eq=False)
class PutThing(AnnotationRequest):
    """Put a thing, such as a class of another name or colour, in the place of the one of its id: AnnotationChanged."""

    thing: Thing


@dataclass(frozen=True, kw_only=True, eq=False)
class RemoveThing(AnnotationRequest):
    """Take a thing away, with a class its labels: AnnotationChanged."""

    kind: Kind
    thing_id: int


@dataclass(frozen=True, kw_only=True, eq=False)
class UndoAnnotation(AnnotationRequest):
    """Take the last edit back: AnnotationChanged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RedoAnnotation(AnnotationRequest):
    """Make it again: AnnotationChanged."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SuggestByWords(AnnotationRequest):
    """Which regions are meant by words? SuggestionsFound; the scene must be named."""

    words: str
    threshold: float = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class SuggestAlike(AnnotationRequest):
    """Which regions are like these voxels (N,)? SuggestionsFound."""

    rows: Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class ReviewAnnotations(AnnotationRequest):
    """How far is it, and what was done? ReviewFound. Clicks and strokes go before."""

    priority: ClassVar[Priority] = Priority.IMAGE

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True, eq=False)
class SaveClasses(AnnotationRequest):
    """Write the palette to a file (.json, or .txt the names alone): Notice."""

    path: str


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadClasses(AnnotationRequest):
    """Add the classes of a file that are not there yet: AnnotationChanged."""

    path: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportAnnotations(AnnotationRequest):
    """Write what is annotated to a file: JobProgress, Notice, JobFinished."""

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Exporting annotations"
    path: str
    format: FileFormat


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportAnnotations(AnnotationRequest):
    """Bring annotations from a file, or from a folder of another grid's, as one step: AnnotationChanged, JobFinished.

    ``format``: "" by the file's name; ``by_position``: of another capture or grid.
    """

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Importing annotations"
    path: str
    format: FileFormat | Literal[""] = ""
    by_position: bool = False
