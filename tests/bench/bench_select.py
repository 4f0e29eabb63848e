"""How long smart select and strokes take in a room of so many voxels: wall and processor time, and the longest slice::

python -m tests.bench.bench_select ROOMS --cells 5500000
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import tyro

from engine.annotations.select import Click, load_select_nets, select_scene, selected_rows, smart_select
from engine.annotations.strokes import brush, lifted, seen_mask, view_hits
from engine.api.jobs import finish
from engine.encoders.hypercolumn import LONG_SIDE
from engine.encoders.mobile import load_default
from engine.grid.lift import LiftAccumulator
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.shards import open_shards

T = TypeVar("T")
ROUNDS = 40


@dataclass(frozen=True)
class Options:
    """Attributes:
    rooms: a folder of shards, of which the first room is taken.
    cells: of its grid.
    """

    rooms: tyro.conf.Positional[Path]
    cells: int = 5_500_000


def timed(what: Callable[[], T], wall: list[float], own: list[float]) -> T:
    a, b = time.perf_counter(), time.process_time()
    out = what()
    wall.append(1e3 * (time.perf_counter() - a))
    own.append(1e3 * (time.process_time() - b))
    return out


def sliced(job: Generator[object, None, T]) -> tuple[T, list[float]]:
    own: list[float] = []
    while True:
        start = time.process_time()
        try:
            next(job)
        except StopIteration as done:
            return done.value, own
        own.append(1e3 * (time.process_time() - start))


def tell(name: str, wall: list[float], own: list[float]) -> None:
    p50, p95 = np.percentile(wall, [50, 95])
    print(f"{name}: p50 {p50:.1f} ms, p95 {p95:.1f} ms (processor: p95 {np.percentile(own, 95):.1f} ms)")


def main(options: Options) -> None:
    room = open_shards(options.rooms)[0].load()
    grid = finish(fused_grid(room, options.cells))
    encoder = load_default(torch.device("cpu"))
    lift = LiftAccumulator(grid, encoder.dim)
    for view in room.views:
        lift.add(view.camera, finish(encoder.encode_slices(room.read(view.index, max_side=LONG_SIDE).rgb)))
    image, spread = lift.part(slice(None))
    cameras = [v.camera for v in room.views]
    made = select_scene(grid, image, spread, lift.weight, cameras, room.up_w, load_select_nets())
    scene, slices = sliced(made)
    print(
        f"{len(grid.index)} voxels; ready in {sum(slices) / 1e3:.1f} s of processor, longest slice {max(slices):.0f} ms"
    )
    rng = np.random.default_rng(0)
    select: tuple[list[float], list[float]] = ([], [])
    wheel: tuple[list[float], list[float]] = ([], [])
    stroke: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        clicks: list[Click] = []
        for n in range(3):
            clicks.append(Click(int(rng.integers(len(grid.index))), n == 0 or rng.random() < 0.5))
            found = timed(lambda c=tuple(clicks): smart_select(scene, c), *select)
        timed(lambda f=found, c=tuple(clicks): selected_rows(grid, f.score, c, 0.3), *wheel)
    hits, slices = sliced(view_hits(grid, cameras[0]))
    for _ in range(ROUNDS):
        x, y = rng.uniform([40, 40], [200, 160])
        timed(lambda p=((x, y), (x + 60, y + 10)): seen_mask(hits, lifted(hits, brush(hits.camera, p, 8))), *stroke)
    tell("smart select", *select)
    tell("threshold", *wheel)
    tell("stroke, lifted and seen", *stroke)
    print(f"a view's hits, once: {sum(slices):.0f} ms of processor, longest slice {max(slices):.0f} ms")


if __name__ == "__main__":
    main(tyro.cli(Options))
