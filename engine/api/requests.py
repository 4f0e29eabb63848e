"""Requests to the engine; ``engine.api.replies`` has what it answers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Literal, TypeAlias

from engine.api.camera import Camera

_ids = itertools.count(1)


def new_id() -> int:
    """The next request id; grows over the life of the process."""
    return next(_ids)


class Priority(IntEnum):
    """Lower goes first. A running job gives way, at its next yield, to anything more urgent."""

    CONTROL = 0
    CLICK = 1
    HOVER = 2
    RENDER = 3
    IMAGE = 4
    JOB = 5


@dataclass(frozen=True, kw_only=True)
class Request:
    """Base of requests. ``key``: a newer request with the same key replaces an older one (queued or running).
    ``title``: what a job is called on screen. ``outlives``: goes on when another capture is opened."""

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = ""
    outlives: ClassVar[bool] = False
    id: int = field(default_factory=new_id)

    @property
    def key(self) -> str:
        return type(self).__name__


@dataclass(frozen=True, kw_only=True)
class OpenCapture(Request):
    """Open a capture; whatever ran for the last one is cancelled. Answered by CaptureOpened, then stored results."""

    priority: ClassVar[Priority] = Priority.CONTROL
    path: str


@dataclass(frozen=True, kw_only=True)
class FitGrid(Request):
    """Fit the radiance grid: VolumeUpdated as it improves, JobProgress, JobFinished with ``psnr``."""

    title: ClassVar[str] = "Fitting radiance grid"
    seconds: float = 60.0
    refit: bool = False


@dataclass(frozen=True, kw_only=True)
class EncodeViews(Request):
    """Encode all photos and lift the features: ViewFeatures per view, VoxelFeatures when there is a grid."""

    title: ClassVar[str] = "Encoding photos"
    encoder: str = "default"


@dataclass(frozen=True, kw_only=True)
class FindKeypoints(Request):
    """Find the scene's decorated keypoints, or read those found before: SceneKeypoints, JobFinished. Needs features on
    the scene."""

    title: ClassVar[str] = "Finding keypoints"


@dataclass(frozen=True, kw_only=True)
class CompareViews(Request):
    """Compare every photo's features with the scene's marched into it: ViewCompared per view, JobFinished. Needs
    features on the scene."""

    title: ClassVar[str] = "Comparing photos and scene"


@dataclass(frozen=True, kw_only=True)
class SaveAgreement(Request):
    """Write into ``folder`` how photos and scene agree: consistency.csv, and a PNG of each photo with the photo, its
    features, the scene's and their cosine. Answered by Notice and JobFinished."""

    title: ClassVar[str] = "Saving the comparison"
    folder: str


@dataclass(frozen=True, kw_only=True)
class NameScene(Request):
    """Say how likely each name of the vocabulary is at each place: JobProgress, SceneNamed, JobFinished. The grid must
    be there."""

    title: ClassVar[str] = "Naming the scene"


THRESHOLD = 0.5
"""From which relevancy on a place counts as found, where nothing else is asked."""


@dataclass(frozen=True)
class RegionExample:
    """A place that a prompt found: what looks like it?

    Attributes:
        of: the words, or the example, that found it, without ``negatives`` and from ``threshold`` on.
        centre_w: of the place; the nearest that is found is meant.
    """

    of: str | Example
    centre_w: tuple[float, float, float]
    threshold: float = THRESHOLD
    negatives: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureExample:
    """A picture, such as a crop of a photo: where is what it shows?"""

    path: str


Example: TypeAlias = RegionExample | PictureExample


