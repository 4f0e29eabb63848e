"""``condense task …``: from arguments to the object that ``--json`` prints."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from engine.api.errors import QueryError
from engine.api.jobs import Job
from engine.captures.geometry import GREY
from engine.driving import run_job
from engine.runtime import resolve_device, set_threads
from engine.storage import default_cache_dir
from engine.tasks.classify import (
    CONDENSE,
    POINTNET,
    SCRATCH,
    VIEWS,
    Labels,
    Outcome,
    Remembered,
    Run,
    classify,
    refuse_probe,
)
from engine.tasks.cli import Learnt, TaskClassify, TaskPredict, TaskSegment
from engine.tasks.folders import read_classes
from engine.tasks.predicting import predict, predict_objects
from engine.tasks.readers.detect import list_scans
from engine.tasks.readers.scanobjectnn import is_scanobjectnn, read_scanobjectnn
from engine.tasks.saved import Saved, save_head
from engine.tasks.scans import read_scans
from engine.tasks.segment import Segmented, segment
from engine.tasks.segmenter import SeenScan

MOST_SEEDS = 100
SHOWN = 5
"""Broken files that are named."""

Found = TypeVar("Found", Outcome, Segmented)


class Measured(NamedTuple):
    """``rows``: of every init and seed, and means; ``ious``: of each init the mean over the seeds, (K,);
    ``first``: what was learnt first."""

    rows: list[dict[str, Any]]
    ious: dict[str, np.ndarray]
    first: Outcome | Segmented


def run(command: TaskClassify | TaskSegment | TaskPredict) -> dict[str, Any]:
    """Run one of these commands.

    Raises:
        CondenseError: the data, the weights, or an argument is not what it should be.
    """
    set_threads(command.threads)
    if isinstance(command, TaskPredict):
        return {"rows": predict(command)}
    if not 1 <= command.seeds <= MOST_SEEDS:
        raise QueryError("cannot draw so often", found=f"--seeds {command.seeds}", expected=f"1 to {MOST_SEEDS}")
    if command.steps is not None and command.steps < 1:
        raise QueryError("cannot train so long", found=f"--steps {command.steps}", expected="1 or more")
    if command.init == POINTNET:
        refuse_probe(command.mode)
    device = resolve_device(command.device)
    cache = command.cache or default_cache_dir()
    return _classify(command, device, cache) if isinstance(command, TaskClassify) else _segment(command, device, cache)


def _classify(command: TaskClassify, device: torch.device, cache: Path) -> dict[str, Any]:
    labels = Labels.of(command.labels)
    if is_scanobjectnn(command.data):
        reading = read_scanobjectnn(command.data, command.up)
    else:
        reading = read_classes(command.data, command.up, cache)
    data = run_job("Reading objects", reading)
    tell_broken(data.broken)
    remembered = Remembered()
    found = _measure(command, labels, "classify", lambda asked: classify(data, asked, device, cache, remembered))
    saved = Saved(found.first.network, data.names)
    _save(command, saved, {"up": command.up})
    named = predict_objects(saved, command.predict, command.up, command.device) if command.predict else []
    return {
        "rows": found.rows,
        "classes": list(data.names),
        "train": int((~data.test).sum()),
        "test": int(data.test.sum()),
        "broken": len(data.broken),
        "predicted": named,
        "file": None if command.save is None else str(command.save),
    }


def _segment(command: TaskSegment, device: torch.device, cache: Path) -> dict[str, Any]:
    labels = Labels.of(command.labels)
    data = run_job("Reading scans", read_scans(command.data, list_scans(command.data), cache))
    tell_broken(data.broken)
    if data.left_out:
        few = ", ".join(data.left_out[:SHOWN])
        print(f"{len(data.left_out)} names are no class, for too few scans have them: {few} …", file=sys.stderr)
    if command.colour == "off":
        grey = tuple(replace(s, rgb=np.full_like(s.rgb, GREY)) for s in data.scans)
        data = replace(data, scans=grey, key=f"{data.key} grey")
    seen = [SeenScan.of(s) for s in data.scans]
    found = _measure(command, labels, "segment", lambda asked: segment(data, seen, asked, device, cache))
    _save(command, Saved(found.first.network, data.names, data.grain, command.colour == "on"), {})
    return {
        "rows": found.rows,
        "classes": [
            {"class": name, **{init: round(float(iou[k]), 4) for init, iou in found.ious.items()}}
            for k, name in enumerate(data.names)
        ],
        "left_out": list(data.left_out),
        "train": int((~data.test).sum()),
        "test": int(data.test.sum()),
        "broken": len(data.broken),
        "file": None if command.save is None else str(command.save),
    }


def _measure(
    command: TaskClassify | TaskSegment, labels: Labels, task: str, learn: Callable[[Run], Job[Found]]
) -> Measured:
    """Every init and seed: a row each, then mean and deviation of each init."""
    views = (VIEWS,) if task == "classify" else ()
    whole = (POINTNET,) if command.mode == "finetune" else ()
    beside = (*views, CONDENSE, SCRATCH, *whole)
    inits = beside if command.init is None else (command.init,)
    rows: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    ious: dict[str, np.ndarray] = {}
    first: Found | None = None
    for init in inits:
        found: list[Found] = []
        name = init if init in (VIEWS, CONDENSE, SCRATCH, POINTNET) else Path(init).name
        about = {"task": task, "init": name, "mode": command.mode, "labels": command.labels}
        for seed in range(command.seed, command.seed + command.seeds):
            outcome = run_job(f"{init}, seed {seed}", learn(Run(init, command.mode, labels, seed, command.steps)))
            first = first or outcome
            found.append(outcome)
            rows.append(about | {"seed": seed} | _figures([outcome]))
            told = f"accuracy {outcome.accuracy:.3f}, mIoU {outcome.miou:.3f}, {outcome.seconds:.0f} s"
            print(f"{init}, seed {seed}: {told}", file=sys.stderr)
        means.append(about | {"seed": "mean"} | _figures(found))
        ious[name] = np.mean([o.iou for o in found], axis=0)
    assert first is not None
    return Measured(rows + means, ious, first)


def _figures(found: Sequence[Outcome | Segmented]) -> dict[str, Any]:
    """Means over the seeds and, of several, their deviations."""
    out: dict[str, Any] = {}
    for name in ("accuracy", "miou"):
        values = np.array([getattr(o, name) for o in found])
        out[name] = round(float(values.mean()), 4)
        out[f"{name}_deviation"] = round(float(values.std(ddof=1)), 4) if len(values) > 1 else None
    return out


def _save(command: Learnt, saved: Saved, about: dict[str, Any]) -> None:
    if command.save is not None:
        init = command.init or (CONDENSE if saved.segments else VIEWS)
        about |= {"init": init, "mode": command.mode, "seed": command.seed}
        save_head(command.save, saved, about)


def tell_broken(broken: Sequence[tuple[str, str]]) -> None:
    """Say on stderr what was passed over, the first of it."""
    if broken:
        print(f"warning: {len(broken)} files could not be read and are passed over", file=sys.stderr)
        for path, why in broken[:SHOWN]:
            print(f"  {path}: {why}", file=sys.stderr)
