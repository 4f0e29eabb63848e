"""``condense task …``: from arguments to the object that ``--json`` prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.api.errors import CaptureError, QueryError
from engine.api.jobs import finish
from engine.driving import run_job
from engine.runtime import resolve_device, set_threads
from engine.storage import default_cache_dir
from engine.tasks import Up
from engine.tasks.classify import CONDENSE, SCRATCH, Labels, Outcome, Run, classify
from engine.tasks.cli import TaskClassify, TaskPredict
from engine.tasks.folders import Labelled, read_classes
from engine.tasks.saved import Saved, load_classifier, save_classifier
from engine.tasks.shapes import read_shape, voxels_of

MOST_SEEDS = 100
SHOWN = 5
"""Broken files that are named."""


def run(command: TaskClassify | TaskPredict) -> dict[str, Any]:
    """Run one of these commands.

    Raises:
        CondenseError: the data, the weights, or an argument is not what it should be.
    """
    set_threads(command.threads)
    if isinstance(command, TaskPredict):
        return {"rows": predict(load_classifier(command.head), command.files, command.up, command.device)}
    return measure(command)


def measure(command: TaskClassify) -> dict[str, Any]:
    """Every init and seed: a row each, then mean and deviation of each init.

    Raises:
        CondenseError: see ``run``.
    """
    if not 1 <= command.seeds <= MOST_SEEDS:
        raise QueryError("cannot draw so often", found=f"--seeds {command.seeds}", expected=f"1 to {MOST_SEEDS}")
    if command.steps is not None and command.steps < 1:
        raise QueryError("cannot train so long", found=f"--steps {command.steps}", expected="1 or more")
    labels = Labels.of(command.labels)
    device = resolve_device(command.device)
    cache = command.cache or default_cache_dir()
    data = run_job("Reading objects", read_classes(command.data, command.up, cache))
    tell_broken(data)
    inits = (CONDENSE, SCRATCH) if command.init is None else (command.init,)
    rows: list[dict[str, Any]] = []
    means: list[dict[str, Any]] = []
    named: list[dict[str, Any]] = []
    for init in inits:
        found: list[Outcome] = []
        for seed in range(command.seed, command.seed + command.seeds):
            asked = Run(init, command.mode, labels, seed, command.steps)
            outcome = run_job(f"{init}, seed {seed}", classify(data, asked, device, cache))
            if command.predict and not rows:
                named = predict(Saved(outcome.network, data.names), command.predict, command.up, command.device)
            if command.save is not None and not rows:
                about = {"init": init, "mode": command.mode, "labels": command.labels, "seed": seed, "up": command.up}
                save_classifier(command.save, outcome.network, data.names, about)
            found.append(outcome)
            rows.append(_row(command, init, seed, outcome.accuracy, outcome.miou))
            print(f"{init}, seed {seed}: accuracy {outcome.accuracy:.3f}, {outcome.seconds:.0f} s", file=sys.stderr)
        accuracy = np.array([o.accuracy for o in found])
        miou = np.array([o.miou for o in found])
        deviation = float(accuracy.std(ddof=1)) if len(found) > 1 else None
        means.append(_row(command, init, "mean", float(accuracy.mean()), float(miou.mean())) | {"deviation": deviation})
    return {
        "rows": [r | {"deviation": None} for r in rows] + means,
        "classes": list(data.names),
        "train": int((~data.test).sum()),
        "test": int(data.test.sum()),
        "broken": len(data.broken),
        "predicted": named,
        "file": None if command.save is None else str(command.save),
    }


def predict(saved: Saved, files: Sequence[Path], up: Up, device: str) -> list[dict[str, Any]]:
    """Name objects: a row each; files that cannot be read are told and passed over.

    Raises:
        QueryError: no files.
        CaptureError: not one could be read.
        ResourceError: no such device.
    """
    if not files:
        raise QueryError("no objects to name", expected="condense task predict HEAD FILE…")
    network = saved.network.to(resolve_device(device))
    rows: list[dict[str, Any]] = []
    first: CaptureError | None = None
    for path in files:
        try:
            shape = read_shape(path, up)
        except CaptureError as e:
            print(f"warning: {e.text()}", file=sys.stderr)
            first = first or e
            continue
        with torch.no_grad():
            chance = finish(network.logits([voxels_of(shape)]))[0].softmax(dim=0).cpu()
        best, *others = chance.argsort(descending=True)[:3].tolist()
        rows.append(
            {
                "file": str(path),
                "class": saved.names[best],
                "confidence": round(float(chance[best]), 4),
                "else": ", ".join(f"{saved.names[k]} {chance[k]:.2f}" for k in others),
            }
        )
    if first is not None and not rows:
        raise first
    return rows


def tell_broken(data: Labelled) -> None:
    """Say on stderr which files were passed over, the first of them."""
    if data.broken:
        print(f"warning: {len(data.broken)} files could not be read and are passed over", file=sys.stderr)
        for path, why in data.broken[:SHOWN]:
            print(f"  {path}: {why}", file=sys.stderr)


def _row(command: TaskClassify, init: str, seed: int | str, accuracy: float, miou: float) -> dict[str, Any]:
    name = init if init in (CONDENSE, SCRATCH) else Path(init).name
    return {
        "task": "classify",
        "init": name,
        "mode": command.mode,
        "labels": command.labels,
        "seed": seed,
        "accuracy": round(accuracy, 4),
        "miou": round(miou, 4),
    }
