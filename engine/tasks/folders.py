"""Labelled objects in class folders, as ModelNet has them: CLASS/train/* and CLASS/test/*, or train/CLASS/* …."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from engine.api.errors import CacheError, CaptureError
from engine.api.jobs import Job, Progress, aside
from engine.storage import digest, read_tensors, write_tensors
from engine.tasks import Up
from engine.tasks.shapes import POINTS, SUFFIXES, Shape, read_shape

SPLITS = ("train", "test")
FORMAT = "condense-shapes-1"
MOST_CLASSES = 1 << 12


@dataclass(frozen=True)
class Item:
    """A file, its class's place among the names, and its place in ``SPLITS``."""

    path: Path
    label: int
    split: int


@dataclass(frozen=True, eq=False)
class Labelled:
    """Objects of known classes.

    Attributes:
        names: of the K classes.
        shapes: the objects that could be read.
        label: (N,) int64, each one's place in ``names``.
        test: (N,) bool: for measuring, else for training.
        broken: files that could not be read, with why.
        key: of the files, by their names, sizes and times.
    """

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]
    label: np.ndarray
    test: np.ndarray
    broken: tuple[tuple[str, str], ...]
    key: str


def list_items(folder: Path) -> tuple[tuple[str, ...], list[Item]]:
    """The classes of a folder and all their files, in order of their names.

    Raises:
        CaptureError: no folder, no or one class, a class that is empty in one of the splits.
    """
    expected = "CLASS/train/* and CLASS/test/*, or train/CLASS/* and test/CLASS/*, for each class"
    if not folder.is_dir():
        raise CaptureError("there is no such folder", path=folder, expected=expected)
    split_first = all((folder / s).is_dir() for s in SPLITS)
    places = [folder / s for s in SPLITS] if split_first else [folder]
    names = sorted({d.name for place in places for d in place.iterdir() if d.is_dir() and not d.name.startswith(".")})
    if len(names) < 2 or len(names) > MOST_CLASSES:
        found = f"{len(names)} class folders" + (f": {names[0]}" if len(names) == 1 else "")
        raise CaptureError("holds no classes to tell apart", path=folder, found=found, expected=expected)
    items: list[Item] = []
    for label, name in enumerate(names):
        for s, split in enumerate(SPLITS):
            place = folder / split / name if split_first else folder / name / split
            files = sorted(place.iterdir()) if place.is_dir() else []
            files = [f for f in files if f.suffix.lower() in SUFFIXES and f.is_file() and not f.name.startswith(".")]
            if not files:
                kinds = ", ".join(x[1:].upper() for x in SUFFIXES)
                mend = "put some there, or take the class out of both splits"
                raise CaptureError(
                    f"the class '{name}' has nothing to {split} with", path=place, expected=f"files: {kinds}", mend=mend
                )
            items += [Item(f, label, s) for f in files]
    return tuple(names), items


def read_classes(folder: Path, up: Up, cache: Path) -> Job[Labelled]:
    """Read all objects of a folder; those that cannot be read are counted and passed over. Read ones are kept in
    ``cache``, so that the next reading is instant.

    Raises:
        CaptureError: see ``list_items``, or nothing of a class could be read.
        CacheError: the cache cannot be written.
    """
    names, items = list_items(folder)
    stats = [i.path.stat() for i in items]
    said = [f"{i.path.relative_to(folder)}|{s.st_size}|{s.st_mtime_ns}" for i, s in zip(items, stats, strict=True)]
    key = digest(FORMAT, up, str(POINTS), *said)
    kept = cache / "tasks" / f"shapes-{key}.safetensors"
    found = _kept(kept, len(items))
    if found is None:
        shapes: list[Shape | None] = []
        why: dict[int, str] = {}
        for n, item in enumerate(items):
            try:
                at = Progress(n, len(items), "shapes", item.path.name)
                shapes.append((yield from aside(partial(read_shape, item.path, up), at)))
            except CaptureError as e:
                shapes.append(None)
                why[n] = e.found or e.what
            yield Progress(n + 1, len(items), "shapes", item.path.name)
        _keep(kept, shapes, why)
    else:
        shapes, why = found
    good = [n for n, s in enumerate(shapes) if s is not None]
    there = Counter((items[n].label, items[n].split) for n in good)
    for label, name in enumerate(names):
        for s, split in enumerate(SPLITS):
            if not there[label, s]:
                first = next(n for n, i in enumerate(items) if (i.label, i.split) == (label, s))
                raise CaptureError(
                    f"nothing of the class '{name}' to {split} with could be read",
                    path=items[first].path,
                    found=why[first],
                    mend="mend these files, or take the class out of both splits",
                )
    return Labelled(
        names,
        tuple(s for s in shapes if s is not None),
        np.array([items[n].label for n in good]),
        np.array([items[n].split == 1 for n in good]),
        tuple((str(items[n].path), reason) for n, reason in why.items()),
        key,
    )


def _keep(path: Path, shapes: Sequence[Shape | None], why: dict[int, str]) -> None:
    good = [s for s in shapes if s is not None]
    count = np.array([0 if s is None else len(s.pos) for s in shapes], np.int32)
    pos = np.concatenate([s.pos for s in good]) if good else np.zeros((0, 3), np.float16)
    rgb = np.concatenate([s.rgb for s in good]) if good else np.zeros((0, 3), np.uint8)
    write_tensors(path, {"count": count, "pos": pos, "rgb": rgb}, {"why": {str(k): v for k, v in why.items()}})


def _kept(path: Path, total: int) -> tuple[list[Shape | None], dict[int, str]] | None:
    """What ``_keep`` wrote; None if it is not there or damaged, and must be read again."""
    if not path.is_file():
        return None
    try:
        tensors, meta = read_tensors(path)
        count, pos, rgb = tensors["count"], tensors["pos"], tensors["rgb"]
        why = {int(k): str(v) for k, v in meta["why"].items()}
        ends = np.cumsum(count)
        if len(count) != total or pos.shape != (ends[-1], 3) or rgb.shape != pos.shape or count.min() < 0:
            return None
        if pos.dtype != np.float16 or rgb.dtype != np.uint8 or not (np.abs(pos) < 1).all():
            return None
        if set(why) != set(np.flatnonzero(count == 0).tolist()):
            return None
    except (CacheError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    parts = zip(ends - count, ends, strict=True)
    return [Shape(pos[a:b], rgb[a:b]) if b > a else None for a, b in parts], why
