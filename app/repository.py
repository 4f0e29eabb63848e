"""The repository of scenes that the window has open: asked, changed, and its answers gone to. Knows no Qt."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from app.controller import Controller
from app.history import Deed
from app.repository_state import Asked, Asking, Picture, Placed, RepositoryState, real
from app.resolve_repository import here
from app.state import AppState, Banner, with_item, with_job
from engine.api.replies import Failed, JobCancelled, Reply
from engine.api.repository import (
    AddCaptures,
    CapturesAdded,
    DecidePair,
    Decision,
    DuplicatesFound,
    FindAlike,
    FindByPhoto,
    FindByWords,
    FindDuplicates,
    FoundPlace,
    FoundScene,
    OpenRepository,
    PairAligned,
    PhotoEvidence,
    RemoveScenes,
    RepositoryListed,
    RepositoryQuery,
    RestoreScenes,
    ScenePair,
    ScenesFound,
    SceneThumbnails,
    ShowPair,
)
from engine.api.requests import Request
from engine.api.scene import ViewInfo

Pos = tuple[float, float, float]
OF = "repository"
"""Of what deeds are."""
MIDDLE = 0.8
"""Of a photo's width and height, within which a place is in sight."""


@dataclass(frozen=True)
class Going:
    """A result whose capture is being opened: what to do when it is there."""

    path: str
    arrive: Callable[[], None]


