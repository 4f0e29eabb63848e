"""A training as the window knows it: where it stands, what was measured so far, how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from engine.api.replies import JobFinished, TrainingPreview, TrainingUpdate

BUILT_IN = "default"
TRAINED = "condense:"
MEASURES = ("recall_2d", "recall_3d", "agreement", "variance_2d", "variance_3d")
LEAST_STEPS, MOST_STEPS = 50, 5000
KEPT_POINTS = 2000

Ending = Literal["", "finished", "stopped", "failed"]
Wish = Literal["", "pause", "resume", "stop"]


@dataclass(frozen=True, eq=False)
class Point:
    """What was reported of one step."""

    step: int
    values: Mapping[str, float]


Track = tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class Training:
    """One training, running or over; compared by identity, for its tracks are long.

    Attributes:
        job_id: of its request.
        steps: how many were asked for.
        step: how many are done.
        losses: per step, thinned out beyond ``KEPT_POINTS``.
        measures: now and then, likewise.
        preview: the newest pictures.
        paused: it rests.
        wish: what was asked of the engine and not answered yet.
        ending: how it ended; "" while it is alive.
        error: why it failed.
        elapsed: seconds of work so far, rests not counted.
        seen: the clock when ``elapsed`` was brought up to date.
        recoloured: the scene was switched to features for it, or must not be.
    """

    job_id: int
    steps: int
    step: int = 0
    losses: Track = ()
    measures: Track = ()
    preview: TrainingPreview | None = None
    paused: bool = False
    wish: Wish = ""
    ending: Ending = ""
    error: str = ""
    elapsed: float = 0.0
    seen: float = 0.0
    recoloured: bool = False

    @property
    def live(self) -> bool:
        return self.ending == ""


def updated(t: Training, reply: TrainingUpdate) -> Training:
    """``t`` with what one step brought; a step that is older than the newest is left out."""
    if reply.step < t.step:
        return t
    losses = with_point(t.losses, reply.step, reply.losses)
    measures = t.measures if reply.measures is None else with_point(t.measures, reply.step, reply.measures)
    return replace(t, step=reply.step, steps=reply.steps, losses=losses, measures=measures)


def finished(t: Training, reply: JobFinished) -> Training:
    """``t`` at its end, with the last measures."""
    last = {name: reply.metrics[name] for name in MEASURES if name in reply.metrics}
    measures = with_point(t.measures, t.step, last) if last else t.measures
    return replace(t, ending="finished", paused=False, wish="", elapsed=reply.seconds, measures=measures)


def with_point(track: Track, step: int, values: Mapping[str, float]) -> Track:
    """``track`` with one more point, in place of one of the same step; every other one goes when it is too long."""
    kept = track[:-1] if track and track[-1].step == step else track
    if len(kept) >= KEPT_POINTS:
        kept = kept[::2]
    return (*kept, Point(step, MappingProxyType(dict(values))))


def timed(t: Training, now: float) -> Training:
    """``t`` with the time since it was last looked at counted as work, unless it rests."""
    passed = 0.0 if t.paused or not t.live else max(0.0, now - t.seen)
    return replace(t, elapsed=t.elapsed + passed, seen=now)


def encoder_title(name: str, own: str | None = None) -> str:
    """An encoder's name as a person says it; ``own``: the folder of this capture's training."""
    if name == BUILT_IN:
        return "built-in weights"
    if name.startswith(TRAINED):
        folder = name.removeprefix(TRAINED)
        return "weights trained here" if folder == own else f"weights of {'/'.join(Path(folder).parts[-2:])}"
    return name
