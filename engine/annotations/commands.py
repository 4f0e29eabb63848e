"""``condense annotate`` and ``condense bench select``: from arguments to the object that ``--json`` prints."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.annotations.cli import AnnotateDiff, AnnotateExport, AnnotateImport, AnnotateStats, BenchSelect
from engine.annotations.comparing import theirs_of
from engine.annotations.document import AnnotationDocument
from engine.annotations.formats.boxes import read_kitti, read_labelcloud, write_kitti, write_labelcloud
from engine.annotations.formats.coco import write_coco
from engine.annotations.formats.coco_read import read_coco
from engine.annotations.formats.content import Content, Incoming, bring
from engine.annotations.formats.npz import read_npz, write_npz
from engine.annotations.formats.own import read_own, write_own
from engine.annotations.formats.ply import read_ply, write_ply
from engine.annotations.formats.scannet import GROUPS, read_scannet, write_scannet
from engine.annotations.places import VoxelPlaces
from engine.annotations.recovery import JOURNAL
from engine.annotations.review import difference, progress
from engine.annotations.state import AnnotationState
from engine.annotations.store import annotated_grids, annotations_folder, open_annotations, read_annotations
from engine.api.errors import AnnotationError
from engine.api.requests import FitGrid
from engine.cli_common import Common
from engine.driving import drive, open_session, run_job

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.grid.radiance import RadianceGrid
    from engine.scene_state import SceneState

WRITERS = {
    "json": write_own, "npz": write_npz, "ply": write_ply, "labelcloud": write_labelcloud, "kitti": write_kitti,
    "scannet": write_scannet,
}  # fmt: skip
READERS = {
    "json": read_own, "npz": read_npz, "ply": read_ply, "labelcloud": read_labelcloud, "kitti": read_kitti,
    "scannet": read_scannet,
}  # fmt: skip


def run(command: Any) -> dict[str, Any]:
    """Run one of these commands."""
    match command:
        case AnnotateExport():
            return export(command)
        case AnnotateImport():
            return bring_in(command)
        case AnnotateStats():
            return stats(command)
        case AnnotateDiff():
            from engine.annotations.diff_commands import diff

            return diff(command)
        case BenchSelect():
            return bench_select(command)
        case _:
            raise AnnotationError(f"there is no command '{type(command).__name__}'")


def export(command: AnnotateExport) -> dict[str, Any]:
    """Write what is annotated.

    Raises:
        AnnotationError: nothing is annotated, or the format is not named.
    """
    kind = _format(command.out, command.format)
    scene = scene_of(command, command.capture)
    grid = grid_of(scene)
    _, state = _annotated(scene, grid)
    rgb = np.rint(grid.rgb * 255).astype(np.uint8)
    content = Content(scene.capture.name, scene.capture.fingerprint, VoxelPlaces.of(grid), rgb, state)
    if kind == "coco":
        lost = run_job("Writing masks", write_coco(command.out, content, scene.capture, grid))
    else:
        lost = WRITERS[kind](command.out, content)
    return {
        "capture": scene.capture.name, "file": str(command.out), "format": kind,
        "voxels": int((state.labels > 0).sum()), "classes": len(state.palette), "lost": lost,
    }  # fmt: skip


def bring_in(command: AnnotateImport) -> dict[str, Any]:
    """Import a file as one step.

    Raises:
        AnnotationError: see ``bring``; or the annotations are open elsewhere.
    """
    scene = scene_of(command, command.capture)
    grid = grid_of(scene)
    incoming = read(command.file, command.format, scene.capture, grid)
    document = _open(scene, grid)
    try:
        brought = bring(
            incoming, document.state, document.places, scene.capture.fingerprint, by_position=command.by_position
        )
        changed = document.do(brought.edit)
    finally:
        document.close()
    return {
        "capture": scene.capture.name, "file": str(command.file), "voxels": len(changed.rows),
        "things": len(incoming.things), "classes": len(document.state.palette), "told": list(brought.told),
    }  # fmt: skip


def stats(command: AnnotateStats) -> dict[str, Any]:
    """How far it is, and how it differs from another's.

    Raises:
        AnnotationError: nothing is annotated.
    """
    scene = scene_of(command, command.capture)
    grid = grid_of(scene)
    places, state = _annotated(scene, grid)
    found = progress(state, places)
    out: dict[str, Any] = {
        "capture": scene.capture.name,
        "voxels": found.voxels,
        "labelled": found.labelled,
        "share": round(found.share, 4),
        "boxes": len(state.boxes),
        "polylines": len(state.polylines),
        "landmarks": len(state.landmarks),
        "notes": len(state.notes),
        "rows": [
            {"class": c.name, "voxels": c.voxels, "share": round(c.share, 4), "instances": c.instances,
             "boxes": c.boxes, "lines": c.lines, "landmarks": c.landmarks}
            for c in found.classes
        ],
    }  # fmt: skip
    if command.other is not None:
        incoming = read(command.other, "auto", scene.capture, grid)
        theirs = theirs_of(incoming, places, scene.capture.fingerprint, by_position=True)
        d = difference(state, theirs.state)
        out["difference"] = {
            "iou": {k: round(v, 4) for k, v in d.iou.items()},
            "instance_iou": {k: round(v, 4) for k, v in d.instance_iou.items()},
            "agreed": round(d.agreed, 4), "kappa": None if d.kappa is None else round(d.kappa, 4), "differ": d.differ,
            "left_out": list(theirs.told),
        }  # fmt: skip
    return out


def bench_select(command: BenchSelect) -> dict[str, Any]:
    """``condense bench select``."""
    import torch

    from engine.annotations.nets import load_nets, nets_path
    from engine.annotations.select import INPUTS
    from engine.encoders.mobile import load_default
    from engine.encoders.volume import load_volume_encoder
    from engine.metrics.select import LEAST_VOXELS, Bench
    from engine.runtime import asset_path, resolve_device, set_threads
    from engine.training.rooms.shards import open_shards

    set_threads(command.threads)
    device = resolve_device(command.device)
    nets = load_nets(command.weights or nets_path(), INPUTS)
    encoder = load_default(torch.device(device))
    volume = load_volume_encoder(asset_path("weights/condense3d.safetensors")).to(device)
    bench = Bench(nets, encoder, volume)
    refs = [ref for folder in command.rooms for ref in open_shards(Path(folder))]
    for ref in refs:
        run_job(f"Selecting in {ref.name}", bench.room(ref.load()))
    return {**bench.answer(), "rooms": len(refs), "least_voxels": LEAST_VOXELS}


def _format(path: Path, asked: str) -> str:
    if asked != "auto":
        return asked
    name = path.name.lower()
    if name.endswith(GROUPS):
        return "scannet"
    found = {".json": "json", ".npz": "npz", ".ply": "ply", ".txt": "kitti"}.get(path.suffix.lower())
    if found is None:
        raise AnnotationError(
            "the file's name does not tell its format", path=path, expected=".json, .npz or .ply",
            mend="name it: --format coco, labelcloud, kitti or scannet",
        )  # fmt: skip
    return found


def read(path: Path, asked: str, capture: Capture, grid: RadianceGrid) -> Incoming:
    """What a file, or a folder of another grid, holds; the format as ``--format`` names it.

    Raises:
        AnnotationError: it cannot be read, or is not there.
    """
    if path.is_dir() and (path / JOURNAL).exists():
        places, state = read_annotations(path)
        things = tuple(t for kind, of in state.things.items() if kind != "class" for t in of.values())
        return Incoming(
            path, tuple(state.palette), state.labels, state.instances, places.centres_w, key=places.key, things=things
        )
    kind = _format(path, asked)
    if not path.is_file():
        raise AnnotationError("there is no such file", path=path)
    if kind == "coco":
        return run_job(f"Reading {path.name}", read_coco(path, capture, grid))
    return READERS[kind](path)


def scene_of(command: Common, capture: str) -> SceneState:
    """The capture; one with photos that was not fitted yet is."""
    session = open_session(command, capture)
    if session.scene.capture.views:
        drive(session, FitGrid())
    return session.scene


def grid_of(scene: SceneState) -> RadianceGrid:
    """Of the capture.

    Raises:
        AnnotationError: it has no photos that one could be fitted to.
    """
    if scene.grid is None:
        raise AnnotationError(
            "there are no voxels to annotate", path=scene.capture.path, found=scene.capture.format,
            mend="choose a capture with photos",
        )  # fmt: skip
    return scene.grid


def _folder(scene: SceneState, places: VoxelPlaces) -> Path:
    return annotations_folder(scene.store.cache.parent, scene.capture.fingerprint, places.key)


def _open(scene: SceneState, grid: RadianceGrid) -> AnnotationDocument:
    places = VoxelPlaces.of(grid)
    document = open_annotations(_folder(scene, places), places)
    for warning in document.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return document


def _annotated(scene: SceneState, grid: RadianceGrid) -> tuple[VoxelPlaces, AnnotationState]:
    places = VoxelPlaces.of(grid)
    folder = _folder(scene, places)
    if (folder / JOURNAL).exists():
        return read_annotations(folder)
    others = annotated_grids(scene.store.cache.parent, scene.capture.fingerprint)
    if others:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime((others[0] / JOURNAL).stat().st_mtime))
        raise AnnotationError(
            "this capture was annotated on another grid than the one it has now", path=others[0], found=when,
            mend=f"bring it over: condense annotate import CAPTURE {others[0]} --by-position",
        )  # fmt: skip
    raise AnnotationError("nothing is annotated yet", path=scene.capture.path)
