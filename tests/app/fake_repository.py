"""A repository of three scenes in memory, of which two are of one place, that answers as the engine does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from engine.api.camera import look_at
from engine.api.replies import Failed, JobFinished, JobProgress, Reply
from engine.api.repository import (
    AddCaptures,
    AlignedPoints,
    CapturesAdded,
    DecidePair,
    DuplicatesFound,
    FindAlike,
    FindByPhoto,
    FindByWords,
    FindDuplicates,
    FoundPlace,
    FoundScene,
    OpenRepository,
    PairAligned,
    PairDecision,
    PhotoEvidence,
    RemoveScenes,
    RepositoryListed,
    RepositoryRequest,
    RestoreScenes,
    SceneCard,
    ScenePair,
    ScenesFound,
    SceneThumbnails,
    ShowPair,
)

PLACE = (1.3, 0.7, 0.4)
"""In the middle of the fake room's sofa."""
CAMERA = look_at([2.6, 2.4, 1.5], PLACE, [0, 0, 1], fov_y=50, width=64, height=48)
PHOTO = np.full((48, 64, 3), 120, np.uint8)
PAIR = ScenePair("key-room", "key-again", 0.99, 200, 0.9)


def scene(name: str) -> SceneCard:
    return SceneCard(f"key-{name}", name, name, 512, 0.0, True)


class FakeRepository:
    """``scenes`` as listed; ``problem`` refuses to be opened, ``refusal`` every query; photos named nothing.png are
    rejected."""

    def __init__(self) -> None:
        self.scenes = [scene("room"), scene("again"), scene("other")]
        self.removed: dict[str, SceneCard] = {}
        self.decisions: dict[tuple[str, str], PairDecision] = {}
        self.problem = self.refusal = ""
        self.writable = True
        self.jobs_end = True
        self.path = ""

    def answer(self, request: RepositoryRequest, reply: Callable[[Reply], None]) -> None:
        match request:
            case OpenRepository():
                if self.problem:
                    reply(Failed(id=request.id, what=self.problem.splitlines()[0], text=self.problem))
                    return
                self.path = request.path
                reply(self.listed(request.id))
                reply(SceneThumbnails(id=request.id, path=self.path, rgb={s.key: PHOTO for s in self.scenes}))
            case AddCaptures():
                self._add(request, reply)
            case RemoveScenes():
                self.removed |= {s.key: s for s in self.scenes if s.key in request.keys}
                self.scenes = [s for s in self.scenes if s.key not in request.keys]
                reply(self.listed(request.id))
            case RestoreScenes():
                self.scenes += [self.removed.pop(key) for key in request.keys]
                reply(self.listed(request.id))
            case DecidePair():
                pair = (min(request.a, request.b), max(request.a, request.b))
                self.decisions.pop(pair, None)
                if request.decision is not None:
                    self.decisions[pair] = PairDecision(*pair, request.decision)
                reply(self.listed(request.id))
            case FindByPhoto() | FindByWords() | FindAlike() if self.refusal:
                reply(Failed(id=request.id, what=self.refusal.splitlines()[0], text=self.refusal))
            case FindByPhoto():
                self._photo(request, reply)
            case FindByWords():
                places = (FoundPlace("sofa", 0.9, PLACE),)
                found = FoundScene(self.scenes[0], 0.9, places=places)
                reply(self.found(request.id, (found,) if request.text == "sofa" else ()))
            case FindAlike():
                results = tuple(
                    FoundScene(s, 0.6 - 0.1 * n, 0.95 if n == 0 else 0.02, 80 if n == 0 else 3, 90, overlap=0.8)
                    for n, s in enumerate(s for s in self.scenes if s.key != request.scene)
                )
                reply(self.found(request.id, results))
            case FindDuplicates():
                reply(DuplicatesFound(id=request.id, pairs=(PAIR,)))
                reply(JobFinished(id=request.id, title=request.title, seconds=0.1))
            case ShowPair():
                pos_w = np.random.default_rng(0).uniform(0, 3, (400, 3)).astype(np.float32)
                red = np.tile(np.array([200, 40, 40], np.uint8), (400, 1))
                gone = pos_w[:, 0] < 1  # of the first
                a = AlignedPoints(pos_w, red, np.tile(np.float32([0, 0, 1]), (400, 1)), 0.1, gone)
                b = replace(a, rgb=red[:, ::-1], changed=np.zeros(400, np.bool_))
                reply(PairAligned(id=request.id, pair=PAIR, a=a, b=b))
            case _:
                raise AssertionError(request)

    def listed(self, id: int) -> RepositoryListed:
        return RepositoryListed(
            id=id, path=self.path, scenes=tuple(self.scenes), decisions=tuple(self.decisions.values()),
            writable=self.writable,
        )  # fmt: skip

    def found(self, id: int, results: tuple[FoundScene, ...], photo: np.ndarray | None = None) -> ScenesFound:
        rejected = not results or (results[0].confidence is not None and results[0].confidence < 0.5)
        return ScenesFound(id=id, results=results, rejected=rejected, photo=photo, milliseconds=12.0)

    def _photo(self, request: FindByPhoto, reply: Callable[[Reply], None]) -> None:
        known = not request.path.endswith("nothing.png")
        best = FoundScene(self.scenes[0], 0.7, 0.98 if known else 0.03, 40 if known else 5, 60, CAMERA)
        others = tuple(FoundScene(s, 0.4, 0.0) for s in self.scenes[1:])
        reply(self.found(request.id, (best, *others), PHOTO))
        if known:
            px = np.array([[10.0, 10.0], [50.0, 30.0], [20.0, 40.0]])
            reply(
                PhotoEvidence(
                    id=request.id, scene=best.card.key, view="images/1.jpg", rgb=PHOTO, photo_px=px,
                    view_px=np.where([[False], [False], [True]], np.nan, px + 4),
                    inliers=np.array([True, False, True]),
                )
            )  # fmt: skip

    def _add(self, request: AddCaptures, reply: Callable[[Reply], None]) -> None:
        reply(
            JobProgress(
                id=request.id, title=request.title, done=0.5, total=len(request.captures), unit="captures", rate=0.1,
                eta=5.0, note="encoding photos",
            )
        )  # fmt: skip
        if not self.jobs_end:
            return
        failed = tuple((c, f"{c}: is no capture\n  found: nothing") for c in request.captures if "bad" in c)
        added = tuple(c for c in request.captures if "bad" not in c)
        self.scenes += [replace(scene(c.rsplit("/", 1)[-1]), path=c) for c in added]
        reply(self.listed(request.id))
        reply(CapturesAdded(id=request.id, added=added, passed_over=(), failed=failed))
        reply(JobFinished(id=request.id, title=request.title, seconds=1.0))
