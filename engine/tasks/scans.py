"""Labelled scans: points of scenes or objects, each point with a class, and the splits they are divided into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CacheError, CaptureError, CondenseError
from engine.api.jobs import Job, Progress, aside
from engine.captures.geometry import GREY
from engine.encoders.volume.working import MOST
from engine.storage import digest, read_tensors, write_tensors
from engine.tasks.folders import MOST_CLASSES, SPLITS

FORMAT = "condense-scans-1"
POINTS = 50_000
"""Points kept of each scan."""
FEWEST = 16
NONE = -1
"""The label of a point that has none."""
CELLS = 150_000
"""A scene is seen by voxels of which so many fill its box: as rooms of the encoder's training were."""
SIDE = 24
"""Voxels along the longest side of an object."""

Grain = Literal["scene", "object"]
"""How fine a scan is seen: see ``CELLS`` and ``SIDE``."""


@dataclass(frozen=True, eq=False)
class Scan:
    """Points with classes, z up.

    Attributes:
        name: of the scan.
        pos: (P, 3) float32, in the file's units.
        rgb: (P, 3) uint8; grey where the file has no colour.
        label: (P,) int16 places among the names, ``NONE`` where there is none.
        voxel: edge of the voxels it is seen by.
    """

    name: str
    pos: NDArray[np.float32]
    rgb: NDArray[np.uint8]
    label: NDArray[np.int16]
    voxel: float


@dataclass(frozen=True, eq=False)
class Points:
    """What a reader gives: ``pos`` (P, 3), z up, ``rgb`` (P, 3) or None, ``label`` (P,) places among ``names`` or
    ``NONE``, and the edge of the voxels that the points are centres of, if they are."""

    pos: NDArray[Any]
    rgb: NDArray[np.uint8] | None
    label: NDArray[Any]
    names: tuple[str, ...]
    voxel: float | None = None


