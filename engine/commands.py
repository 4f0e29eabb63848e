"""The commands that need no window, each a function from its arguments to the object that ``--json`` prints."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from engine.annotations.cli import AnnotateDiff, AnnotateExport, AnnotateImport, AnnotateStats, BenchSelect
from engine.api.errors import CaptureError, QueryError
from engine.api.replies import JobFinished, MatchReply
from engine.api.requests import EncodeViews, FitGrid, MatchQuery, PixelSource
from engine.bare.cli import Photograph
from engine.cli import (
    BenchConsistency,
    BenchCorrespondence,
    BenchKeypoints,
    BenchPrompts,
    Consistency,
    Encode,
    Fit,
    Keypoints,
    Match,
    Prompt,
    Train,
)
from engine.driving import drive, open_session, run_job
from engine.repository.cli import Align, BenchRepository, Duplicates, IndexAdd, IndexList, IndexRemove, Localize, Search
from engine.tasks.cli import TaskClassify, TaskPredict, TaskSegment

if TYPE_CHECKING:
    from engine.scene_state import SceneState

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
        case Keypoints():
            return keypoints(command)
        case Consistency():
            return consistency(command)
        case Prompt():
            from engine.prompt_commands import prompt

            return prompt(command)
        case BenchCorrespondence() | BenchConsistency() | BenchKeypoints() | BenchPrompts():
            from engine import bench_commands

            return bench_commands.run(command)
        case IndexAdd() | IndexRemove() | IndexList() | Search() | Localize() | Duplicates() | Align():
            from engine.repository import commands

            return commands.run(command)
        case BenchRepository():
            from engine.metrics import repository_bench

            return repository_bench.run(command)
        case AnnotateExport() | AnnotateImport() | AnnotateStats() | AnnotateDiff() | BenchSelect():
            from engine.annotations import commands

            return commands.run(command)
        case TaskClassify() | TaskPredict() | TaskSegment():
            from engine.tasks import commands

            return commands.run(command)
        case Photograph():
            from engine.bare import commands

            return commands.photograph(command)
        case Train():
            from engine.training import commands

            return commands.run(command)
        case _:
            raise QueryError(f"the command '{type(command).__name__.lower()}' draws, and the window is not installed")


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


def keypoints(command: Keypoints) -> dict[str, Any]:
    """``condense keypoints``: fits and encodes what was not yet."""
    from engine.keypoints.decorated import check_target, decorate, write_keypoints
    from engine.keypoints.network import load_keypoints
    from engine.runtime import resolve_device

    if command.out is not None:
        check_target(command.out)  # before minutes of work
    scene = _ready(command)
    assert scene.lifted is not None
    detector = load_keypoints(resolve_device(command.device))
    job = decorate(scene.capture, scene.lifted, detector, command.count, command.radius)
    found = run_job("Finding keypoints", job)
    path = command.out or scene.store.write_path("keypoints.npz")
    write_keypoints(path, found)
    return {
        "capture": scene.capture.name,
        "count": len(found),
        "views_each": round(float(found.views.mean()), 2) if len(found) else 0.0,
        "file": str(path),
    }


def consistency(command: Consistency) -> dict[str, Any]:
    """``condense consistency``: fits and encodes what was not yet."""
    from engine.metrics.agreement import view_agreements, write_picture, write_table

    scene = _ready(command)
    assert scene.lifted is not None
    assert scene.features is not None
    found = run_job("Comparing photos and scene", view_agreements(scene.capture, scene.features, scene.lifted))
    if command.out is not None:
        write_table(command.out / "consistency.csv", found)
        for view in found:
            write_picture(command.out / f"{view.view:04}.png", scene.capture, scene.features, view)
    rows = [{**v.row(), "worst": [{k: round(x, 2) for k, x in p._asdict().items()} for p in v.worst]} for v in found]
    means = [row["mean"] for row in rows if row["mean"] is not None]
    return {
        "capture": scene.capture.name,
        "mean": _number(sum(means) / len(means)) if means else None,
        "rows": rows,
        "folder": None if command.out is None else str(command.out),
    }


def _ready(command: Keypoints | Consistency) -> SceneState:
    """The capture, fitted and encoded."""
    session = open_session(command, command.capture)
    scene = session.scene
    if not scene.capture.views:
        mend = "choose a capture with photos"
        raise CaptureError("there are no photos", path=scene.capture.path, found=scene.capture.format, mend=mend)
    drive(session, FitGrid())
    drive(session, EncodeViews(encoder=command.encoder))
    return scene


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
        case Search():
            shown = ("scene", "score", "confidence", "inliers", "overlap", "name")
            found = table([{k: r[k] for k in shown if r.get(k) is not None} for r in answer["results"]])
            return f"{found}\nIt shows none of these scenes for sure." if answer["rejected"] else found
        case Duplicates():
            shown = ("a", "b", "score", "confidence", "inliers", "overlap", "changed")
            pairs = [{k: p[k] for k in shown} for p in answer["pairs"]]
            return table(pairs) if pairs else "No two scenes are of one place."
        case IndexList():
            return table(answer["scenes"])
        case AnnotateDiff():
            from engine.annotations.diff_commands import as_text

            return as_text(answer, table(answer["rows"]))
        case _ if "rows" in answer:
            return table([{k: v for k, v in row.items() if not isinstance(v, list)} for row in answer["rows"]])
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
