"""Scenes of which voxels alone are kept, and what photos say of them: enough for the training on bare voxels.

A room is about 1 MB instead of 80, so there can be many of them; and geometry alone is learnt from many rooms, where
few are learnt by heart. They are packed once, by as many processes as there are cores::

    python -m engine.training.voxels --rooms SHARDS --out FOLDER

A run that was stopped goes on where it was.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import tyro
from torch import Tensor

from engine.api.errors import CaptureError, told_and_exited
from engine.api.jobs import Job, Progress, finish
from engine.encoders.hypercolumn import LONG_SIDE
from engine.encoders.mobile import load_default
from engine.encoders.volume.working import MOST, surface_of
from engine.grid import LiftAccumulator
from engine.grid.coarse import coarsened_slices
from engine.sparse import Pyramid
from engine.storage import read_tensors, write_tensors
from engine.training.config import TrainConfig
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.labels import voxel_objects
from engine.training.rooms.shards import RoomCapture, open_shards
from engine.training.scenes import turned
from engine.training.workers import Tell, cores, in_order

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.encoders.image import ImageEncoder
    from engine.grid.radiance import RadianceGrid

FORMAT = "condense-voxels-2"


@dataclass(frozen=True, eq=False)
class VoxelScene:
    """The voxels of one capture.

    Attributes:
        name: of the capture.
        index: (V, 3) integer coordinates.
        surface: (V, 4) colour and opacity in [0, 1].
        said: (V, D) what all photos say of the voxels, of unit length; rows of zeros where none speaks.
        encoder: id of the 2D encoder that said it.
        names: of the things in it, where they are known.
        thing: (V,) each voxel's place in ``names``, or -1.
    """

    name: str
    index: Tensor
    surface: Tensor
    said: Tensor
    encoder: str
    names: tuple[str, ...]
    thing: Tensor

    def turned(self, rng: np.random.Generator, depth: int) -> Pyramid:
        """Its pyramid of ``depth`` levels in a random orientation."""
        return turned(self.index, depth, rng)

    def to(self, device: torch.device) -> VoxelScene:
        """In single precision on ``device``."""
        moved = {k: getattr(self, k).to(device) for k in ("index", "surface", "said", "thing")}
        return replace(self, **moved)

    def save(self, path: Path) -> None:
        """Write it, atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        tensors = {"index": self.index.short(), "surface": self.surface.half(), "said": self.said.half()}
        tensors["thing"] = self.thing.short()
        meta = {"format": FORMAT, "name": self.name, "encoder": self.encoder, "names": self.names}
        write_tensors(path, {k: v.cpu().numpy() for k, v in tensors.items()}, meta)


def voxel_scene(capture: Capture, encoder: ImageEncoder, cells: int) -> Job[VoxelScene]:
    """Fuse the depth of a capture, and lift all its photos.

    Args:
        capture: with depth.
        encoder: of its photos.
        cells: of the grid.

    Raises:
        CaptureError: it has no depth, or a photo cannot be read.
    """
    grid = yield from fused_grid(capture, cells)
    grid = (yield from coarsened_slices(grid, MOST)).grid
    lift = LiftAccumulator(grid, encoder.dim)
    speaking = [view for view in capture.views if not view.held_out]
    for done, view in enumerate(speaking):
        yield Progress(done, len(speaking), "views", f"encoding {capture.name}")
        features = yield from encoder.encode_slices(capture.read(view.index, max_side=LONG_SIDE).rgb)
        yield from lift.add_slices(view.camera, features)
    index, cpu = torch.tensor(grid.index, dtype=torch.long), torch.device("cpu")
    said = torch.from_numpy(lift.result().mean)
    names: tuple[str, ...] = ()
    thing = torch.full((len(index),), -1)
    if isinstance(capture, RoomCapture):
        names, thing = _things(capture, grid)
    return VoxelScene(capture.name, index, surface_of(grid, cpu), said, encoder.id, names, thing)


def _things(room: RoomCapture, grid: RadianceGrid) -> tuple[tuple[str, ...], Tensor]:
    """The names of a room's things, and which of them each voxel is."""
    names = tuple(sorted({o.label for o in room.objects}))
    place = np.full(max(o.id for o in room.objects) + 1, -1) if room.objects else np.array([-1])
    for o in room.objects:
        place[o.id] = names.index(o.label)
    return names, torch.from_numpy(place[voxel_objects(room, grid)]).long()


