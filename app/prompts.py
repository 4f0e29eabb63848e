"""Prompts: asked as they are typed, kept when they are entered. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import PurePath

import numpy as np

from app.on_features import Kind, OnFeatures
from app.prompt_state import LONGEST, MOST, Prompt, PromptAnswer, added, free_colour
from app.state import Store
from engine.api.replies import Failed, PromptFound, PromptReply, Region, Reply, SceneNamed
from engine.api.requests import Example, NameScene, PictureExample, PromptQuery, RegionExample, Request
from engine.api.scene import ViewInfo

Pos = tuple[float, float, float]
TYPING_MS = 120
"""A pause in typing after which what is there is asked."""
KEPT = 30
"""Prompts that are remembered."""


def _give_up(store: Store) -> None:
    store.update(naming=False)


NAMING = Kind(NameScene, "named_of", lambda state: state.naming, _give_up)


class PromptsDesk:
    """Has the open capture named, asks prompts, and keeps what they found.

    Args:
        store: the window's state.
        send: takes requests.
        later: calls something in so many milliseconds; None: at once.
        on_found: is told the best region of a prompt that was entered.
    """

    def __init__(
        self,
        store: Store,
        send: Callable[[Request], None],
        later: Callable[[int, Callable[[], None]], None] | None = None,
        on_found: Callable[[Region], None] | None = None,
    ) -> None:
        self._store, self._send, self._later, self._on_found = store, send, later, on_found
        self._wanted = OnFeatures(NAMING, store, send)
        self._typed = 0
        self._entered = ""  # the prompt whose best region is to be shown once it is known

    def opened(self) -> None:
        """Another capture is open: prompts that were kept are asked of it, but for those by a place of the other."""
        kept = tuple(p for p in self._store.state.prompts if not isinstance(p.example, RegionExample))
        self._store.update(prompts=kept, naming=bool(kept))

    def ready(self) -> None:
        """Words are about to be typed."""
        self._store.update(naming=True)

    def type(self, text: str) -> None:
        """What stands in the field now."""
        self._entered = ""
        self._store.update(draft=text, naming=True)
        self._soon()

    def enter(self, text: str) -> None:
        """Keep what was typed, and go to the best place."""
        s = self._store.state
        kept = added(s.prompts, text)
        fresh = [p.text for p in kept if not p.negative and p not in s.prompts]
        recalled = tuple(dict.fromkeys([text.strip(), *s.prompt_history]))[:KEPT] if text.strip() else s.prompt_history
        self._store.update(prompts=kept, draft="", prompt_history=recalled, naming=True)
        self._entered = fresh[-1] if fresh else ""
        self.ask()

    def light(self, text: str) -> None:
        """Keep words that were asked elsewhere, without going to the best place."""
        self._store.update(prompts=added(self._store.state.prompts, text), naming=True)
        self.ask()

    def remove(self, text: str) -> None:
        """Forget a prompt."""
        self._store.update(prompts=tuple(p for p in self._store.state.prompts if p.text != text))
        self.ask()

    def clear(self) -> None:
        """Forget all of them."""
        self._store.update(prompts=(), draft="")
        self.ask()

    def set_threshold(self, text: str, value: float) -> None:
        """Show a prompt from this relevancy on; only the list of regions is asked anew, a moment later."""
        self._entered = ""
        prompts = self._store.state.prompts
        self._store.update(prompts=tuple(replace(p, threshold=value) if p.text == text else p for p in prompts))
        self._soon()

    def set_softness(self, text: str, value: float) -> None:
        """How far over its threshold a prompt shows fully; nothing is asked anew."""
        prompts = self._store.state.prompts
        self._store.update(prompts=tuple(replace(p, softness=value) if p.text == text else p for p in prompts))

    def look_like(self, region: Region) -> None:
        """Ask for places like one that was found."""
        s = self._store.state
        if s.prompted is None:
            return
        text = next((f.prompt for f in s.prompted.reply.found if region in f.regions), None)
        prompt = next((p for p in added(s.prompts, s.draft, draft=True) if p.text == text), None)
        if prompt is None:
            return
        negatives = tuple(p.text for p in s.prompts if p.negative)
        of = prompt.example or prompt.text
        self._exemplify(f"like {prompt.text}", RegionExample(of, region.centre_w, prompt.threshold, negatives))

    def look_for(self, path: str) -> None:
        """Ask for what a picture shows."""
        self._exemplify(f"like {PurePath(path).name}", PictureExample(path))

    def _exemplify(self, name: str, example: Example) -> None:
        prompts = self._store.state.prompts
        number = 1 + sum(p.text.startswith(name) for p in prompts)
        text = (name if number == 1 else f"{name} {number}")[:LONGEST]
        colour = free_colour(prompts)
        if colour is None:
            self._store.update(notice=f"There are {MOST} prompts already; forget one first.")
            return
        self._store.update(prompts=(*prompts, Prompt(text, colour=colour, example=example)), naming=True)
        self._entered = text
        self.ask()

    def eye(self, region: Region) -> Pos | None:
        """Where the photo was taken that sees a region best; None when none does."""
        s = self._store.state
        if s.scene is None or s.prompted is None:
            return None
        found = next((f for f in s.prompted.reply.found if region in f.regions), None)
        return None if found is None else best_eye(region, found, s.scene.views)

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about prompts alone."""
        match reply:
            case SceneNamed():
                if self._wanted.answers(reply):
                    self._store.update(named=reply)
                    self.ask()
                return True
            case PromptReply():
                self._answered(reply)
                return True
            case Failed() if reply.id == self._store.state.prompt_query:
                self._store.update(prompt_query=0, notice=reply.what)
                return True
            case _:
                self._wanted.receive(reply)
                return False

    def _answered(self, reply: PromptReply) -> None:
        s = self._store.state
        if reply.id != s.prompt_query or s.volume is None or s.volume.version != reply.version:
            return
        self._store.update(prompted=PromptAnswer(reply, s.volume, {f.prompt: f for f in reply.found}))
        found = next((f for f in reply.found if f.prompt == self._entered), None)
        if found is None or not found.regions:
            return  # photos may not have had their say yet
        self._entered = ""
        if self._on_found is not None:
            self._on_found(found.regions[0])

    def _soon(self) -> None:
        """Ask when there has been a pause."""
        self._typed += 1
        number = self._typed
        if self._later is None:
            self.ask()
        else:
            self._later(TYPING_MS, lambda: self.ask() if number == self._typed else None)

    def ask(self) -> None:
        """Ask all that is kept and typed."""
        s = self._store.state
        self._typed += 1
        prompts = added(s.prompts, s.draft, draft=True)
        wanted = [p for p in prompts if not p.negative]
        if not wanted:
            self._store.update(prompted=None, prompt_query=0)
            return
        if s.named is None or s.volume is None or s.named.version != s.volume.version:
            return  # it is asked once the scene is named
        request = PromptQuery(
            prompts=tuple(p.text for p in wanted),
            negatives=tuple(p.text for p in prompts if p.negative),
            thresholds=tuple(p.threshold for p in wanted),
            examples=tuple(p.example for p in wanted),
        )
        self._store.update(prompt_query=request.id)
        self._send(request)


def best_eye(region: Region, found: PromptFound, views: Sequence[ViewInfo]) -> Pos | None:
    """Centre of the camera to whose photo a region's centre shows, near the middle and where the prompt found it."""
    best, eye = 0.0, None
    for view in views:
        relevancy = found.views.get(view.index)
        (px,), (depth,) = view.camera.project(np.array([region.centre_w]))
        x, y = px[0] / view.camera.width, px[1] / view.camera.height
        if relevancy is None or depth <= 0 or not (0.1 <= x < 0.9 and 0.1 <= y < 0.9):
            continue
        h, w = relevancy.shape
        score = float(relevancy[int(y * h), int(x * w)]) * (1 - max(abs(x - 0.5), abs(y - 0.5)))
        if score > best:
            at = view.camera.centre_w
            best, eye = score, (float(at[0]), float(at[1]), float(at[2]))
    return eye
