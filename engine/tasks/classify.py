"""One measurement: an initial encoder, some of the labels, a head on it, and how it does on the test objects."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress, aside, told_as
from engine.api.tasks import CONDENSE, POINTNET, SCRATCH, VIEWS
from engine.encoders.mobile import embedded_volume
from engine.encoders.volume import VolumeEncoder, load_volume_encoder
from engine.encoders.weights import tensors_id
from engine.runtime import without_gradient
from engine.storage import digest
from engine.tasks.classifier import ShapeClassifier, features
from engine.tasks.finetune import Rates, finetune
from engine.tasks.folders import Labelled
from engine.tasks.looks import looked_at
from engine.tasks.pointnet import PointNetClassifier
from engine.tasks.shapes import SIDE, Shape, ShapeVoxels

VIEWED, LEAST_VIEWS, MOST_VIEWS = 1000, 4, 8
"""The probe sees each training object several times, turned and squeezed, so that there are about so many."""
TURNS = 4
"""Views of an object over which what is said of it is averaged."""
BATCH, SMOOTHING = 12, 0.1
EPOCHS, LEAST_STEPS, MOST_STEPS = 12, 100, 2000
RATES = {
    CONDENSE: Rates(5e-4, 2e-4, 5e-4),
    VIEWS: Rates(5e-4, 2e-4, 1e-4),
    SCRATCH: Rates(2.5e-3, 1e-3, 1e-3),
    POINTNET: Rates(0, 0, 1e-3),
}
"""Of the first three, the best that was tried for each, by objects for validation that the encoder never saw."""
SLOWER = 5
"""A PointNet takes so many times the steps: they are less work, and it starts from nothing but noise."""


@dataclass(frozen=True)
class Labels:
    """How many training objects of each class keep their label: a ``share`` of them, or at most ``shots``."""

    share: float = 1.0
    shots: int | None = None

    @classmethod
    def of(cls, text: str) -> Labels:
        """From ``10%`` or ``5-shot``.

        Raises:
            QueryError: neither.
        """
        if match := re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%", text):
            share = float(match[1]) / 100
            if 0 < share <= 1:
                return cls(share)
        elif (match := re.fullmatch(r"(\d{1,6})-shot", text)) and int(match[1]) > 0:
            return cls(1.0, int(match[1]))
        raise QueryError("is no share of labels", found=f"--labels {text}", expected="such as 1%, 100% or 5-shot")

    def chosen(self, label: np.ndarray, among: np.ndarray, seed: int) -> np.ndarray:
        """Of the places ``among`` those that keep their label, at least one of each class, in order."""
        rng = np.random.default_rng([seed, 17])
        kept = []
        for k in np.unique(label[among]):
            of = rng.permutation(among[label[among] == k])
            count = max(1, round(self.share * len(of))) if self.shots is None else self.shots
            kept.append(of[:count])
        return np.sort(np.concatenate(kept))


@dataclass(frozen=True)
class Run:
    """What to measure: see ``engine.tasks.cli.TaskClassify``."""

    init: str
    mode: Literal["probe", "finetune"]
    labels: Labels
    seed: int
    steps: int | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """How it went.

    Attributes:
        network: that was learnt.
        accuracy: share of the test objects named rightly.
        miou: mean over the classes of the intersection over union of test objects said and true to be of it.
        iou: (K,) of each class.
        seconds: it took.
        confusion: (K, K) counts of true by said.
        chances: (T, K) of the classes of each test object, in the order of the data.
    """

    network: ShapeClassifier | PointNetClassifier
    accuracy: float
    miou: float
    iou: np.ndarray
    seconds: float
    confusion: np.ndarray
    chances: np.ndarray


def kind_of(init: str) -> str:
    """Which of ``RATES`` an initial network has: a file's are those of condense-s."""
    return init if init in (VIEWS, SCRATCH, POINTNET) else CONDENSE


def steps_for(init: str, objects: int) -> int:
    """Twelve epochs, but no fewer than 100 steps and no more than 2,000; of a PointNet five times as many."""
    steps = min(max(LEAST_STEPS, math.ceil(EPOCHS * objects / BATCH)), MOST_STEPS)
    return SLOWER * steps if init == POINTNET else steps


