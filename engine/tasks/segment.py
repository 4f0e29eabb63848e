"""One measurement of segmentation: an initial network, some of the labels, and how it does on the test scans."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress, aside
from engine.api.tasks import CONDENSE, POINTNET, SCRATCH, VIEWS
from engine.encoders.weights import tensors_id
from engine.runtime import without_gradient
from engine.storage import digest
from engine.tasks.classifier import BATCH_VOXELS
from engine.tasks.classify import SLOWER, Run, initial, iou_of, kind_of, refuse_probe
from engine.tasks.finetune import Rates, finetune
from engine.tasks.pointnet import PointNetSegmenter
from engine.tasks.scans import NONE, Grain, Scans
from engine.tasks.segmenter import SeenScan, VoxelSegmenter

PROBED, MOST_VIEWS = 20_000, 2
"""Voxels that the probe is fitted to; where fewer have labels they are seen up to so many times, turned."""
TURNS = 2
"""Quarter turns of a scan over which what is said of it is averaged."""
BALANCE = 0.5
"""A class counts by this power of how many voxels have it."""
LEAST_STEPS, MOST_STEPS, EPOCHS = 100, 2000, 3
RATES = {
    CONDENSE: Rates(2.5e-3, 1e-3, 1e-3),
    SCRATCH: Rates(2.5e-3, 1e-3, 1e-3),
    POINTNET: Rates(0, 0, 2e-3),
}
"""Of the encoders as in the naming network's training, not tuned."""

Segmenter = VoxelSegmenter | PointNetSegmenter


@dataclass(frozen=True, eq=False)
class Segmented:
    """How it went.

    Attributes:
        network: that was learnt.
        accuracy: share of the test scans' labelled points named rightly.
        miou: mean over the classes of their intersection over union, of all test scans' points together.
        iou: (K,) of each class.
        seconds: it took.
        confusions: (T, K, K) counts of true by said of each test scan, in the order of the data.
        sure: (T, K, K) the mean chance of what was said there, 0 where nothing was.
        said: (P,) of the points of each test scan.
    """

    network: Segmenter
    accuracy: float
    miou: float
    iou: NDArray[np.float64]
    seconds: float
    confusions: NDArray[np.int64]
    sure: NDArray[np.float32]
    said: tuple[NDArray[np.int16], ...]


def segment(data: Scans, seen: Sequence[SeenScan], run: Run, device: torch.device, cache: Path) -> Job[Segmented]:
    """Learn and measure; a fine-tuning that was stopped goes on from its state in ``cache``.

    Args:
        data: the scans.
        seen: their voxels.
        run: what to measure; its labels are of points, of all training scans together.
        device: where to learn.
        cache: folder for states.

    Raises:
        WeightsError: ``run.init`` is no file of a 3D encoder.
        QueryError: a PointNet is to be probed.
        CacheError: ``cache`` cannot be written.
    """
    start = time.perf_counter()
    classes = len(data.names)
    network = segmenter_of(run, classes, data.grain, device)
    kept = _kept_labels(data, run)
    given = {n: seen[n].labels(label, classes) for n, label in kept.items()}
    counts = np.sum([np.bincount(g[g != NONE], minlength=classes) for g in given.values()], axis=0)
    if isinstance(network, VoxelSegmenter):
        yield from _probe(network, seen, given, counts**BALANCE, run.seed)
    if run.mode == "finetune":
        steps = run.steps or _steps_for(run.init, [len(seen[n].index) for n in given])
        rates = RATES[kind_of(run.init)]
        shares = [digest(g.tobytes()) for g in given.values()]
        about = [data.key, tensors_id(network.state_dict()), *shares, str(run.seed), str(steps), str(rates)]
        state = cache / "tasks" / f"state-{digest(json.dumps(about))}.safetensors"
        weight = torch.from_numpy(np.maximum(counts, 1) ** (BALANCE - 1)).float().to(device)
        loss_of = _loss(network, seen, given, weight, device)
        yield from finetune(network, loss_of, rates, steps, run.seed, state)
    confusions: list[np.ndarray] = []
    sure: list[np.ndarray] = []
    every: list[NDArray[np.int16]] = []
    tested = np.flatnonzero(data.test)
    for done, n in enumerate(tested):
        yield Progress(done, len(tested), "scans", "testing")
        chances = yield from chances_of(network, seen[n])
        label, said = data.scans[n].label, chances.argmax(axis=1)[seen[n].row]
        best = chances.max(axis=1)[seen[n].row]
        known = label != NONE
        both = label[known].astype(np.int64) * classes + said[known]
        count = np.bincount(both, minlength=classes * classes)
        total = np.bincount(both, best[known], minlength=classes * classes)
        confusions.append(count.reshape(classes, classes))
        sure.append((total / np.maximum(count, 1)).reshape(classes, classes))
        every.append(said.astype(np.int16))
    confusion = np.sum(confusions, axis=0)
    iou = iou_of(confusion)
    accuracy = float(np.diag(confusion).sum() / confusion.sum())
    seconds, by_scan = time.perf_counter() - start, np.stack(confusions)
    mean_sure = np.stack(sure).astype(np.float32)
    return Segmented(network, accuracy, float(iou.mean()), iou, seconds, by_scan, mean_sure, tuple(every))


