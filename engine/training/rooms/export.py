"""Write rooms of a shard as ordinary captures, to be opened in the window::

python -m engine.training.rooms.export --shards FOLDER --room 3 --out FOLDER
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from engine.api.errors import QueryError, told_and_exited
from engine.storage import write_atomic
from engine.training.rooms.capture import frame_files, write_transforms
from engine.training.rooms.shards import IMAGES, RoomCapture, open_shards


@dataclass(frozen=True)
class Options:
    """Write one room of a folder of shards as a capture with depth and object ids.

    Attributes:
        shards: folder of shards.
        room: which, counted from 0 over all shards.
        out: folder to write; existing files of the same names are replaced.
    """

    shards: Path
    room: int
    out: Path


def export_room(room: RoomCapture, folder: Path) -> Path:
    """Write a room as a nerfstudio capture: its images as they are stored, transforms.json, objects.json.

    Raises:
        CacheError: the folder cannot be written.
    """
    for view in room.views:
        for kind, path in zip(IMAGES, frame_files(view.index), strict=True):
            data: bytes = getattr(view.encoded, kind)[view.index]
            _write(folder / path, data)
    write_transforms([v.camera for v in room.views], room.objects, folder)
    return folder


def _write(path: Path, data: bytes) -> None:
    def write(tmp: Path) -> None:
        tmp.write_bytes(data)

    write_atomic(path, write)


def main() -> None:
    """The command line."""
    with told_and_exited():
        options = tyro.cli(Options)
        rooms = open_shards(options.shards)
        if not 0 <= options.room < len(rooms):
            raise QueryError("there is no such room", path=options.shards, expected=f"0 to {len(rooms) - 1}")
        room = rooms[options.room].load()
        export_room(room, options.out)
    print(f"{room.name}, {len(room.views)} views, {len(room.objects)} objects: {options.out}")


if __name__ == "__main__":
    main()
