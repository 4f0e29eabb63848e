"""Photos against the scene: compared when the photos are to show it. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable

from app.on_features import Kind, OnFeatures
from app.state import COMPARING, KeptFeatures, Store, with_item, with_job
from app.training_state import encoder_title
from engine.api.replies import Reply, ViewCompared
from engine.api.requests import CompareViews, Request, SaveAgreement

COMPARISON = Kind(
    CompareViews,
    "compared_of",
    lambda state: state.panel_mode in COMPARING,
    lambda store: store.update(panel_mode="photo"),
)


class ComparisonDesk:
    """Asks how photos and scene agree, and takes the answers as they come.

    Args:
        store: the window's state.
        send: takes requests.
    """

    def __init__(self, store: Store, send: Callable[[Request], None]) -> None:
        self._store, self._send = store, send
        self._wanted = OnFeatures(COMPARISON, store, send)

    def keep(self) -> None:
        """Keep what the present encoder says of the photos, to see it beside another's; or no longer."""
        s = self._store.state
        if s.kept_features is not None:
            self._store.update(kept_features=None, notice="The comparison is over")
            return
        title = encoder_title(s.encoder, None if s.weights is None else s.weights.folder)
        self._store.update(
            kept_features=KeptFeatures(title, s.view_features, s.compared),
            notice="Kept: choose another encoder, and drag the line in a large photo",
        )

    def save(self, folder: str) -> None:
        """Write table and pictures into a folder."""
        request = SaveAgreement(folder=folder)
        self._store.update(jobs=with_job(self._store.state.jobs, request.id, title=request.title))
        self._send(request)

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about a comparison alone."""
        if isinstance(reply, ViewCompared):
            if self._wanted.answers(reply):
                self._store.update(compared=with_item(self._store.state.compared, reply.view, reply))
            return True
        self._wanted.receive(reply)
        return False
