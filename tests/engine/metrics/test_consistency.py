"""Consistency where 3D features are rendered: who may speak, what scores one, what scores by chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.camera import look_at
from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress, finish
from engine.captures import Capture, open_capture
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.grid import FitSettings, RadianceGrid, fit_grid
from engine.metrics.consistency import Sides, bench_consistency, pair_errors, unit_image
from engine.metrics.correspondence import LONG_SIDE
from engine.metrics.truth import DepthView, depth_views, pixels_of_pairs, view_pairs


@pytest.fixture(autouse=True)
def _few_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.grid.viewpoints.POSITIONS", 60)  # a tenth of the time


@pytest.fixture
def capture(tiny_capture_dir: Path) -> Capture:
    return open_capture(tiny_capture_dir)


@pytest.fixture
def grid(capture: Capture) -> RadianceGrid:
    return finish(fit_grid(capture, FitSettings(seconds=60, cells=60_000, steps=40)))


def view_at(x: float) -> DepthView:
    camera = look_at([x, 0, -2], [x, 0, 0], [0, -1, 0], fov_y=40, width=8, height=6)
    return DepthView(0, camera, np.ones((6, 8), np.float32))


def test_every_view_speaks_for_the_nearer_camera_alone_and_a_pair_never_for_itself() -> None:
    sides = Sides([view_at(x) for x in (0, 1, 2, 3, 4, 10)])
    assert sides.of(1, 4) == [0, 2]
    assert sides.of(4, 1) == [3, 5]
    assert sides.needed([(1, 4)]) == [0, 1, 2, 3, 4, 5]
    assert sides.of(0, 4) == [1, 2]  # 2 lies in the middle: it goes to the smaller place
    assert sides.of(4, 0) == [3, 5]


def test_voxels_that_know_their_place_are_found(capture: Capture, grid: RadianceGrid) -> None:
    """World positions as features: what is left is the size of a voxel and of a cell."""
    views, _ = finish(depth_views(capture, LONG_SIDE))
    rng = np.random.default_rng(0)
    drawn = [(p, pixels_of_pairs(views, [p], 30, rng)) for p in finish(view_pairs(views, 6, rng))]
    place = np.concatenate([grid.centres_w(), np.full((len(grid.index), 1), 1.0)], axis=1).astype(np.float32)
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    noise = rng.normal(size=place.shape).astype(np.float32)

    def recall(table: np.ndarray) -> float:
        def of(view: int, _other: int) -> Job[np.ndarray]:
            yield Progress(0, 1, "pairs")
            return unit_image(grid, table if table is place else rng.permutation(table), views[view])

        found = finish(pair_errors(views, drawn, of, of, "x"))
        return float((np.concatenate(found.error) <= 0.05).mean())

    assert recall(place) > 0.9
    assert recall(noise) < 0.15


def test_an_unknown_query_is_no_answer(capture: Capture) -> None:
    views, _ = finish(depth_views(capture, LONG_SIDE))
    rng = np.random.default_rng(0)
    pair = finish(view_pairs(views, 1, rng))[0]
    drawn = [(pair, pixels_of_pairs(views, [pair], 10, rng))]

    def nothing(_view: int, _other: int) -> Job[np.ndarray]:
        yield Progress(0, 1, "pairs")
        return np.zeros((4, 4, 3), np.float32)

    found = finish(pair_errors(views, drawn, nothing, nothing, "x"))
    assert np.isinf(found.error[0]).all()
    assert found.known == [0.0]


def test_the_table_has_a_row_for_each_kind_and_is_the_same_each_time(capture: Capture, grid: RadianceGrid) -> None:
    torch.manual_seed(0)
    volume = VolumeEncoder(VolumeConfig(widths=(8, 8, 8))).eval()
    rows = finish(bench_consistency(capture, grid, encoders=("default",), volume=volume, pairs=4, device="cpu"))
    assert [r["features"] for r in rows] == [
        "voxel colour", "condense2d", "condense2d lifted", "photo to condense2d lifted",
        "condense3d", "photo to condense3d", "photo to condense3d, no photos", "condense3d, no photos",
        "photo to condense3d, own views", "condense3d, own views",
    ]  # fmt: skip
    for row in rows:
        assert 0 <= row["recall_1"] <= row["recall_2"] <= row["recall_5"] <= 1
        assert 0 < row["known"] <= 1
        assert row["pixels"] > 0
        assert row["truth"] == "depth"
        assert (row["like_lifted"] is not None) == (
            row["features"] in ("condense3d, no photos", "condense3d, own views")
        )
    again = finish(bench_consistency(capture, grid, encoders=("default",), volume=volume, pairs=4, device="cpu"))
    assert again == rows


def test_views_that_share_nothing_are_an_error(capture: Capture, grid: RadianceGrid) -> None:
    with pytest.raises(QueryError, match="share enough"):
        finish(bench_consistency(capture, grid, encoders=(), pairs=0, device="cpu"))
