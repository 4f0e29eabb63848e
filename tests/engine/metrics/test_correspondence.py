"""The measure of correspondence: what scores one, what scores by chance, and the rows of the table."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.api.errors import QueryError, WeightsError
from engine.api.jobs import finish
from engine.captures import Capture, open_capture
from engine.metrics.correspondence import LONG_SIDE, bench_correspondence, dense_errors, sift_errors
from engine.metrics.descriptors import nearest_cells, rgb_patches, sift
from engine.metrics.truth import Correspondences, DepthView, depth_views, random_correspondences


@pytest.fixture
def capture(tiny_capture_dir: Path) -> Capture:
    return open_capture(tiny_capture_dir)


@pytest.fixture
def views(capture: Capture) -> list[DepthView]:
    return finish(depth_views(capture, LONG_SIDE))[0]


@pytest.fixture
def drawn(views: list[DepthView]) -> Correspondences:
    return finish(random_correspondences(views, 60, np.random.default_rng(0)))


def test_features_that_know_the_place_find_it(capture: Capture, views: list[DepthView], drawn: Correspondences) -> None:
    """World positions, turned into unit vectors one-to-one, as features: only the map's coarseness is left."""
    photos = {capture.read(v.index, LONG_SIDE).rgb.tobytes(): v for v in views}

    def place(rgb: np.ndarray) -> np.ndarray:
        view = photos[rgb.tobytes()]
        pos_w = view.camera.unproject(view.camera.pixel_grid(), view.depth_z.ravel()).reshape(*view.depth_z.shape, 3)
        lifted = np.concatenate([pos_w, np.full((*pos_w.shape[:2], 1), 2.0)], axis=2)
        lifted[view.depth_z == 0] = [0, 0, 0, -1]
        return (lifted / np.linalg.norm(lifted, axis=2, keepdims=True)).astype(np.float32)

    error, margin = finish(dense_errors(capture, views, drawn, place, "place"))
    assert (error < 0.02).mean() > 0.95
    assert margin.mean() > 0.1


def test_features_that_know_nothing_score_by_chance(
    capture: Capture, views: list[DepthView], drawn: Correspondences
) -> None:
    rng = np.random.default_rng(0)

    def noise(rgb: np.ndarray) -> np.ndarray:
        x = rng.normal(size=(*rgb.shape[:2], 8)).astype(np.float32)
        return x / np.linalg.norm(x, axis=2, keepdims=True)

    error, margin = finish(dense_errors(capture, views, drawn, noise, "noise"))
    assert (error < 0.05).mean() < 0.1  # a disc of 5 % of the diagonal is under 2 % of the image
    assert abs(margin.mean()) < 0.15


def test_rows(capture: Capture) -> None:
    rows = finish(bench_correspondence(capture, seed=1, pixels=20, device="cpu", encoders=["default"]))
    assert [(r["features"], r["protocol"]) for r in rows] == [
        (f, p) for f in ("rgb", "condense2d") for p in ("pairs", "pixels")
    ] + [("sift", "pairs"), ("sift", "pixels")]
    for row in rows:
        assert row["capture"] == capture.name
        assert row["truth"] == "depth"
        assert 0 <= row["recall_1"] <= row["recall_2"] <= row["recall_5"] <= 1
        assert (row["margin"] is None) == (row["features"] == "sift")
    ours = next(r for r in rows if (r["features"], r["protocol"]) == ("condense2d", "pixels"))
    assert ours["pixels"] == 20
    assert ours["recall_5"] > 0.2  # chance is 0.02
    assert rows == finish(bench_correspondence(capture, seed=1, pixels=20, device="cpu", encoders=["default"]))


def test_unknown_encoder(capture: Capture) -> None:
    with pytest.raises(WeightsError):
        finish(bench_correspondence(capture, encoders=["nothing"]))


def test_views_that_share_nothing(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.metrics.truth.ROTATION_DEGREES", (170.0, 171.0))
    with pytest.raises(QueryError, match="share"):
        finish(bench_correspondence(capture, encoders=[]))


def test_rgb_patches_by_hand() -> None:
    rgb = np.full((16, 24, 3), 128, np.uint8)
    rgb[:, 12:] = (255, 0, 0)
    patches = rgb_patches(rgb)
    assert patches.shape == (4, 6, 147)
    np.testing.assert_allclose(np.linalg.norm(patches, axis=2), 1, atol=1e-5)
    red = np.array([0.5, -0.5, -0.5]) / np.sqrt(0.75 * 49)
    np.testing.assert_allclose(patches[2, 5].reshape(3, 49), np.repeat(red[:, None], 49, axis=1), atol=1e-5)


def test_nearest_cells_by_hand() -> None:
    features = np.eye(6, dtype=np.float32)[:6].reshape(2, 3, 6)
    cell, mean = nearest_cells(np.eye(6, dtype=np.float32)[[4, 1]], features)
    assert cell.tolist() == [4, 1]
    np.testing.assert_allclose(mean, 1 / 6)


def test_sift_keypoints_lie_on_the_blobs() -> None:
    grey = np.full((120, 160), 60, np.float32)
    centres = [(40.5, 30.5), (110.5, 80.5)]
    y, x = np.mgrid[0:120, 0:160] + 0.5
    for cx, cy in centres:
        grey += 150 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 5.0**2))
    found = sift(cv2.cvtColor(grey.astype(np.uint8), cv2.COLOR_GRAY2RGB))
    for c in centres:
        assert np.linalg.norm(found.pos_px - c, axis=1).min() < 0.5
    np.testing.assert_allclose(np.linalg.norm(found.descriptor, axis=1), 1, atol=1e-5)


def test_sift_finds_nothing_on_a_plain_image() -> None:
    assert len(sift(np.full((50, 50, 3), 99, np.uint8)).pos_px) == 0


def test_sift_errors_are_distances_to_the_truth(
    capture: Capture, views: list[DepthView], drawn: Correspondences
) -> None:
    error = finish(sift_errors(capture, views, drawn, np.random.default_rng(0)))
    assert 0 < len(error) <= len(drawn)
    assert (error >= 0).all()
    # The same view twice: every keypoint's nearest is itself.
    same = Correspondences(np.zeros(20, np.int64), np.zeros(20, np.int64), drawn.source_px[:20], drawn.target_px[:20])
    assert (finish(sift_errors(capture, views, same, np.random.default_rng(0))) < 1e-6).mean() > 0.9
