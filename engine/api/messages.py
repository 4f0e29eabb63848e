"""Requests to the engine and its replies. A reply carries the ``id`` of the request it answers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.scene import Float32, SceneInfo, UInt8, Volume

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
    ``title``: what a job is called on screen."""

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = ""
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
class SaveKeypoints(Request):
    """Write the ``count`` best keypoints that were found into ``path`` (.ply, .npz or .txt): answered by Notice."""

    priority: ClassVar[Priority] = Priority.IMAGE
    path: str
    count: int


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
class CancelJob(Request):
    """Stop the job that request ``job_id`` started; it answers with JobCancelled. Finished work is kept."""

    priority: ClassVar[Priority] = Priority.CONTROL
    job_id: int

    @property
    def key(self) -> str:
        return f"CancelJob/{self.job_id}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Reply:
    """Base of replies; ``id`` is that of the request answered. Two replies are never equal: many answer one request."""

    id: int


@dataclass(frozen=True, kw_only=True, eq=False)
class EngineReady(Reply):
    """The engine thread has loaded its libraries. ``device`` as torch names it, ``encoders`` that can be asked for."""

    device: str
    encoders: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptureOpened(Reply):
    scene: SceneInfo


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoLoaded(Reply):
    """``rgb`` (h, w, 3) uint8, undistorted."""

    view: int
    rgb: UInt8


@dataclass(frozen=True, kw_only=True, eq=False)
class VolumeUpdated(Reply):
    """A newer state of the grid. ``psnr``: held-out views, dB, None while unmeasured; ``stored``: from the cache."""

    volume: Volume
    psnr: float | None
    seconds: float
    stored: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewFeatures(Reply):
    """PCA colours of one view's features: (h, w, 3) uint8 at the feature map's size, in the shared basis."""

    encoder: str
    view: int
    rgb: UInt8


@dataclass(frozen=True, kw_only=True, eq=False)
class VoxelFeatures(Reply):
    """Features lifted to voxels of volume ``version``: PCA colours (V, 3) uint8 in the same basis as the views',
    and ``spread`` (V,) float32 in [0, 1]: one minus the length of the mean unit feature over views (0 = all agree)."""

    encoder: str
    version: int
    rgb: UInt8
    spread: Float32


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneKeypoints(Reply):
    """The scene's K keypoints by falling score: ``pos_w`` (K, 3) float32, ``score`` (K,) in [0, 1], ``rgb`` (K, 3)
    uint8 PCA colours of their features in the views' basis, ``seen`` (K, N) bool: which photos see each, by place."""

    encoder: str
    pos_w: Float32
    score: Float32
    rgb: UInt8
    seen: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewCompared(Reply):
    """How one photo and the scene agree.

    Attributes:
        view: the photo.
        rgb: (h, w, 3) uint8, the scene's features marched into it, PCA colours in the views' basis, black where none.
        cosine: (h, w) float32 of the photo's and the scene's features, NaN where the scene has none.
        mean, low, centred: mean cosine, its 5th percentile, and the mean of centred features; None where unknown.
        worst: (x, y, cosine) of the places that agree least, full-size undistorted pixels.
    """

    view: int
    rgb: UInt8
    cosine: Float32
    mean: float | None
    low: float | None
    centred: float | None
    worst: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, eq=False)
class ViewMatch:
    """The best match of the source in one view, full-size undistorted pixels.

    Attributes:
        view, x, y: where.
        score: cosine of the two features, in [-1, 1].
        mutual: the match's own best match in the source view comes back to the source.
        pos_w: the match's point in the scene, where the grid or depth knows it.
        true_px: where the source point really projects, where geometry knows it and the view sees it.
    """

    view: int
    x: float
    y: float
    score: float
    mutual: bool
    pos_w: tuple[float, float, float] | None
    true_px: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchReply(Reply):
    """Answer to MatchQuery and HoverQuery.

    Attributes:
        source: what was asked.
        source_pos_w: the source's point in the scene, if known.
        source_px: the source's pixel in its own view, if it came from one.
        version: the volume that ``voxel_heat`` belongs to (None: no grid yet).
        voxel_heat: (V,) float32 cosines, or None.
        view_heat: per view index, (h, w) float32 cosines over its feature map; views not encoded yet are absent.
        matches: one per encoded view other than the source's, best first.
        milliseconds: engine time spent on it.
    """

    source: PixelSource | PointSource
    source_pos_w: tuple[float, float, float] | None
    source_px: tuple[float, float] | None
    version: int | None
    voxel_heat: Float32 | None
    view_heat: dict[int, Float32]
    matches: tuple[ViewMatch, ...]
    milliseconds: float
    hover: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ViewRendered(Reply):
    """``rgba`` (h, w, 4) uint8 with straight alpha; ``depth_z`` (h, w) float32, 0 where nothing is."""

    layer: RenderLayer
    camera: Camera
    rgba: UInt8
    depth_z: Float32


@dataclass(frozen=True, kw_only=True, eq=False)
class JobProgress(Reply):
    """``title`` reads as a sentence start ("Fitting radiance grid"); rate in ``unit`` per second; eta in seconds."""

    title: str
    done: float
    total: float
    unit: str
    rate: float | None
    eta: float | None
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingUpdate(Reply):
    """``step`` of ``steps`` are done. ``losses``: of the last step by name, with ``total``, or
    ``bare`` alone if it was spent on bare voxels; ``measures``: recall_2d,
    recall_3d, variance_2d, variance_3d, agreement (2D and marched 3D features at true correspondences of this very
    capture, so not held out), geometry (voxels without photos against what photos say), None between measurements."""

    step: int
    steps: int
    losses: dict[str, float]
    measures: dict[str, float] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingPreview(Reply):
    """One photo's 2D features and the 3D features marched into it, (h, w, 3) uint8 each, in one basis of colours that
    stays the same throughout a training."""

    step: int
    view: int
    photo: UInt8
    marched: UInt8


@dataclass(frozen=True, kw_only=True, eq=False)
class JobPaused(Reply):
    """The job of request ``job_id`` rests (``paused``) or goes on."""

    job_id: int
    paused: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedWeights(Reply):
    """The weights of a training of the open capture lie in ``folder``; EncodeViews with the encoder
    ``condense:FOLDER`` switches to them."""

    folder: str
    step: int


@dataclass(frozen=True, kw_only=True, eq=False)
class JobFinished(Reply):
    title: str
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, kw_only=True, eq=False)
class JobCancelled(Reply):
    title: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Failed(Reply):
    """The request could not be done; ``text`` is the whole readable message, ``what`` its first sentence."""

    what: str
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Notice(Reply):
    """Something worth a line in the status bar or the log; nothing failed."""

    text: str
