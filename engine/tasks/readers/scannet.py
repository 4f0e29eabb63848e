"""Scans with ScanNet's label files, and scans that were annotated with this program.

ScanNet: ``ID.aggregation.json``, ``ID_vh_clean_2.0.010000.segs.json`` and ``ID_vh_clean_2.ply``, or as ``condense
annotate export --format scannet`` writes them. Ours: what ``condense annotate export`` writes as PLY or NPZ. They lie
anywhere below folders ``train`` and ``test``; ScanNet's also below ``scans``, divided by ``scannetv2_train.txt`` and
``scannetv2_val.txt``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from engine.annotations.formats.content import Incoming
from engine.annotations.formats.npz import read_npz
from engine.annotations.formats.ply import classes_path, read_ply, read_vertices
from engine.annotations.formats.scannet import GROUPS, read_groups, read_scannet
from engine.api.errors import CaptureError
from engine.tasks.folders import SPLITS
from engine.tasks.scans import NONE, Listing, Points, ScanItem

LISTS = ("scannetv2_train.txt", "scannetv2_val.txt")
CLEAN = "_vh_clean_2"
SEGS = ".0.010000.segs.json"


def is_labelled(folder: Path) -> bool:
    """Whether a folder is laid out so."""
    return all((folder / name).is_file() for name in LISTS) or all((folder / split).is_dir() for split in SPLITS)


def list_labelled(folder: Path) -> Listing:
    """All scans of both splits.

    Raises:
        CaptureError: a list cannot be read.
    """
    items: list[ScanItem] = []
    if all((folder / name).is_file() for name in LISTS):
        for test, name in enumerate(LISTS):
            for id in _ids(folder / name):
                items += _below(folder / "scans" / id, id, bool(test))
        return Listing("ScanNet scans", items, "scene")
    for test, split in enumerate(SPLITS):
        items += _below(folder / split, split, bool(test))
    return Listing("labelled scans", items, "scene")


def _ids(path: Path) -> list[str]:
    try:
        names = path.read_text("utf-8").split()
    except (OSError, ValueError) as e:
        raise CaptureError(
            "cannot be read", path=path, found=str(e)[:160], expected="a scan's name on each line"
        ) from e
    for name in names:
        if not name.replace("_", "").isalnum():
            raise CaptureError("names what is no scan", path=path, found=name[:100], expected="such as scene0000_00")
    return names


def _below(folder: Path, name: str, test: bool) -> list[ScanItem]:
    """The scans anywhere below a folder, in order."""
    out: list[ScanItem] = []
    files = sorted(f for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))
    groups = {f.name.removesuffix(GROUPS).removesuffix("_vh_clean") for f in files if f.name.endswith(GROUPS)}
    for f in files:
        told = f"{name}/{f.relative_to(folder)}"
        if f.name.endswith(GROUPS) and not f.name.endswith("_vh_clean" + GROUPS):
            id = f.name.removesuffix(GROUPS)
            mesh, segs = f.with_name(f"{id}{CLEAN}.ply"), f.with_name(f"{id}{CLEAN}{SEGS}")
            if mesh.is_file() and segs.is_file():
                out.append(ScanItem(told, test, (f, mesh, segs), partial(_scannet, f, segs, mesh)))
            else:
                out.append(ScanItem(told, test, (f,), partial(_ours, read_scannet, f)))
        elif f.suffix == ".npz":
            out.append(ScanItem(told, test, (f,), partial(_ours, read_npz, f)))
        elif f.suffix == ".ply" and classes_path(f).is_file() and f.stem not in groups:
            out.append(ScanItem(told, test, (f, classes_path(f)), partial(_ours, read_ply, f)))
    return out


def _scannet(groups: Path, segments: Path, mesh: Path) -> Points:
    vertices = read_vertices(mesh)
    return _points(read_groups(groups, segments, mesh), vertices)


def _ours(read: Callable[[Path], Incoming], path: Path) -> Points:
    found = read(path)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            rgb = arrays["rgb"] if "rgb" in arrays.files else None
        return _labelled(found, rgb)
    vertices = read_vertices(path if path.suffix == ".ply" else path.with_name(path.name.removesuffix(GROUPS) + ".ply"))
    return _points(found, vertices)


def _points(found: Incoming, vertices: np.ndarray) -> Points:
    names = vertices.dtype.names or ()
    tint = next((t for t in (("red", "green", "blue"), ("r", "g", "b")) if set(t) <= set(names)), None)
    rgb = None if tint is None else np.stack([vertices[t] for t in tint], axis=1)
    return _labelled(found, rgb)


def _labelled(found: Incoming, rgb: np.ndarray | None) -> Points:
    if found.pos_w is None:
        raise CaptureError("has no points beside its labels", path=found.path, expected="NAME.ply beside it")
    if rgb is not None and (rgb.shape != (len(found.labels), 3) or rgb.dtype != np.uint8):
        rgb = None
    table = np.full(int(found.labels.max(initial=0)) + 1, NONE)
    for n, c in enumerate(found.classes):
        if 0 < c.id < len(table):
            table[c.id] = n
    return Points(found.pos_w, rgb, table[found.labels], tuple(c.name for c in found.classes))
