"""One measurement: an initial encoder, some of the labels, a head on it, and how it does on the test objects."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress
from engine.encoders.mobile import embedded_volume
from engine.encoders.volume import VolumeEncoder, load_volume_encoder
from engine.encoders.weights import tensors_id
from engine.runtime import without_gradient
from engine.storage import digest
from engine.tasks.classifier import ShapeClassifier, batches, features
from engine.tasks.finetune import finetune, steps_for
from engine.tasks.folders import Labelled
from engine.tasks.probe import fit_logistic
from engine.tasks.shapes import SIDE, Shape, voxels_of

CONDENSE, SCRATCH = "condense-s", "scratch"
VIEWED = 400
"""The probe sees each training object several times, turned and squeezed, so that there are about so many."""
MOST_VIEWS = 8


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
        confusion: (K, K) counts of test objects, true class by said class.
        seconds: it took.
    """

    network: ShapeClassifier
    accuracy: float
    miou: float
    confusion: np.ndarray
    seconds: float


def initial(init: str, seed: int, device: torch.device) -> VolumeEncoder:
    """The encoder to start from.

    Raises:
        WeightsError: no such file, or not a 3D encoder's.
    """
    if init == SCRATCH:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return VolumeEncoder(embedded_volume(torch.device("cpu")).config).eval().to(device)
    return embedded_volume(device) if init == CONDENSE else load_volume_encoder(Path(init)).to(device)


def classify(data: Labelled, run: Run, device: torch.device, cache: Path) -> Job[Outcome]:
    """Learn and measure; a fine-tuning that was stopped goes on from its state in ``cache``.

    Raises:
        WeightsError: ``run.init`` is no file of a 3D encoder.
        CacheError: ``cache`` cannot be written.
    """
    start = time.perf_counter()
    network = ShapeClassifier(initial(run.init, run.seed, device), len(data.names)).to(device)
    chosen = run.labels.chosen(data.label, np.flatnonzero(~data.test), run.seed)
    shapes = [data.shapes[n] for n in chosen]
    yield from _probe(network, shapes, data.label[chosen], run.seed)
    if run.mode == "finetune":
        steps = run.steps or steps_for(len(chosen))
        about = [data.key, tensors_id(network.state_dict()), str(chosen.tolist()), str(run.seed), str(steps), str(SIDE)]
        state = cache / "tasks" / f"state-{digest(json.dumps(about))}.safetensors"
        network.requires_grad_(True)
        yield from finetune(network, shapes, data.label[chosen], steps, run.seed, state)
        network.requires_grad_(False)
        state.unlink(missing_ok=True)
    tested = np.flatnonzero(data.test)
    said = yield from predicted(network, [data.shapes[n] for n in tested])
    k = len(data.names)
    confusion = np.bincount(data.label[tested] * k + said, minlength=k * k).reshape(k, k)
    hits = np.diag(confusion)
    iou = hits / (confusion.sum(axis=0) + confusion.sum(axis=1) - hits)
    return Outcome(network, hits.sum() / len(tested), float(iou.mean()), confusion, time.perf_counter() - start)


def predicted(network: ShapeClassifier, shapes: list[Shape]) -> Job[np.ndarray]:
    """(N,) the likeliest class of each object."""
    out: list[int] = []
    for batch in batches([voxels_of(s) for s in shapes]):
        logits = yield from without_gradient(network.logits(batch))
        out += logits.argmax(dim=1).tolist()
        yield Progress(len(out), len(shapes), "shapes", "testing")
    return np.array(out)


def _probe(network: ShapeClassifier, shapes: list[Shape], label: np.ndarray, seed: int) -> Job[None]:
    """Give ``network`` the head of a linear probe on its features of these objects, seen as they are and turned."""
    views = min(MOST_VIEWS, max(1, VIEWED // len(shapes)))
    seen = []
    for view in range(views):
        rng = np.random.default_rng([seed, 29, view])
        for n, shape in enumerate(shapes):
            seen.append(voxels_of(shape, rng if view else None))
            if n % 16 == 0:
                yield Progress(len(seen), views * len(shapes), "shapes", "making voxels")
    found = yield from features(network.encoder, seen)
    network.standardise(found)
    x = ((found - network.mean) / network.spread).double().cpu().numpy()
    yield Progress(len(seen), len(seen), "shapes", "fitting the head")
    weight, bias = fit_logistic(x, np.tile(label, views), network.head.out_features)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias))
