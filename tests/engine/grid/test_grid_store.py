"""Radiance grids on disk, as volumes, and where they lie in the world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.camera import look_at
from engine.api.errors import CacheError
from engine.grid.radiance import FORMAT, MAX_TAU, RadianceGrid, raw_of_tau, tau_of_raw
from engine.grid.spec import MAX_CELLS, GridSpec
from engine.march import render_colour
from engine.metrics.psnr import psnr
from engine.storage import read_tensors, write_tensors

SPEC = GridSpec(np.array([-1.0, -0.9, -0.8]), 0.1, (20, 18, 16))
CAMERA = look_at([2.5, 1.7, 1.1], [0, 0, 0], [0, 0, 1], fov_y=50, width=40, height=30)


def some_grid() -> RadianceGrid:
    """Random voxels, a shell and an environment."""
    rng = np.random.default_rng(0)
    parts: list[RadianceGrid] = []
    for spec in (GridSpec(np.full(3, -4.0), 0.5, (16, 16, 16)), SPEC):
        index = np.argwhere(rng.random(spec.dims) < 0.3)
        background = rng.random((4, 8, 3))
        tau = rng.uniform(0, 4, len(index))
        meta = {"psnr": 21.5, "curve": [[0.5, 20.0]], "heldout": 1}
        parts.append(
            RadianceGrid.of(spec, index, rng.random((len(index), 3)), tau, background, shells=parts, meta=meta)
        )
    return parts[-1]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "grid.safetensors"
    some_grid().save(path)
    return path


def test_a_grid_renders_the_same_before_and_after_storing(stored: Path) -> None:
    grid, again = some_grid(), RadianceGrid.load(stored)
    before, after = render_colour(grid, CAMERA)[0], render_colour(again, CAMERA)[0]
    assert before.std() > 0.05
    truth = np.random.default_rng(1).random(before.shape)
    assert abs(psnr(before, truth) - psnr(after, truth)) <= 0.1
    np.testing.assert_array_equal(before, after)


def test_every_field_comes_back(stored: Path) -> None:
    grid, again = some_grid(), RadianceGrid.load(stored)
    assert again.meta == grid.meta
    assert len(again.shells) == 1
    for a, b in ((grid, again), (grid.shells[0], again.shells[0])):
        assert a.spec.dims == b.spec.dims
        assert a.spec.voxel == b.spec.voxel
        np.testing.assert_array_equal(a.spec.lo_w, b.spec.lo_w)
        for name in ("index", "rgb", "sigma", "lut", "skip"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_array_equal(grid.background, again.background)


def test_an_empty_grid_is_stored_too(tmp_path: Path) -> None:
    RadianceGrid.empty(SPEC, np.full((1, 1, 3), 0.2)).save(tmp_path / "empty")
    again = RadianceGrid.load(tmp_path / "empty")
    assert again.index.shape == (0, 3)
    np.testing.assert_allclose(again.background, 51 / 255)


def test_a_volume_shows_what_the_grid_holds() -> None:
    index = np.array([[1, 2, 3], [4, 5, 6]])
    grid = RadianceGrid.of(SPEC, index, [[1, 0, 0], [0, 0.2, 1]], [np.log(2), 100.0], np.zeros((1, 1, 3)))
    volume = grid.to_volume(7)
    assert volume.version == 7
    assert volume.dims == SPEC.dims
    assert volume.voxel == 0.1
    np.testing.assert_array_equal(volume.lo_w, SPEC.lo_w)
    np.testing.assert_array_equal(volume.index, index)
    # alpha = 1 - exp(-ln 2) = 1/2, and an opaque one
    np.testing.assert_array_equal(volume.rgba, [[255, 0, 0, 128], [0, 51, 255, 255]])
    np.testing.assert_allclose(volume.centres_w()[0], [-0.85, -0.65, -0.45], atol=1e-6)
    np.testing.assert_allclose(grid.centres_w(), volume.centres_w(), atol=1e-6)
    np.testing.assert_allclose(grid.sigma[0], np.log(2) / 0.1, rtol=1e-3)


def test_raw_density_is_the_inverse_of_softplus() -> None:
    tau = np.geomspace(1e-4, MAX_TAU, 50)
    np.testing.assert_allclose(tau_of_raw(raw_of_tau(tau)), tau, rtol=2e-3)
    assert raw_of_tau(0.0) == pytest.approx(-10, abs=1e-3)


def test_a_missing_grid_is_a_cache_error(tmp_path: Path) -> None:
    with pytest.raises(CacheError):
        RadianceGrid.load(tmp_path / "none")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_file_is_a_cache_error(stored: Path, share: float) -> None:
    data = stored.read_bytes()
    stored.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CacheError, match=r"grid\.safetensors"):
        RadianceGrid.load(stored)


TENSORS: dict[str, Any] = {
    "index without a column": ("index_0", lambda a: a[:, :2]),
    "index as a number": ("index_0", lambda a: a[0, 0]),
    "index of another type": ("index_0", lambda a: a.astype(np.int32)),
    "a voxel outside": ("index_0", lambda a: np.concatenate([a[:-1], [[20, 0, 0]]]).astype(np.uint16)),
    "a voxel twice": ("index_0", lambda a: np.concatenate([a[:-1], a[:1]])),
    "a voxel outside the shell": ("index_1", lambda a: np.concatenate([a[:-1], [[0, 0, 65535]]]).astype(np.uint16)),
    "colours too few": ("rgb_0", lambda a: a[:-1]),
    "colours of another type": ("rgb_0", lambda a: a.astype(np.float32)),
    "thickness too many": ("tau_0", lambda a: np.append(a, a[:1])),
    "thickness NaN": ("tau_0", lambda a: np.append(a[:-1], np.float16(np.nan))),
    "thickness infinite": ("tau_0", lambda a: np.append(a[:-1], np.float16(np.inf))),
    "thickness negative": ("tau_0", lambda a: np.append(a[:-1], np.float16(-1))),
    "thickness too large": ("tau_0", lambda a: np.append(a[:-1], np.float16(60000))),
    "shell thickness NaN": ("tau_1", lambda a: np.append(a[:-1], np.float16(np.nan))),
    "background flat": ("background", lambda a: a[0]),
    "background empty": ("background", lambda a: a[:0]),
    "background with alpha": ("background", lambda a: np.concatenate([a, a[..., :1]], axis=2)),
    "background of another type": ("background", lambda a: a.astype(np.float32)),
    "index gone": ("index_0", None),
    "background gone": ("background", None),
    "shell gone": ("rgb_1", None),
}


@pytest.mark.parametrize(("name", "change"), TENSORS.values(), ids=TENSORS)
def test_a_damaged_array_is_a_cache_error(stored: Path, name: str, change: Any) -> None:
    tensors, header = read_tensors(stored)
    if change is None:
        del tensors[name]
    else:
        tensors[name] = np.asarray(change(tensors[name]))
    write_tensors(stored, tensors, header)
    with pytest.raises(CacheError, match="delete the file"):
        RadianceGrid.load(stored)


HEADERS: dict[str, Any] = {
    "no format": lambda h: h.pop("format"),
    "another format": lambda h: h.update(format="radiance-grid/0"),
    "no grids": lambda h: h.pop("grids"),
    "no grid": lambda h: h.update(grids=[]),
    "grids by name": lambda h: h.update(grids={"0": h["grids"][0]}),
    "too many grids": lambda h: h.update(grids=h["grids"] * 9),
    "more grids than arrays": lambda h: h.update(grids=h["grids"] + h["grids"][1:]),
    "meta as a list": lambda h: h.update(meta=[]),
    "grid as a number": lambda h: h.update(grids=[3]),
    "dims absurd": lambda h: h["grids"][0].update(dims=[60000, 60000, 60000]),
    "dims beyond any integer": lambda h: h["grids"][0].update(dims=[10**40, 2, 2]),
    "dims infinite": lambda h: h["grids"][0].update(dims=[float("inf"), 2, 2]),
    "dims NaN": lambda h: h["grids"][0].update(dims=[float("nan"), 2, 2]),
    "dims negative": lambda h: h["grids"][0].update(dims=[-20, -18, 16]),
    "dims too few": lambda h: h["grids"][0].update(dims=[20, 18]),
    "dims gone": lambda h: h["grids"][0].pop("dims"),
    "dims smaller than the index": lambda h: h["grids"][0].update(dims=[4, 4, 4]),
    "voxel zero": lambda h: h["grids"][0].update(voxel=0),
    "voxel negative": lambda h: h["grids"][0].update(voxel=-0.1),
    "voxel NaN": lambda h: h["grids"][0].update(voxel=float("nan")),
    "voxel not a number": lambda h: h["grids"][0].update(voxel=[1]),
    "corner NaN": lambda h: h["grids"][0].update(lo_w=[0, float("nan"), 0]),
    "corner in a plane": lambda h: h["grids"][0].update(lo_w=[0, 0]),
    "corner in words": lambda h: h["grids"][0].update(lo_w="origin"),
}


@pytest.mark.parametrize("change", HEADERS.values(), ids=HEADERS)
def test_a_damaged_header_is_a_cache_error(stored: Path, change: Any) -> None:
    tensors, header = read_tensors(stored)
    assert header["format"] == FORMAT
    change(header)
    write_tensors(stored, tensors, header)
    with pytest.raises(CacheError, match="delete the file"):
        RadianceGrid.load(stored)


coordinate = st.floats(-1e3, 1e3)
specs = st.builds(
    lambda lo, voxel, dims: GridSpec(np.array(lo), voxel, dims),
    st.tuples(coordinate, coordinate, coordinate),
    st.floats(1e-2, 1e2),
    st.tuples(st.integers(2, 100), st.integers(2, 100), st.integers(2, 100)),
)


@given(specs, st.lists(st.tuples(*[st.floats(-1, 200)] * 3), min_size=1, max_size=20))
def test_grid_coordinates_come_back(spec: GridSpec, points: list[tuple[float, float, float]]) -> None:
    pos_g = np.array(points)
    np.testing.assert_allclose(spec.to_grid(spec.to_world(pos_g)), pos_g, atol=1e-4)
    np.testing.assert_allclose(spec.to_grid(spec.bounds_w), [[0, 0, 0], spec.dims], atol=1e-4)


@given(
    st.tuples(coordinate, coordinate, coordinate),
    st.tuples(*[st.floats(1e-2, 1e2)] * 3),
    st.integers(64, 100_000),
)
def test_a_grid_over_a_box_covers_it(lo: tuple[float, ...], size: tuple[float, ...], cells: int) -> None:
    box = np.array([lo, np.add(lo, size)])
    spec = GridSpec.over(box, cells)
    assert spec.cells <= cells
    slack = 1e-9 * (1 + np.abs(box).max())
    assert (spec.bounds_w[0] <= box[0] + slack).all()
    assert (spec.bounds_w[1] >= box[1] - slack).all()
    np.testing.assert_allclose(spec.bounds_w.mean(axis=0), box.mean(axis=0), atol=1e-6)


@given(
    specs,
    st.tuples(*[st.floats(-5, 5)] * 3),
    st.floats(10, 120),
    st.integers(2, 400),
    st.integers(2, 400),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_kernel_cameras_are_the_cameras(
    spec: GridSpec, eye: tuple[float, ...], fov_y: float, width: int, height: int, at: tuple[float, float]
) -> None:
    eye_w = spec.lo_w + np.array(eye) * spec.voxel
    camera = look_at(eye_w, eye_w + np.array([0.3, 0.5, 0.7]), [0, 0, 1], fov_y=fov_y, width=width, height=height)
    pos_px = np.array([[at[0] * width, at[1] * height]])
    cam = spec.rays_from(camera).astype(np.float64)
    direction = cam[:9].reshape(3, 3) @ [*pos_px[0], 1]
    origin_w, ray_w = camera.rays(pos_px)
    np.testing.assert_allclose(direction / np.linalg.norm(direction), ray_w[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(direction) * spec.voxel, np.linalg.norm(camera.ray_z(pos_px)), rtol=1e-5)
    np.testing.assert_allclose(cam[9:], spec.to_grid(origin_w)[0], atol=1e-5)
    # and back: the projection takes a point of the ray to its pixel and depth
    point = cam[9:] + direction * 2.0
    uz, vz, z = spec.projection(camera).astype(np.float64) @ [*point, 1]
    assert z == pytest.approx(2.0, rel=1e-3, abs=1e-3)
    np.testing.assert_allclose([uz / z, vz / z], pos_px[0], atol=1e-2 * max(width, height))


@pytest.mark.parametrize("dims", [(1, 5, 5), (5, 5), (MAX_CELLS, 2, 2), (70000, 2, 2), (0, 0, 0)])
def test_impossible_sizes_are_refused(dims: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="dims"):
        GridSpec(np.zeros(3), 1.0, dims)  # type: ignore[arg-type]
