"""What the window and the engine say of a repository of scenes. A scene's ``key`` is its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.api.replies import Reply
from engine.api.requests import Priority, Request
from engine.api.scene import Float32, UInt8

Decision = Literal["different", "duplicate"]
"""On two scenes that look like one: both are kept, or one is a duplicate of the other."""


@dataclass(frozen=True, kw_only=True)
class RepositoryRequest(Request):
    """Base of these requests. They go on when another capture is opened; one does not replace another of its kind."""

    priority: ClassVar[Priority] = Priority.CLICK
    outlives: ClassVar[bool] = True

    @property
    def key(self) -> str:
        return f"{type(self).__name__}/{self.id}"


@dataclass(frozen=True, kw_only=True)
class OpenRepository(RepositoryRequest):
    """Open the repository in folder ``path``: answered by RepositoryListed and SceneThumbnails. ``make``: make one if
    there is none."""

    path: str
    make: bool = False

    @property
    def key(self) -> str:
        return "OpenRepository"


@dataclass(frozen=True, kw_only=True)
class AddCaptures(RepositoryRequest):
    """Fit, encode and condense captures and add them, those that are there already aside: JobProgress,
    RepositoryListed after each, CapturesAdded and JobFinished.

    ``encoder``: of the first scenes; later ones are added with whatever these were.
    """

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Adding to the repository"
    captures: tuple[str, ...]
    encoder: str = "default"
    seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class RemoveScenes(RepositoryRequest):
    """Take scenes out; the engine keeps their records while it runs. Answered by RepositoryListed."""

    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RestoreScenes(RepositoryRequest):
    """Put scenes back that were taken out: answered by RepositoryListed."""

    keys: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DecidePair(RepositoryRequest):
    """Remember a decision on two scenes, or None: that there is none. Answered by RepositoryListed."""

    a: str
    b: str
    decision: Decision | None


@dataclass(frozen=True, kw_only=True)
class RepositoryQuery(RepositoryRequest):
    """Base of the queries, of which only the newest matters. Answered by ScenesFound."""

    @property
    def key(self) -> str:
        return "RepositoryQuery"


@dataclass(frozen=True, kw_only=True)
class FindByPhoto(RepositoryQuery):
    """Which scene does a photo show, and from where? ScenesFound is followed by a PhotoEvidence for each scene with a
    camera."""

    path: str
    encoder: str = "default"


@dataclass(frozen=True, kw_only=True)
class FindByWords(RepositoryQuery):
    """Which scenes hold such a thing?"""

    text: str


@dataclass(frozen=True, kw_only=True)
class FindAlike(RepositoryQuery):
    """Which scenes are like scene ``scene``?"""

    scene: str


@dataclass(frozen=True, kw_only=True)
class FindDuplicates(RepositoryRequest):
    """Which scenes are of one place? JobProgress, DuplicatesFound, JobFinished."""

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Looking for duplicates"

    @property
    def key(self) -> str:
        return "FindDuplicates"


@dataclass(frozen=True, kw_only=True)
class ShowPair(RepositoryRequest):
    """Scenes a and b in one world: answered by PairAligned."""

    a: str
    b: str

    @property
    def key(self) -> str:
        return "ShowPair"


@dataclass(frozen=True)
class SceneCard:
    """A scene in a list. ``added``: seconds since 1970; ``there``: whether its capture is still where it was."""

    key: str
    name: str
    path: str
    keypoints: int
    added: float
    there: bool


@dataclass(frozen=True)
class PairDecision:
    """What was decided on two scenes, by their keys, the smaller first."""

    a: str
    b: str
    decision: Decision


@dataclass(frozen=True, kw_only=True, eq=False)
class RepositoryListed(Reply):
    """All scenes of a repository, in the order they were added. ``writable``: can they be changed?"""

    path: str
    scenes: tuple[SceneCard, ...]
    decisions: tuple[PairDecision, ...]
    writable: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class SceneThumbnails(Reply):
    """Thumbnails of some scenes of repository ``path`` by key, (h, w, 3) uint8 each."""

    path: str
    rgb: Mapping[str, UInt8]


@dataclass(frozen=True, kw_only=True, eq=False)
class CapturesAdded(Reply):
    """What became of captures that were to be added: names of those added and of those that were there already, and of
    each that could not be added its path and why."""

    added: tuple[str, ...]
    passed_over: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FoundPlace:
    """A thing in a scene: its name, how likely it is there, and where, world units."""

    name: str
    chance: float
    pos_w: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class FoundScene:
    """A scene as an answer.

    Attributes:
        card: of the scene.
        score: by which it was ranked.
        confidence: in [0, 1], that it is the right one; None for words.
        inliers, matches: keypoints that agree on a camera, or on a transform, of those that match.
        camera: of the photo, in this scene's world and at the size of ``ScenesFound.photo``.
        places: where things are that words mean, the likeliest first.
        overlap: share of the other scene's keypoints that lie near some of this one's.
        ambiguous: another camera, or transform, is about as likely: the scene looks the same from two sides.
    """

    card: SceneCard
    score: float
    confidence: float | None = None
    inliers: int = 0
    matches: int = 0
    camera: Camera | None = None
    places: tuple[FoundPlace, ...] = ()
    overlap: float | None = None
    ambiguous: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenesFound(Reply):
    """Answer to a RepositoryQuery.

    Attributes:
        results: the best first.
        rejected: none of them is to be believed.
        photo: (h, w, 3) uint8 as it was read; None but for photos.
        milliseconds: engine time spent on it.
    """

    results: tuple[FoundScene, ...]
    rejected: bool
    photo: UInt8 | None
    milliseconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoEvidence(Reply):
    """Why a photo is said to show a scene: keypoints matched between it and the scene's photo from nearest by.

    Attributes:
        scene: key.
        view: name of the scene's photo; "" when the capture is gone: ``rgb`` is the thumbnail then, without places.
        rgb: (h, w, 3) uint8.
        photo_px: (M, 2) in pixels of ``ScenesFound.photo``.
        view_px: (M, 2) in pixels of ``rgb``; NaN where it does not show there.
        inliers: (M,) bool, whether the camera that was found agrees.
    """

    scene: str
    view: str
    rgb: UInt8
    photo_px: NDArray[np.float64]
    view_px: NDArray[np.float64]
    inliers: NDArray[np.bool_]


@dataclass(frozen=True)
class ScenePair:
    """Two scenes of one place, by key: how sure that is, on how many keypoints they agree, and what they share.
    ``changed``: things seem to have been moved or replaced between the two."""

    a: str
    b: str
    confidence: float
    inliers: int
    overlap: float
    changed: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class DuplicatesFound(Reply):
    """All pairs, the surest first."""

    pairs: tuple[ScenePair, ...]


@dataclass(frozen=True, eq=False)
class AlignedPoints:
    """One scene of a pair.

    Attributes:
        pos_w: (N, 3) in the world of scene b.
        rgb: (N, 3) uint8, None when only keypoints are known.
        facing_w: (N, 3) unit normals of the surface, on the side of the nearest camera.
        spacing_w: of neighbours on it.
        changed: (N,) where the other scene has free space; all False when nothing is known of either's space.
    """

    pos_w: Float32
    rgb: UInt8 | None
    facing_w: Float32
    spacing_w: float
    changed: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class PairAligned(Reply):
    """Both scenes of a pair in the world of b. ``up_w``: (3,) unit; ``pair``: how well they agree."""

    pair: ScenePair
    a: AlignedPoints
    b: AlignedPoints
    up_w: NDArray[np.float64] = field(default_factory=lambda: np.array([0.0, 0.0, 1.0]))
