"""The commands that need no window, each a function from its arguments to the object that ``--json`` prints."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from engine.api.errors import CaptureError, QueryError
from engine.api.jobs import Job, finish
from engine.api.jobs import Progress as Step
from engine.api.messages import (
    EncodeViews,
    Failed,
    FitGrid,
    JobFinished,
    JobProgress,
    MatchQuery,
    MatchReply,
    Notice,
    OpenCapture,
    PixelSource,
    Reply,
    Request,
)
from engine.cli import BenchConsistency, BenchCorrespondence, BenchKeypoints, Common, Encode, Fit, Match, Train
from engine.session import Session

T = TypeVar("T")
LEAST_CELLS, MOST_CELLS = 1000, 1 << 26


def run(command: Any) -> dict[str, Any]:
    """Run one of this module's commands."""
    match command:
        case Fit():
            return fit(command)
        case Encode():
            return encode(command)
        case Match():
            return match_pixel(command)
        case BenchCorrespondence():
            return bench_correspondence(command)
        case BenchConsistency():
            return bench_consistency(command)
        case BenchKeypoints():
            return bench_keypoints(command)
        case Train():
            return train(command)
        case _:
            raise QueryError(f"the command '{type(command).__name__.lower()}' draws, and the window is not installed")


@contextmanager
def progress_line() -> Iterator[Progress]:
    """One line of progress on stderr with rate and ETA; nothing when stderr is no terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as line:
        yield line


def drive(session: Session, request: Request) -> list[Reply]:
    """Run one request to its end on this thread, with a progress line; returns the replies.

    Raises:
        CondenseError: what the request raised.
    """
    replies: list[Reply] = []
    with progress_line() as line:
        task = line.add_task(request.title or type(request).__name__, total=None, note="")
        for reply in session.handle(request):
            if isinstance(reply, JobProgress):
                line.update(task, completed=reply.done, total=reply.total or None, note=reply.note)
            elif isinstance(reply, Notice):
                print(f"warning: {reply.text}", file=sys.stderr)
            elif isinstance(reply, Failed):
                raise QueryError(reply.text)
            elif reply is not None:
                replies.append(reply)
    return replies


def open_session(command: Common, capture: str) -> Session:
    """A session with ``capture`` open; its warnings go to stderr."""
    session = Session(device=command.device, cache=command.cache, threads=command.threads, seed=command.seed)
    for _ in session.start():
        pass
    drive(session, OpenCapture(path=capture))
    for warning in session.scene.capture.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return session


def run_job(title: str, job: Job[T]) -> T:
    """Run a bare job with a progress line."""
    with progress_line() as line:
        task = line.add_task(title, total=None, note="")

        def show(step: Step) -> None:
            line.update(task, completed=step.done, total=step.total or None, note=step.note)

        return finish(job, show)


def fit(command: Fit) -> dict[str, Any]:
    """``condense fit``: always fits anew, stores the grid, reports held-out PSNR."""
    session = open_session(command, command.capture)
    scene = session.scene
    if command.voxels is not None and not LEAST_CELLS <= command.voxels <= MOST_CELLS:
        raise QueryError(
            "the grid cannot have so many cells",
            found=f"--voxels {command.voxels}",
            expected=f"{LEAST_CELLS:,} to {MOST_CELLS:,}",
        )
    scene.fit_cells, scene.fit_reference, scene.ship = command.voxels, command.reference, command.ship
    drive(session, FitGrid(seconds=command.seconds, refit=True))
    assert scene.grid is not None
    meta = scene.grid.meta
    return {
        "capture": scene.capture.name,
        "views": len(scene.capture.views),
        "heldout_views": [v.index for v in scene.capture.views if v.held_out],
        "psnr": _number(meta.get("psnr")),
        "seconds": _number(meta.get("seconds")),
        "voxels": len(scene.grid.index),
        "device": str(meta.get("device", "cpu")),
        "curve": meta.get("curve", []),
        "file": str(scene.grid_path()),
    }


def encode(command: Encode) -> dict[str, Any]:
    """``condense encode``: features of every photo, lifted when there is a stored grid."""
    session = open_session(command, command.capture)
    scene = session.scene
    if not scene.capture.views:
        raise CaptureError("there are no photos to encode", path=scene.capture.path, found=scene.capture.format)
    scene.ship = command.ship
    start = time.perf_counter()
    replies = drive(session, EncodeViews(encoder=command.encoder))
    done = next(r for r in replies if isinstance(r, JobFinished))
    assert scene.features is not None
    return {
        "capture": scene.capture.name,
        "encoder": scene.features.encoder.id,
        "views": len(scene.features.views()),
        "encoded": int(done.metrics["encoded"]),
        "dim": scene.features.dim,
        "voxels": None if scene.lifted is None else len(scene.lifted.grid.index),
        "seconds": round(time.perf_counter() - start, 3),
        "file": str(scene.features.path(command.ship)),
    }


def match_pixel(command: Match) -> dict[str, Any]:
    """``condense match``: pixels in and out are those of the photo files (distorted, as stored)."""
    import numpy as np

    session = open_session(command, command.capture)
    scene = session.scene
    view = scene.capture.views[scene.check_view(command.view)]
    asked = np.array([command.pixel], dtype=np.float64)
    if not np.isfinite(asked).all() or not view.camera.contains(asked)[0]:
        raise QueryError(
            "the pixel lies outside the photo",
            found=f"{command.pixel[0]:g} {command.pixel[1]:g}",
            expected=f"0 0 to {view.camera.width} {view.camera.height}",
        )
    drive(session, EncodeViews(encoder=command.encoder))
    x, y = view.undistort_px(asked)[0]
    (reply,) = drive(session, MatchQuery(source=PixelSource(command.view, float(x), float(y))))
    assert isinstance(reply, MatchReply)
    matches = []
    for m in reply.matches:
        px = scene.capture.views[m.view].distort_px(np.array([[m.x, m.y]]))[0]
        matches.append(
            {
                "view": m.view,
                "x": round(float(px[0]), 2),
                "y": round(float(px[1]), 2),
                "score": round(m.score, 4),
                "mutual": m.mutual,
                "pos_w": _triple(m.pos_w),
            }
        )
    source = {
        "view": command.view,
        "x": command.pixel[0],
        "y": command.pixel[1],
        "pos_w": _triple(reply.source_pos_w),
    }
    return {"source": source, "matches": matches, "milliseconds": round(reply.milliseconds, 2)}


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


def train(command: Train) -> dict[str, Any]:
    """``condense train``."""
    from dataclasses import replace

    import torch

    from engine.encoders.volume import load_volume_encoder
    from engine.runtime import resolve_device, seed_all, set_threads
    from engine.training.config import TrainConfig, read_config
    from engine.training.run import train as run_training

    if not command.scenes:
        raise QueryError("nothing to train on", expected="captures with depth, or folders of room shards")
    torch.set_float32_matmul_precision("medium")
    set_threads(command.threads)
    seed_all(command.seed)
    config = replace(TrainConfig() if command.config is None else read_config(command.config), seed=command.seed)
    if command.steps is not None:
        config = TrainConfig.of({**config.to_json(), "steps": command.steps})
    start = None if command.start is None else load_volume_encoder(command.start)
    job = run_training(
        command.scenes,
        command.out,
        config,
        resolve_device(command.device),
        held_out=command.held_out,
        voxels=command.voxels,
        resume=command.resume,
        start=start,
    )
    return run_job("Training", job)


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


def _number(x: float | None) -> float | None:
    return None if x is None or not math.isfinite(x) else round(float(x), 4)


def _triple(p: tuple[float, float, float] | None) -> list[float] | None:
    return None if p is None else [round(float(v), 6) for v in p]


def describe(command: Any, answer: dict[str, Any]) -> str:
    """The answer as a person reads it in a terminal."""
    match command:
        case Fit():
            psnr = "no held-out views" if answer["psnr"] is None else f"{answer['psnr']:.2f} dB on held-out views"
            return (
                f"{answer['capture']}: {psnr}, {answer['voxels']:,} voxels, {answer['seconds']:.1f} s\n{answer['file']}"
            )
        case Encode():
            what = f"{answer['views']} views, {answer['dim']} channels ({answer['encoder']})"
            return f"{answer['capture']}: {what}\n{answer['file']}"
        case Match():
            lines = [f"{'view':>5} {'x':>8} {'y':>8} {'score':>6}  mutual"]
            lines += [
                f"{m['view']:>5} {m['x']:>8.1f} {m['y']:>8.1f} {m['score']:>6.3f}  {'yes' if m['mutual'] else 'no'}"
                for m in answer["matches"]
            ]
            return "\n".join(lines)
        case _ if "rows" in answer:
            return table(answer["rows"])
        case _:
            return "\n".join(f"{k}: {v}" for k, v in answer.items())


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as aligned columns."""
    if not rows:
        return "nothing could be measured"
    keys = list(rows[0])
    cells = [keys] + [[f"{r[k]:.3f}" if isinstance(r[k], float) else str(r.get(k, "")) for k in keys] for r in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)
