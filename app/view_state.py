"""What is seen, as plain data; ``app.resolve`` makes it from the state.

Each part of the view state goes to one view's setter, and only when it differs. Arrays never stand alone in it: they
stay inside the replies they came in, which compare by identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.annotate_state import AnnotateState, Marks, Selection, Tool
from app.bookmarks import Bookmark
from app.clip import Box, Clip
from app.prompt_state import Prompt, PromptAnswer
from app.repository_state import Placed
from app.resolve_repository import PlacedView, RepositoryView
from app.review_view import ReviewView
from app.ruler import Ruler
from app.state import Answer, Banner, Colouring, Job, KeypointColouring, Layer, PanelMode, Sort, ThemeName
from app.task_view import TasksView
from app.training_state import Training
from engine.api.annotated import PhotoVoxels
from engine.api.annotations import Polyline
from engine.api.camera import Camera
from engine.api.replies import (
    PhotoLoaded,
    Region,
    SceneKeypoints,
    SceneNamed,
    ViewCompared,
    ViewFeatures,
    ViewMatch,
    VoxelFeatures,
)
from engine.api.scene import SceneInfo, ViewInfo, Volume

Pos = tuple[float, float, float]


@dataclass(frozen=True)
class VolumeView:
    """The radiance volume: which voxels, in which colours."""

    volume: Volume | None
    colouring: Colouring
    features: VoxelFeatures | None
    layer: Layer
    cutaway: bool
    clip: Box | None


@dataclass(frozen=True)
class HeatView:
    """Heat over the volume; None when there is nothing to show for the present voxels."""

    answer: Answer | None
    layer: Layer
    threshold: float


@dataclass(frozen=True)
class PromptsOver:
    """Prompts over scene and photos; None when there is nothing to show for the present voxels.

    Attributes:
        answer: what they found.
        shown: those of it that show.
    """

    answer: PromptAnswer | None
    shown: tuple[Prompt, ...]
    layer: Layer


@dataclass(frozen=True)
class LabelsOver:
    """Labels and selection over scene and photos.

    Attributes:
        volume: whose voxels they are of.
        marks: what is annotated; None: nothing, or of other voxels than those that are shown.
        lit: what is selected.
        layer: of the labels.
        photos: which voxels photos show.
        draft: the line that is being drawn.
    """

    volume: Volume | None
    marks: Marks | None
    lit: Selection | None
    layer: Layer
    photos: Mapping[int, PhotoVoxels]
    draft: Polyline | None = None


@dataclass(frozen=True)
class AnnotateView:
    """The panel and the bar of annotating.

    Attributes:
        state: all that is known.
        ready: whether the scene can be annotated now; otherwise ``obstacle`` says what stands in the way.
        hint: what the tool in hand does, in a line.
        preparing: what smart select and photos wait for; "" when nothing does.
    """

    state: AnnotateState
    ready: bool
    obstacle: str
    hint: str
    preparing: str


@dataclass(frozen=True)
class PromptRow:
    """One prompt in the panel; ``best`` relevancy, None while unknown."""

    prompt: Prompt
    message: str
    best: float | None
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class PromptsView:
    """The prompt bar and its panel. ``hint``: what stands in the way, or what the words stand on."""

    rows: tuple[PromptRow, ...]
    hint: str
    vocabulary: tuple[str, ...]
    history: tuple[str, ...]
    usable: bool


@dataclass(frozen=True)
class KeypointsView:
    """The ``count`` best of the scene's keypoints; None when there are none, or they are not to be seen.

    Attributes:
        prompts: by which they can be coloured.
        named: names of the voxels of ``volume``, if they have any.
    """

    found: SceneKeypoints | None
    count: int
    colouring: KeypointColouring
    opacity: float
    prompts: PromptsOver
    volume: Volume | None
    named: SceneNamed | None


@dataclass(frozen=True)
class FrustaView:
    """Highlighted views: the source, mutual matches, the selected one."""

    layer: Layer
    selected: int | None
    mutual: frozenset[int]
    through: int | None


@dataclass(frozen=True)
class PhotoView:
    """The photo over the scene while looking through its camera; ``placed``: one from elsewhere in its stead."""

    view: int | None
    photo: PhotoLoaded | None
    layer: Layer
    placed: Placed | None = None


@dataclass(frozen=True)
class MatchMark:
    """One match in the scene: its point where known, else its view's image plane is pointed at."""

    view: int
    pos_w: Pos | None
    x: float
    y: float
    mutual: bool


