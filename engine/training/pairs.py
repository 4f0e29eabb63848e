"""Training pairs for the head: hypercolumns at true correspondences, computed once by the frozen trunk.

Sources, in the order of what they teach: captures with depth (parallax, occlusion, real change of view), and any
photos, seen twice through random homographies and light.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.api.errors import CaptureError, QueryError
from engine.api.jobs import Job, Progress, finish
from engine.api.scene import UInt8
from engine.captures import Capture, open_capture
from engine.encoders.hypercolumn import LONG_SIDE, HypercolumnTrunk, Level
from engine.metrics.truth import Float64, depth_views, random_pixels, reproject, view_pairs
from engine.training.rooms.shards import is_shards, open_shards
from engine.training.warps import PHOTO_SIDE, warped_pair

POINTS = 256
"""Correspondences of a pair; each is the others' negative."""

_PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, eq=False)
class PairSet:
    """P pairs of views of one source.

    Attributes:
        name: of the source.
        kind: ``depth`` or ``photos``, where the correspondences come from.
        a, b: (P, POINTS, C) float16 hypercolumns, row n of both at the same surface point.
        pos_a, pos_b: (P, POINTS, 2) float32, where those points lie, in units of the image's diagonal.
    """

    name: str
    kind: str
    a: Tensor
    b: Tensor
    pos_a: Tensor
    pos_b: Tensor

    def __len__(self) -> int:
        return len(self.a)

    def rows(self, rows: slice | Tensor) -> PairSet:
        """Some of the pairs."""
        return PairSet(self.name, self.kind, self.a[rows], self.b[rows], self.pos_a[rows], self.pos_b[rows])


class _Collector:
    """Hypercolumns and positions of pairs as they come."""

    def __init__(self) -> None:
        self._looks: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._pos: tuple[list[Tensor], list[Tensor]] = ([], [])

    def __len__(self) -> int:
        return len(self._looks[0])

    def add(self, side: int, levels: Sequence[Level], rgb: UInt8, pos_px: Float64) -> None:
        """One side (0 or 1) of a pair: an image, its levels and (POINTS, 2) of its pixels."""
        self._looks[side].append(hypercolumns(levels, rgb, pos_px))
        self._pos[side].append(torch.from_numpy(pos_px / np.hypot(*rgb.shape[:2])).float())

    def done(self, name: str, kind: str) -> PairSet:
        """All of them."""
        return PairSet(name, kind, *(torch.stack(x) for x in (*self._looks, *self._pos)))


@dataclass(frozen=True, eq=False)
class Source:
    """What a path of ``--data`` holds: a capture with depth, or photos to warp."""

    name: str
    photos: list[UInt8]
    capture: Capture | None


def open_sources(path: Path) -> Iterator[Source]:
    """A capture, a folder of photos, or the rooms of a folder of shards; a capture without depth serves as photos.

    Raises:
        CaptureError: none of these.
    """
    if is_shards(path):
        for room in open_shards(path):
            yield Source(room.name, [], room.load())
    else:
        yield open_source(path)


def open_source(path: Path) -> Source:
    """A capture, or a folder of photos; a capture without depth serves as photos.

    Raises:
        CaptureError: neither.
    """
    try:
        capture = open_capture(path)
    except CaptureError:
        photos = _photos(path)
        if not photos:
            raise
        return Source(path.name, photos, None)
    if any(v.has_depth for v in capture.views):
        return Source(capture.name, [], capture)
    return Source(capture.name, [photo.rgb for _, photo in capture.readable(max_side=PHOTO_SIDE)], None)


def _photos(folder: Path) -> list[UInt8]:
    if not folder.is_dir():
        return []
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PHOTO_SUFFIXES)
    out: list[UInt8] = []
    for file in files:
        try:
            with Image.open(file) as image:
                image.draft("RGB", (2 * PHOTO_SIDE, 2 * PHOTO_SIDE))
                out.append(np.asarray(image.convert("RGB")))
        except (OSError, ValueError, Image.DecompressionBombError) as e:
            raise CaptureError("the photo cannot be read", path=file, found=str(e), mend="take it out") from e
    return out


def hypercolumns(levels: Sequence[Level], rgb: UInt8, pos_px: Float64) -> Tensor:
    """(N, C) float16: all levels of an image at (N, 2) of its pixels, one after the other."""
    rel = torch.from_numpy(pos_px / [rgb.shape[1], rgb.shape[0]])
    with torch.inference_mode():
        return torch.cat([level.sample(rel) for level in levels], dim=1).half().cpu()


def warped_pairs(
    trunk: HypercolumnTrunk, name: str, photos: Sequence[UInt8], count: int, rng: np.random.Generator
) -> Job[PairSet]:
    """``count`` pairs of looks at ``photos``, taken in turn."""
    found = _Collector()
    while len(found) < count:
        yield Progress(len(found), count, "pairs", f"warping {name}")
        pair = warped_pair(photos[len(found) % len(photos)], rng)
        height, width = pair.a.shape[:2]
        pos_a = rng.uniform(0, [width, height], (40 * POINTS, 2))
        pos_b = pair.transfer(pos_a)
        inside = np.flatnonzero(((pos_b >= 0) & (pos_b < [width, height])).all(axis=1))[:POINTS]
        if len(inside) == POINTS:
            for side, (rgb, pos) in enumerate(((pair.a, pos_a), (pair.b, pos_b))):
                found.add(side, finish(trunk.levels(rgb)), rgb, pos[inside])
    return found.done(name, "photos")


def capture_pairs(trunk: HypercolumnTrunk, capture: Capture, count: int, rng: np.random.Generator) -> Job[PairSet]:
    """Up to ``count`` pairs of views of a capture with depth, turned by 5-60 degrees, overlapping by 30 % or more.

    Raises:
        QueryError: no two views share enough.
    """
    views, _ = yield from depth_views(capture, LONG_SIDE)
    pairs = yield from view_pairs(views, count, rng)
    found = _Collector()
    seen: dict[int, tuple[list[Level], UInt8]] = {}
    for done, (i, j) in enumerate(pairs):
        yield Progress(done, len(pairs), "pairs", f"matching views of {capture.name}")
        pos_a = random_pixels(views[i], 40 * POINTS, rng)
        pos_b, true = reproject(views[i], views[j], pos_a)
        chosen = np.flatnonzero(true)[:POINTS]
        if len(chosen) == POINTS:
            for side, (v, pos) in enumerate(((i, pos_a), (j, pos_b))):
                if v not in seen:
                    rgb = capture.read(views[v].index, LONG_SIDE).rgb
                    seen[v] = (yield from trunk.levels(rgb)), rgb
                found.add(side, *seen[v], pos[chosen])
    if not len(found):
        raise QueryError("no two views share enough to learn from", path=capture.path, mend="leave it out of --data")
    return found.done(capture.name, "depth")
