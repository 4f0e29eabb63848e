"""What the window knows of the open repository, and what is shown of it. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from engine.api.camera import Camera
from engine.api.repository import (
    Decision,
    DuplicatesFound,
    FoundScene,
    PairAligned,
    PairDecision,
    PhotoEvidence,
    SceneCard,
    ScenePair,
    ScenesFound,
)
from engine.api.scene import UInt8

BELIEVED = 0.5
"""Least confidence of an answer."""
Asking = Literal["photo", "words", "alike"]
Page = Literal["scenes", "answer", "pairs"]


def _empty() -> MappingProxyType[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Picture:
    """``rgb`` (h, w, 3) uint8; equal to itself alone."""

    rgb: UInt8


@dataclass(frozen=True)
class Asked:
    """A query: request id, what kind, in words what was asked (file name, words, name of a scene), and the key of a
    scene that others are to be like."""

    id: int
    kind: Asking
    text: str
    scene: str | None = None


@dataclass(frozen=True)
class RepositoryState:
    """One repository, or none.

    Attributes:
        path: of its folder; None: none was chosen.
        opening: id of the request to open it, 0 when that is over.
        scenes, decisions, writable: as the engine listed them; scenes is None until then.
        problem: why it cannot be opened, on a few lines.
        thumbnails: by key.
        selected: key of a scene in the grid.
        page: which of the three is to be seen.
        asked, found, evidence, refusal: the last query, its answer, what speaks for it by key, and why there is none.
        pairs: duplicates that were found; None: not looked for yet. ``looking``: id of the request.
        pair: the one that is looked at, ``aligned`` its points once they are there. ``aligning``: id of the request.
    """

    path: str | None = None
    opening: int = 0
    scenes: tuple[SceneCard, ...] | None = None
    decisions: tuple[PairDecision, ...] = ()
    writable: bool = True
    problem: str = ""
    thumbnails: Mapping[str, Picture] = field(default_factory=_empty)
    selected: str | None = None
    page: Page = "scenes"
    asked: Asked | None = None
    found: ScenesFound | None = None
    evidence: Mapping[str, PhotoEvidence] = field(default_factory=_empty)
    refusal: str = ""
    pairs: DuplicatesFound | None = None
    looking: int = 0
    pair: ScenePair | None = None
    aligned: PairAligned | None = None
    aligning: int = 0

    def scene(self, key: str | None) -> SceneCard | None:
        """The scene of that key, if it is there."""
        return next((s for s in self.scenes or () if s.key == key), None)

    def at(self, path: str) -> str | None:
        """Key of the scene whose capture is there."""
        whole = real(path)
        return next((s.key for s in self.scenes or () if real(s.path) == whole), None)

    def decision(self, a: str, b: str) -> Decision | None:
        """What was decided on two scenes."""
        pair = (min(a, b), max(a, b))
        return next((d.decision for d in self.decisions if (d.a, d.b) == pair), None)

    def believed(self) -> tuple[FoundScene, ...]:
        """Answers that can be given; to words all are."""
        if self.found is None:
            return ()
        return tuple(r for r in self.found.results if r.confidence is None or r.confidence >= BELIEVED)


@dataclass(frozen=True, eq=False)
class Placed:
    """A photo that was found in the open scene, laid over it.

    Attributes:
        name: of its file.
        scene: name of the scene.
        photo: (h, w, 3) uint8.
        camera: that took it, at the photo's size, in the scene's world.
        confidence, inliers: of the answer.
    """

    name: str
    scene: str
    photo: UInt8
    camera: Camera
    confidence: float
    inliers: int


@lru_cache(maxsize=1 << 14)
def real(path: str) -> str:
    """A path by which places can be compared."""
    try:
        return str(Path(path).resolve())
    except (OSError, ValueError, RuntimeError):  # no path at all, or links that go round
        return path


def summary(state: RepositoryState) -> str:
    """One line on the answer."""
    asked, found = state.asked, state.found
    if asked is None:
        return ""
    if found is None:
        return "" if state.refusal else "Looking…"
    ms = found.milliseconds
    count, took = len(state.believed()), f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.1f} s"
    if found.rejected or not count:
        return f"Nothing found · {took}"
    return f"{count} scene{'s' if count != 1 else ''} · {took}"


def rejection(state: RepositoryState) -> str:
    """Why there is no answer, and what to do, as a heading and a text below it; "" when there is one."""
    asked, found = state.asked, state.found
    if asked is None or found is None or not found.rejected:
        return ""
    if asked.kind == "words":
        return f"No scene here holds “{asked.text}”\nTry a more common word for it, or one thing at a time."
    best = found.results[0] if found.results else None
    near = ""
    if best is not None:
        what = "a camera" if asked.kind == "photo" else "how the two lie"
        near = f"Of the nearest, {best.card.name}, only {best.inliers} keypoints agree on {what}; that is chance. "
    if asked.kind == "alike":
        return f"No other scene is of this place\n{near}Add another scan of it to compare."
    return f"Nothing here looks like that\n{near}Try a photo that shows more of a scene, or add the scene."


def reason(asked: Asking, found: FoundScene) -> str:
    """Why a scene is an answer, in one line."""
    if asked == "words":
        names = ", ".join(f"{p.name} {p.chance:.0%}" for p in found.places)
        return names or "named so"
    if asked == "photo":
        if found.camera is None:
            return "not asked for a camera: the first is sure enough, or too few keypoints match"
        return f"{found.inliers} of {found.matches} matched keypoints agree on one camera"
    if (found.confidence or 0.0) < BELIEVED:
        return f"{found.inliers or 'no'} keypoints align, which is chance"
    shared = "" if found.overlap is None else f", {found.overlap:.0%} of it overlaps"
    return f"{found.inliers} of {found.matches} matched keypoints align{shared}"