@dataclass(frozen=True)
class MatchesView:
    """Source and matches as marks and lines in the scene. ``pending``: asked, not answered yet."""

    source_w: Pos | None
    pending: bool
    marks: tuple[MatchMark, ...]
    visible: bool


@dataclass(frozen=True)
class CanvasView:
    scene: SceneInfo | None
    volume: VolumeView
    heat: HeatView
    prompts: PromptsOver
    labels: LabelsOver
    tool: Tool | None
    keypoints: KeypointsView
    points: Layer
    frusta: FrustaView
    thumbnails: Mapping[int, PhotoLoaded]
    photo: PhotoView
    matches: MatchesView
    grid: Layer
    ruler: Ruler
    through: Camera | None
    fly: bool
    theme: ThemeName


@dataclass(frozen=True)
class Cell:
    """One view in the image panel."""

    info: ViewInfo
    photo: PhotoLoaded | None
    features: ViewFeatures | None
    compared: ViewCompared | None
    answer: Answer | None
    match: ViewMatch | None
    source_px: tuple[float, float] | None
    selected: bool


@dataclass(frozen=True)
class ImagesView:
    cells: tuple[Cell, ...]
    mode: PanelMode
    sort: Sort
    threshold: float
    bounds: tuple[float, float] | None
    prompts: PromptsOver
    labels: LabelsOver


@dataclass(frozen=True)
class SingleView:
    """The one large photo, or None while the grid is shown.

    Attributes:
        other: the same by features that were kept, for the left of the line; and the titles of both encoders.
    """

    cell: Cell | None
    other: tuple[Cell, str, str] | None
    photo: PhotoLoaded | None
    mode: PanelMode
    threshold: float
    keypoints: KeypointsView
    prompts: PromptsOver
    labels: LabelsOver


@dataclass(frozen=True)
class MatchRow:
    view: int
    name: str
    score: float
    mutual: bool
    error_px: float | None


@dataclass(frozen=True)
class MatchTable:
    """The list of matches. ``summary`` is a sentence for the head of the panel."""

    rows: tuple[MatchRow, ...]
    selected: int | None
    summary: str


@dataclass(frozen=True)
class StatusView:
    capture: str
    quality: str
    voxels: str
    encoder: str
    device: str
    message: str


@dataclass(frozen=True)
class ActionsView:
    enabled: frozenset[str]
    checked: frozenset[str]


@dataclass(frozen=True)
class LayersView:
    layers: Mapping[str, Layer]
    usable: frozenset[str]
    colouring: Colouring
    colourings: frozenset[str]
    threshold: float
    bounds: tuple[float, float] | None
    cutaway: bool
    clip: Clip
    keypoints: KeypointsView


@dataclass(frozen=True)
class TrainingView:
    """The training panel.

    Attributes:
        obstacle: what stands in the way of starting one, as an instruction; "" when nothing does.
        training: the one that runs or ran last on this capture.
        job: its line among the jobs, for rate and time left.
        steps, afresh: what the next one is started with.
        enabled: names of the training's actions that can be done now.
        encoder: whose features are in use, in words.
        foreign: these are not the built-in weights'.
        leftover: the scene still shows features of a training that is over, of which the photos know nothing.
        photo: name of the preview's photo.
    """

    obstacle: str
    training: Training | None
    job: Job | None
    steps: int
    afresh: bool
    enabled: frozenset[str]
    encoder: str
    foreign: bool
    leftover: bool
    photo: str


@dataclass(frozen=True)
class ViewState:
    title: str
    page: Literal["empty", "canvas", "pair"]  # of the middle
    canvas: CanvasView
    images: ImagesView
    single: SingleView
    matches: MatchTable
    prompts: PromptsView
    layers: LayersView
    jobs: tuple[Job, ...]
    training: TrainingView
    banner: Banner | None
    status: StatusView
    actions: ActionsView
    recent: tuple[str, ...]
    bookmarks: tuple[Bookmark, ...]
    ruler: Ruler
    repository: RepositoryView
    placed: PlacedView
    annotate: AnnotateView
    review: ReviewView
    tasks: TasksView
    encoders: tuple[tuple[str, ...], str]
    theme: ThemeName