@dataclass(frozen=True)
class ScanItem:
    """A scan that was not read yet: its name, whether it is for measuring, its files, and how it is read."""

    name: str
    test: bool
    files: tuple[Path, ...]
    load: Callable[[], Points]


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        format: as the user is told.
        items: its scans.
        grain: how fine they are seen.
        names: classes that the format has; None: as things are called in the scans.
    """

    format: str
    items: Sequence[ScanItem]
    grain: Grain
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Scans:
    """Scans of known classes.

    Attributes:
        names: of the K classes.
        scans: those that could be read.
        test: (N,) bool: for measuring, else for training.
        grain: how fine they are seen.
        broken: scans that could not be read, with why.
        left_out: names of things that are no class, for too few scans of either split have them.
        key: of the files, by their names, sizes and times.
    """

    names: tuple[str, ...]
    scans: tuple[Scan, ...]
    test: NDArray[np.bool_]
    grain: Grain
    broken: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    key: str


LEAST = 0.2
"""Where names are free, a class is what is in so many of the training scans, and in any of those for measuring."""


def read_scans(folder: Path, listing: Listing, cache: Path) -> Job[Scans]:
    """Read all scans of a folder; those that cannot be read are counted and passed over. Read ones are kept in
    ``cache``, so that the next reading is instant.

    Raises:
        CaptureError: nothing to train or to measure with, a class of the format that one split lacks, or fewer than
            two classes.
        CacheError: the cache cannot be written.
    """
    items = listing.items
    stats = [(f, f.stat()) for i in items for f in i.files]
    said = [f"{f.relative_to(folder)}|{s.st_size}|{s.st_mtime_ns}" for f, s in stats]
    key = digest(FORMAT, listing.format, str(POINTS), str(CELLS), str(SIDE), *said)
    kept = cache / "tasks" / f"scans-{key}.safetensors"
    found = _kept(kept, len(items))
    if found is None:
        names: dict[str, int] = {n: k for k, n in enumerate(listing.names or ())}
        scans: list[Scan | None] = []
        why: dict[int, str] = {}
        for n, item in enumerate(items):
            try:
                loaded = yield from aside(item.load, Progress(n, len(items), "scans", item.name))
                scans.append(scan_of(item.name, loaded, names, listing.grain))
            except CondenseError as e:
                scans.append(None)
                why[n] = e.found or e.what
            yield Progress(n + 1, len(items), "scans", item.name)
        spoken = tuple(names)
        _keep(kept, scans, spoken, why)
    else:
        scans, spoken, why = found
    good = [n for n, s in enumerate(scans) if s is not None]
    test = np.array([items[n].test for n in good], np.bool_)
    for split, there in zip(SPLITS, (~test, test), strict=True):
        if not there.any():
            raise CaptureError(
                f"has nothing to {split} with",
                path=folder,
                found=f"{len(items)} scans as {listing.format}, {len(why)} of them unreadable",
                expected="scans that can be read in both splits",
                mend=f"put some into the {split} split, or mend them"
                + "".join(f"; {w}" for w in list(why.values())[:1]),
            )
    classes = _classes(folder, [s for s in scans if s is not None], test, spoken, listing.names is not None)
    place = np.full(len(spoken) + 1, NONE, np.int16)  # the last for NONE
    place[classes] = np.arange(len(classes))
    relabelled = [Scan(s.name, s.pos, s.rgb, place[s.label], s.voxel) for s in scans if s is not None]
    return Scans(
        tuple(spoken[k] for k in classes),
        tuple(relabelled),
        test,
        listing.grain,
        tuple((items[n].name, reason) for n, reason in why.items()),
        tuple(name for k, name in enumerate(spoken) if k not in classes),
        key,
    )


def scan_of(name: str, points: Points, names: dict[str, int], grain: Grain) -> Scan:
    """At most ``POINTS`` points (seed 0) as a scan; new names are added to ``names``.

    Raises:
        CaptureError: too few points, or all in one place, or none has a label.
    """
    pos = np.asarray(points.pos, np.float64)
    good = (np.abs(pos) < 1e9).all(axis=1)
    chosen = np.flatnonzero(good)
    if len(chosen) > POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, POINTS, replace=False))
    pos = pos[chosen]
    rgb = np.full((len(chosen), 3), GREY, np.uint8) if points.rgb is None else points.rgb[chosen]
    own = np.asarray(points.label)[chosen]
    if len(pos) < FEWEST or not np.ptp(pos, axis=0).max() > 1e-9:
        raise CaptureError("is no scan", found=f"{len(pos)} points in one place" if len(pos) else "no points")
    if not (own >= 0).any():
        raise CaptureError("has no labels", found="not one point with a class")
    place = np.array([*(names.setdefault(n, len(names)) for n in points.names), NONE], np.int16)
    pos -= pos.min(axis=0)
    voxel = points.voxel or voxel_edge(pos, grain)
    return Scan(name, pos.astype(np.float32), np.ascontiguousarray(rgb), place[np.where(own < 0, NONE, own)], voxel)


def voxel_edge(pos: NDArray[Any], grain: Grain) -> float:
    """By which voxels (P, 3) points are seen: at most ``MOST`` of them."""
    size = np.ptp(pos, axis=0).astype(np.float64)
    if grain == "object":
        return float(size.max()) / SIDE
    edge = float(np.maximum(size, size.max() / 8).prod() / CELLS) ** (1 / 3)
    while len(np.unique(np.floor((pos - pos.min(axis=0)) / edge).astype(np.int64), axis=0)) > MOST:
        edge *= 1.2
    return edge


def _classes(
    folder: Path, scans: Sequence[Scan], test: NDArray[np.bool_], names: Sequence[str], fixed: bool
) -> list[int]:
    """Places of the names that are classes."""
    counts: tuple[Counter[int], Counter[int]] = (Counter(), Counter())
    for scan, side in zip(scans, test, strict=True):
        counts[int(side)].update(k for k in np.unique(scan.label).tolist() if k != NONE)
    if fixed:
        for k, name in enumerate(names):
            for split, here, other in zip(SPLITS, counts, counts[::-1], strict=True):
                if other[k] and not here[k]:
                    raise CaptureError(
                        f"the class '{name}' has nothing to {split} with",
                        path=folder,
                        found=f"{other[k]} scans of the other split with it",
                        mend="add scans with it, or take out those that have it",
                    )
    least = 1 if fixed else max(1, round(LEAST * int((~test).sum())))
    out = [k for k in range(len(names)) if counts[0][k] >= least and counts[1][k]]
    if not 2 <= len(out) <= MOST_CLASSES:
        raise CaptureError(
            "holds no classes to tell apart",
            path=folder,
            found=f"{len(out)} of {len(names)} names are frequent in training and there for measuring",
            expected="at least two",
        )
    return out


def _keep(path: Path, scans: Sequence[Scan | None], names: Sequence[str], why: dict[int, str]) -> None:
    good = [s for s in scans if s is not None]
    tensors = {
        "count": np.array([0 if s is None else len(s.pos) for s in scans], np.int32),
        "voxel": np.array([0 if s is None else s.voxel for s in scans]),
        "pos": np.concatenate([np.zeros((0, 3), np.float32), *(s.pos for s in good)]),
        "rgb": np.concatenate([np.zeros((0, 3), np.uint8), *(s.rgb for s in good)]),
        "label": np.concatenate([np.zeros(0, np.int16), *(s.label for s in good)]),
    }
    told = ["" if s is None else s.name for s in scans]
    write_tensors(path, tensors, {"why": {str(k): v for k, v in why.items()}, "names": list(names), "scans": told})


def _kept(path: Path, total: int) -> tuple[list[Scan | None], tuple[str, ...], dict[int, str]] | None:
    """What ``_keep`` wrote; None if it is not there or damaged, and must be read again."""
    if not path.is_file():
        return None
    try:
        tensors, meta = read_tensors(path)
        count, voxel, pos, rgb, label = (tensors[k] for k in ("count", "voxel", "pos", "rgb", "label"))
        why = {int(k): str(v) for k, v in meta["why"].items()}
        names, told = tuple(str(n) for n in meta["names"]), [str(n) for n in meta["scans"]]
        if not len(count) == len(voxel) == len(told) == total or count.min(initial=0) < 0:
            return None
        n = int(count.sum())
        if pos.shape != (n, 3) or rgb.shape != (n, 3) or label.shape != (n,) or not np.isfinite(pos).all():
            return None
        if (pos.dtype, rgb.dtype, label.dtype) != (np.float32, np.uint8, np.int16):
            return None
        if label.min(initial=0) < NONE or label.max(initial=0) >= len(names) or not (voxel[count > 0] > 0).all():
            return None
    except (CacheError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None
    ends = np.cumsum(count)
    parts = zip(told, ends - count, ends, voxel.tolist(), strict=True)
    return [Scan(t, pos[a:b], rgb[a:b], label[a:b], v) if b > a else None for t, a, b, v in parts], names, why
