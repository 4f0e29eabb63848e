"""Views of any grid from anywhere, and the reference's gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api.camera import look_at
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec
from engine.march import reference, render_colour, surface_points
from engine.march.rays import STOP

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SPEC = GridSpec(np.array([-0.6, -0.5, -0.4]), 0.1, (12, 10, 8))


def scattered(seed: int, share: float, spec: GridSpec = SPEC) -> RadianceGrid:
    """Random voxels of random colour and density."""
    rng = np.random.default_rng(seed)
    index = np.argwhere(rng.random(spec.dims) < share)
    tau = rng.exponential(1.0, len(index))
    return RadianceGrid.of(spec, index, rng.random((len(index), 3)), tau, np.full((1, 1, 3), 0.2))


@settings(max_examples=60, deadline=None)
@given(
    eye=st.tuples(*[st.floats(-2, 2)] * 3),
    target=st.tuples(*[st.floats(-2, 2)] * 3),
    seed=st.integers(0, 5),
    share=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    width=st.integers(1, 40),
)
def test_any_view_is_finite_in_range_and_as_the_reference_sees_it(
    eye: tuple[float, ...], target: tuple[float, ...], seed: int, share: float, width: int
) -> None:
    if np.linalg.norm(np.subtract(eye, target)) < 1e-3:
        target = (target[0] + 1, target[1], target[2])
    grid = scattered(seed, share)
    camera = look_at(eye, target, [0, 0, 1], fov_y=60, width=width, height=7)
    rgb, opacity, depth_z = render_colour(grid, camera)
    for image in (rgb, opacity):
        assert np.isfinite(image).all()
        assert image.min() >= -1e-6
        assert image.max() <= 1 + 1e-3
    assert np.isfinite(depth_z).all()
    assert depth_z.min() >= 0
    colour, seen = reference.march_image(grid, torch.from_numpy(np.array(grid.rgb)), camera, torch.device("cpu"))
    assert np.abs(opacity - seen.numpy()).max() <= 3 * STOP
    behind = np.float32(51 / 255) * (1 - opacity[..., None])
    assert np.abs(rgb - behind - colour.numpy()).max() <= 3 * STOP
    points, through = surface_points(grid, camera, camera.pixel_grid())
    hit = np.isfinite(points).all(axis=1)
    assert hit[through > 0.51].all()
    assert not hit[through < 0.49].any()
    assert (depth_z[opacity > 0.51] > 0).all()
    assert (depth_z[opacity < 0.49] == 0).all()
    assert np.abs(through - opacity.ravel()).max() <= 3 * STOP


@pytest.mark.parametrize(("width", "height"), [(1, 1), (16, 16), (17, 33), (5, 100)])
def test_every_pixel_of_an_image_is_marched(width: int, height: int) -> None:
    """Whatever part of a tile is left at the edges: an opaque grid around the camera fills the whole view."""
    everywhere = np.argwhere(np.ones(SPEC.dims))
    grid = RadianceGrid.of(
        SPEC, everywhere, np.full((len(everywhere), 3), 0.6), np.full(len(everywhere), 9.0), np.zeros((1, 1, 3))
    )
    camera = look_at([0, 0, 0], [1, 0.2, 0.1], [0, 0, 1], fov_y=50, width=width, height=height)
    rgb, opacity, depth_z = render_colour(grid, camera)
    assert opacity.min() > 0.99
    np.testing.assert_allclose(rgb, 0.6, atol=3e-3)
    assert (depth_z > 0).all()


@pytest.mark.parametrize("device", DEVICES)
def test_the_environment_is_that_of_the_reference(device: str) -> None:
    grid = RadianceGrid.empty(SPEC, np.random.default_rng(2).random((6, 12, 3)))
    camera = look_at([0, 0, 0], [-1, 0.2, 0.3], [0, 0, 1], fov_y=120, width=40, height=30)
    seen, _, _ = render_colour(grid, camera)
    direction = torch.from_numpy(camera.rays(camera.pixel_grid())[1].astype(np.float32)).to(device)
    stored = torch.from_numpy(np.array(grid.background)).to(device)
    expected = reference.environment_colour(stored, direction)
    np.testing.assert_allclose(seen.reshape(-1, 3), expected.cpu().numpy(), atol=2e-4)


@pytest.mark.parametrize("device", DEVICES)
def test_reference_gradients_are_those_of_finite_differences(device: str) -> None:
    """d(sum of a rendered table and of the light left)/d(raw density), central differences in double precision."""
    grid = scattered(0, 0.4, GridSpec(np.full(3, -0.3), 0.1, (6, 6, 6)))
    camera = look_at([1.2, 0.8, 0.6], [0, 0, 0], [0, 0, 1], fov_y=40, width=6, height=5)
    where = torch.device(device)
    tables = reference.DeviceGrid.of(grid.lut, grid.skip, len(grid.index), where)
    rays = reference.Rays.of(grid, camera, camera.pixel_grid(), where)
    begin = torch.zeros(len(rays.origin), device=where)
    single = reference.sample(tables, rays, begin, begin + 0.5)
    samples = reference.Samples(single.ray, single.t, single.row, single.weight.double(), single.rays)
    rng = np.random.default_rng(4)
    table = torch.from_numpy(rng.random((len(grid.index), 2))).to(where)
    raw = torch.from_numpy(rng.normal(-2, 1, len(grid.index))).to(where)  # thin, so that no ray ends early

    def total(raw: torch.Tensor) -> torch.Tensor:
        weights, left = reference.weigh(samples, raw)
        return reference.composite(samples, weights, table).sum() + 0.3 * left.sum()

    raw.requires_grad_()
    total(raw).backward()
    assert raw.grad is not None
    for j in rng.choice(len(raw), 12, replace=False):
        step = torch.zeros_like(raw)
        step[j] = 1e-5
        with torch.no_grad():
            slope = (total(raw + step) - total(raw - step)) / 2e-5
        assert float(raw.grad[j]) == pytest.approx(float(slope), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("device", DEVICES)
def test_rays_that_meet_nothing_keep_their_light(device: str) -> None:
    """No sample at all is a case of its own for packed samples."""
    grid = scattered(0, 0.3)
    where = torch.device(device)
    tables = reference.DeviceGrid.of(grid.lut, grid.skip, len(grid.index), where)
    away = look_at([2, 1, 1], [4, 2, 2], [0, 0, 1], fov_y=40, width=4, height=3)
    rays = reference.Rays.of(grid, away, away.pixel_grid(), where)
    raw = torch.zeros(len(grid.index), device=where, requires_grad=True)
    colour, left = reference.march(tables, rays, raw, torch.rand(len(grid.index), 3, device=where))
    assert float(colour.detach().abs().sum()) == 0
    assert bool((left == 1).all())
    (colour.sum() + left.sum()).backward()
    assert raw.grad is None or float(raw.grad.abs().sum()) == 0
