"""Views of a scene that are kept: to go back to, and to fly through. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.canvas.home import Orbit
    from app.state import Store

MOST = 99
LONGEST = 60
"""Characters of a name that are kept."""


@dataclass(frozen=True)
class Bookmark:
    """A named look at the scene."""

    name: str
    orbit: Orbit


class Bookmarks:
    """Of the open capture.

    Args:
        store: the window's state.
        orbit: where the canvas camera is.
        go: flies it elsewhere.
    """

    def __init__(self, store: Store, orbit: Callable[[], Orbit], go: Callable[[Orbit], None]) -> None:
        self._store, self._orbit, self._go = store, orbit, go

    def add(self) -> None:
        """Keep the present view."""
        s = self._store.state
        if s.scene is None:
            return
        if len(s.bookmarks) >= MOST:
            self._store.update(notice=f"There are {MOST} bookmarks already; remove one first.")
            return
        taken = {b.name for b in s.bookmarks}
        name = next(f"View {n}" for n in range(1, MOST + 2) if f"View {n}" not in taken)
        self._store.update(bookmarks=(*s.bookmarks, Bookmark(name, self._orbit())), notice=f"Kept as “{name}”")

    def go(self, place: int) -> None:
        """See one again."""
        kept = self._store.state.bookmarks
        if 0 <= place < len(kept):
            self._go(kept[place].orbit)

    def rename(self, place: int, name: str) -> None:
        """Call one otherwise; an empty name changes nothing."""
        kept = list(self._store.state.bookmarks)
        name = " ".join(name.split())[:LONGEST]
        if name and 0 <= place < len(kept):
            kept[place] = replace(kept[place], name=name)
            self._store.update(bookmarks=tuple(kept))

    def remove(self, place: int) -> None:
        """Forget one."""
        kept = self._store.state.bookmarks
        self._store.update(bookmarks=kept[:place] + kept[place + 1 :])