class RepositoryDesk:
    """Asks the engine about the repository, and keeps what it says.

    Args:
        controller: of the window.
        send: takes requests.
        on_opened: is told the folder of a repository that was opened.
        on_place: goes to a place that is in sight from another, or, None, from wherever.
    """

    def __init__(
        self,
        controller: Controller,
        send: Callable[[Request], None],
        on_opened: Callable[[str], None] | None = None,
        on_place: Callable[[Pos, Pos | None], None] | None = None,
    ) -> None:
        self._controller, self._store, self._send = controller, controller.store, send
        self._on_opened, self._on_place = on_opened, on_place
        self._going: Going | None = None
        self._deeds: dict[int, tuple[str, Deed]] = {}  # requests whose answer makes them done, and what to say then
        controller.join(self)
        controller.store.listen(self._follow)

    @property
    def state(self) -> RepositoryState:
        return self._store.state.repository

    def _set(self, **changes: Any) -> None:
        self._store.update(repository=replace(self.state, **changes))

    # --- the repository itself

    def open(self, path: str, *, make: bool = False) -> None:
        """Open the repository in a folder; ``make``: make one if there is none."""
        request = OpenRepository(path=path, make=make)
        self._store.update(repository=RepositoryState(path=path, opening=request.id))
        self._controller.history.forget_deeds(OF)
        self._send(request)

    def add(self, captures: Sequence[str]) -> None:
        """Add captures."""
        if self.state.scenes is None or not captures:
            return
        request = AddCaptures(captures=tuple(captures), encoder=self._store.state.encoder)
        self._job(request.id, request.title)
        self._send(request)

    def add_this(self) -> None:
        """Add the open capture."""
        scene = self._store.state.scene
        if scene is not None:
            self.add((scene.path,))

    def select(self, key: str | None) -> None:
        self._set(selected=key)

    def remove(self, key: str | None = None) -> None:
        """Take a scene out, or the selected one; that can be undone."""
        scene = self.state.scene(key or self.state.selected)
        if scene is None:
            return
        keys = (scene.key,)
        deed = Deed(
            lambda: self._send(RestoreScenes(keys=keys)),
            lambda: self._send(RemoveScenes(keys=keys)),
            OF,
        )
        request = RemoveScenes(keys=keys)
        self._deeds[request.id] = f"Removed {scene.name} from the repository; Ctrl+Z puts it back.", deed
        self._send(request)

    def decide(self, pair: ScenePair, decision: Decision) -> None:
        """Two scenes are duplicates, or both are kept; a second time takes it back. That can be undone."""
        a, b, before = pair.a, pair.b, self.state.decision(pair.a, pair.b)
        after = None if decision == before else decision
        deed = Deed(
            lambda: self._send(DecidePair(a=a, b=b, decision=before)),
            lambda: self._send(DecidePair(a=a, b=b, decision=after)),
            OF,
        )
        request = DecidePair(a=a, b=b, decision=after)
        said = {"duplicate": "Marked as duplicate.", "different": "Both are kept.", None: "Undecided again."}[after]
        self._deeds[request.id] = said, deed
        self._send(request)

    # --- queries

    def find_photo(self, path: str) -> None:
        """Which scene does a photo show?"""
        self._ask(FindByPhoto(path=path, encoder=self._store.state.encoder), "photo", Path(path).name)

    def find_words(self, text: str) -> None:
        """Which scenes hold such a thing?"""
        if text.strip():
            self._ask(FindByWords(text=text.strip()), "words", text.strip())

    def find_alike(self, key: str | None = None) -> None:
        """Which scenes are like one: the one given, the selected one, or the open capture's."""
        scene = self.state.scene(key or self.alike_of())
        if scene is not None:
            self._set(selected=scene.key)
            self._ask(FindAlike(scene=scene.key), "alike", scene.name, scene.key)

    def alike_of(self) -> str | None:
        """Key of the scene that is meant when none is named."""
        return self.state.selected or here(self._store.state)

    def find_duplicates(self) -> None:
        """Which scenes are of one place?"""
        if self.state.scenes is None:
            return
        request = FindDuplicates()
        self._set(page="pairs", looking=request.id, pairs=None)
        self._job(request.id, request.title)
        self._send(request)

    def back(self) -> None:
        """To all scenes."""
        self._set(page="scenes")

    def _ask(self, request: RepositoryQuery, kind: Asking, text: str, scene: str | None = None) -> None:
        if self.state.scenes is None:
            return
        blank: dict[str, Any] = {"found": None, "evidence": MappingProxyType({}), "refusal": ""}
        self._set(page="answer", asked=Asked(request.id, kind, text, scene), **blank)
        self._send(request)

    def _job(self, id: int, title: str) -> None:
        self._store.update(jobs=with_job(self._store.state.jobs, id, title=title, outlives=True))

    # --- where answers lead

    def go(self, key: str) -> None:
        """Open the capture of a scene; of an answer, go where the photo was taken or where the thing is."""
        card = self.state.scene(key)
        asked, found = self.state.asked, self.state.found
        result = next((r for r in (() if found is None else found.results) if r.card.key == key), None)
        if result is not None and asked is not None and self.state.page == "answer":
            card = result.card
            self._go(card.path, lambda: self._arrive(asked, found, result))
        elif card is not None:
            self._go(card.path, lambda: None)

    def show_pair(self, pair: ScenePair) -> None:
        """Look at two scenes in one world."""
        request = ShowPair(a=pair.a, b=pair.b)
        self._set(pair=pair, aligned=None, aligning=request.id)
        self._send(request)

    def compare(self, key: str) -> None:
        """Look at a scene and the one it was found to be like."""
        found = next((r for r in self.state.believed() if r.card.key == key), None)
        asked = self.state.asked
        if found is not None and asked is not None and asked.scene is not None:
            confidence, overlap = found.confidence or 0.0, found.overlap or 0.0
            self.show_pair(ScenePair(asked.scene, key, confidence, found.inliers, overlap))

    def close_pair(self) -> None:
        self._set(pair=None, aligned=None, aligning=0)

    def _go(self, path: str, arrive: Callable[[], None]) -> None:
        scene = self._store.state.scene
        if scene is not None and real(scene.path) == real(path):
            arrive()
        else:
            self._controller.open(path)
            self._going = Going(path, arrive)

    def _arrive(self, asked: Asked, found: ScenesFound | None, result: FoundScene) -> None:
        s = self._store.state
        if result.camera is not None and found is not None and found.photo is not None:
            self._controller.set_layer("photo", visible=True)
            placed = Placed(
                asked.text, result.card.name, found.photo, result.camera, result.confidence or 0.0, result.inliers
            )
            self._store.update(placed=placed, through=None)
        elif result.places and s.scene is not None:
            self.go_to_place(result.places[0])
            self._controller.prompts.light(thing(asked.text))

    def go_to_place(self, place: FoundPlace) -> None:
        """Look at a place of the open scene from a photo that has it in sight."""
        scene = self._store.state.scene
        if scene is not None and self._on_place is not None:
            self._store.update(placed=None, through=None)
            self._on_place(place.pos_w, eye_on(place.pos_w, scene.views))

    def _follow(self, old: AppState, new: AppState) -> None:
        going = self._going
        if going is None:
            return
        if old.scene is not new.scene:
            self._going = None
            if new.scene is not None and real(new.scene.path) == real(going.path):
                going.arrive()
        elif old.opening is not None and new.opening is None:
            self._going = None  # it could not be opened

    # --- replies

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about the repository alone."""
        r = self.state
        match reply:
            case RepositoryListed():
                self._listed(reply)
            case SceneThumbnails() if reply.path == r.path:
                pictures = {key: Picture(rgb) for key, rgb in reply.rgb.items()}
                self._set(thumbnails=MappingProxyType({**r.thumbnails, **pictures}))
            case ScenesFound() if r.asked is not None and r.asked.id == reply.id:
                self._set(found=reply)
            case PhotoEvidence() if r.asked is not None and r.asked.id == reply.id:
                self._set(evidence=with_item(r.evidence, reply.scene, reply))
            case DuplicatesFound() if r.looking == reply.id:
                self._set(pairs=reply, looking=0)
            case PairAligned() if r.aligning == reply.id:
                self._set(aligned=reply, pair=reply.pair, aligning=0)
            case CapturesAdded():
                self._added(reply)
            case Failed() if r.opening and r.opening == reply.id:
                self._set(opening=0, problem=reply.text)
            case Failed() if r.asked is not None and r.asked.id == reply.id:
                self._set(refusal=reply.text)
            case Failed() | JobCancelled():
                self._ended(reply.id)
                return False
            case _:
                return isinstance(reply, SceneThumbnails | ScenesFound | PhotoEvidence | DuplicatesFound | PairAligned)
        return True

    def _listed(self, reply: RepositoryListed) -> None:
        r = self.state
        if reply.id != r.opening and reply.path != r.path:
            return  # of one that was open before
        keys = {scene.key for scene in reply.scenes}
        changes: dict[str, Any] = {"selected": r.selected if r.selected in keys else None}
        if r.pairs is not None:
            kept = tuple(p for p in r.pairs.pairs if p.a in keys and p.b in keys)
            changes["pairs"] = r.pairs if len(kept) == len(r.pairs.pairs) else replace(r.pairs, pairs=kept)
        if reply.id == r.opening:
            changes |= {"path": reply.path, "opening": 0}
        self._set(scenes=reply.scenes, decisions=reply.decisions, writable=reply.writable, **changes)
        if reply.id == r.opening and self._on_opened is not None:
            self._on_opened(reply.path)
        if reply.id in self._deeds:
            said, deed = self._deeds.pop(reply.id)
            self._controller.history.did(deed)
            self._store.update(notice=said)

    def _added(self, reply: CapturesAdded) -> None:
        counts = ((len(reply.added), "added"), (len(reply.passed_over), "there already"))
        said = ", ".join(f"{count} {what}" for count, what in counts if count) or "Nothing was added"
        if not reply.failed:
            self._store.update(notice=f"Repository: {said}.")
            return
        failed = f"{len(reply.failed)} capture{'s' if len(reply.failed) > 1 else ''} could not be added; {said}."
        details = "\n".join([failed, *(text for _, text in reply.failed)])
        self._store.update(banner=Banner(failed, details, error=True))

    def _ended(self, id: int) -> None:
        """Something that was asked for will not come."""
        self._deeds.pop(id, None)
        if id and id == self.state.looking:
            self._set(looking=0, page="scenes")
        elif id and id == self.state.aligning:
            self.close_pair()


def thing(text: str) -> str:
    """What "room with a piano" asks for."""
    return re.sub(r"^\s*(a|an|the)\b", "", re.sub(r"^.*\bwith\b", "", text)).strip()


def eye_on(pos_w: Pos, views: Sequence[ViewInfo]) -> Pos | None:
    """Centre of the camera whose photo has a place nearest to its middle; None when none has it in sight."""
    best, eye = MIDDLE / 2, None
    for view in views:
        (px,), (depth,) = view.camera.project(np.array([pos_w]))
        if depth <= 0:
            continue
        off = float(max(abs(px[0] / view.camera.width - 0.5), abs(px[1] / view.camera.height - 0.5)))
        if off < best:
            x, y, z = (float(v) for v in view.camera.centre_w)
            best, eye = off, (x, y, z)
    return eye
