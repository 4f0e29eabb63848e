"""What the window and the engine say of tasks: heads learnt on labels of the user's own, and how well they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.replies import Reply
from engine.api.requests import Priority, Request
from engine.api.scene import Float32

TaskKind = Literal["classify", "segment"]
Mode = Literal["probe", "finetune"]
VIEWS, CONDENSE, SCRATCH, POINTNET = "condense-s+views", "condense-s", "scratch", "pointnet"
"""Networks to start from; a path means weights of a 3D encoder. ``VIEWS``: objects are drawn, too, and what the image
classifier sees in the pictures stands beside what the 3D encoder says."""
Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TaskRequest(Request):
    """Base of these requests. They go on when another capture is opened."""

    priority: ClassVar[Priority] = Priority.CLICK
    outlives: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class LearnTask(TaskRequest):
    """Learn from labelled objects or scans in folder ``data``, with every init and seed, and measure: JobProgress,
    TaskRead, TaskStep while all of it learns, TaskMeasured after each, HeadReady for the first, JobFinished.

    Attributes:
        data: class folders, or labelled scans in ``train`` and ``test``: see the command ``task``.
        inits: networks to start from, in this order.
        mode: learn a linear head alone, or the encoder too.
        labels: of each class's training objects or points, such as 10% or 5-shot.
        seeds: how often everything random is drawn anew.
        steps: of fine-tuning; None: by how much there is to learn from.
    """

    priority: ClassVar[Priority] = Priority.JOB
    title: ClassVar[str] = "Learning a task"
    data: str
    inits: tuple[str, ...] = (CONDENSE, SCRATCH)
    mode: Mode = "probe"
    labels: str = "100%"
    seeds: int = 3
    steps: int | None = None


@dataclass(frozen=True, kw_only=True)
class ShowCase(TaskRequest):
    """Where can what was tested be opened as a capture? CaseFile: the object's own file or, of a scan and of what no
    capture can be, points that the engine writes, those that are ``true`` and were said to be ``said`` in red.

    ``learning``: id of the LearnTask; ``init``, ``seed``: which of its runs; ``item``: place in TaskRead's ``tested``.
    """

    learning: int
    init: str
    seed: int
    item: int
    true: int
    said: int


@dataclass(frozen=True, kw_only=True)
class SaveHead(TaskRequest):
    """Write the head in hand to a file: answered by Notice."""

    path: str


@dataclass(frozen=True, kw_only=True)
class LoadHead(TaskRequest):
    """Take a saved head in hand: answered by HeadReady."""

    path: str


@dataclass(frozen=True, kw_only=True)
class NameCapture(TaskRequest):
    """Name every voxel of the open capture with the head in hand: JobProgress, CaptureNamed, JobFinished."""

    priority: ClassVar[Priority] = Priority.JOB
    outlives: ClassVar[bool] = False
    title: ClassVar[str] = "Naming the scene by the head"


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskRead(Reply):
    """What was read.

    Attributes:
        kind: whether objects are classified or points segmented.
        format: of the data, as the user is told.
        names: of the K classes.
        train, test: how many objects or scans.
        broken: files that could not be read, with why.
        left_out: names that are no class, for too few scans have them.
        tested: names of what is measured on.
    """

    kind: TaskKind
    format: str
    names: tuple[str, ...]
    train: int
    test: int
    broken: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    tested: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskStep(Reply):
    """``step`` of ``steps`` of a fine-tuning are done; ``loss``: of the last, on the batch it learnt from."""

    init: str
    seed: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, eq=False)
class Cases:
    """What was said of what was tested, C cases: an object each, or all points of a scan that are of one class and were
    said to be of one.

    Attributes:
        item: (C,) places in TaskRead's ``tested``.
        true, said: (C,) places in its ``names``.
        count: (C,) objects, which is 1, or points.
        sure: (C,) chance in [0, 1] of what was said, of points the mean.
    """

    item: Int64
    true: Int64
    said: Int64
    count: Int64
    sure: Float32


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskMeasured(Reply):
    """One init and seed on what is kept for testing.

    Attributes:
        accuracy: share of the objects or points named rightly.
        miou: mean over the classes of ``iou``.
        iou: (K,) intersection over union of each class.
        confusion: (K, K) counts of true by said.
        cases: that make it up.
        seconds: it took.
    """

    init: str
    seed: int
    accuracy: float
    miou: float
    iou: Float64
    confusion: Int64
    cases: Cases
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False)
class HeadReady(Reply):
    """A head is in hand, called ``title``; ``kind``: what it is for; ``names``: its classes; ``colour``: whether it
    looks at colours."""

    title: str
    kind: TaskKind
    names: tuple[str, ...]
    colour: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class CaseFile(Reply):
    """What was tested can be opened at ``path``."""

    path: str


@dataclass(frozen=True, kw_only=True, eq=False)
class CaptureNamed(Reply):
    """What the head says of the V voxels of volume ``version``.

    Attributes:
        names: of the K classes.
        colours: of the classes, RGB.
        label: (V,) places in ``names``.
        sure: (V,) chance in [0, 1] of what is said.
    """

    version: int
    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    label: Int64
    sure: Float32
