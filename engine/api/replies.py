"""Replies of the engine. Each carries the ``id`` of the request it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.requests import PixelSource, PointSource, RenderLayer
from engine.api.scene import Float32, SceneInfo, UInt8, Volume


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
    uint8 PCA colours of their features in the views' basis, ``features`` (K, D) float32 of unit length, ``seen``
    (K, N) bool: which photos see each, by place."""

    encoder: str
    pos_w: Float32
    score: Float32
    rgb: UInt8
    features: Float32
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


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneNamed(Reply):
    """The places of volume ``version`` have names, out of ``vocabulary``.

    Attributes:
        photos: what photos say counted too.
        open_words: the encoder whose space takes any words for prompts; empty: prompts stand on the vocabulary.
        likely: (V, n) uint16, the likeliest names of each voxel by their places in ``vocabulary``, the first first.
        chance: (V, n) uint8, 255 times the probability of each; of names that are not within a word, 0.
    """

    version: int
    vocabulary: tuple[str, ...]
    photos: bool
    likely: NDArray[np.uint16]
    chance: UInt8
    open_words: str = ""


@dataclass(frozen=True)
class Region:
    """A connected part of the scene that a prompt found.

    Attributes:
        centre_w: (3,) mean of its places, weighted by their relevancy.
        lo_w, hi_w: (3,) corners of its box, world units.
        size: its volume as a share of all found for the prompt, in (0, 1].
        score: mean relevancy.
    """

    centre_w: tuple[float, float, float]
    lo_w: tuple[float, float, float]
    hi_w: tuple[float, float, float]
    size: float
    score: float


@dataclass(frozen=True, eq=False)
class PromptFound:
    """What one prompt found.

    Attributes:
        prompt: as it was asked.
        relevancy: (V,) uint8, 255 times the relevancy of each voxel.
        views: per view index (h, w) uint8, the same as the photo sees it.
        best: the highest relevancy, in [0, 1].
        known, unknown: its words that the text encoder knows, and those that it does not.
        nearest: the names of the vocabulary that are nearest, with the cosines of their vectors and the prompt's.
        within: whether it is within the vocabulary; otherwise nothing is found.
        spelled: known words that are spelled like the first unknown one.
        regions: where it is, the largest first.
        trouble: why it could not be looked for; "": it was.
    """

    prompt: str
    relevancy: UInt8
    views: Mapping[int, UInt8]
    best: float
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    nearest: tuple[tuple[str, float], ...]
    within: bool
    spelled: tuple[str, ...]
    regions: tuple[Region, ...]
    trouble: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class PromptReply(Reply):
    """Answer to PromptQuery: what each prompt ``found`` in volume ``version``, in ``milliseconds`` of engine time."""

    version: int
    found: tuple[PromptFound, ...]
    milliseconds: float


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
