"""Where 2D and 3D features disagree: by hand, and on a small capture."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.api.errors import CacheError
from engine.api.jobs import finish
from engine.api.requests import EncodeViews, FitGrid, OpenCapture
from engine.metrics.agreement import (
    ViewAgreement,
    cosine_colours,
    view_agreements,
    worst_places,
    write_picture,
    write_table,
)
from engine.queries.quantise import quantise
from engine.scene_state import SceneState
from engine.session import Session
from tests.conftest import write_tiny_capture


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SceneState:
    folder = write_tiny_capture(tmp_path_factory.mktemp("agreement") / "tiny")
    session = Session(device="cpu", cache=tmp_path_factory.mktemp("cache"), threads=1)
    for _ in session.start():
        pass
    for request in (OpenCapture(path=str(folder)), FitGrid(seconds=4), EncodeViews()):
        for _ in session.handle(request):
            pass
    return session.scene


def found_in(scene: SceneState, **changes: Any) -> list[ViewAgreement]:
    assert scene.features is not None
    assert scene.lifted is not None
    return finish(view_agreements(scene.capture, scene.features, replace(scene.lifted, **changes)))


def test_the_lowest_windows_come_first_and_keep_apart() -> None:
    cosine = np.full((40, 60), 0.9, np.float32)
    cosine[4:11, 5:12] = 0.1  # middle (8.5, 7.5)
    cosine[25:32, 40:47] = 0.3
    (x, y, low), (x2, y2, second), _ = worst_places(cosine, 3, 7)
    assert (x * 60, y * 40) == (8.5, 7.5)
    assert low == pytest.approx(0.1, abs=1e-6)
    assert (x2 * 60, y2 * 40) == (43.5, 28.5)
    assert second == pytest.approx(0.3, abs=1e-6)


def test_what_is_mostly_unknown_is_passed_over() -> None:
    cosine = np.full((30, 30), 0.8, np.float32)
    cosine[:, 15:] = np.nan
    cosine[10:12, 20:22] = -1.0  # an island in the unknown
    places = worst_places(cosine, 2, 5)
    assert all(x * 30 <= 15.5 for x, _, _ in places)
    assert all(c == pytest.approx(0.8, abs=1e-6) for _, _, c in places)
    assert worst_places(np.full((9, 9), np.nan, np.float32)) == []
    assert worst_places(np.zeros((3, 3), np.float32), 5, 7) == []


def test_the_edge_of_a_photo_is_no_place() -> None:
    cosine = np.full((30, 40), 0.9, np.float32)
    cosine[:, -1] = cosine[0] = -1.0
    cosine[12:19, 18:25] = 0.2
    ((x, y, _),) = worst_places(cosine, 1)
    assert (x * 40, y * 30) == pytest.approx((21.5, 15.5))


def test_photos_and_scene_agree_more_than_with_other_features(scene: SceneState) -> None:
    found = found_in(scene)
    means = [float(np.nanmean(a.cosine)) for a in found]
    assert means == sorted(means)
    assert min(means) > 0.5
    assert {a.view for a in found} == set(range(8))
    assert all(0.3 < a.row()["covered"] <= 1 for a in found)
    rng = np.random.default_rng(0)
    assert scene.lifted is not None
    other = quantise(rng.normal(size=scene.lifted.codes.shape).astype(np.float32))[0]
    assert max(float(np.nanmean(a.cosine)) for a in found_in(scene, codes=other)) < 0.3


def test_a_constant_agrees_raw_but_not_centred(scene: SceneState) -> None:
    assert scene.features is not None
    assert scene.lifted is not None
    mean = np.mean([scene.features.bank.map(v).mean(axis=(0, 1)) for v in range(8)], axis=0)
    constant = quantise(np.repeat(mean[None].astype(np.float32), len(scene.lifted.codes), axis=0))[0]
    for a in found_in(scene, codes=constant):
        row = a.row()
        assert row["mean"] > 0.2
        assert abs(row["centred"]) < 0.5 * row["mean"]


def test_voxels_that_no_photo_sees_say_nothing(scene: SceneState) -> None:
    assert scene.lifted is not None
    found = found_in(scene, weight=np.zeros_like(scene.lifted.weight))
    for a in found:
        assert np.isnan(a.cosine).all()
        assert (a.row()["mean"], a.row()["covered"], a.worst) == (None, 0.0, ())


def test_rows_by_hand() -> None:
    cosine = np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)
    a = ViewAgreement(3, "x.jpg", cosine, cosine / 2, np.zeros((2, 2, 4), np.float32), ())
    assert a.row() == {
        "view": 3, "name": "x.jpg", "mean": 0.5, "p05": 0.05, "p50": 0.5, "p95": 0.95, "centred": 0.25,
        "covered": 0.75,
    }  # fmt: skip


def test_table_and_pictures(scene: SceneState, tmp_path: Path) -> None:
    found = found_in(scene)
    write_table(tmp_path / "out" / "consistency.csv", found)
    with (tmp_path / "out" / "consistency.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [int(r["view"]) for r in rows] == [a.view for a in found]
    assert float(rows[0]["mean"]) == found[0].row()["mean"]
    assert scene.features is not None
    write_picture(tmp_path / "out" / "a.png", scene.capture, scene.features, found[0])
    with Image.open(tmp_path / "out" / "a.png") as picture:
        assert picture.size == (4 * 96, 72)
    write_table(tmp_path / "none.csv", [])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError):
        write_table(tmp_path / "file" / "t.csv", found)


def test_colours_of_cosines() -> None:
    colours = cosine_colours(np.array([[np.nan, -1.0, 0.0, 0.5, 1.0]], np.float32))[0]
    assert colours[0].tolist() == [0, 0, 0]
    assert colours[1].tolist() == colours[2].tolist() == [68, 1, 84]  # viridis begins so
    assert colours[4].tolist() == [253, 231, 37]
