"""Learning a task as a job of the window: data, every init and seed, what is measured, and what it was measured on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress
from engine.api.replies import JobFinished, Reply
from engine.api.tasks import POINTNET, Cases, HeadReady, LearnTask, TaskKind, TaskMeasured, TaskRead, TaskStep
from engine.captures.geometry import SUFFIXES
from engine.scene_state import Replies, progress_reply
from engine.tasks.classify import Labels, Outcome, Remembered, Run, classify, refuse_probe
from engine.tasks.finetune import Step
from engine.tasks.folders import Labelled, list_items, read_classes
from engine.tasks.readers.detect import list_scans, task_of
from engine.tasks.readers.scanobjectnn import is_scanobjectnn, read_scanobjectnn
from engine.tasks.saved import Saved
from engine.tasks.scans import Scans, read_scans
from engine.tasks.segment import Segmented, refuse_views, segment
from engine.tasks.segmenter import SeenScan

MOST_SEEDS = 100
STAGES = {
    "looking": (0.0, 0.1),
    "making voxels": (0.0, 0.2),
    "encoding": (0.2, 0.6),
    "fitting the head": (0.6, 0.7),
    "testing": (0.7, 1.0),
}
"""Shares of a probe that are behind when a stage begins, and when it ends."""
TUNED = {
    "looking": (0.0, 0.04),
    "making voxels": (0.0, 0.05),
    "encoding": (0.05, 0.12),
    "fitting the head": (0.12, 0.15),
    "testing": (0.9, 1.0),
}
"""Likewise when all of it learns: what is left is the learning."""

Found = TypeVar("Found", Outcome, Segmented)


@dataclass
class Learning:
    """What a job has read and learnt so far, kept to be asked about.

    Attributes:
        id: of the request.
        data: what was read.
        tested: places among the data's shapes or scans of what is measured on.
        paths: the file of each; None where no capture can be opened from it.
        said: of each init and seed the classes (P,) of the points of each test scan.
        head: what was learnt first, and what it was.
    """

    id: int
    data: Labelled | Scans
    tested: NDArray[np.int64]
    paths: tuple[Path | None, ...]
    said: dict[tuple[str, int], tuple[NDArray[np.int16], ...]] = field(default_factory=dict)
    head: tuple[Saved, HeadReady] | None = None

    @property
    def kind(self) -> TaskKind:
        """What it is for."""
        return "classify" if isinstance(self.data, Labelled) else "segment"


def learn(
    request: LearnTask, device: torch.device, cache: Path, seed: int, keep: Callable[[Learning], None]
) -> Replies[None]:
    """See ``LearnTask``. A run that was stopped goes on where it was when the same is asked for again.

    Args:
        request: what to learn.
        device: where.
        cache: folder of what was read and of states.
        seed: the first.
        keep: takes what is read, as soon as there is something to ask about, and what is learnt with it.

    Raises:
        CondenseError: the data, a file of weights, or the request is not what it should be.
    """
    start = time.perf_counter()
    labels = _checked(request)
    learning, read = yield from _read(request, cache)
    keep(learning)
    yield read
    total = len(request.inits) * request.seeds
    learn_one: Callable[[Run], Job[Outcome | Segmented]]
    if isinstance(learning.data, Labelled):
        learn_one = partial(_classified, learning.data, device, cache, Remembered())
    else:
        seen: list[SeenScan] = []
        for scan in learning.data.scans:
            seen.append(SeenScan.of(scan))
            yield None
        learn_one = partial(_segmented, learning.data, seen, device, cache)
    begun = time.perf_counter()
    for n, (init, draw) in enumerate((i, seed + s) for i in request.inits for s in range(request.seeds)):
        run = Run(init, request.mode, labels, draw, request.steps)
        found = yield from _followed(request, learn_one(run), run, n, total, begun)
        if learning.head is None:
            learning.head = _head(request, learning, found)
            yield learning.head[1]
        if isinstance(found, Segmented):
            learning.said[init, draw] = found.said
        yield TaskMeasured(
            id=request.id, init=init, seed=draw, accuracy=found.accuracy, miou=found.miou, iou=found.iou,
            confusion=_confusion(found), cases=_cases(learning, found), seconds=found.seconds,
        )  # fmt: skip
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start)


def _checked(request: LearnTask) -> Labels:
    if not 1 <= request.seeds <= MOST_SEEDS:
        raise QueryError("cannot draw so often", found=f"{request.seeds} seeds", expected=f"1 to {MOST_SEEDS}")
    if not request.inits or len(set(request.inits)) != len(request.inits):
        raise QueryError("there is nothing to start from", mend="choose at least one network, each once")
    if request.steps is not None and request.steps < 1:
        raise QueryError("cannot train so long", found=f"{request.steps} steps", expected="1 or more")
    if POINTNET in request.inits:
        refuse_probe(request.mode)
    return Labels.of(request.labels)


def _read(request: LearnTask, cache: Path) -> Replies[tuple[Learning, TaskRead]]:
    folder = Path(request.data).expanduser()
    yield None
    told = partial(_reading, request, time.perf_counter())
    if task_of(folder) == "classify":
        objects = yield from told(read_scanobjectnn(folder, "auto") if is_scanobjectnn(folder)
                                  else read_classes(folder, "auto", cache))  # fmt: skip
        tested = np.flatnonzero(objects.test)
        broken = {path for path, _ in objects.broken}
        if is_scanobjectnn(folder):
            files = [None] * len(objects.shapes)
        else:
            files = [i.path for i in list_items(folder)[1] if str(i.path) not in broken]
        paths = tuple(files[n] for n in tested)
        names = tuple(f"object {n}" if p is None else p.name for n, p in zip(tested, paths, strict=True))
        learning = Learning(request.id, objects, tested, tuple(p if _opens(p) else None for p in paths))
        what, left_out = "objects in class folders", ()
    else:
        refuse_views(request.inits)
        listing = list_scans(folder)
        yield None
        scans = yield from told(read_scans(folder, listing, cache))
        tested = np.flatnonzero(scans.test)
        names = tuple(scans.scans[n].name for n in tested)
        learning = Learning(request.id, scans, tested, (None,) * len(tested))
        what, left_out = listing.format, scans.left_out
    data, count = learning.data, len(learning.data.test)
    return learning, TaskRead(
        id=request.id, kind=learning.kind, format=what, names=data.names, train=count - len(tested), test=len(tested),
        broken=data.broken, left_out=left_out, tested=names,
    )  # fmt: skip


def _opens(path: Path | None) -> bool:
    """Whether it can be opened as a capture as it is."""
    return path is not None and path.suffix.lower() in SUFFIXES


Read = TypeVar("Read")


def _reading(request: LearnTask, start: float, job: Job[Read]) -> Replies[Read]:
    """A job that reads, told as progress of its own."""
    while True:
        try:
            at = next(job)
        except StopIteration as stop:
            return stop.value
        told = Progress(at.done, at.total, at.unit, "reading")
        yield progress_reply(request, told, time.perf_counter() - start)


def _classified(
    data: Labelled, device: torch.device, cache: Path, remembered: Remembered, run: Run
) -> Job[Outcome | Segmented]:
    return (yield from classify(data, run, device, cache, remembered))


def _segmented(
    data: Scans, seen: list[SeenScan], device: torch.device, cache: Path, run: Run
) -> Job[Outcome | Segmented]:
    return (yield from segment(data, seen, run, device, cache))


def _followed(request: LearnTask, job: Job[Found], run: Run, before: int, total: int, begun: float) -> Replies[Found]:
    """One run: how far all of them are, and the loss of each step."""
    share, step = 0.0, -1
    while True:
        try:
            at = next(job)
        except StopIteration as stop:
            return stop.value
        reply: Reply | None = None
        if isinstance(at, Step) and int(at.done) != step:
            step = int(at.done)
            if at.loss is not None:
                reply = TaskStep(
                    id=request.id, init=run.init, seed=run.seed, step=step, steps=int(at.total), loss=at.loss
                )
        share = max(share, _share(request, at))
        yield reply
        note = f"{Path(run.init).name}, seed {run.seed} ({before + 1} of {total}): {at.note or 'learning'}"
        done = 100 * (before + share) / total
        told = progress_reply(request, Progress(done, 100, "%", note), time.perf_counter() - begun)
        yield replace(told, rate=None)  # so many per cent a second tell nobody anything


def _share(request: LearnTask, at: Progress) -> float:
    """How much of a run is done."""
    part = at.done / at.total if at.total else 0.0
    if isinstance(at, Step):
        low, high = TUNED["fitting the head"][1], TUNED["testing"][0]
    else:
        low, high = (TUNED if request.mode == "finetune" else STAGES).get(at.note, (0.0, 0.0))
    return low + (high - low) * min(part, 1.0)


def _head(request: LearnTask, learning: Learning, found: Outcome | Segmented) -> tuple[Saved, HeadReady]:
    data, init = learning.data, request.inits[0]
    grain = data.grain if isinstance(data, Scans) else "object"
    ready = HeadReady(
        id=request.id, kind=learning.kind, names=data.names, colour=True,
        title=f"{Path(request.data).name}: {Path(init).name}, {request.mode}, {request.labels} of labels",
    )  # fmt: skip
    return Saved(found.network, data.names, grain), ready


def _confusion(found: Outcome | Segmented) -> NDArray[np.int64]:
    return found.confusion if isinstance(found, Outcome) else found.confusions.sum(axis=0)


def _cases(learning: Learning, found: Outcome | Segmented) -> Cases:
    data = learning.data
    if isinstance(found, Outcome):
        assert isinstance(data, Labelled)
        said = found.chances.argmax(axis=1)
        item, sure = np.arange(len(said)), found.chances.max(axis=1).astype(np.float32)
        return Cases(item, data.label[learning.tested].astype(np.int64), said, np.ones_like(item), sure)
    item, true, said = np.nonzero(found.confusions)
    at = (item, true, said)
    return Cases(item, true, said, found.confusions[at], found.sure[at])