def initial(init: str, seed: int, device: torch.device) -> VolumeEncoder:
    """The encoder to start from.

    Raises:
        WeightsError: no such file, or not a 3D encoder's.
    """
    if init == SCRATCH:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return VolumeEncoder(embedded_volume(torch.device("cpu")).config).eval().to(device)
    return embedded_volume(device) if init in (CONDENSE, VIEWS) else load_volume_encoder(Path(init)).to(device)


class Remembered:
    """What an encoder said of objects, for the next run that asks the same one the same: a head with views beside it
    asks what one without has asked. The newest answer to each of the last ``QUESTIONS`` is kept."""

    QUESTIONS = 12

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, Tensor]] = {}

    def features(self, question: str, encoder: VolumeEncoder, key: str, shapes: Sequence[ShapeVoxels]) -> Job[Tensor]:
        """``features`` of objects that ``key`` stands for."""
        key = f"{key} {tensors_id(encoder.state_dict())}"
        kept = self._kept.get(question)
        if kept is None or kept[0] != key:
            kept = key, (yield from features(encoder, shapes))
            self._kept.pop(question, None)
            self._kept[question] = kept
            if len(self._kept) > self.QUESTIONS:
                self._kept.pop(next(iter(self._kept)))
        return kept[1]


def classify(
    data: Labelled, run: Run, device: torch.device, cache: Path, remembered: Remembered | None = None
) -> Job[Outcome]:
    """Learn and measure; a fine-tuning that was stopped goes on from its state in ``cache``.

    Args:
        data: objects.
        run: what to measure.
        device: where.
        cache: folder of states and of what objects look like.
        remembered: by the runs before.

    Raises:
        WeightsError: ``run.init`` is no file of a 3D encoder.
        QueryError: a PointNet is to be probed.
        CacheError: ``cache`` cannot be written.
    """
    start = time.perf_counter()
    network = classifier_of(run, len(data.names), device)
    chosen = run.labels.chosen(data.label, np.flatnonzero(~data.test), run.seed)
    seen: Sequence[Shape] = data.shapes
    if isinstance(network, ShapeClassifier) and network.looks:
        seen = yield from looked_at(seen, device, data.key, cache)
    shapes, label = [seen[n] for n in chosen], data.label[chosen]
    remembered = remembered or Remembered()
    if isinstance(network, ShapeClassifier):
        yield from _probe(network, shapes, label, run.seed, remembered)
    if run.mode == "finetune":
        steps, rates = run.steps or steps_for(run.init, len(chosen)), RATES[kind_of(run.init)]
        drawn = [str(x) for x in (chosen.tolist(), run.seed, steps, SIDE, BATCH, rates)]
        about = [data.key, tensors_id(network.state_dict()), *drawn]
        state = cache / "tasks" / f"state-{digest(json.dumps(about))}.safetensors"
        yield from finetune(network, _loss(network, shapes, label), rates, steps, run.seed, state)
    tested = np.flatnonzero(data.test)
    said = yield from predicted(network, [seen[n] for n in tested], remembered)
    k = len(data.names)
    confusion = np.bincount(data.label[tested] * k + said.argmax(axis=1), minlength=k * k).reshape(k, k)
    iou = iou_of(confusion)
    accuracy = float(np.diag(confusion).sum() / len(tested))
    return Outcome(network, accuracy, float(iou.mean()), iou, time.perf_counter() - start, confusion, said)


def iou_of(confusion: np.ndarray) -> np.ndarray:
    """(K,) intersection over union of each class, of (K, K) counts of true by said; 0 of a class that is nowhere."""
    hits = np.diag(confusion)
    return hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1) - hits, 1)


def classifier_of(run: Run, classes: int, device: torch.device) -> ShapeClassifier | PointNetClassifier:
    """The network to start from.

    Raises:
        WeightsError: see ``initial``.
        QueryError: a PointNet is to be probed.
    """
    if run.init != POINTNET:
        encoder = initial(run.init, run.seed, device)
        return ShapeClassifier(encoder, classes, looks=run.init == VIEWS).to(device).requires_grad_(False)
    refuse_probe(run.mode)
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        return PointNetClassifier(classes).to(device)


