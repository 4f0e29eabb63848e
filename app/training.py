"""Trainings: intents become requests, replies become ``AppState.training``. Part of the controller; knows no Qt."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from app.resolve_actions import obstacle
from app.state import AppState, Store, with_job
from app.training_state import BUILT_IN, TRAINED, Training, finished, timed, updated
from engine.api.replies import (
    Failed,
    JobCancelled,
    JobFinished,
    JobPaused,
    JobProgress,
    Reply,
    TrainedWeights,
    TrainingPreview,
    TrainingUpdate,
    VoxelFeatures,
)
from engine.api.requests import CancelJob, PauseJob, PreviewView, Request, SaveWeights, TrainEncoders


class TrainingDesk:
    """Starts, steers and follows the training of the open capture.

    Args:
        store: the window's state.
        send: takes requests.
        encode: switches to an encoder, by name.
        clock: seconds, for the time spent.
    """

    def __init__(
        self,
        store: Store,
        send: Callable[[Request], None],
        encode: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._send = send
        self._encode = encode
        self._clock = clock
        store.listen(self._follow_photo)

    # --- intents

    def choose_steps(self, steps: int) -> None:
        """Of the next training."""
        self._store.update(train_steps=steps)

    def choose_afresh(self, on: bool) -> None:
        """Whether the next training starts from the embedded weights."""
        self._store.update(train_afresh=on)

    def start(self) -> None:
        """Train for as many steps as the state says."""
        s = self._store.state
        if obstacle(s) or _live(s) is not None or s.scene is None:
            return
        view = s.selected if s.selected is not None else s.scene.views[0].index
        request = TrainEncoders(steps=s.train_steps, view=view, afresh=s.train_afresh)
        training = Training(request.id, request.steps, seen=self._clock())
        self._store.update(training=training, jobs=with_job(s.jobs, request.id, title=request.title))
        if s.voxel_features is not None:
            self._recolour()
        self._send(request)

    def toggle_pause(self) -> None:
        t = _live(self._store.state)
        if t is not None:
            self._store.update(training=replace(t, wish="resume" if t.paused else "pause"))
            self._send(PauseJob(job_id=t.job_id, paused=not t.paused))

    def stop(self) -> None:
        t = _live(self._store.state)
        if t is not None:
            self._store.update(training=replace(t, wish="stop"))
            self._send(CancelJob(job_id=t.job_id))

    def use_weights(self) -> None:
        """Encode the photos with what was trained."""
        weights = self._store.state.weights
        if weights is not None:
            self._store.update(weights_used=True)
            self._encode(TRAINED + weights.folder)

    def use_built_in(self) -> None:
        self._store.update(weights_used=False)
        self._encode(BUILT_IN)

    def load_weights(self, folder: str) -> None:
        weights = self._store.state.weights
        self._store.update(weights_used=weights is not None and weights.folder == folder)
        self._encode(TRAINED + folder)

    def save_weights(self, folder: str) -> None:
        self._send(SaveWeights(folder=folder))

    # --- replies

    def receive(self, reply: Reply) -> bool:
        """Take a reply; whether it was about a training alone, or about one that is over and is to be ignored."""
        match reply:
            case TrainedWeights():
                # also after the end: a training that is stopped keeps what it reached
                self._store.update(weights=reply, weights_used=False)
            case TrainingUpdate():
                self._change(reply.id, lambda t: updated(t, reply))
            case TrainingPreview():
                self._change(reply.id, lambda t: replace(t, preview=reply))
            case JobPaused():
                self._paused(reply)
            case JobProgress():
                self._change(reply.id, lambda t: t)
                return False
            case JobFinished():
                self._change(reply.id, lambda t: finished(t, reply))
                return False
            case JobCancelled():
                self._change(reply.id, lambda t: replace(t, ending="stopped", paused=False, wish=""))
                return False
            case Failed():
                self._change(
                    reply.id, lambda t: replace(t, ending="failed", error=reply.text, paused=False, wish="")
                )  # fmt: skip
                return False
            case VoxelFeatures():
                return self._features(reply)
            case _:
                return False
        return True

    def _change(self, job_id: int, change: Callable[[Training], Training]) -> None:
        t = _live(self._store.state)
        if t is not None and t.job_id == job_id:
            self._store.update(training=change(timed(t, self._clock())))

    def _paused(self, reply: JobPaused) -> None:
        self._change(
            reply.job_id, lambda t: replace(t, paused=reply.paused, wish="" if t.wish != "stop" else "stop")
        )  # fmt: skip
        if any(j.id == reply.job_id and j.live for j in self._store.state.jobs):
            note = "paused" if reply.paused else ""
            jobs = with_job(self._store.state.jobs, reply.job_id, rate=None, eta=None, note=note)
            self._store.update(jobs=jobs)

    def _features(self, reply: VoxelFeatures) -> bool:
        t = self._store.state.training
        if t is None or t.job_id != reply.id:
            return False
        if t.live:
            self._recolour()
        return not t.live

    def _recolour(self) -> None:
        """Switch the scene to features, once, unless the user has chosen a colouring."""
        s = self._store.state
        if s.training is not None and not s.training.recoloured:
            colouring = s.colouring if s.colouring_chosen else "features"
            self._store.update(colouring=colouring, training=replace(s.training, recoloured=True))

    def _follow_photo(self, old: AppState, new: AppState) -> None:
        if new.selected != old.selected and new.selected is not None and _live(new) is not None:
            self._send(PreviewView(view=new.selected))


def _live(state: AppState) -> Training | None:
    t = state.training
    return t if t is not None and t.live else None