@dataclass(frozen=True, kw_only=True)
class PromptQuery(Request):
    """Where in the scene are things of these words? Answered by PromptReply; the scene must be named.

    Attributes:
        prompts: what to look for.
        examples: for each prompt, what to look for in place of its words, which are then only its name; None, or
            nothing at all: the words.
        negatives: what is not meant.
        thresholds: for each prompt, from which relevancy on it counts as found, for the list of regions.
    """

    priority: ClassVar[Priority] = Priority.CLICK
    prompts: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    thresholds: tuple[float, ...] = ()
    examples: tuple[Example | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SaveKeypoints(Request):
    """Write the ``count`` best keypoints that were found into ``path`` (.ply, .npz or .txt): answered by Notice."""

    priority: ClassVar[Priority] = Priority.IMAGE
    path: str
    count: int


@dataclass(frozen=True, kw_only=True)
class PhotographGeometry(Request):
    """Render views of the open capture's points into ``folder``, as a capture with photos and depth: answered by Notice
    and JobFinished."""

    title: ClassVar[str] = "Photographing the geometry"
    folder: str


@dataclass(frozen=True, kw_only=True)
class TrainEncoders(Request):
    """Train both branches on the open capture (ConDense's joint training): TrainingUpdate every step or so,
    TrainingPreview and VoxelFeatures every few seconds, JobFinished with the last measures. The weights are kept in
    the cache and named by TrainedWeights. Needs a fitted grid or depth.

    ``view``: the photo that previews show; ``afresh``: from the embedded weights, not from where the last training of
    this capture ended.
    """

    title: ClassVar[str] = "Training on this capture"
    steps: int = 300
    view: int = 0
    afresh: bool = True


@dataclass(frozen=True, kw_only=True)
class PreviewView(Request):
    """Show another photo in the previews of the training that runs; no answer of its own."""

    priority: ClassVar[Priority] = Priority.CONTROL
    view: int


@dataclass(frozen=True, kw_only=True)
class PauseJob(Request):
    """Let the job that request ``job_id`` started rest, or go on: answered by JobPaused."""

    priority: ClassVar[Priority] = Priority.CONTROL
    job_id: int
    paused: bool

    @property
    def key(self) -> str:
        return f"PauseJob/{self.job_id}"


@dataclass(frozen=True, kw_only=True)
class SaveWeights(Request):
    """Copy the weights of this capture's last training into ``folder``: answered by Notice."""

    priority: ClassVar[Priority] = Priority.IMAGE
    folder: str


@dataclass(frozen=True, kw_only=True)
class LoadPhoto(Request):
    """Read one photo for display, long side at most ``max_side``: answered by PhotoLoaded."""

    priority: ClassVar[Priority] = Priority.IMAGE
    view: int
    max_side: int

    @property
    def key(self) -> str:
        return f"LoadPhoto/{self.view}/{self.max_side}"


@dataclass(frozen=True)
class PixelSource:
    """A click in photo ``view`` at full-size undistorted pixels (x, y)."""

    view: int
    x: float
    y: float


@dataclass(frozen=True)
class PointSource:
    """A click on a point of the scene, world units."""

    pos_w: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class MatchQuery(Request):
    """Where else is this? Answered by MatchReply."""

    priority: ClassVar[Priority] = Priority.CLICK
    source: PixelSource | PointSource


@dataclass(frozen=True, kw_only=True)
class HoverQuery(MatchQuery):
    """As MatchQuery, for the pointer in passing: gives way to clicks, the newest wins."""

    priority: ClassVar[Priority] = Priority.HOVER


RenderLayer = Literal["colour", "features", "depth", "heat"]


@dataclass(frozen=True, kw_only=True)
class RenderView(Request):
    """Ray-march the grid through ``camera``: answered by ViewRendered."""

    priority: ClassVar[Priority] = Priority.RENDER
    camera: Camera
    layer: RenderLayer = "colour"

    @property
    def key(self) -> str:
        return f"RenderView/{self.layer}"


@dataclass(frozen=True, kw_only=True)
class GiveWay(Request):
    """The user is at work: photos and jobs leave the cores to the window for ``seconds``. Answered by nothing; jobs
    still get a turn now and then, however often it is sent."""

    priority: ClassVar[Priority] = Priority.CONTROL
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CancelJob(Request):
    """Stop the job that request ``job_id`` started; it answers with JobCancelled. Finished work is kept."""

    priority: ClassVar[Priority] = Priority.CONTROL
    job_id: int

    @property
    def key(self) -> str:
        return f"CancelJob/{self.job_id}"
