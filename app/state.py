"""What the window knows: one frozen ``AppState``, and the store that announces its changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from app.annotate_state import AnnotateState
from app.bookmarks import Bookmark
from app.clip import WHOLE, Clip
from app.prompt_state import Prompt, PromptAnswer
from app.repository_state import Placed, RepositoryState
from app.review_state import ReviewState
from app.ruler import NONE, Ruler
from app.task_state import TasksState
from app.training_state import Training
from engine.api.replies import (
    MatchReply,
    PhotoLoaded,
    SceneKeypoints,
    SceneNamed,
    TrainedWeights,
    ViewCompared,
    ViewFeatures,
    VoxelFeatures,
)
from engine.api.requests import PixelSource, PointSource
from engine.api.scene import SceneInfo, Volume

Colouring = Literal["colour", "features", "spread"]
PanelMode = Literal["photo", "features", "scene", "agreement", "heat"]
COMPARING: tuple[PanelMode, ...] = ("scene", "agreement")
"""Modes that show how photos and scene agree."""
Sort = Literal["index", "score"]
ThemeName = Literal["dark", "light"]
KeypointColouring = Literal["score", "features", "prompts"]
JobStatus = Literal["waiting", "running", "finished", "cancelled", "failed"]
KEPT_JOBS = 12
LAYERS = ("volume", "heat", "prompts", "labels", "keypoints", "points", "frusta", "photo", "matches", "grid")
HIDDEN = ("keypoints", "points")
"""Until asked for."""
OPACITIES = {"photo": 0.5, "labels": 0.7}
"""At first; of all others 1."""


def _empty() -> MappingProxyType[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class Layer:
    """One line of the layers panel."""

    visible: bool = True
    opacity: float = 1.0


@dataclass(frozen=True)
class Job:
    """A long request as the jobs panel shows it. ``seconds`` is filled when it is over; ``outlives``: goes on when
    another capture is opened."""

    id: int
    title: str
    status: JobStatus = "waiting"
    done: float = 0.0
    total: float = 0.0
    unit: str = ""
    rate: float | None = None
    eta: float | None = None
    note: str = ""
    seconds: float | None = None
    outlives: bool = False

    @property
    def live(self) -> bool:
        return self.status in ("waiting", "running")


@dataclass(frozen=True)
class Query:
    """A click or hover that has been sent.

    ``pos_w``: where it lies in the scene, as far as the window can tell. ``again``: the same question about a newer
    volume; the answer to the older one stays until it is answered.
    """

    id: int
    source: PixelSource | PointSource
    hover: bool
    pos_w: tuple[float, float, float] | None
    again: bool = False


@dataclass(frozen=True, eq=False)
class Answer:
    """A match reply with the range of cosines that its heat spans, and the volume that its heat belongs to."""

    reply: MatchReply
    bounds: tuple[float, float]
    volume: Volume | None = None


@dataclass(frozen=True)
class Banner:
    """A message across the top. ``details`` is what Copy copies."""

    text: str
    details: str
    error: bool


@dataclass(frozen=True, eq=False)
class KeptFeatures:
    """What one encoder said of the photos, to be seen beside another's.

    Attributes:
        title: of the encoder.
        features, compared: as the state had them.
    """

    title: str
    features: Mapping[int, ViewFeatures]
    compared: Mapping[int, ViewCompared]


@dataclass(frozen=True)
class AppState:
    """Everything that decides what the window shows, except where the canvas camera is."""

    scene: SceneInfo | None = None
    opening: str | None = None
    device: str | None = None
    encoders: tuple[str, ...] = ()
    encoder: str = "default"

    volume: Volume | None = None
    psnr: float | None = None
    fit_seconds: float = 0.0
    voxel_features: VoxelFeatures | None = None
    view_features: Mapping[int, ViewFeatures] = field(default_factory=_empty)
    thumbnails: Mapping[int, PhotoLoaded] = field(default_factory=_empty)
    photos: Mapping[int, PhotoLoaded] = field(default_factory=_empty)

    query: Query | None = None
    hover: Query | None = None
    pinned: Answer | None = None
    preview: Answer | None = None

    jobs: tuple[Job, ...] = ()
    training: Training | None = None
    weights: TrainedWeights | None = None
    weights_used: bool = False  # ``encoder`` is of ``weights``, not of older ones in the same folder
    train_steps: int = 300
    train_afresh: bool = True
    banner: Banner | None = None
    notice: str = ""
    undoable: int = 0  # changes that can be taken back
    redoable: int = 0

    layers: Mapping[str, Layer] = field(
        default_factory=lambda: MappingProxyType(
            {name: Layer(visible=name not in HIDDEN, opacity=OPACITIES.get(name, 1.0)) for name in LAYERS}
        )
    )
    compared: Mapping[int, ViewCompared] = field(default_factory=_empty)
    kept_features: KeptFeatures | None = None
    compared_of: tuple[str, int] | None = None  # encoder and volume of the last request for it
    keypoints: SceneKeypoints | None = None
    keypoints_of: tuple[str, int] | None = None  # encoder and volume of the last request for them
    keypoint_count: int = 1024
    keypoint_colouring: KeypointColouring = "score"
    prompts: tuple[Prompt, ...] = ()
    draft: str = ""  # what is being typed
    prompt_history: tuple[str, ...] = ()
    bookmarks: tuple[Bookmark, ...] = ()
    prompt_query: int = 0  # id of the last request
    prompted: PromptAnswer | None = None
    naming: bool = False  # whether it is wanted: from the first prompt on, unless it failed or was cancelled
    named: SceneNamed | None = None
    named_of: tuple[str, int] | None = None  # encoder and volume of the last request for it
    colouring: Colouring = "colour"
    colouring_chosen: bool = False  # by the user, rather than by a training
    threshold: float = 0.4
    cutaway: bool = True
    clip: Clip = WHOLE
    ruler: Ruler = NONE
    fly: bool = False
    through: int | None = None
    placed: Placed | None = None  # a photo from elsewhere, over the scene
    repository: RepositoryState = field(default_factory=RepositoryState)
    annotate: AnnotateState = field(default_factory=AnnotateState)
    review: ReviewState = field(default_factory=ReviewState)
    tasks: TasksState = field(default_factory=TasksState)

    panel_mode: PanelMode = "photo"
    sort: Sort = "index"
    selected: int | None = None
    single: bool = False
    theme: ThemeName = "dark"
    recent: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether ``pinned`` answers ``query``, if for an older volume, and not a question before it."""
        return (
            self.pinned is not None
            and self.query is not None
            and (self.query.again or self.pinned.reply.id == self.query.id)
        )