def read_voxels(folder: Path, encoder: str) -> list[VoxelScene]:
    """All that were packed into a folder, in order of their names.

    Args:
        folder: of packed scenes.
        encoder: id of the 2D encoder that must have encoded their photos.

    Raises:
        CaptureError: none there, one is damaged, or another encoder's.
        CacheError: one is truncated.
    """
    paths = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not paths:
        mend = "make some: python -m engine.training.voxels --rooms SHARDS --out FOLDER"
        raise CaptureError("holds no packed voxels", path=folder, mend=mend)
    return [_read(path, encoder) for path in paths]


def _read(path: Path, encoder: str) -> VoxelScene:
    tensors, meta = read_tensors(path)
    try:
        if meta.get("format") != FORMAT:
            raise ValueError(f"format {meta.get('format')}")
        index, surface, said, thing = (torch.from_numpy(tensors[k]) for k in ("index", "surface", "said", "thing"))
        names = tuple(str(n) for n in meta["names"])
        if not (len(index) == len(surface) == len(said) == len(thing) > 0 and said.ndim == 2 and thing.ndim == 1):
            raise ValueError(f"shapes {tuple(index.shape)}, {tuple(surface.shape)}, {tuple(said.shape)}")
        if index.shape[1:] != (3,) or surface.shape[1:] != (4,) or index.is_floating_point() or int(index.min()) < 0:
            raise ValueError(f"shapes {tuple(index.shape)}, {tuple(surface.shape)}, or voxels outside")
        if not (surface.isfinite().all() and said.isfinite().all()):
            raise ValueError("numbers that are not finite")
        if thing.is_floating_point() or int(thing.min()) < -1 or int(thing.max()) >= len(names):
            raise ValueError("things that have no name")
        voxels = (index.long(), surface.float(), said.float())
        scene = VoxelScene(str(meta["name"]), *voxels, str(meta["encoder"]), names, thing.long())
    except (KeyError, TypeError, ValueError, IndexError) as e:
        mend = "delete it, and pack its rooms again"
        raise CaptureError("is no packed scene", path=path, found=str(e), mend=mend) from e
    if scene.encoder != encoder:
        mend = "pack the rooms again, into another folder"
        raise CaptureError(
            "was packed with another 2D encoder", path=path, found=scene.encoder, expected=encoder, mend=mend
        )
    return scene


@dataclass(frozen=True)
class Options:
    """Pack the voxels of rooms, and what their photos say of them.

    Attributes:
        rooms: folders of room shards.
        out: folder for the packed scenes.
        cells: of a room's grid.
        workers: processes, one core each; by default as many as there are cores.
    """

    rooms: tuple[Path, ...]
    out: Path
    cells: int = field(default_factory=lambda: TrainConfig().cells)
    workers: int = field(default_factory=cores)


def pack(options: Options) -> int:
    """Pack all rooms that are not there yet; how many there are.

    Raises:
        CaptureError: no rooms, or one is damaged.
        CacheError: the folder cannot be written.
        ResourceError: a worker was killed.
    """
    todo: list[tuple[Path, int, Path]] = []
    total = 0
    for folder in options.rooms:
        for place, ref in enumerate(open_shards(folder)):
            safe = re.sub(r"[^\w-]+", "-", ref.name)
            path = options.out / f"{safe}-{ref.fingerprint[:8]}.safetensors"
            total += 1
            if not path.exists():
                todo.append((folder, place, path))
    if todo:
        tell = Tell(total, total - len(todo))
        for _ in in_order(partial(_one, options.cells), todo, options.workers, _start):
            tell()
        print(file=sys.stderr)
    return total


_worker: ImageEncoder | None = None


def _start() -> None:
    """Once in each worker."""
    global _worker
    torch.set_num_threads(1)
    _worker = load_default(torch.device("cpu"))


def _one(cells: int, item: tuple[Path, int, Path]) -> None:
    assert _worker is not None
    folder, place, path = item
    finish(voxel_scene(open_shards(folder)[place].load(), _worker, cells)).save(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    with told_and_exited():
        options = tyro.cli(Options, args=arguments)
        total = pack(options)
    print(f"{total} rooms: {options.out}")


if __name__ == "__main__":
    main()
