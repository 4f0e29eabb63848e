"""Bare geometry: photographed, so that what needs photos works on it. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable

from app.state import Banner, Store, with_job
from engine.api.replies import JobFinished, Reply
from engine.api.requests import PhotographGeometry, Request

BARE = Banner(
    "This is bare geometry. Engine ▸ Photograph the geometry… (Ctrl+Shift+G) renders photos of it: "
    "then features, prompts, matches and labels work here too.",
    "",
    error=False,
)


class GeometryDesk:
    """Has the open geometry photographed, and opens what came of it.

    Args:
        store: the window's state.
        send: takes requests.
        opens: opens a capture.
    """

    def __init__(self, store: Store, send: Callable[[Request], None], opens: Callable[[str], None]) -> None:
        self._store, self._send, self._opens = store, send, opens
        self._asked: PhotographGeometry | None = None
        self._told = False

    def hint(self) -> Banner | None:
        """What to do with bare geometry: said once, for one may look at many."""
        told, self._told = self._told, True
        return None if told else BARE

    def photograph(self, folder: str) -> None:
        """Write photos of the open geometry into a new folder, and open it."""
        self._asked = request = PhotographGeometry(folder=folder)
        self._store.update(jobs=with_job(self._store.state.jobs, request.id, title=request.title))
        self._send(request)

    def receive(self, reply: Reply) -> bool:
        """Take a reply; never the last to want it."""
        asked = self._asked
        if isinstance(reply, JobFinished) and asked is not None and reply.id == asked.id:
            self._asked = None
            self._opens(asked.folder)
        return False
