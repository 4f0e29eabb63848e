"""Asks for photos a few at a time: those on screen first, then the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.api.requests import LoadPhoto, Request

THUMBNAIL_SIDE = 256
PHOTO_SIDE = 1600
IN_FLIGHT = 3


class PhotoLoader:
    """Sends LoadPhoto requests, never more than a few unanswered thumbnails at once.

    Args:
        send: takes the requests.
    """

    def __init__(self, send: Callable[[Request], None]) -> None:
        self._send = send
        self._pending: dict[int, tuple[int, int]] = {}  # request id to (view, side)
        self._waiting: list[int] = []
        self._known: set[int] = set()
        self._large: set[int] = set()

    def forget(self) -> None:
        """What is on its way no longer matters."""
        self._pending.clear()
        self._waiting.clear()
        self._known.clear()
        self._large.clear()

    def open(self, views: Sequence[int]) -> None:
        """Load thumbnails of all these views, in this order."""
        self.forget()
        self._waiting = list(views)
        self._known = set(views)
        self._pump()

    def want_first(self, views: Sequence[int]) -> None:
        """Of those still waiting, load these next."""
        first = [v for v in views if v in self._waiting]
        if first:
            chosen = set(first)
            self._waiting = first + [v for v in self._waiting if v not in chosen]

    def want_large(self, view: int) -> None:
        """Load one photo at display size."""
        if view in self._large or view not in self._known:
            return
        self._large.add(view)
        self._request(view, PHOTO_SIDE)

    def arrived(self, request_id: int) -> int | None:
        """A reply came: the side it was asked at, or None if it is not awaited."""
        found = self._pending.pop(request_id, None)
        self._pump()
        if found is None:
            return None
        view, side = found
        if side == PHOTO_SIDE:
            self._large.discard(view)  # the window keeps only a few; it may be asked for again
        return side

    def failed(self, request_id: int) -> bool:
        """Whether a failure was about a photo; the others go on loading."""
        found = self._pending.pop(request_id, None)
        self._pump()
        return found is not None

    def _pump(self) -> None:
        flying = sum(side == THUMBNAIL_SIDE for _, side in self._pending.values())
        while self._waiting and flying < IN_FLIGHT:
            self._request(self._waiting.pop(0), THUMBNAIL_SIDE)
            flying += 1

    def _request(self, view: int, side: int) -> None:
        request = LoadPhoto(view=view, max_side=side)
        self._pending[request.id] = (view, side)
        self._send(request)