Listener = Callable[[AppState, AppState], None]


class Store:
    """Holds the state; listeners hear (old, new) after each change that is one."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._listeners: list[Listener] = []

    @property
    def state(self) -> AppState:
        return self._state

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def update(self, **changes: Any) -> None:
        """Replace fields; nothing happens when all are as they were (arrays and mappings by identity)."""
        old = self._state
        if all(_same(getattr(old, name), value) for name, value in changes.items()):
            return
        self._state = replace(old, **changes)
        for listener in self._listeners:
            listener(old, self._state)


def with_item(mapping: Mapping[Any, Any], key: Any, value: Any) -> Mapping[Any, Any]:
    """A frozen copy of ``mapping`` with one item set."""
    return MappingProxyType({**mapping, key: value})


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        return a is b
    return a is b or a == b


def with_job(jobs: tuple[Job, ...], job_id: int, **changes: Any) -> tuple[Job, ...]:
    """``jobs`` with one changed or added: all live ones, and as many finished ones as there is room for."""
    out = {j.id: j for j in jobs}
    job = out.get(job_id, Job(job_id, changes.get("title", "")))
    if not job.live and changes.get("status") == "running":
        return jobs  # progress that was overtaken by the end
    out[job_id] = replace(job, **changes)
    live = sum(j.live for j in out.values())
    too_many = max(0, len(out) - max(KEPT_JOBS, live))
    over = [j.id for j in out.values() if not j.live][:too_many]
    return tuple(j for j in out.values() if j.id not in over)


def fresh(state: AppState) -> dict[str, Any]:
    """Fields that belong to one capture, as they are before anything is known of it; jobs that do not stay."""
    blank = AppState()
    kept = {"device", "encoders", "encoder", "layers", "colouring", "colouring_chosen", "threshold", "cutaway", "fly"}
    kept |= {"train_steps", "train_afresh", "keypoint_count", "keypoint_colouring"}
    kept |= {"panel_mode", "sort", "theme", "recent", "prompts", "prompt_history", "repository", "tasks"}
    jobs = tuple(j for j in state.jobs if j.outlives)
    return {**{f.name: getattr(blank, f.name) for f in fields(blank) if f.name not in kept}, "jobs": jobs}
