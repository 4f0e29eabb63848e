"""``condense task predict``: what objects are, and what the points of captures belong to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.annotations.formats.ply import classes_path, write_points
from engine.annotations.palette import fresh_colour, write_classes
from engine.api.annotations import LabelClass
from engine.api.errors import CaptureError, QueryError
from engine.api.jobs import Job
from engine.api.requests import FitGrid
from engine.captures.geometry import GREY
from engine.driving import drive, open_session, run_job
from engine.encoders.volume.working import MOST
from engine.grid.coarse import coarsened_slices
from engine.runtime import resolve_device
from engine.scene_state import SceneState
from engine.tasks import Up
from engine.tasks.classify import predicted
from engine.tasks.cli import TaskPredict
from engine.tasks.saved import Saved, load_head
from engine.tasks.scans import NONE, Scan, voxel_edge
from engine.tasks.segment import Segmenter, chances_of
from engine.tasks.segmenter import SeenScan
from engine.tasks.shapes import read_shape

SHOWN = 3
"""Likeliest classes that are told."""


def predict(command: TaskPredict) -> list[dict[str, Any]]:
    """A row for each file; those that cannot be read are told and passed over.

    Raises:
        QueryError: no files.
        WeightsError: ``command.head`` is no head.
        CaptureError: not one could be read.
        CacheError: an answer cannot be written.
        ResourceError: no such device.
    """
    saved = load_head(command.head)
    if not saved.segments:
        return predict_objects(saved, command.files, command.up, command.device)
    network = saved.network.to(resolve_device(command.device))
    saved = saved._replace(network=network)
    return _each(command.files, lambda path: _capture(command, saved, path))


def predict_objects(saved: Saved, files: Sequence[Path], up: Up, device: str) -> list[dict[str, Any]]:
    """Name objects: see ``predict``.

    Raises:
        QueryError: no files.
        CaptureError: not one could be read.
        ResourceError: no such device.
    """
    network = saved.network.to(resolve_device(device))

    def one(path: Path) -> dict[str, Any]:
        chance = run_job(path.name, predicted(network, [read_shape(path, up)]))[0]
        best, *others = np.argsort(-chance)[:SHOWN].tolist()
        return {
            "file": str(path),
            "class": saved.names[best],
            "confidence": round(float(chance[best]), 4),
            "else": ", ".join(f"{saved.names[k]} {chance[k]:.2f}" for k in others),
        }

    return _each(files, one)


def _each(files: Sequence[Path], one: Callable[[Path], dict[str, Any]]) -> list[dict[str, Any]]:
    if not files:
        raise QueryError("nothing to name", expected="condense task predict HEAD FILE…")
    rows: list[dict[str, Any]] = []
    first: CaptureError | None = None
    for path in files:
        try:
            rows.append(one(path))
        except CaptureError as e:
            print(f"warning: {e.text()}", file=sys.stderr)
            first = first or e
    if first is not None and not rows:
        raise first
    return rows


def _capture(command: TaskPredict, saved: Saved, path: Path) -> dict[str, Any]:
    """Name the points of a capture, or the voxels of one with photos, and write them."""
    session = open_session(command, str(path))
    if session.scene.capture.views:
        drive(session, FitGrid())
    pos_w, label, confidence = run_job(path.name, named(saved, session.scene))
    share = np.bincount(label, minlength=len(saved.names)) / len(label)
    file: Path | None = None
    if command.out is not None:
        file = command.out / f"{path.resolve().stem}.ply"
        palette = tuple(LabelClass(k, name, fresh_colour(k)) for k, name in enumerate(saved.names, start=1))
        tints = np.array([c.rgb for c in palette], np.uint8)
        write_points(file, pos_w, tints[label], label + 1, np.zeros(len(label)))
        write_classes(classes_path(file), palette)
    told = [f"{saved.names[k]} {share[k]:.2f}" for k in np.argsort(-share)[: 2 * SHOWN] if share[k] > 0]
    return {
        "file": str(path),
        "points": len(label),
        "shares": ", ".join(told),
        "confidence": round(float(confidence.mean()), 4),
        "labels": None if file is None else str(file),
    }


def named(saved: Saved, scene: SceneState) -> Job[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float32]]]:
    """(N, 3) points or voxels' centres in the capture's world, (N,) their classes and how sure they are."""
    capture, grid = scene.capture, scene.grid
    parent: NDArray[np.int64] | None = None
    voxel: float | None = None
    if grid is not None:
        coarse = yield from coarsened_slices(grid, MOST)
        all_w, parent, voxel = grid.centres_w(), coarse.parent, float(coarse.grid.spec.voxel)
        seen_w, rgb = coarse.grid.centres_w(), (coarse.grid.rgb.clip(0, 1) * 255).round().astype(np.uint8)
    else:
        assert capture.points is not None
        seen_w, rgb = capture.points.pos_w.astype(np.float64), capture.points.rgb
        all_w = seen_w
    pos = upright(seen_w, capture.up_w)
    if not np.ptp(pos, axis=0).max() > 1e-9:
        raise CaptureError("is no scan", path=capture.path, found="all points in one place")
    if not saved.colour:
        rgb = np.full_like(rgb, GREY)
    edge = voxel if voxel is not None and saved.grain == "scene" else voxel_edge(pos, saved.grain)
    pos = (pos - pos.min(axis=0)).astype(np.float32)
    seen = SeenScan.of(Scan(capture.name, pos, rgb, np.full(len(pos), NONE, np.int16), edge))
    assert isinstance(saved.network, Segmenter)
    chances = (yield from chances_of(saved.network, seen))[seen.row]
    label, sure = chances.argmax(axis=1), chances.max(axis=1)
    return (all_w, label, sure) if parent is None else (all_w, label[parent], sure[parent])


def upright(pos: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P, 3) turned, not mirrored, so that the axis nearest to ``up`` (3,) points along z."""
    axis = int(np.abs(up).argmax())
    x, y, z = pos.T
    pos = np.stack([(-z, y, x), (x, -z, y), (x, y, z)][axis], axis=1)
    return pos if up[axis] > 0 else pos * np.array([1, -1, -1])