def refuse_probe(mode: str) -> None:
    """Say that a PointNet knows nothing to be probed.

    Raises:
        QueryError: it is to be.
    """
    if mode == "probe":
        found, mend = "--init pointnet --mode probe", "give --mode finetune: it learns as a whole"
        raise QueryError("a PointNet from scratch knows nothing to be probed", found=found, mend=mend)


def predicted(
    network: ShapeClassifier | PointNetClassifier, shapes: Sequence[Shape], remembered: Remembered | None = None
) -> Job[np.ndarray]:
    """(N, K) chances of the classes of each object: the mean over ``TURNS`` views of it, the first as it is.

    Args:
        network: to be asked.
        shapes: objects.
        remembered: by those that asked before; None: nothing is.
    """
    remembered = remembered or Remembered()
    if isinstance(network, ShapeClassifier) and network.looks:
        shapes = yield from looked_at(shapes, next(network.parameters()).device)
    positions, total = _positions(shapes), 0.0
    for turn in range(TURNS):
        rng = np.random.default_rng([31, turn]) if turn else None
        logits: list[Tensor] = []
        seen: list[Any] = []
        for first in range(0, len(shapes), BATCH):
            batch = yield from _seen(network, shapes[first : first + BATCH], rng)
            if isinstance(network, PointNetClassifier):
                logits.append((yield from without_gradient(network.logits(batch))))
            else:
                seen += batch
            yield Progress(turn * len(shapes) + first, TURNS * len(shapes), "shapes", "testing")
        if isinstance(network, ShapeClassifier):
            told = Progress((turn + 1) * len(shapes), TURNS * len(shapes), "shapes", "testing")
            asking = remembered.features(f"test {turn}", network.encoder, positions, seen)
            with torch.no_grad():
                logits.append(network.top(network.beside((yield from told_as(asking, told)), seen)))
        total = total + torch.cat(logits).softmax(dim=1).cpu().numpy()
    return total / TURNS


def _loss(
    network: ShapeClassifier | PointNetClassifier, shapes: Sequence[Shape], label: np.ndarray
) -> Callable[[np.random.Generator], Job[Tensor]]:
    device = next(network.parameters()).device

    def loss(rng: np.random.Generator) -> Job[Tensor]:
        chosen = _balanced(label, rng)
        logits = yield from network.logits((yield from _seen(network, [shapes[n] for n in chosen], rng)))
        said = torch.from_numpy(label[chosen]).to(device)
        return F.cross_entropy(logits, said, label_smoothing=SMOOTHING)

    return loss


def _seen(
    network: ShapeClassifier | PointNetClassifier, shapes: Sequence[Shape], rng: np.random.Generator | None
) -> Job[list[Any]]:
    """What the network sees of each."""
    out: list[Any] = []
    for shape in shapes:
        out.append(network.see(shape, rng))
        yield Progress(0, 0, "shapes")
    return out


def _balanced(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places of a batch's objects: classes first, so that rare ones are seen as often, then one of each."""
    classes = rng.permutation(np.unique(label))
    classes = np.resize(classes, BATCH) if len(classes) < BATCH else classes[:BATCH]
    return np.array([rng.choice(np.flatnonzero(label == c)) for c in classes])


def _positions(shapes: Sequence[Shape]) -> str:
    """A key of objects."""
    return digest(*(part.tobytes() for s in shapes for part in (s.pos, s.rgb)))


def _probe(
    network: ShapeClassifier, shapes: list[Shape], label: np.ndarray, seed: int, remembered: Remembered
) -> Job[None]:
    """Give ``network`` the head of a linear probe on its features of these objects, seen as they are and turned."""
    views = min(MOST_VIEWS, max(LEAST_VIEWS, VIEWED // len(shapes)))
    seen: list[ShapeVoxels] = []
    for view in range(views):
        rng = np.random.default_rng([seed, 29, view])
        for shape in shapes:
            seen.append(network.see(shape, rng if view else None))
            yield Progress(len(seen), views * len(shapes), "shapes", "making voxels")
    key = f"{views} {_positions(shapes)}"
    found = network.beside((yield from remembered.features(f"train {seed}", network.encoder, key, seen)), seen)
    of, weight = np.tile(label, views), np.ones(network.top.head.out_features)
    told = Progress(len(seen), len(seen), "shapes", "fitting the head")
    yield from aside(lambda: network.top.probe(found, of, weight), told)
