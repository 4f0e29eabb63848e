"""Undo and redo. Knows no Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from app.edits import PLAIN, Edits, changed, edits_of
from app.state import AppState, Store
from engine.api.requests import PixelSource, PointSource

MOST = 200
"""Changes of settings that are remembered; deeds are, however many."""
TOGETHER_S = 0.8
"""Changes of the same thing that follow each other so closely are one: a slider is dragged."""

Pos = tuple[float, float, float]
Match = Callable[[PixelSource | PointSource, Pos | None], None]


@dataclass(frozen=True)
class Deed:
    """Something done that is undone elsewhere. It stays when another capture is opened, until all deeds of its kind
    (``of``) are forgotten."""

    undo: Callable[[], None]
    redo: Callable[[], None]
    of: str


class History:
    """Remembers what was set before each change that the user made, and goes back to it; and deeds among these.

    Args:
        store: the window's state.
        match: asks where else something is.
        unmatch: forgets what was clicked.
        prompt: asks the prompts anew.
        clock: seconds.
    """

    def __init__(
        self,
        store: Store,
        match: Match,
        unmatch: Callable[[], None],
        prompt: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._match, self._unmatch, self._prompt, self._clock = store, match, unmatch, prompt, clock
        self._before: list[Edits | Deed] = []
        self._after: list[Edits | Deed] = []
        self._last: tuple[tuple[str, ...], float] = ((), 0.0)
        self._going = False
        store.listen(self._follow)

    def undo(self) -> None:
        """Back to what was before the last change."""
        if self._before and isinstance(deed := self._before[-1], Deed):
            self._after.append(self._before.pop())
            deed.undo()
        else:
            self._go(self._before, self._after)
        self._went()

    def redo(self) -> None:
        """Forward to what the last undo left."""
        if self._after and isinstance(deed := self._after[-1], Deed):
            self._before.append(self._after.pop())
            deed.redo()
        else:
            self._go(self._after, self._before)
        self._went()

    def restore(self, wanted: Edits) -> None:
        """Set everything as it is in ``wanted``, and ask what has to be asked for it. That is no change to undo."""
        self._going = True
        try:
            self._restore(wanted)
        finally:
            self._going = False

    def did(self, deed: Deed) -> None:
        """A deed was done, and can be undone."""
        self._before.append(deed)
        self._after.clear()
        self._last = ((), 0.0)
        self._tell()

    def recall(self, deed: Deed, done: int, undone: int) -> None:
        """Deeds of an earlier run, all alike: so many were done before everything else, and so many are undone."""
        self._before[:0] = [deed] * done
        self._after[:0] = [deed] * undone
        self._tell()

    def forget_deeds(self, of: str) -> None:
        """What they were done to is gone."""
        self._keep(lambda x: not (isinstance(x, Deed) and x.of == of))
        self._tell()

    def _keep(self, wanted: Callable[[Edits | Deed], bool]) -> None:
        self._before, self._after = ([x for x in some if wanted(x)] for some in (self._before, self._after))

    def _limit(self) -> None:
        """Forget the oldest change of settings when there are too many; deeds are small."""
        if sum(isinstance(x, Edits) for x in self._before) > MOST:
            del self._before[next(n for n, x in enumerate(self._before) if isinstance(x, Edits))]

    def _restore(self, wanted: Edits) -> None:
        now = edits_of(self._store.state)
        self._store.update(
            **{name: getattr(wanted, name) for name in PLAIN},
            layers=MappingProxyType({**self._store.state.layers, **dict(wanted.layers)}),
            colouring_chosen=True,
        )
        if wanted.match != now.match:
            if wanted.match is None:
                self._unmatch()
            else:
                self._match(wanted.match, wanted.match_pos_w)
        if wanted.prompts != now.prompts:
            self._prompt()

    def _go(self, source: list[Edits | Deed], other: list[Edits | Deed]) -> None:
        if source and isinstance(wanted := source.pop(), Edits):
            other.append(edits_of(self._store.state))
            self.restore(wanted)

    def _went(self) -> None:
        self._last = ((), 0.0)
        self._tell()

    def _follow(self, old: AppState, new: AppState) -> None:
        if self._going:
            return
        if old.scene is not new.scene:
            self._keep(lambda x: isinstance(x, Deed))
            self._tell()
            return
        before, after = edits_of(old), edits_of(new)
        what = changed(before, after)
        if not new.colouring_chosen and "colouring" in what:  # a training shows its features by itself
            what = tuple(name for name in what if name != "colouring")
        if not what or new.scene is None:
            return
        now = self._clock()
        slid = _by_slider(before, after, what)
        if not (slid and what == self._last[0] and now - self._last[1] < TOGETHER_S):
            self._before.append(before)
            self._limit()
        self._last = (what, now) if slid else ((), 0.0)
        self._after.clear()
        self._tell()

    def _tell(self) -> None:
        self._store.update(undoable=len(self._before), redoable=len(self._after))


def _by_slider(a: Edits, b: Edits, what: tuple[str, ...]) -> bool:
    """Whether a change is one that sliders make."""
    match what:
        case ("clip",):
            return a.clip.on == b.clip.on
        case ("threshold" | "keypoint_count",):
            return True
        case ("layers",):
            return [(n, x.visible) for n, x in a.layers] == [(n, x.visible) for n, x in b.layers]
        case ("prompts",):
            return [(p.text, p.negative) for p in a.prompts] == [(p.text, p.negative) for p in b.prompts]
        case _:
            return False
