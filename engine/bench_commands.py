"""The measuring commands: captures in, rows out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.api.errors import QueryError
from engine.api.requests import THRESHOLD, FitGrid
from engine.cli import BenchConsistency, BenchCorrespondence, BenchKeypoints, BenchPrompts
from engine.driving import drive, open_session, run_job


def run(command: BenchCorrespondence | BenchConsistency | BenchKeypoints | BenchPrompts) -> dict[str, Any]:
    """Run one of this module's commands."""
    match command:
        case BenchCorrespondence():
            return bench_correspondence(command)
        case BenchConsistency():
            return bench_consistency(command)
        case BenchKeypoints():
            return bench_keypoints(command)
        case BenchPrompts():
            return bench_prompts(command)


def bench_correspondence(command: BenchCorrespondence) -> dict[str, Any]:
    """``condense bench correspondence``."""
    from engine.metrics.correspondence import bench_correspondence as measure

    session = open_session(command, command.capture)
    job = measure(session.scene.capture, seed=command.seed, pixels=command.pixels, device=command.device)
    rows = run_job("Measuring correspondences", job)
    return {"rows": rows, "seed": command.seed}


def bench_consistency(command: BenchConsistency) -> dict[str, Any]:
    """``condense bench consistency``: captures that were not fitted yet are."""
    from engine.encoders.volume import load_volume_encoder
    from engine.metrics.consistency import bench_consistency as measure
    from engine.runtime import resolve_device

    volume = None
    if command.volume is not None:
        volume = load_volume_encoder(command.volume).to(resolve_device(command.device))
    rows: list[dict[str, Any]] = []
    for capture, grid in _fitted(command):
        job = measure(
            capture,
            grid,
            encoders=command.encoders,
            volume=volume,
            seed=command.seed,
            pairs=command.pairs,
            device=command.device,
        )
        rows += [dict(row) for row in run_job(f"Measuring {capture.name}", job)]
    return {"rows": rows, "mean": mean_rows(rows), "seed": command.seed}


def _fitted(command: BenchConsistency) -> Iterator[tuple[Any, Any]]:
    """The captures with their grids: stored or fitted ones, and for rooms in shards grids fused from their depth."""
    from engine.training.rooms.grid import fused_grid
    from engine.training.rooms.shards import is_shards, open_shards

    for path in command.captures:
        if is_shards(Path(path)):
            for room in open_shards(Path(path)):
                capture = room.load()
                yield capture, run_job(f"Fusing {capture.name}", fused_grid(capture))
        else:
            session = open_session(command, path)
            drive(session, FitGrid())
            yield session.scene.capture, session.scene.grid


def mean_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over captures of each kind of features, where there are several captures."""
    kinds = list(dict.fromkeys(r["features"] for r in rows))
    if len(rows) == len(kinds):
        return []
    out: list[dict[str, Any]] = []
    for kind in kinds:
        mine = [r for r in rows if r["features"] == kind]
        numbers = {
            k: round(math.fsum(r[k] for r in known) / len(known), 4)
            for k, v in mine[0].items()
            if not isinstance(v, str) and (known := [r for r in mine if r[k] is not None])
        }
        out.append({"features": kind, "captures": len(mine), **numbers})
    return out


def bench_keypoints(command: BenchKeypoints) -> dict[str, Any]:
    """``condense bench keypoints``: captures without depth are fitted, if they were not yet, to tell the truth by."""
    from engine.metrics.keypoints import bench_keypoints as measure

    if command.pairs < 1 or command.count < 1:
        found = f"{command.pairs} pairs, {command.count} keypoints"
        raise QueryError("nothing to measure", found=found, expected="--pairs and --count of 1 or more")
    rows: list[dict[str, Any]] = []
    for path in command.captures:
        session = open_session(command, path)
        capture = session.scene.capture
        if not any(v.has_depth for v in capture.views):
            drive(session, FitGrid())
        job = measure(
            capture,
            session.scene.grid,
            seed=command.seed,
            pairs=command.pairs,
            count=command.count,
            device=command.device,
        )
        rows += [dict(row) for row in run_job(f"Measuring {capture.name}", job)]
    return {"rows": rows, "seed": command.seed}


def bench_prompts(command: BenchPrompts) -> dict[str, Any]:
    """``condense bench prompts``: all that the program knows, and each namer alone; the image classifier's answers
    lifted from photos, without ConDense, are the baseline."""
    import torch

    from engine.encoders.classes import load_classes
    from engine.encoders.mobile import load_default
    from engine.encoders.names import load_names
    from engine.encoders.words import load_words
    from engine.metrics.prompts import asked_room
    from engine.metrics.prompts import bench_prompts as measure
    from engine.prompting import classes_path, names_path, words
    from engine.runtime import resolve_device
    from engine.training.rooms.shards import open_shards

    device = resolve_device(command.device)
    network = load_names(command.weights or names_path()).to(device)
    encoder = None if command.bare else load_default(torch.device(device))
    classes = None if command.bare else load_classes(classes_path()).to(device)
    table = words() if command.words is None else load_words(command.words)
    rooms = [
        run_job(f"Naming {ref.name}", asked_room(ref.load(), network, table, encoder, classes))
        for folder in command.rooms
        for ref in open_shards(Path(folder))
    ]
    kinds = {"naming network": slice(0, 1)}
    if classes is not None:
        kinds |= {"photos' classes, lifted": slice(1, 2), "both": slice(0, 2)}
    rows = [
        {"namer": kind, **row}
        for kind, which in kinds.items()
        for row in measure([replace(r, namers=r.namers[which]) for r in rooms], network.names, THRESHOLD)
    ]
    return {"rows": rows, "rooms": len(rooms), "names": len(network.names), "bare": command.bare}
