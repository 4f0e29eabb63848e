"""Load the numba kernels, so that nobody waits for it later; ``python -m engine.warmup`` fills their cache.

Each kernel is called as the program calls it, on a scene of a few voxels.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera, look_at
from engine.carry import rows_beside
from engine.grid import FitSettings, GridSpec, LiftAccumulator, RadianceGrid, fit_grid
from engine.grid.places import grown
from engine.march import render_colour, render_table, surface_points, visible
from engine.queries.bank import FeatureBank
from engine.runtime import set_threads


@dataclass(frozen=True)
class _Photo:
    camera: Camera
    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    valid: NDArray[np.bool_] | None
    depth_z: NDArray[np.float32] | None


@dataclass(frozen=True)
class _View:
    index: int
    camera: Camera
    held_out: bool
    has_depth: bool


@dataclass(frozen=True)
class _Scene:
    """A grey wall before four cameras."""

    views: tuple[_View, ...]
    bounds_w: NDArray[np.float64]
    bounded: bool = True

    @staticmethod
    def make(has_depth: bool) -> _Scene:
        cameras = [look_at([0.1 * i, 0, -2], [0, 0, 0], [0, -1, 0], fov_y=40, width=16, height=12) for i in range(4)]
        views = tuple(_View(i, c, i == 3, has_depth) for i, c in enumerate(cameras))
        return _Scene(views, np.array([[-1.0, -1, -1], [1, 1, 1]]))

    def read(self, i: int, max_side: int | None = None, depth: bool = False) -> _Photo:
        shape = (12, 16)
        distance = np.full(shape, 2.0, np.float32) if depth else None
        return _Photo(self.views[i].camera, np.full((*shape, 3), 128, np.uint8), None, None, distance)


def _march() -> Iterator[None]:
    spec = GridSpec(np.zeros(3), 0.1, (8, 8, 8))
    index = np.argwhere(np.ones((3, 3, 3))).astype(np.int32)
    grid = RadianceGrid.of(spec, index, np.full((27, 3), 0.5), np.ones(27), np.full((1, 1, 3), 0.5))
    camera = look_at([0.1, 0.1, -1], [0.1, 0.1, 0], [0, -1, 0], fov_y=40, width=8, height=6)
    yield
    render_colour(grid, camera)
    yield
    render_table(grid, np.zeros((27, 3), np.float32), camera)
    yield
    render_table(grid, np.zeros((27, 4), np.float32), camera)
    yield
    point, _ = surface_points(grid, camera, camera.pixel_grid())
    yield
    visible(grid, camera, point[:1])
    yield
    lift = LiftAccumulator(grid, 4)
    lift.add(camera, np.ones((6, 8, 4), np.float32))
    lift.result()
    yield
    grown(grid, np.full(27, 0.5, np.float32))
    yield
    rows_beside(spec.to_grid(grid.centres_w()), grid.lut)
    yield
    bank = FeatureBank(4)
    bank.add_view(0, np.ones((6, 8, 4), np.float32))
    yield
    found = bank.best(bank.heat(bank.feature(0, (0.5, 0.5))))
    yield
    bank.mutual(found, 0, (0.5, 0.5))


def _fit(has_depth: bool) -> Iterator[None]:
    for _ in fit_grid(_Scene.make(has_depth), FitSettings(seconds=60, cells=4096, steps=60)):
        yield


def _select() -> Iterator[None]:
    from engine.annotations.select import Click, load_select_nets, select_scene, smart_select
    from engine.annotations.tools import connected, shrunk
    from engine.annotations.tools import grown as spread

    spec = GridSpec(np.zeros(3), 0.1, (8, 8, 8))
    index = np.argwhere(np.ones((3, 3, 3))).astype(np.int32)
    grid = RadianceGrid.of(spec, index, np.full((27, 3), 0.5), np.ones(27), np.full((1, 1, 3), 0.5))
    camera = look_at([0.1, 0.1, -1], [0.1, 0.1, 0], [0, -1, 0], fov_y=40, width=8, height=6)
    image, one = np.full((27, 4), 0.5, np.float32), np.ones(27, np.float32)
    yield
    job = select_scene(grid, image, one, one, [camera], np.array([0.0, 0.0, 1.0]), load_select_nets())
    while True:
        try:
            next(job)
        except StopIteration as done:
            scene = done.value
            break
        yield
    smart_select(scene, [Click(0)])
    yield
    spread(grid, np.arange(1))
    yield
    shrunk(grid, np.arange(1))
    yield
    connected(grid, np.ones(27, np.bool_), np.arange(1))


STEPS: tuple[tuple[str, Callable[[], Iterator[None]]], ...] = (
    ("previews and lifting", _march),
    ("fitting from depth", lambda: _fit(True)),
    ("fitting from photos", lambda: _fit(False)),
    ("selecting", _select),
)


def main() -> None:
    """Run every step, one line each with its seconds."""
    set_threads()
    start = time.perf_counter()
    for name, step in STEPS:
        begin = time.perf_counter()
        for _ in step():
            pass
        print(f"  {name}: {time.perf_counter() - begin:.1f} s", flush=True)
    print(f"Kernels ready in {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
