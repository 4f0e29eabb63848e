"""Keypoints: found when their layer is shown. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.on_features import Kind, OnFeatures
from app.state import Store, with_item
from engine.api.replies import Reply, SceneKeypoints
from engine.api.requests import FindKeypoints, Request, SaveKeypoints


def _hide(store: Store) -> None:
    layers = store.state.layers
    store.update(layers=with_item(layers, "keypoints", replace(layers["keypoints"], visible=False)))


KEYPOINTS = Kind(FindKeypoints, "keypoints_of", lambda state: state.layers["keypoints"].visible, _hide)


class KeypointsDesk:
    """Asks for the keypoints of the open capture, and keeps how they are shown.

    Args:
        store: the window's state.
        send: takes requests.
    """

    def __init__(self, store: Store, send: Callable[[Request], None]) -> None:
        self._store, self._send = store, send
        self._wanted = OnFeatures(KEYPOINTS, store, send)

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about keypoints alone."""
        if isinstance(reply, SceneKeypoints):
            if self._wanted.answers(reply):
                self._store.update(keypoints=reply)
            return True
        self._wanted.receive(reply)
        return False

    def show_best(self, count: int) -> None:
        """Show so many."""
        self._store.update(keypoint_count=count)

    def colour_by(self, colouring: str) -> None:
        """Colour them by their score or their feature."""
        self._store.update(keypoint_colouring=colouring)

    def save(self, path: str) -> None:
        """Write as many of the best as are shown."""
        self._send(SaveKeypoints(path=path, count=self._store.state.keypoint_count))
