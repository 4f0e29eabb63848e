"""Furnished rooms by the thousand, as shards to train on::

    python -m engine.training.rooms.generate --models CATALOGUE --photos FOLDER --out FOLDER --rooms 200 --split train

They teach what warped photos cannot: parallax, occlusion, context that changes with the view. Rooms of the split
``train`` never hold a model that rooms of the split ``held-out`` may hold. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import tyro

from engine.api.errors import CaptureError, told_and_exited
from engine.training.rooms.catalogues import Library, Split
from engine.training.rooms.pack import PackedRoom, Recipe, make_room, write_shard
from engine.training.rooms.shards import open_shard
from engine.training.rooms.surfaces import UInt8, read_photos
from engine.training.rooms.variants import Variant
from engine.training.workers import Tell, cores, in_order

ROOMS_PER_SHARD = 16


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
        variant: the same rooms scanned again, with their furniture moved, or swapped for other models.
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
    variant: Variant = "plain"
    workers: int = field(default_factory=cores)

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
            **({} if self.variant == "plain" else {"variant": self.variant}),
        }


def generate(options: Options) -> list[Path]:
    """Make all shards that are not there yet and return the paths of all.

    Raises:
        CaptureError: no catalogue or photos, a variant of single objects, or the folder holds rooms of other settings.
        CacheError: the folder cannot be written.
        ResourceError: a worker was killed.
    """
    if options.variant != "plain" and options.objects > 0:
        raise CaptureError("only rooms have variants", found=f"--objects {options.objects}", mend="give --objects 0")
    recipe = Recipe(options.seed, options.views, options.width, options.objects, options.variant)
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
    tell = Tell(options.rooms, options.rooms - len(wanted))
    given = (options.models, options.split, options.photos)
    rooms = in_order(partial(_one, recipe), wanted, options.workers, _start, *given)
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
    with told_and_exited():
        options = tyro.cli(Options)
        paths = generate(options)
    size = sum(p.stat().st_size for p in paths) / 1e6
    print(f"{options.rooms} rooms in {len(paths)} shards, {size:.0f} MB: {options.out}")


if __name__ == "__main__":
    main()
