"""Furnished rooms by the thousand, as shards to train on::

    python -m engine.training.rooms.generate --models CATALOGUE --photos FOLDER --out FOLDER --rooms 200 --split train

They teach what warped photos cannot: parallax, occlusion, context that changes with the view. Rooms of the split
``train`` never hold a model that rooms of the split ``held-out`` may hold. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from engine.api.errors import CaptureError, CondenseError, ResourceError
from engine.training.rooms.catalogues import Library, Split
from engine.training.rooms.pack import PackedRoom, Recipe, make_room, write_shard
from engine.training.rooms.shards import open_shard
from engine.training.rooms.surfaces import UInt8, read_photos

ROOMS_PER_SHARD = 16
AHEAD = 3
"""Rooms given to each worker in advance: enough that none waits, few enough that a stop comes soon."""

_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Options:
    """Make random furnished rooms.

    Attributes:
        models: folders of model catalogues (each with catalog.json).
        photos: folder of photos for walls, floors and pictures.
        out: folder for the shards.
        rooms: how many.
        split: which models to use, the four fifths for training or the fifth held out.
        seed: of everything random; room N of a seed is always the same.
        views: photos of each room.
        width: of the photos in pixels; the height is three quarters.
        objects: share of captures that show a single object on a plain floor.
        workers: processes, one core each; by default as many as there are cores.
    """

    models: tuple[Path, ...]
    photos: Path
    out: Path
    rooms: int = 200
    split: Split = "train"
    seed: int = 0
    views: int = 14
    width: int = 320
    objects: float = 0.15
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def settings(self) -> dict[str, Any]:
        """What a shard keeps of how it was made; a folder holds shards of the same settings alone."""
        return {
            "models": sorted(p.resolve().name for p in self.models),
            "photos": self.photos.resolve().name,
            "split": self.split,
            "seed": self.seed,
            "views": self.views,
            "width": self.width,
            "objects": self.objects,
        }


class Progress:
    """Says on stderr how many rooms are done and how long the rest will take."""

    def __init__(self, total: int, kept: int) -> None:
        self.total, self.kept, self.done = total, kept, kept
        self.start = time.monotonic()

    def __call__(self) -> None:
        self.done += 1
        pace = (time.monotonic() - self.start) / (self.done - self.kept)
        left = f"{pace:.1f} s each, {pace * (self.total - self.done):.0f} s left"
        print(f"\r{self.done} of {self.total} rooms, {left}     ", end="", file=sys.stderr, flush=True)


def generate(options: Options) -> list[Path]:
    """Make all shards that are not there yet and return the paths of all.

    Raises:
        CaptureError: no catalogue or photos, or the folder holds rooms of other settings.
        CacheError: the folder cannot be written.
        ResourceError: a worker was killed.
    """
    recipe = Recipe(options.seed, options.views, options.width, options.objects)
    Library(options.models, options.split)  # what is wrong with them is said here, not by every worker
    read_photos(options.photos)
    shards = {
        options.out / f"shard-{n:04}.safetensors": range(first, min(first + ROOMS_PER_SHARD, options.rooms))
        for n, first in enumerate(range(0, options.rooms, ROOMS_PER_SHARD))
    }
    missing = {path: numbers for path, numbers in shards.items() if not _is_there(path, numbers, options)}
    wanted = [n for numbers in missing.values() for n in numbers]
    if not wanted:
        return list(shards)
    tell = Progress(options.rooms, options.rooms - len(wanted))
    rooms = _made(options, recipe, wanted)
    for path, numbers in missing.items():
        done: list[PackedRoom] = []
        for _ in numbers:
            done.append(next(rooms))
            tell()
        write_shard(path, done, options.settings())
    print(file=sys.stderr)
    return list(shards)


def _is_there(path: Path, numbers: range, options: Options) -> bool:
    """Whether a shard holds these rooms already; a damaged one, or one of fewer rooms, is made again."""
    if not path.exists():
        return False
    try:
        refs, settings = open_shard(path)
    except CaptureError:
        return False
    if settings != options.settings():
        raise CaptureError(
            "holds rooms that were made with other settings",
            path=path,
            found=", ".join(f"{k} {v}" for k, v in settings.items()),
            expected=", ".join(f"{k} {v}" for k, v in options.settings().items()),
            mend="choose another folder with --out, or delete this one",
        )
    return [ref.number for ref in refs] == list(numbers)


def _made(options: Options, recipe: Recipe, numbers: list[int]) -> Iterator[PackedRoom]:
    """The rooms in order, made by worker processes."""
    workers = max(1, min(options.workers, len(numbers)))
    context = multiprocessing.get_context("spawn")
    before = {key: os.environ.get(key) for key in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # read by the libraries as the workers start
    pool = ProcessPoolExecutor(workers, context, _start, (options.models, options.split, options.photos))
    try:
        waiting: list[Future[PackedRoom]] = []
        todo = iter(numbers)
        for _ in numbers:
            while len(waiting) < AHEAD * workers and (number := next(todo, None)) is not None:
                waiting.append(pool.submit(_one, recipe, number))
            yield waiting.pop(0).result()
    except BrokenProcessPool as e:
        mend = "lower --workers; shards that are finished are kept"
        raise ResourceError("a worker was killed, perhaps for want of memory", mend=mend) from e
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


_worker: tuple[Library, list[UInt8]] | None = None


def _start(models: tuple[Path, ...], split: Split, photos: Path) -> None:
    """Once in each worker: one thread, the models' list and the photos."""
    global _worker
    import cv2

    cv2.setNumThreads(1)
    _worker = Library(models, split), read_photos(photos)


def _one(recipe: Recipe, number: int) -> PackedRoom:
    assert _worker is not None
    return make_room(*_worker, recipe, number)


def main() -> None:
    """The command line."""
    try:
        options = tyro.cli(Options)
        paths = generate(options)
    except CondenseError as e:
        print(e.text(), file=sys.stderr)
        raise SystemExit(2) from e
    size = sum(p.stat().st_size for p in paths) / 1e6
    print(f"{options.rooms} rooms in {len(paths)} shards, {size:.0f} MB: {options.out}")


if __name__ == "__main__":
    main()
