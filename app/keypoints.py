"""Keypoints: found when their layer is shown and there are features to find them by. Knows no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.state import AppState, Store, with_item, with_job
from engine.api.messages import Failed, FindKeypoints, JobCancelled, Reply, Request, SaveKeypoints, SceneKeypoints


class KeypointsDesk:
    """Asks for the keypoints of the open capture whenever they are wanted.

    Args:
        store: the window's state.
        send: takes requests.
    """

    def __init__(self, store: Store, send: Callable[[Request], None]) -> None:
        self._store = store
        self._send = send
        self._asked = 0  # id of the last request
        store.listen(lambda _old, new: self._follow(new))

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about keypoints alone."""
        state = self._store.state
        if isinstance(reply, SceneKeypoints):
            if reply.id == self._asked and state.keypoints_of is not None:  # of the capture that is open
                self._store.update(keypoints=reply)
            return True
        if isinstance(reply, Failed | JobCancelled) and reply.id == self._asked:
            layer = replace(state.layers["keypoints"], visible=False)  # to be shown again is to be looked for again
            self._store.update(keypoints_of=None, layers=with_item(state.layers, "keypoints", layer))
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

    def _follow(self, state: AppState) -> None:
        if not wanted(state) or state.voxel_features is None:
            return
        request = FindKeypoints()
        of = (state.voxel_features.encoder, state.voxel_features.version)
        jobs = with_job(state.jobs, request.id, title=request.title)
        self._asked = request.id
        self._store.update(keypoints_of=of, jobs=jobs)
        self._send(request)


def wanted(state: AppState) -> bool:
    """Whether to look for keypoints now: their layer shows, and they are not of the present features.

    While anything else is being computed the features may change any moment, so it waits.
    """
    features = state.voxel_features
    if features is None or not state.layers["keypoints"].visible or any(j.live for j in state.jobs):
        return False
    return state.keypoints_of != (features.encoder, features.version)
