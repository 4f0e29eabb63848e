"""What is computed from the scene's features when it is to be seen, and again when they change. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.state import AppState, Store, with_job
from engine.api.replies import Failed, JobCancelled, Reply
from engine.api.requests import CompareViews, FindKeypoints, NameScene, Request

Of = tuple[str, int]
"""Encoder and volume whose features something was computed from."""


@dataclass(frozen=True)
class Kind:
    """One such thing.

    Attributes:
        request: asks for it.
        field: of the state, that holds what it was last asked for, an ``Of`` or None.
        shows: whether it is to be seen.
        hide: so that it no longer is, after a failure: to be shown again is to be asked for again.
    """

    request: type[FindKeypoints] | type[CompareViews] | type[NameScene]
    field: str
    shows: Callable[[AppState], bool]
    hide: Callable[[Store], None]


class OnFeatures:
    """Sends the request of a kind whenever it is wanted.

    Args:
        kind: of what.
        store: the window's state.
        send: takes requests.
    """

    def __init__(self, kind: Kind, store: Store, send: Callable[[Request], None]) -> None:
        self._kind, self._store, self._send = kind, store, send
        self._asked = 0  # id of the last request
        store.listen(lambda _old, new: self._follow(new))

    def answers(self, reply: Reply) -> bool:
        """Whether a reply is to the last request, for the capture that is open."""
        return reply.id == self._asked and getattr(self._store.state, self._kind.field) is not None

    def receive(self, reply: Reply) -> None:
        """Take note of a failure."""
        if isinstance(reply, Failed | JobCancelled) and reply.id == self._asked:
            self._store.update(**{self._kind.field: None})
            self._kind.hide(self._store)

    def _follow(self, state: AppState) -> None:
        """While anything else is being computed the features may change any moment, so it waits."""
        features = state.voxel_features
        if features is None or not self._kind.shows(state) or any(j.live and not j.outlives for j in state.jobs):
            return
        of: Of = (features.encoder, features.version)
        if getattr(state, self._kind.field) == of:
            return
        request = self._kind.request()
        self._asked = request.id
        self._store.update(**{self._kind.field: of}, jobs=with_job(state.jobs, request.id, title=request.title))
        self._send(request)
