"""Objects of any format become the same points and voxels; damaged files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api.errors import CaptureError
from engine.captures.geometry import GREY
from engine.tasks import Up
from engine.tasks.shapes import FEWEST, FLOOR, POINTS, SIDE, SUFFIXES, read_shape, shape_of, voxels_of

from .made import write

TALL = (1.0, 2.0, 4.0)


@pytest.mark.parametrize("suffix", ["off", "ply", "stl", "pcd", "npz"])
def test_reads_each_format_centred_with_the_longest_side_one(tmp_path: Path, suffix: str) -> None:
    mesh = trimesh.creation.box(TALL)
    mesh.apply_translation((100, -50, 7))
    path = tmp_path / f"thing.{suffix}"
    write(mesh, path, np.random.default_rng(0))
    shape = read_shape(path)
    assert len(shape.pos) == (1024 if suffix in ("pcd", "npz") else POINTS)
    size = shape.pos.astype(float).max(axis=0) - shape.pos.astype(float).min(axis=0)
    np.testing.assert_allclose(size, (0.25, 0.5, 1.0), atol=0.02)
    np.testing.assert_allclose(shape.pos.astype(float).max(axis=0), size / 2, atol=0.002)
    assert (shape.rgb == GREY).all() or suffix not in ("pcd", "npz")


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_stands_up_what_has_y_up(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"thing.{suffix}"
    trimesh.creation.box((1, 4, 2)).export(path)
    size = np.ptp(read_shape(path).pos.astype(float), axis=0)
    np.testing.assert_allclose(size, (0.25, 0.5, 1.0), atol=0.02)
    flat = np.ptp(read_shape(path, "z").pos.astype(float), axis=0)
    np.testing.assert_allclose(flat, (0.25, 1.0, 0.5), atol=0.02)


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2)])
def test_up_turns_without_mirroring(up: Up, axis: int) -> None:
    rng = np.random.default_rng(1)
    pos = rng.normal(size=(64, 3))
    shape = shape_of(pos, np.zeros((64, 3), np.uint8), up)
    turned = shape.pos.astype(float)
    back, *_ = np.linalg.lstsq(np.c_[pos, np.ones(64)], turned, rcond=None)
    assert np.linalg.det(back[:3]) > 0
    assert back[axis, 2] == pytest.approx(1 / np.ptp(pos, axis=0).max(), rel=1e-2)


def test_npz_has_colour_of_bytes_or_floats(tmp_path: Path) -> None:
    pos = np.random.default_rng(0).normal(size=(40, 3))
    for tint in (np.full((40, 3), 51, np.uint8), np.full((40, 3), 0.2)):
        np.savez(tmp_path / "a.npz", xyz=pos, rgb=tint)
        assert (read_shape(tmp_path / "a.npz").rgb == 51).all()


def test_npz_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points=np.array([{"a": 1}] * 40, object))
    with pytest.raises(CaptureError, match="pickle"):
        read_shape(tmp_path / "a.npz")


@pytest.mark.parametrize("points", [np.zeros((40, 3)), np.zeros((FEWEST - 1, 3)), np.full((40, 3), np.nan)])
def test_refuses_what_has_no_shape(tmp_path: Path, points: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", points=points)
    with pytest.raises(CaptureError, match="is no shape"):
        read_shape(tmp_path / "a.npz")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SUFFIXES), st.binary(max_size=200), st.integers(0, 400), st.booleans())
def test_damaged_files_are_refused_or_read(tmp_path: Path, suffix: str, noise: bytes, at: int, cut: bool) -> None:
    path = tmp_path / f"fuzzed{suffix}"
    whole = tmp_path / f"whole{suffix}"
    if not whole.exists() and suffix != ".gltf":
        write(trimesh.creation.box(TALL), whole, np.random.default_rng(0))
    data = whole.read_bytes() if whole.exists() else b"{}"
    path.write_bytes(data[:at] + noise + (b"" if cut else data[at + len(noise) :]))
    try:
        shape = read_shape(path)
    except CaptureError:
        return
    assert shape.pos.dtype == np.float16
    assert FEWEST <= len(shape.pos) == len(shape.rgb) <= POINTS
    assert (np.abs(shape.pos) <= 0.5).all()


def test_voxels_by_hand() -> None:
    pos = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 1]] * 8, float)
    rgb = np.array([[255, 0, 0], [0, 0, 0], [0, 255, 255]] * 8, np.uint8)
    voxels = voxels_of(shape_of(pos, rgb))
    assert voxels.own == 2
    assert voxels.index[:2].tolist() == [[0, 0, 0], [0, 0, SIDE]]
    np.testing.assert_allclose(voxels.surface[:2].numpy(), [[1, 0, 0, 1], [0, 0.5, 0.5, 1]])
    floor = voxels.index[2:]
    assert len(floor) == (2 * FLOOR + 1) ** 2
    assert floor.min(dim=0).values.tolist() == [-FLOOR, -FLOOR, -1]
    assert floor.max(dim=0).values.tolist() == [FLOOR, FLOOR, -1]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_augmented_voxels_are_whole_and_repeatable(seed: int) -> None:
    pos = np.random.default_rng(seed).normal(size=(300, 3))
    shape = shape_of(pos, np.full((300, 3), 99, np.uint8))
    one, two = (voxels_of(shape, np.random.default_rng(seed)) for _ in range(2))
    assert one.index.equal(two.index)
    assert one.surface.equal(two.surface)
    assert len(one.index.unique(dim=0)) == len(one.index)
    assert int(one.index[: one.own].min()) == 0
    assert int(one.index[: one.own].max()) < 2 * SIDE
    assert bool(((one.surface >= 0) & (one.surface <= 1)).all())
