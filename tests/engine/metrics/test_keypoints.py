"""The keypoint measure: counts by hand on a synthetic pair, and the table end to end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.camera import look_at
from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.captures import open_capture
from engine.metrics.descriptors import Keypoints
from engine.metrics.keypoints import Tally, bench_keypoints, mutual_nearest, random_keypoints, sift_keypoints
from engine.metrics.truth import DepthView


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine convolutions on all cores take many times as long as on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wall_view(x: float) -> DepthView:
    """A camera 2 in front of the wall z = 0, at x: a shift by 1 moves pictures by 50 px."""
    camera = look_at([x, 0, -2], [x, 0, 0], [0, -1, 0], fov_y=2 * np.degrees(np.arctan(0.5)), width=200, height=100)
    return DepthView(0, camera, np.full((100, 200), 2.0, np.float32))


def keypoints(*places: tuple[float, float], like: list[int]) -> Keypoints:
    return Keypoints(np.array(places, np.float64).reshape(-1, 2), np.eye(8, dtype=np.float32)[like])


def test_counts_by_hand() -> None:
    a, b = wall_view(0.0), wall_view(0.5)
    at, _ = b.camera.project(a.camera.unproject([[100.0, 50.0]], np.array([2.0])))
    shift = at[0, 0] - 100
    assert abs(shift) == pytest.approx(25)
    out = 3 if shift < 0 else 197  # leaves the other picture
    #           right and repeated  repeated, not alike  alike, 4 px off   leaves the picture
    in_a = keypoints((60, 20), (100, 40), (120, 70), (out, 50), like=[0, 1, 2, 3])
    in_b = keypoints((60 + shift, 22), (100 + shift, 41), (120 + shift, 74), like=[0, 7, 2])
    tally = Tally()
    tally.add(a, b, in_a, in_b)
    # Both ways: three of a and three of b are seen by the other; two of each repeat; (0, 0), (2, 2) and whatever the
    # unlike ones are nearest to are mutual.
    assert tally.visible == 6
    assert tally.repeated == 4
    assert tally.right == 2
    assert tally.mutual >= 4


def test_a_keypoint_behind_something_is_not_counted() -> None:
    a, b = wall_view(0.0), wall_view(0.0)
    b.depth_z[:, :100] = 1.0
    tally = Tally()
    tally.add(a, b, keypoints((50, 50), (150, 50), like=[0, 1]), keypoints((50, 50), (150, 50), like=[0, 1]))
    assert (tally.visible, tally.repeated, tally.right) == (2, 2, 2)


def test_nothing_found_counts_as_missed() -> None:
    a, b = wall_view(0.0), wall_view(0.0)
    none = keypoints(like=[])
    tally = Tally()
    tally.add(a, b, keypoints((50, 50), like=[0]), none)
    tally.add(a, b, none, none)
    assert (tally.visible, tally.repeated, tally.mutual, tally.right) == (1, 0, 0, 0)


def test_mutual_nearest() -> None:
    a, b = keypoints((0, 0), (1, 1), (2, 2), like=[0, 1, 1]), keypoints((0, 0), (1, 1), like=[1, 0])
    assert mutual_nearest(a, b).tolist() == [1, 0, -1]
    assert mutual_nearest(b, a).tolist() == [1, 0]


def test_sift_and_random_points_are_as_many_as_asked() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    rgb = np.kron(rgb[::8, ::8], np.ones((8, 8, 1), np.uint8))
    found = sift_keypoints(rgb, 50)
    assert len(found.pos_px) == 50
    assert (found.pos_px > 0).all()
    assert (found.pos_px < [160, 120]).all()
    assert sift_keypoints(np.zeros_like(rgb), 50).pos_px.shape == (0, 2)
    points = random_keypoints(rgb, 50, 0)
    np.testing.assert_array_equal(points, random_keypoints(rgb, 50, 0))
    assert not np.allclose(points, random_keypoints(rgb[::-1] // 2, 50, 0))


def test_the_table(tiny_capture_dir: Path) -> None:
    capture = open_capture(tiny_capture_dir)
    rows = finish(bench_keypoints(capture, pairs=3, count=64, device="cpu", encoders=("default",)))
    names = [r["keypoints"] for r in rows]
    assert [n for n in names if "xfeat" not in n] == [
        "random, condense2d", "sift, sift", "sift, condense2d", "ours, condense2d", "ours, local",
        "ours, condense2d + local",
    ]  # fmt: skip
    for row in rows:
        assert 0 <= row["matching"] <= row["repeatability"] <= 1
        assert row["matching"] <= row["precision"] <= 1
        assert row["found"] <= 64
        assert row["visible"] > 0
        assert (row["pairs"], row["truth"], row["capture"]) == (3, "depth", "tiny")
    again = finish(bench_keypoints(capture, pairs=3, count=64, device="cpu", encoders=()))
    assert again == [row for row in rows if "condense2d" not in row["keypoints"]]
    with pytest.raises(QueryError, match="share enough"):
        finish(bench_keypoints(capture, pairs=0, device="cpu", encoders=()))