def refuse_views(inits: Sequence[str]) -> None:
    """Say that scans are not drawn.

    Raises:
        QueryError: they are to be.
    """
    if VIEWS in inits:
        mend = f"start from {CONDENSE}"
        raise QueryError("only whole objects are drawn, not scans", found=VIEWS, mend=mend)


def segmenter_of(run: Run, classes: int, grain: Grain, device: torch.device) -> Segmenter:
    """The network to start from.

    Raises:
        WeightsError: no such file, or not a 3D encoder's.
        QueryError: a PointNet is to be probed, or views of a whole scan are to be drawn.
    """
    refuse_views((run.init,))
    if run.init != POINTNET:
        return VoxelSegmenter(initial(run.init, run.seed, device), classes).to(device).requires_grad_(False)
    refuse_probe(run.mode)
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        return PointNetSegmenter(classes, grain).to(device)


def chances_of(network: Segmenter, scan: SeenScan) -> Job[NDArray[np.float32]]:
    """(V, K) chances of the classes at each voxel: the mean over ``TURNS`` quarter turns."""
    total = np.zeros(0, np.float32)
    for turn in range(TURNS):
        logits = yield from without_gradient(network.logits([scan.turned(turn=turn)]))
        total = total + logits.softmax(dim=1).cpu().numpy() if turn else logits.softmax(dim=1).cpu().numpy()
    return total / TURNS


def _kept_labels(data: Scans, run: Run) -> dict[int, NDArray[np.int16]]:
    """Of the training scans that keep any, by place: labels (P,) of the points that keep theirs, ``NONE`` of others."""
    train = np.flatnonzero(~data.test)
    whole = np.concatenate([data.scans[n].label for n in train])
    kept = np.full_like(whole, NONE)
    chosen = run.labels.chosen(whole, np.flatnonzero(whole != NONE), run.seed)
    kept[chosen] = whole[chosen]
    ends = np.cumsum([len(data.scans[n].label) for n in train])
    parts = {int(n): part for n, part in zip(train, np.split(kept, ends[:-1]), strict=True)}
    return {n: part for n, part in parts.items() if (part != NONE).any()}


def _probe(
    network: VoxelSegmenter,
    seen: Sequence[SeenScan],
    given: dict[int, NDArray[np.int64]],
    weight: NDArray[np.float64],
    seed: int,
) -> Job[None]:
    """Give ``network`` the head of a linear probe on its features of the labelled voxels, or of some of each class and
    scan where there are too many."""
    classes = len(weight)
    known = sum(int((g != NONE).sum()) for g in given.values())
    views = min(MOST_VIEWS, max(1, PROBED // known))
    most = max(1, PROBED // (len(given) * views * 4))  # a scan has few of the classes
    rows: list[Tensor] = []
    labels: list[np.ndarray] = []
    for view in range(views):
        for done, (n, label) in enumerate(given.items()):
            rng = np.random.default_rng([seed, 29, view, n])
            some = np.concatenate([rng.permutation(np.flatnonzero(label == k))[:most] for k in range(classes)])
            found = yield from without_gradient(network.features([seen[n].turned(rng if view else None)]))
            rows.append(found[torch.from_numpy(some).to(found.device)])
            labels.append(label[some])
            yield Progress(view * len(given) + done, views * len(given), "scans", "encoding")
    told = Progress(views * len(given), views * len(given), "scans", "fitting the head")
    yield from aside(lambda: network.top.probe(torch.cat(rows), np.concatenate(labels), weight), told)


def _loss(
    network: Segmenter,
    seen: Sequence[SeenScan],
    given: dict[int, NDArray[np.int64]],
    weight: Tensor,
    device: torch.device,
) -> Callable[[np.random.Generator], Job[Tensor]]:
    """Cross-entropy of the labelled voxels of some scans, rare classes weighted up."""
    places = list(given)

    def loss(rng: np.random.Generator) -> Job[Tensor]:
        chosen: list[int] = []
        while not chosen or sum(len(seen[n].index) for n in chosen) < BATCH_VOXELS // 2:
            chosen.append(int(rng.choice(places)))
        logits = yield from network.logits([seen[n].turned(rng) for n in chosen])
        said = torch.from_numpy(np.concatenate([given[n] for n in chosen])).to(device)
        return F.cross_entropy(logits, said, weight, ignore_index=NONE)

    return loss


def _steps_for(init: str, voxels: Sequence[int]) -> int:
    """Three epochs, but no fewer than 100 steps and no more than 2,000; of a PointNet five times as many."""
    steps = min(max(LEAST_STEPS, EPOCHS * sum(voxels) // BATCH_VOXELS), MOST_STEPS)
    return SLOWER * steps if init == POINTNET else steps
