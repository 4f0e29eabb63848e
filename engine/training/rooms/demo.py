"""Render the demo capture: ``python -m engine.training.rooms.demo --models DIR --out assets/demo --seed 0``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tyro

from engine.api.errors import told_and_exited
from engine.api.jobs import Progress, finish
from engine.runtime import set_threads
from engine.training.rooms.capture import write_capture
from engine.training.rooms.layout import build_cameras, build_room
from engine.training.rooms.models import Catalogue
from engine.training.rooms.render import LightSettings, light_scene
from engine.training.rooms.scene import RoomScene


@dataclass(frozen=True)
class Options:
    """Render the demo capture, a sunny living room.

    Attributes:
        models: folder of the model catalogue (with catalog.json).
        out: folder to write; existing files of the same names are replaced.
        seed: of textures, books and light samples.
        width: of the photos in pixels; the height is three quarters.
        every: keep every n-th view (a quick look).
    """

    models: Path
    out: Path
    seed: int = 0
    width: int = 640
    every: int = 1


def make_demo(options: Options) -> None:
    """Build, light and write the demo room.

    Raises:
        CondenseError: a model is missing or unreadable, or the folder cannot be written.
    """
    set_threads()
    room, lights = build_room(Catalogue(options.models), options.seed)
    cameras = build_cameras(options.width, options.width * 3 // 4)[:: options.every]
    scene = RoomScene(room)
    lit = finish(light_scene(scene, lights, cameras, LightSettings(), options.seed), Reporter())
    finish(write_capture(lit, cameras, room.objects, options.out), Reporter())
    print(f"\n{len(cameras)} views, {len(room.objects)} objects: {options.out}", file=sys.stderr)


class Reporter:
    """Says on stderr how far a job is and, from each stage's own pace, how long that stage will still take."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._note, self._start, self._first = "", 0.0, 0.0

    def __call__(self, p: Progress) -> None:
        now = self._clock()
        if p.note != self._note:
            self._note, self._start, self._first = p.note, now, p.done
        done = p.done - self._first
        left = f", {(now - self._start) / done * (p.total - p.done):.0f} s left" if done > 0 else ""
        print(f"\r{p.note}: {p.done:.0f} of {p.total:.0f} {p.unit}{left}      ", end="", file=sys.stderr, flush=True)


def main() -> None:
    with told_and_exited():
        make_demo(tyro.cli(Options))


if __name__ == "__main__":
    main()
