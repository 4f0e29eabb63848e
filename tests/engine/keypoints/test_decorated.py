"""Decorated keypoints: found where the photos agree, decorated with what is there, written so that others read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open3d as o3d
import pytest
import torch

from engine.api.errors import CacheError, CaptureError, QueryError
from engine.api.jobs import finish
from engine.captures import Capture, open_capture
from engine.encoders.pca import ColourBasis
from engine.grid import LiftAccumulator, RadianceGrid
from engine.keypoints.decorated import KeypointSet, decorate, write_keypoints
from engine.keypoints.network import LOCAL_DIM
from engine.lifted import LiftedOn, make_lifted
from engine.march import visible
from engine.queries.quantise import quantise
from engine.training.rooms.grid import fused_grid
from tests.conftest import write_tiny_capture

CORNER_W = np.array([[0.5, -0.5, 1.0], [-0.5, 0.5, 1.0], [0.5, 0.5, 1.0]])
"""Of the cube; each is hidden from some views, but not from most."""
BEST = 12.0


@dataclass
class SayCorners:
    """Stands for a detector: its scores are high about given points and low elsewhere."""

    capture: Capture
    points_w: np.ndarray
    asked: list[int] = field(default_factory=list)

    def maps(self, rgb: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        view = len(self.asked)
        self.asked.append(view)
        h, w, _ = rgb.shape
        logits = np.full((h, w), -6.0)
        camera = self.capture.views[view].camera.scaled(w, h)
        px, _ = camera.project(self.points_w)
        y, x = np.mgrid[:h, :w] + 0.5
        for n, (u, v) in enumerate(px):
            logits = np.maximum(logits, (BEST - n) - 0.5 * ((x - u) ** 2 + (y - v) ** 2))
        local = np.zeros((h // 4, w // 4, LOCAL_DIM), np.float32)
        local[..., 3] = 1
        return torch.from_numpy(logits), torch.from_numpy(local)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    return open_capture(write_tiny_capture(tmp_path_factory.mktemp("decorated") / "tiny", width=160, height=120))


@pytest.fixture(scope="module")
def grid(capture: Capture) -> RadianceGrid:
    return finish(fused_grid(capture, 60_000))


@pytest.fixture(scope="module")
def lifted(capture: Capture, grid: RadianceGrid) -> LiftedOn:
    lift = LiftAccumulator(grid, 6)
    rng = np.random.default_rng(0)
    for view in capture.views:
        x = rng.normal(size=(15, 20, 6)).astype(np.float32)
        lift.add(view.camera, x / np.linalg.norm(x, axis=2, keepdims=True))
    found = lift.result()
    basis = ColourBasis.fit(found.mean[found.weight > 0])
    return finish(make_lifted(grid, basis, quantise(found.mean)[0], found.spread, found.weight))


def decorated(capture: Capture, lifted: LiftedOn, count: int, **more: Any) -> KeypointSet:
    detector: Any = SayCorners(capture, CORNER_W)
    return finish(decorate(capture, lifted, detector, count, **more))


def test_the_best_are_where_the_photos_agree(capture: Capture, lifted: LiftedOn) -> None:
    found = decorated(capture, lifted, 3, radius_voxels=6)
    away = np.linalg.norm(found.pos_w[:, None] - CORNER_W, axis=2)
    assert (away.min(axis=0) < 2 * lifted.grid.spec.voxel).all()  # each corner has its keypoint
    assert (np.diff(found.score) <= 0).all()
    assert found.score[0] > 0.5


def test_they_keep_their_distance_and_their_number(capture: Capture, lifted: LiftedOn) -> None:
    found = decorated(capture, lifted, 40)
    assert len(found) == 40
    away = np.linalg.norm(found.pos_w[:, None] - found.pos_w, axis=2) + 1e9 * np.eye(40)
    assert away.min() > 2.4 * lifted.grid.spec.voxel
    everything = decorated(capture, lifted, 60_000, radius_voxels=0)
    assert len(everything) <= int((lifted.weight > 0).sum())
    assert len(everything) > 1000


def test_they_are_decorated_with_what_is_there(capture: Capture, lifted: LiftedOn, grid: RadianceGrid) -> None:
    found = decorated(capture, lifted, 20)
    cell = np.floor(grid.spec.to_grid(found.pos_w.astype(np.float64))).astype(int)
    rows = grid.lut[tuple(cell.T)]
    assert (rows >= 0).all()
    np.testing.assert_array_equal(found.features, lifted.features(rows))
    np.testing.assert_allclose(found.rgb / 255, np.clip(grid.rgb[rows], 0, 1), atol=0.003)
    np.testing.assert_allclose(np.linalg.norm(found.local, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found.local[:, 3], 1, atol=1e-5)
    seen = np.stack([visible(grid, v.camera, found.pos_w) for v in capture.views], axis=1)
    np.testing.assert_array_equal(found.seen, seen)
    np.testing.assert_array_equal(found.views, seen.sum(axis=1))
    assert found.views.min() >= 2
    assert found.views.max() <= len(capture.views)


def test_a_photo_that_cannot_be_read_does_not_speak(lifted: LiftedOn, tmp_path: Path) -> None:
    folder = write_tiny_capture(tmp_path / "tiny", width=160, height=120)
    (folder / "images" / "003.png").write_bytes(b"no photo")
    broken = open_capture(folder)
    assert len(decorated(broken, lifted, 5)) == 5
    for file in (folder / "images").iterdir():
        file.write_bytes(b"no photo")
    with pytest.raises(CaptureError, match="no photo to find keypoints in"):
        decorated(broken, lifted, 5)


@pytest.mark.parametrize(("count", "radius"), [(0, 2.0), (1 << 20, 2.0), (5, -1.0), (5, float("nan"))])
def test_what_makes_no_sense_is_said(capture: Capture, lifted: LiftedOn, count: int, radius: float) -> None:
    with pytest.raises(QueryError, match="cannot be had"):
        decorated(capture, lifted, count, radius_voxels=radius)


def test_others_read_what_is_written(capture: Capture, lifted: LiftedOn, tmp_path: Path) -> None:
    found = decorated(capture, lifted, 12)
    for name in ("k.ply", "k.npz", "k.txt"):
        write_keypoints(tmp_path / name, found)
    cloud = o3d.t.io.read_point_cloud(str(tmp_path / "k.ply"))
    np.testing.assert_array_equal(cloud.point["positions"].numpy(), found.pos_w)
    np.testing.assert_array_equal(cloud.point["colors"].numpy(), found.rgb)
    np.testing.assert_array_equal(cloud.point["score"].numpy()[:, 0], found.score)
    np.testing.assert_array_equal(cloud.point["views"].numpy()[:, 0], found.views)
    with np.load(tmp_path / "k.npz", allow_pickle=False) as z:
        assert set(z) == {"pos_w", "score", "features", "local", "rgb", "seen"}
        for name in z:
            np.testing.assert_array_equal(z[name], getattr(found, name))
    lines = [line.split() for line in (tmp_path / "k.txt").read_text().splitlines() if not line.startswith("#")]
    assert [int(line[0]) for line in lines] == list(range(1, 13))
    np.testing.assert_allclose([[float(v) for v in line[1:4]] for line in lines], found.pos_w, rtol=1e-6)
    np.testing.assert_array_equal([[int(v) for v in line[4:7]] for line in lines], found.rgb)
    assert all(len(line) == 8 for line in lines)


def test_files_of_other_kinds_and_places_are_refused(capture: Capture, lifted: LiftedOn, tmp_path: Path) -> None:
    found = decorated(capture, lifted, 2)
    with pytest.raises(QueryError, match=r"\.ply, \.npz, \.txt"):
        write_keypoints(tmp_path / "k.las", found)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError):
        write_keypoints(tmp_path / "file" / "k.ply", found)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]
