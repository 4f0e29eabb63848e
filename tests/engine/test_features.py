"""Photos that lie on their side are encoded upright, and their keypoints told where they lie."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from engine.api.camera import Camera, look_at
from engine.api.jobs import finish
from engine.encoders import load_encoder
from engine.features import ViewFeatureSet
from engine.keypoints.network import load_keypoints
from engine.repository.photo import describe_photo
from engine.results import ResultStore
from tests.conftest import cast_cube_on_plane

UPRIGHT = look_at((3.0, 2.0, 2.0), (0, 0, 0.3), (0, 0, 1), fov_y=45.0, width=96, height=72)


def turned(camera: Camera) -> Camera:
    """The same view, its photo turned clockwise by a quarter: what was up is right."""
    k = camera.intrinsics
    intrinsics = np.array([[k[1, 1], 0, camera.height - k[1, 2]], [0, k[0, 0], k[0, 2]], [0, 0, 1]])
    c2w = camera.c2w.copy()
    c2w[:3, 0], c2w[:3, 1] = -camera.c2w[:3, 1], camera.c2w[:3, 0]
    return Camera(intrinsics, c2w, camera.height, camera.width)


@pytest.fixture(scope="module")
def rgb() -> np.ndarray:
    return cast_cube_on_plane(UPRIGHT)[0]


def capture_of(*photos: tuple[Camera, np.ndarray]) -> Any:
    """As much of a capture as features are made of."""
    views = [SimpleNamespace(camera=camera, name=f"{n}") for n, (camera, _) in enumerate(photos)]

    def read(view: int, max_side: int) -> Any:
        return SimpleNamespace(rgb=photos[view][1])

    return SimpleNamespace(views=views, read=read, up_w=np.array([0.0, 0.0, 1.0]), fingerprint="tilted", path=Path("x"))


def test_a_photo_on_its_side_has_the_features_of_the_upright_one(tmp_path: Path, rgb: np.ndarray) -> None:
    lying = np.ascontiguousarray(np.rot90(rgb, -1))
    sideways = turned(UPRIGHT)
    pos_w = np.array([[0.2, 0.1, 0.3], [0.4, -0.2, 0.0]])
    (before, _), (after, _) = UPRIGHT.project(pos_w), sideways.project(pos_w)
    np.testing.assert_allclose(after, np.stack([72 - before[:, 1], before[:, 0]], axis=1))
    capture = capture_of((UPRIGHT, rgb), (sideways, lying))
    store = ResultStore.of("tilted", tmp_path, tmp_path)
    features = ViewFeatureSet(capture, store, "default", "cpu")
    finish(features.encode([0, 1]))
    there, here = features.bank.map(0), features.bank.map(1)
    np.testing.assert_array_equal(np.rot90(here), there)
    assert np.abs(here - features.encoder.encode(lying)).max() > 0.1  # as it lies it would have others
    features.save()
    assert ViewFeatureSet(capture, store, "default", "cpu").complete
    as_they_lie = ViewFeatureSet(capture_of((UPRIGHT, rgb), (UPRIGHT, lying)), store, "default", "cpu")
    assert not as_they_lie.views()  # what is stored is of photos that were turned
    assert as_they_lie.id == features.id  # the weights are the same
    assert as_they_lie.key != features.key  # what is lifted or named by them is not


def test_keypoints_of_a_turned_photo_lie_where_they_are_in_it(rgb: np.ndarray) -> None:
    encoder, detector = load_encoder("default", torch.device("cpu")), load_keypoints(torch.device("cpu"))
    upright = finish(describe_photo(rgb, 50.0, encoder, detector))
    for turns in (1, 2, 3):
        lying = np.ascontiguousarray(np.rot90(rgb, -turns))
        found = finish(describe_photo(lying, 50.0, encoder, detector, turns))
        assert found.size == (lying.shape[1], lying.shape[0])
        np.testing.assert_array_equal(found.descriptors, upright.descriptors)
        (x, y), (w, h) = upright.pos_px.T, upright.size
        there = {1: (h - y, x), 2: (w - x, h - y), 3: (y, w - x)}[turns]
        np.testing.assert_allclose(found.pos_px, np.stack(there, axis=1), atol=1e-9)
