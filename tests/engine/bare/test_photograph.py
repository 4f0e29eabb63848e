"""Bare geometry is photographed: what comes of it is a capture, at any scale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import cKDTree

from engine import cli
from engine.api.errors import CaptureError
from engine.api.jobs import finish
from engine.api.scene import PointCloud
from engine.bare.photograph import photograph_geometry, voxels_of_points
from engine.captures import open_capture


@pytest.fixture(autouse=True)
def _few_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.grid.viewpoints.POSITIONS", 60)  # a tenth of the time


def box_cloud(path: Path, scale: float = 1.0) -> np.ndarray:
    """A red box of 2 x 1 x 0.5 on a green floor."""
    rng = np.random.default_rng(0)
    box = trimesh.creation.box((2, 1, 0.5)).sample(20_000, seed=1)
    floor = np.column_stack([rng.uniform(-2, 2, (20_000, 2)), np.full(20_000, -0.25)])
    pos = np.concatenate([box, floor]) * scale
    rgb = np.repeat([[200, 30, 30], [30, 160, 40]], 20_000, axis=0).astype(np.uint8)
    trimesh.PointCloud(pos, rgb).export(path)
    return pos


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_depth_lies_on_the_geometry_and_colour_is_its_own(tmp_path: Path, scale: float) -> None:
    pos_w = box_cloud(tmp_path / "box.ply", scale)
    bare = open_capture(tmp_path / "box.ply")
    folder = finish(photograph_geometry(bare, tmp_path / "photos", 6))
    capture = open_capture(folder)
    assert len(capture.views) == 6
    assert not capture.warnings
    assert capture.bounded
    tree = cKDTree(pos_w)
    for view in capture.views:
        photo = view.read(depth=True)
        assert photo.depth_z is not None
        assert photo.alpha is not None
        shown = photo.depth_z.reshape(-1) > 0
        assert 0.1 < shown.mean() <= 1
        np.testing.assert_array_equal(shown, photo.alpha.reshape(-1) > 0)
        some = np.flatnonzero(shown)[::97]
        found_w = view.camera.unproject(view.camera.pixel_grid()[some], photo.depth_z.reshape(-1)[some])
        distance, row = tree.query(found_w)
        assert np.quantile(distance, 0.95) < 0.15 * scale  # two voxels
        clear = distance < 0.05 * scale
        red = photo.rgb.reshape(-1, 3)[some, 0].astype(int) > photo.rgb.reshape(-1, 3)[some, 1]
        assert (red == (row < 20_000))[clear].mean() > 0.9


def test_voxels_have_the_mean_colour_and_are_thick() -> None:
    cloud = PointCloud(
        np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0]] * 20, np.float32),
        np.array([[0, 0, 0], [100, 0, 0], [0, 50, 0]] * 20, np.uint8),
    )
    grid = finish(voxels_of_points(cloud))
    rows = [int(grid.lut[tuple(np.floor(grid.spec.to_grid([p])[0]).astype(int))]) for p in ([0, 0, 0], [1, 0, 0])]
    np.testing.assert_allclose(grid.rgb[rows], [[50 / 255, 0, 0], [0, 50 / 255, 0]], atol=3e-3)
    assert len(grid.index) == 2 * 7  # each with the six that touch it


def test_what_cannot_be_photographed_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimesh.PointCloud(np.ones((50, 3))).export(tmp_path / "one.ply")
    with pytest.raises(CaptureError, match="no shape"):
        finish(photograph_geometry(open_capture(tmp_path / "one.ply"), tmp_path / "out"))
    box_cloud(tmp_path / "box.ply")
    bare = open_capture(tmp_path / "box.ply")
    (tmp_path / "taken").mkdir()
    with pytest.raises(CaptureError, match="already exists"):
        finish(photograph_geometry(bare, tmp_path / "taken"))

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(CaptureError, match="cannot be written"):
        finish(photograph_geometry(bare, tmp_path / "out", 2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["box.ply", "one.ply", "taken"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    box_cloud(tmp_path / "box.ply")
    out = tmp_path / "photos"
    assert cli.main(["photograph", str(tmp_path / "box.ply"), "--out", str(out), "-n", "2"]) == 0
    assert "photos: 2" in capsys.readouterr().out
    assert cli.main(["photograph", str(tmp_path / "box.ply"), "--out", str(tmp_path / "x"), "-n", "0"]) == 2
