"""Tasks as the window knows them: what is to be learnt, how it went so far, what is looked at. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from app.annotate_state import Marks
from app.training_state import Track, with_point
from engine.api.annotated import Things
from engine.api.annotations import NOTHING, LabelClass
from engine.api.tasks import (
    CONDENSE,
    POINTNET,
    SCRATCH,
    VIEWS,
    CaptureNamed,
    HeadReady,
    Mode,
    TaskMeasured,
    TaskRead,
    TaskStep,
)

INITS = (CONDENSE, VIEWS, SCRATCH, POINTNET)
LABELS = ("1%", "10%", "100%", "1-shot", "5-shot", "20-shot")
"""Shares that are offered; others can be typed."""
MOST_SEEDS = 10
MOST_CASES = 300
"""Mistakes that are listed."""

Ending = Literal["", "finished", "stopped", "failed"]
Cell = tuple[int, int]
"""A class and what it was said to be, as places among the names."""


@dataclass(frozen=True)
class Setup:
    """What the next run is asked for: see ``LearnTask``."""

    data: str = ""
    inits: tuple[str, ...] = (CONDENSE, SCRATCH)
    mode: Mode = "probe"
    labels: str = "100%"
    seeds: int = 3


@dataclass(frozen=True)
class Score:
    """One init over its seeds: means, and deviations when there are several; ``iou`` of each class."""

    init: str
    runs: int
    accuracy: float
    accuracy_deviation: float | None
    miou: float
    miou_deviation: float | None
    iou: tuple[float, ...]


@dataclass(frozen=True)
class Case:
    """A line among the mistakes; ``item``, ``true``, ``said``: places; ``count``: points, 1 of objects."""

    item: int
    name: str
    true: int
    said: int
    count: int
    sure: float


@dataclass(frozen=True, eq=False)
class Learnt:
    """A run of the task, at work or over; compared by identity.

    Attributes:
        job_id: of its request.
        setup: what was asked for.
        read: what the data is, once it is read.
        losses: by init and seed, per step.
        steps: of the fine-tuning.
        runs: what was measured.
        ending: how it ended; "" while it is at work.
        error: why it failed.
        seconds: it took.
    """

    job_id: int
    setup: Setup
    read: TaskRead | None = None
    losses: Mapping[tuple[str, int], Track] = field(default_factory=lambda: MappingProxyType({}))
    steps: int = 0
    runs: tuple[TaskMeasured, ...] = ()
    ending: Ending = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def live(self) -> bool:
        return self.ending == ""

    def run(self, chosen: tuple[str, int] | None) -> TaskMeasured | None:
        """The run of that init and seed, or else the first."""
        return next((r for r in self.runs if (r.init, r.seed) == chosen), self.runs[0] if self.runs else None)


@dataclass(frozen=True)
class TasksState:
    """All of it.

    Attributes:
        setup: of the next run.
        learnt: the last one.
        chosen: init and seed that are looked at; None: the first.
        cell: of the confusion matrix; None: all mistakes are listed.
        showing: id of the request for a file to open, 0 when there is none.
        head: in hand. ``loading``: id of the request for one.
        named: what it says of the open capture. ``naming``: id of the request.
        over: the same as labels, where it is sure enough.
        sure: from which chance on that shows.
        shown: whether it lies over the scene.
    """

    setup: Setup = Setup()
    learnt: Learnt | None = None
    chosen: tuple[str, int] | None = None
    cell: Cell | None = None
    showing: int = 0
    head: HeadReady | None = None
    loading: int = 0
    named: CaptureNamed | None = None
    naming: int = 0
    over: Marks | None = None
    sure: float = 0.5
    shown: bool = True


def stepped(t: Learnt, reply: TaskStep) -> Learnt:
    """``t`` with the loss of one more step."""
    of = (reply.init, reply.seed)
    track = with_point(t.losses.get(of, ()), reply.step, {"loss": reply.loss})
    return replace(t, losses=MappingProxyType({**t.losses, of: track}), steps=max(t.steps, reply.steps))


def scores(t: Learnt) -> tuple[Score, ...]:
    """Of each init that was measured, in the order asked for."""
    out: list[Score] = []
    for init in t.setup.inits:
        runs = [r for r in t.runs if r.init == init]
        if runs:
            accuracy, miou = np.array([r.accuracy for r in runs]), np.array([r.miou for r in runs])
            several = len(runs) > 1
            out.append(
                Score(
                    init, len(runs),
                    float(accuracy.mean()), float(accuracy.std(ddof=1)) if several else None,
                    float(miou.mean()), float(miou.std(ddof=1)) if several else None,
                    tuple(float(x) for x in np.mean([r.iou for r in runs], axis=0)),
                )
            )  # fmt: skip
    return tuple(out)


def marks_of(named: CaptureNamed, sure: float) -> Marks:
    """What a head says as labels, where its chance is at least ``sure``."""
    palette = tuple(
        LabelClass(k, name, rgb) for k, (name, rgb) in enumerate(zip(named.names, named.colours, strict=True), start=1)
    )
    labels = np.where(named.sure >= sure, named.label + 1, NOTHING).astype(np.uint16)
    return Marks.of(named.version, labels, np.zeros(len(labels), np.uint32), Things(palette))


def cases(t: Learnt, run: TaskMeasured, cell: Cell | None) -> tuple[tuple[Case, ...], int]:
    """What lies in a cell, or without one all mistakes: those that were said most surely first, of scans those with the
    most points; at most ``MOST_CASES`` of them, and how many there are."""
    c = run.cases
    chosen = c.true != c.said if cell is None else (c.true == cell[0]) & (c.said == cell[1])
    rows = np.flatnonzero(chosen)
    order = rows[np.lexsort((c.item[rows], -c.sure[rows], -c.count[rows]))]
    names = () if t.read is None else t.read.tested
    out = tuple(
        Case(
            int(c.item[n]), names[int(c.item[n])] if int(c.item[n]) < len(names) else "", int(c.true[n]),
            int(c.said[n]), int(c.count[n]), float(c.sure[n]),
        )
        for n in order[:MOST_CASES]
    )  # fmt: skip
    return out, len(rows)
