"""Rays as mixtures of voxels: what the renderer gives, and their gradient."""

from __future__ import annotations

import numpy as np
import torch

from engine.api.camera import look_at
from engine.grid import GridSpec, RadianceGrid
from engine.march import render_table
from engine.march.bags import BagMaker

CPU = torch.device("cpu")


def some_grid() -> RadianceGrid:
    rng = np.random.default_rng(0)
    index = np.argwhere(rng.random((10, 10, 10)) < 0.4).astype(np.int32)
    count = len(index)
    return RadianceGrid.of(
        GridSpec(np.zeros(3), 0.1, (10, 10, 10)), index, rng.random((count, 3)), rng.random(count), np.ones((1, 1, 3))
    )


def test_a_mixture_is_what_the_renderer_gives() -> None:
    grid = some_grid()
    camera = look_at([0.5, 0.4, -1.2], [0.5, 0.5, 0.5], [0, -1, 0], fov_y=45, width=16, height=12)
    table = np.random.default_rng(1).normal(size=(len(grid.index), 5)).astype(np.float32)
    bags = BagMaker(grid, CPU).through(camera, camera.pixel_grid())
    image, opacity, _ = render_table(grid, table, camera)
    np.testing.assert_allclose(bags.mix(torch.from_numpy(table)).numpy(), image.reshape(-1, 5), atol=2e-3)
    np.testing.assert_allclose(bags.opacity.numpy(), opacity.reshape(-1), atol=1e-3)


def test_the_gradient_of_a_mixture_is_its_shares() -> None:
    grid = some_grid()
    camera = look_at([0.5, 0.4, -1.2], [0.5, 0.5, 0.5], [0, -1, 0], fov_y=45, width=16, height=12)
    bags = BagMaker(grid, CPU).through(camera, np.array([[8.0, 6.0], [3.0, 5.0]]))
    table = torch.zeros(len(grid.index), 2, requires_grad=True)
    bags.mix(table)[1, 0].backward()
    expected = torch.zeros(len(grid.index)).index_add(0, bags.row[bags.start[1] :], bags.share[bags.start[1] :])
    torch.testing.assert_close(table.grad[:, 0], expected)
    assert not table.grad[:, 1].any()


def test_a_ray_that_meets_nothing_is_an_empty_mixture() -> None:
    grid = some_grid()
    camera = look_at([0.5, 0.4, -1.2], [0.5, 0.5, 0.5], [0, -1, 0], fov_y=45, width=16, height=12)
    away = look_at([0.5, 0.4, -1.2], [0.5, 0.5, -9], [0, -1, 0], fov_y=45, width=16, height=12)
    bags = BagMaker(grid, CPU).through(away, camera.pixel_grid()[:4])
    assert not bags.opacity.any()
    assert not bags.mix(torch.ones(len(grid.index), 3)).any()
