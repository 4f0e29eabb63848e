"""True correspondences by depth, on scenes whose geometry is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from engine.api.camera import Camera, look_at
from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.captures import Capture, open_capture
from engine.grid import RadianceGrid
from engine.metrics.truth import (
    DepthView,
    depth_views,
    overlap,
    pixels_of_pairs,
    random_correspondences,
    random_pixels,
    reproject,
    rotation_degrees,
    view_pairs,
)

K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])


def beside(shift: float, depth: float = 2.0) -> DepthView:
    """A camera moved along x by ``shift``, looking along z at a wall ``depth`` away."""
    c2w = np.eye(4)
    c2w[0, 3] = shift
    return DepthView(0, Camera(K, c2w, 100, 80), np.full((80, 100), depth, np.float32))


def test_reprojection_by_hand() -> None:
    # Disparity = f * baseline / depth = 100 * 0.4 / 2 = 20 px to the left.
    px, true = reproject(beside(0), beside(0.4), np.array([[50.0, 40.0], [30.5, 10.5], [10.0, 40.0]]))
    np.testing.assert_allclose(px[:2], [[30, 40], [10.5, 10.5]])
    assert true.tolist() == [True, True, False]  # the last one leaves the image


def test_what_stands_in_front_hides() -> None:
    near = beside(0.4)
    near.depth_z[:, 25:40] = 1.5  # an obstacle that only the second view knows of
    _, true = reproject(beside(0), near, np.array([[50.0, 40.0], [70.0, 40.0]]))
    assert true.tolist() == [False, True]


@pytest.mark.parametrize(("depth", "true"), [(2.03, True), (2.05, False), (1.97, True), (1.95, False), (0.0, False)])
def test_depth_must_agree_to_two_percent(depth: float, true: bool) -> None:
    assert reproject(beside(0), beside(0.4, depth), np.array([[50.0, 40.0]]))[1].tolist() == [true]


def test_unknown_depth_is_no_correspondence() -> None:
    assert not reproject(beside(0, 0.0), beside(0.4), np.array([[50.0, 40.0]]))[1].any()


def test_overlap_by_hand() -> None:
    assert overlap(beside(0), beside(1.0), np.random.default_rng(0), 4000) == pytest.approx(
        0.5, abs=0.03
    )  # 50 of 100 px
    assert overlap(beside(0), beside(3.0), np.random.default_rng(0)) == 0
    assert overlap(beside(0, 0.0), beside(0.4), np.random.default_rng(0)) == 0


def test_rotation_by_hand() -> None:
    a = look_at([0, 0, 0], [0, 0, 1], [0, -1, 0], fov_y=40, width=10, height=10)
    b = look_at([5, 5, 5], [6, 5, 5 + np.sqrt(3)], [0, -1, 0], fov_y=40, width=10, height=10)
    assert rotation_degrees(a, b) == pytest.approx(30)
    assert rotation_degrees(a, a) == 0


def test_random_pixels_have_depth() -> None:
    view = beside(0, 0.0)
    view.depth_z[3, 7] = view.depth_z[9, 2] = 1.0
    pixels = random_pixels(view, 10, np.random.default_rng(0))
    assert sorted(pixels.tolist()) == [[2.5, 9.5], [7.5, 3.5]]


@pytest.fixture
def views(tiny_capture_dir: Path) -> list[DepthView]:
    found, truth = finish(depth_views(open_capture(tiny_capture_dir), 96))
    assert truth == "depth"
    return found


def test_pairs_are_turned_and_overlap(views: list[DepthView]) -> None:
    pairs = finish(view_pairs(views, 6, np.random.default_rng(0)))
    assert 1 <= len(pairs) <= 6
    assert len(set(pairs)) == len(pairs)
    for i, j in pairs:
        assert 5 <= rotation_degrees(views[i].camera, views[j].camera) <= 60
        assert overlap(views[i], views[j], np.random.default_rng(1), 3000) > 0.25


def test_drawn_correspondences_show_the_same_point(views: list[DepthView]) -> None:
    rng = np.random.default_rng(0)
    pairs = finish(view_pairs(views, 6, rng))
    for drawn in (pixels_of_pairs(views, pairs, 10, rng), finish(random_correspondences(views, 40, rng))):
        assert len(drawn) >= 40
        for i, j, a, b in zip(drawn.source, drawn.target, drawn.source_px, drawn.target_px, strict=True):
            za, zb = views[i].depth_at(a[None]), views[j].depth_at(b[None])
            pos_w = views[i].camera.unproject(a[None], za)
            assert np.linalg.norm(pos_w - views[j].camera.unproject(b[None], zb)) < 0.03 * zb[0]


def test_the_same_seed_draws_the_same(views: list[DepthView]) -> None:
    a, b = (finish(random_correspondences(views, 10, np.random.default_rng(5))) for _ in range(2))
    np.testing.assert_array_equal(a.source_px, b.source_px)
    np.testing.assert_array_equal(a.target, b.target)


def without_depth(folder: Path) -> Capture:
    file = folder / "transforms.json"
    data = json.loads(file.read_text())
    for frame in data["frames"]:
        del frame["depth_file_path"]
    file.write_text(json.dumps(data))
    return open_capture(folder)


def test_without_depth_or_grid_there_is_no_truth(tiny_capture_dir: Path) -> None:
    with pytest.raises(QueryError, match="geometry"):
        finish(depth_views(without_depth(tiny_capture_dir), 96))


def test_a_fitted_grid_tells_the_truth_where_there_is_no_depth(
    tiny_capture_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rendered(grid: object, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        opacity = np.zeros((camera.height, camera.width), np.float32)
        opacity[10:] = 0.9
        return np.zeros((*opacity.shape, 3), np.float32), opacity, np.full_like(opacity, 3.0)

    monkeypatch.setattr("engine.march.render_colour", rendered)
    views, truth = finish(depth_views(without_depth(tiny_capture_dir), 48, grid=cast(RadianceGrid, object())))
    assert truth == "grid"
    assert len(views) == 8
    assert views[0].depth_z.shape == (36, 48)
    assert (views[0].depth_z[:10] == 0).all()  # too faint to be a surface
    assert (views[0].depth_z[10:] == 3).all()
