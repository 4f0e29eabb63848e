"""The marching kernels against the torch reference, against autograd and against hand computation."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from engine.api.camera import Camera, look_at
from engine.captures import Photo
from engine.grid.environment import Environment
from engine.grid.level import Level, Voxels
from engine.grid.photos import PhotoBank, ReadingPlan
from engine.grid.radiance import RadianceGrid
from engine.grid.reference_fit import TorchLevel
from engine.grid.spec import GridSpec
from engine.march import render_colour, render_table, surface_along, surface_points, unblocked, visible
from engine.march.rays import STOP
from engine.march.reference import DeviceGrid, Rays, Samples, march, march_image, sample

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SPEC = GridSpec(np.array([-1.0, -0.9, -0.8]), 0.1, (20, 18, 16))
OUTSIDE = look_at([2.5, 1.7, 1.1], [0, 0, 0], [0, 0, 1], fov_y=50, width=48, height=36)
INSIDE = look_at([0.23, -0.11, 0.07], [1, 0.4, 0.1], [0, 0, 1], fov_y=80, width=48, height=36)
CAMERAS = pytest.mark.parametrize("camera", [OUTSIDE, INSIDE], ids=["outside", "inside"])


def clouds(seed: int = 0) -> RadianceGrid:
    """Random lumps of voxels, thin and opaque, with empty space between them."""
    rng = np.random.default_rng(seed)
    lumps = np.kron(rng.random((7, 6, 6)) < 0.15, np.ones((3, 3, 3), np.bool_))
    index = np.argwhere(lumps[: SPEC.dims[0], : SPEC.dims[1], : SPEC.dims[2]])
    tau = rng.uniform(0.05, 5, len(index))
    background = rng.random((8, 16, 3))
    return RadianceGrid.of(SPEC, index, rng.random((len(index), 3)), tau, background)


def line_of(tau: list[float], colour: list[list[float]], background: float = 0.0) -> RadianceGrid:
    """Voxels (3, 4, 4), (4, 4, 4), … of edge 0.5 in a box of 10 x 9 x 9 at the origin."""
    spec = GridSpec(np.zeros(3), 0.5, (10, 9, 9))
    index = np.array([[3 + n, 4, 4] for n in range(len(tau))])
    return RadianceGrid.of(spec, index, colour, tau, np.full((1, 1, 3), background))


def along_x(x_w: float) -> Camera:
    """One pixel whose ray runs along +x through the centres of the voxels of ``line_of``."""
    return look_at([x_w, 2.25, 2.25], [10, 2.25, 2.25], [0, 0, 1], fov_y=10, width=1, height=1)


def wall() -> RadianceGrid:
    """An opaque wall, three voxels thick, over 1.0 <= x < 1.3 of the box 0 … 2; edge 0.1."""
    index = np.argwhere(np.ones((3, 20, 20), np.bool_)) + np.array([10, 0, 0])
    count = len(index)
    spec = GridSpec(np.zeros(3), 0.1, (20, 20, 20))
    return RadianceGrid.of(spec, index, np.full((count, 3), 0.5), np.full(count, 20.0), np.zeros((1, 1, 3)))


def sample_until(
    t_end: torch.Tensor, grid: DeviceGrid, rays: Rays, begin: torch.Tensor, offset: torch.Tensor
) -> Samples:
    """The reference sampler, each ray (N,) cut off at ``t_end`` (N,)."""
    s = sample(grid, rays, begin, offset)
    keep = s.t < t_end[s.ray]
    return Samples(s.ray[keep], s.t[keep], s.row[keep], s.weight[keep], s.rays)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """To 1e-4; a ray that ends one sample earlier or later, by rounding, may differ by the light that is left then."""
    assert np.isfinite(found).all()
    error = np.abs(found - expected)
    assert error.max() <= 2 * STOP
    assert np.quantile(error, 0.99) <= 1e-4


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3, 5])
@CAMERAS
def test_tables_render_as_the_reference_does(device: str, channels: int, camera: Camera) -> None:
    grid = clouds()
    table = np.random.default_rng(1).standard_normal((len(grid.index), channels)).astype(np.float32)
    image, opacity, _ = render_table(grid, table, camera)
    expected, expected_opacity = march_image(grid, torch.from_numpy(table), camera, torch.device(device), 1000)
    assert opacity.max() > 0.9
    assert_close(image / 4, expected.cpu().numpy() / 4)  # normal numbers reach 4
    assert_close(opacity, expected_opacity.cpu().numpy())


@pytest.mark.parametrize("device", DEVICES)
@CAMERAS
def test_colour_is_the_reference_over_the_environment(device: str, camera: Camera) -> None:
    grid = clouds()
    rgb, opacity, _ = render_colour(grid, camera)
    inner, expected_opacity = march_image(grid, torch.from_numpy(grid.rgb.copy()), camera, torch.device(device))
    left = (1 - expected_opacity).cpu().numpy()
    behind = render_colour(RadianceGrid.empty(SPEC, grid.background), camera)[0]
    shows = np.where(left > STOP, left, 0)  # no more is added to a ray that has ended
    assert_close(rgb, inner.cpu().numpy() + shows[..., None] * behind)
    assert_close(opacity, 1 - left)


@CAMERAS
def test_depth_is_where_the_reference_transmittance_passes_one_half(camera: Camera) -> None:
    grid = clouds()
    depth_z = render_table(grid, grid.rgb, camera)[2].ravel()
    chosen = np.flatnonzero(depth_z > 0)[::17]
    assert len(chosen) > 10
    pixels = camera.pixel_grid()[chosen]
    on_device = DeviceGrid.of(grid.lut, grid.skip, len(grid.index), torch.device("cpu"))
    rays = Rays.of(grid, camera, pixels, torch.device("cpu"))
    raw = torch.from_numpy(grid.padded_raw[:-1].copy())
    t = depth_z[chosen] * np.linalg.norm(camera.ray_z(pixels), axis=1) / SPEC.voxel
    for offset, passed in ((0.01, True), (-0.01, False)):
        sampler = partial(sample_until, torch.from_numpy((t + offset).astype(np.float32)))
        left = march(on_device, rays, raw, torch.zeros(len(raw), 1), sampler=sampler)[1]
        assert ((left < 0.5) == passed).all()


def test_all_kernels_agree_on_opacity_and_depth() -> None:
    grid = clouds()
    one = render_table(grid, np.ones((len(grid.index), 1), np.float32), OUTSIDE)
    three = render_table(grid, np.ones((len(grid.index), 3), np.float32), OUTSIDE)
    np.testing.assert_allclose(one[1], three[1], atol=1e-5)
    np.testing.assert_allclose(one[2], three[2], atol=1e-4)
    np.testing.assert_allclose(one[0][..., 0], one[1], atol=1e-4)  # colours are averaged: w sums up
    pos_w, opacity = surface_points(grid, OUTSIDE, OUTSIDE.pixel_grid())
    np.testing.assert_allclose(opacity, one[1].ravel(), atol=1e-5)
    hit = one[2].ravel() > 0
    assert (np.isfinite(pos_w).all(axis=1) == hit).all()
    np.testing.assert_allclose(OUTSIDE.to_camera(pos_w[hit])[:, 2], one[2].ravel()[hit], atol=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_fused_gradient_is_that_of_autograd(device: str, threads: int) -> None:
    rng = np.random.default_rng(3)
    cameras = [OUTSIDE, INSIDE]
    views = tuple(SimpleNamespace(camera=c) for c in cameras)
    bank = PhotoBank(SimpleNamespace(views=views), ReadingPlan((0, 1), 48))  # type: ignore[arg-type]
    for c in cameras:
        valid = rng.random((c.height, c.width)) < 0.9
        bank.add(Photo(c, rng.integers(0, 256, (c.height, c.width, 3), np.uint8), valid=valid))
    parts = []
    for spec, share in ((SPEC, 0.08), (GridSpec(np.array([-4.0, -4.5, -4.0]), 0.5, (16, 18, 16)), 0.05)):
        index = np.argwhere(rng.random(spec.dims) < share).astype(np.int32)
        values = np.concatenate([rng.random((len(index), 3)), rng.uniform(-3, 2, (len(index), 1))], axis=1)
        parts.append(Voxels(spec, index, values.astype(np.float32)))
    rays = np.stack([rng.integers(0, 2, 600), rng.integers(0, 48 * 36, 600)], axis=1)
    jitter = rng.random(600, np.float32)
    on_device = type("OnDevice", (TorchLevel,), {"device": torch.device(device)})
    results = []
    for level_type in (Level, on_device):
        made: list[Level] = []
        for _ in level_type.make(parts, threads, made):
            pass
        environment = Environment(8, threads)
        environment.map[:] = np.random.default_rng(4).random(environment.map.shape)
        loss = made[0].differentiate(bank, rays, jitter, environment)
        gradient, most = made[0].gradient.sum(axis=0)[:-1], made[0].most.max(axis=0)[:-1]
        results.append((loss, gradient, environment.gradient.sum(axis=0), most))
    fused, autograd = results
    assert fused[0] == pytest.approx(autograd[0], rel=1e-4)
    for found, expected in zip(fused[1:], autograd[1:], strict=True):
        assert np.abs(expected).max() > 0
        assert np.linalg.norm(found - expected) <= 1e-4 * np.linalg.norm(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@CAMERAS
def test_an_empty_grid_shows_the_background(camera: Camera) -> None:
    grid = RadianceGrid.empty(SPEC, np.full((1, 1, 3), 0.2))
    rgb, opacity, depth_z = render_colour(grid, camera)
    np.testing.assert_allclose(rgb, 51 / 255, atol=1e-6)
    assert (opacity == 0).all()
    assert (depth_z == 0).all()
    pos_w, through = surface_points(grid, camera, [[3.5, 4.5]])
    assert np.isnan(pos_w).all()
    assert through[0] == 0


def test_the_background_is_looked_up_by_direction() -> None:
    env = np.zeros((2, 4, 3))
    env[0, :, 0] = 1.0  # up is red
    env[1, :, 2] = 1.0  # down is blue
    grid = RadianceGrid.empty(SPEC, env)
    for target, colour in (([0, 0, 9], [1, 0, 0]), ([0, 0, -9], [0, 0, 1]), ([9, 0, 0], [0.5, 0, 0.5])):
        camera = look_at([0, 0, 0], target, [0, 0, 1], fov_y=5, width=1, height=1)
        np.testing.assert_allclose(render_colour(grid, camera)[0][0, 0], colour, atol=1e-5)


def test_compositing_over_three_voxels_by_hand() -> None:
    # Samples lie half way between the centres, at x = 1.5, 2.0, 2.5, 3.0: s is the mean of two neighbours (-10 where
    # nothing is), colour the mean over the stored ones.
    tau = [0.5, 1.0, 4.0]
    c = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    grid = line_of(tau, c.tolist(), background=1.0)
    s = np.log(np.expm1(tau))
    at = np.array([(s[0] - 10) / 2, (s[0] + s[1]) / 2, (s[1] + s[2]) / 2, (s[2] - 10) / 2])
    colour = np.array([c[0], (c[0] + c[1]) / 2, (c[1] + c[2]) / 2, c[2]])
    alpha = 1 - np.exp(-np.log1p(np.exp(at)))
    transmittance = np.cumprod([1.0, *(1 - alpha)])
    expected = (transmittance[:-1] * alpha) @ colour
    for eye in (-1.0, 0.25):  # in front of the box, and inside it at the first centre
        camera = along_x(eye)
        image, opacity, depth_z = render_table(grid, c.astype(np.float32), camera)
        np.testing.assert_allclose(image[0, 0], expected, atol=1e-5)
        assert opacity[0, 0] == pytest.approx(1 - transmittance[-1], abs=1e-5)
        crossing = 1.5 + 0.5 * int(np.flatnonzero(transmittance[1:] < 0.5)[0])
        assert depth_z[0, 0] == pytest.approx(crossing - eye, abs=1e-4)
        rgb = render_colour(grid, camera)[0][0, 0]
        np.testing.assert_allclose(rgb, expected + transmittance[-1], atol=1e-5)


def test_one_thin_voxel_by_hand() -> None:
    grid = line_of([0.25], [[1, 1, 1]])
    alpha = 1 / (1 + np.exp(-(np.log(np.expm1(0.25)) - 10) / 2))
    _, opacity, depth_z = render_table(grid, np.ones((1, 1), np.float32), along_x(-1.0))
    assert opacity[0, 0] == pytest.approx(1 - (1 - alpha) ** 2, abs=1e-6)
    assert depth_z[0, 0] == 0


def test_a_camera_beyond_the_voxels_does_not_see_them() -> None:
    _, opacity, _ = render_table(line_of([9.0], [[1, 1, 1]]), np.ones((1, 1), np.float32), along_x(3.5))
    assert opacity[0, 0] == 0


def test_shells_begin_where_the_inner_box_ends() -> None:
    # A shell full of red fog that is opaque; an inner grid without voxels. What the shell holds inside the inner box
    # must not be seen: the ray turns red only behind it.
    inner = GridSpec(np.full(3, -1.0), 0.25, (8, 8, 8))
    outer = GridSpec(np.full(3, -4.0), 0.5, (16, 16, 16))
    index = np.argwhere(np.ones(outer.dims, np.bool_))
    shell = RadianceGrid.of(
        outer, index, np.tile([1.0, 0, 0], (len(index), 1)), np.full(len(index), 9.0), np.zeros((1, 1, 3))
    )
    grid = RadianceGrid.of(inner, np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.ones((1, 1, 3)), shells=[shell])
    camera = look_at([0, 0, 0], [1, 0, 0], [0, 0, 1], fov_y=10, width=1, height=1)
    rgb, opacity, depth_z = render_colour(grid, camera)
    np.testing.assert_allclose(rgb[0, 0], [1, 0, 0], atol=2e-3)
    assert opacity[0, 0] > 0.99
    inside = 1.0 - 0.5 * inner.voxel  # up to the last centre
    assert inside <= depth_z[0, 0] <= inside + outer.voxel


@pytest.mark.parametrize("dim", [1, 3, 7])
def test_rendering_is_linear_in_the_table(dim: int) -> None:
    grid = clouds()
    rng = np.random.default_rng(5)
    table = rng.standard_normal((len(grid.index), dim)).astype(np.float32)
    mix = rng.standard_normal((dim, 3)).astype(np.float32)
    projected, *_ = render_table(grid, table @ mix, OUTSIDE)
    full, *_ = render_table(grid, table, OUTSIDE)
    np.testing.assert_allclose(projected, full @ mix, atol=2e-4)


def test_a_table_of_the_wrong_length_is_refused() -> None:
    grid = clouds()
    with pytest.raises(ValueError, match="expected"):
        render_table(grid, np.zeros((len(grid.index) + 1, 3), np.float32), OUTSIDE)


def test_the_surface_of_a_wall_by_hand() -> None:
    grid = wall()
    camera = look_at([-1.0, 1.0, 1.0], [1, 1, 1], [0, 0, 1], fov_y=20, width=9, height=9)
    pos_w, opacity = surface_points(grid, camera, [[4.5, 4.5], [2.5, 6.5]])
    assert (opacity > 0.99).all()
    assert (np.abs(pos_w[:, 0] - 1.0) <= 0.15).all()  # one sample, and half a voxel to either side
    np.testing.assert_allclose(pos_w[0, 1:], 1.0, atol=1e-5)
    np.testing.assert_allclose(camera.project(pos_w)[0], [[4.5, 4.5], [2.5, 6.5]], atol=1e-3)
    beside = look_at([-1.0, 1.0, 1.0], [-2, 1, 1], [0, 0, 1], fov_y=20, width=9, height=9)
    away, nothing = surface_points(grid, beside, [[4.5, 4.5]])
    assert np.isnan(away).all()
    assert nothing[0] == 0


def test_a_wall_hides_what_is_behind_it() -> None:
    grid = wall()
    camera = look_at([-1.0, 1.0, 1.0], [1, 1, 1], [0, 0, 1], fov_y=40, width=9, height=9)
    points = [[0.5, 1, 1], [1.0, 1, 1], [1.7, 1, 1], [-2.0, 1, 1], [0.5, 1, 9]]
    # before the wall, on it, behind it, behind the camera, outside the image
    assert visible(grid, camera, points).tolist() == [True, True, False, False, False]
    back = look_at([3.0, 1.0, 1.0], [1, 1, 1], [0, 0, 1], fov_y=40, width=9, height=9)
    assert visible(grid, back, points[:3]).tolist() == [False, False, True]


def test_rays_of_many_cameras_agree_with_each_camera_alone() -> None:
    grid = clouds()
    rng = np.random.default_rng(6)
    cameras = [OUTSIDE, INSIDE]
    pixels = rng.random((2, 60, 2)) * [48, 36]
    rays = [c.rays(p) for c, p in zip(cameras, pixels, strict=True)]
    origin, direction = (np.concatenate(part) for part in zip(*rays, strict=True))
    pos_w, opacity = surface_along(grid, origin, direction)
    alone = [surface_points(grid, c, p) for c, p in zip(cameras, pixels, strict=True)]
    np.testing.assert_array_equal(pos_w, np.concatenate([a[0] for a in alone]))
    np.testing.assert_array_equal(opacity, np.concatenate([a[1] for a in alone]))
    points = rng.uniform(-0.8, 0.8, (200, 3))
    for camera in cameras:
        px, z = camera.project(points)
        inside = (z > 0) & camera.contains(np.nan_to_num(px, nan=-1.0))
        free = unblocked(grid, np.broadcast_to(camera.centre_w, points.shape), points)
        assert 0 < free[inside].sum() < inside.sum()
        assert (visible(grid, camera, points) == (inside & free)).all()
