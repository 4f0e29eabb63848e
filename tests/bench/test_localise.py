"""The protocol of ``bench_localise``: which photos a scene is made of, and what counts as placed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.captures import Capture, open_capture
from engine.metrics.room_scenes import AskedPhoto, Condenser
from engine.repository.pose import Pose
from tests.bench.bench_localise import rows_of, without
from tests.conftest import write_tiny_capture


def test_a_scene_is_made_of_the_photos_further_away(tmp_path: Path) -> None:
    capture = open_capture(write_tiny_capture(tmp_path / "tiny", views=9))
    names = [v.name for v in capture.views]
    assert [v.name for v in without(capture, 4, 0).views] == names[:4] + names[5:]
    few = without(capture, 4, 3)
    assert [v.name for v in few.views] == [names[0], names[8]]
    assert [v.index for v in few.views] == [0, 1]
    assert not any(v.held_out for v in few.views)
    assert few.fingerprint != without(capture, 3, 3).fingerprint != capture.fingerprint


def test_rows_tell_what_is_placed_within_both_limits(tmp_path: Path) -> None:
    """A camera that is 2 % of the extent off is within 5 % and not within 1 %; none at all has no error to tell."""
    capture = open_capture(write_tiny_capture(tmp_path / "tiny", views=9))
    extent_w = float(np.linalg.norm(capture.bounds_w[1] - capture.bounds_w[0]))

    def off(share: float) -> Pose:
        c2w = camera.c2w.copy()
        c2w[0, 3] += share * extent_w
        return Pose(replace(camera, c2w=c2w), np.zeros((0, 2), np.int64), np.zeros(0, np.bool_))

    def near(scene: Capture, asked: AskedPhoto) -> Pose:
        nonlocal camera
        camera = asked.camera
        return off(0.02)

    camera = capture.views[0].camera
    rows = list(rows_of(capture, 2, {"near": near, "never": lambda scene, asked: None}, Condenser("cpu")))
    assert [(r["removed"], r["method"]) for r in rows] == [(1, "near"), (1, "never"), (7, "near"), (7, "never")]
    assert (rows[0]["within_5"], rows[0]["within_1"], rows[0]["questions"]) == (1.0, 0.0, 2)
    assert rows[0]["error_percent"] == 2.0
    assert rows[1]["within_5"] == 0.0
    assert rows[1]["error_percent"] is None
