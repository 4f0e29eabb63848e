"""Viewpoints of a scene that nobody photographed."""

from __future__ import annotations

import numpy as np
import pytest

from engine.api.jobs import finish
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec
from engine.grid.viewpoints import viewpoints
from engine.march import render_colour
from engine.march import visible as seen_by


@pytest.fixture(autouse=True)
def _few_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.grid.viewpoints.POSITIONS", 60)  # a tenth of the time


def grid_of(solid: np.ndarray, tau: float = 8.0) -> RadianceGrid:
    index = np.argwhere(solid).astype(np.int32)
    rgb = np.full((len(index), 3), 0.5, np.float32)
    x, y, z = solid.shape
    spec = GridSpec(np.zeros(3), 0.1, (x, y, z))
    return RadianceGrid.of(spec, index, rgb, np.full(len(index), tau), np.full((1, 1, 3), 0.5))


def room() -> np.ndarray:
    """Floor and two walls, open elsewhere, with a block on the floor."""
    solid = np.zeros((40, 32, 24), bool)
    solid[1:39, 1:31, 1:3] = solid[1:3, 1:31, 1:23] = solid[1:39, 1:3, 1:23] = True
    solid[15:22, 12:18, 3:10] = True
    return solid


def test_they_see_the_surface_from_free_space_and_stand_upright() -> None:
    solid = room()
    grid = grid_of(solid)
    cameras = finish(viewpoints(grid, [0, 0, 1], 12))
    assert len(cameras) == 12
    surface = solid.copy()
    surface[1:-1, 1:-1, 1:-1] &= ~(
        solid[:-2, 1:-1, 1:-1] & solid[2:, 1:-1, 1:-1] & solid[1:-1, :-2, 1:-1] & solid[1:-1, 2:, 1:-1]
        & solid[1:-1, 1:-1, :-2] & solid[1:-1, 1:-1, 2:]
    )  # fmt: skip
    centres_w = grid.spec.to_world(np.argwhere(surface) + 0.5)
    seen = np.any([seen_by(grid, c, centres_w) for c in cameras], axis=0)
    assert seen.mean() > 0.8
    for camera in cameras:
        inside = np.floor(grid.spec.to_grid(camera.centre_w[None])[0]).astype(int)
        if ((inside >= 0) & (inside < solid.shape)).all():
            assert not solid[tuple(inside)]
        assert camera.c2w[2, 0] == pytest.approx(0, abs=1e-9)  # the image's x axis is level
        assert camera.c2w[2, 1] < 0  # and its y axis points down
        assert (render_colour(grid, camera.scaled(32, 24))[1] > 0.5).mean() > 0.2


def test_the_first_of_many_are_the_few_and_a_seed_gives_the_same() -> None:
    grid = grid_of(room())
    many = finish(viewpoints(grid, [0, 0, 1], 6, seed=3))
    few = finish(viewpoints(grid, [0, 0, 1], 3, seed=3))
    for a, b in zip(many, few, strict=False):
        np.testing.assert_array_equal(a.c2w, b.c2w)
    other = finish(viewpoints(grid, [0, 0, 1], 6, seed=4))
    assert not np.array_equal(many[0].c2w, other[0].c2w)


def test_a_little_thing_is_seen_and_fog_is_not() -> None:
    solid = np.zeros((7, 7, 7), bool)
    solid[2:5, 2:5, 2:5] = True
    assert len(finish(viewpoints(grid_of(solid), [0, 0, 1], 2))) == 2
    with pytest.raises(ValueError, match="opaque"):
        finish(viewpoints(grid_of(solid, tau=0.1), [0, 0, 1], 2))
