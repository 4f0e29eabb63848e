"""Lenses against OpenCV and COLMAP, which share nothing with ours but the published formulas."""

from __future__ import annotations

import cv2
import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.camera import Camera
from engine.captures.colmap import ColmapLens
from engine.captures.lens import BrownLens, FisheyeLens, photo_positions, undistort

K = np.array([[100.0, 0, 64], [0, 110, 48], [0, 0, 1]])


def grid(extent: float = 0.6) -> np.ndarray:
    x = np.linspace(-extent, extent, 9)
    return np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)


def test_brown_by_hand() -> None:
    # n = (0.5, 0): r² = 0.25, radial = 1 + 0.1 / 4 + 0.2 / 16 = 1.0375, tangential = (p2 3 r², p1 r²).
    lens = BrownLens(k1=0.1, k2=0.2, p1=0.01, p2=0.02)
    expected = [[0.5 * 1.0375 + 0.02 * 0.75, 0.01 * 0.25]]
    np.testing.assert_allclose(lens.distort(np.array([[0.5, 0.0]])), expected, rtol=1e-12)


@given(st.tuples(*[st.floats(-0.1, 0.1)] * 2, *[st.floats(-0.01, 0.01)] * 2))
def test_brown_agrees_with_opencv(params: tuple[float, float, float, float]) -> None:
    k1, k2, p1, p2 = params
    points = np.concatenate([grid(), np.ones((81, 1))], axis=1)
    theirs = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), np.array([k1, k2, p1, p2]))[0][:, 0]
    np.testing.assert_allclose(BrownLens(k1=k1, k2=k2, p1=p1, p2=p2).distort(grid()), theirs, atol=1e-9)


def test_fisheye_agrees_with_opencv() -> None:
    d = np.array([0.05, -0.01, 0.002, -0.001])
    theirs = cv2.fisheye.distortPoints(grid(2.0)[:, None], np.eye(3), d)[:, 0]
    np.testing.assert_allclose(FisheyeLens(*d).distort(grid(2.0)), theirs, atol=1e-9)


@pytest.mark.parametrize(
    "lens",
    [
        BrownLens(k1=-0.2, k2=0.05, p1=0.002, p2=-0.001),
        BrownLens(k1=0.1, k2=0.02, k3=0.01, k4=0.001),
        FisheyeLens(0.05, -0.01, 0.002, -0.001),
        ColmapLens("THIN_PRISM_FISHEYE", (1.0, 1.0, 0.0, 0.0, 0.02, 0.01, 1e-3, 2e-3, 0.0, 0.0, 1e-3, 0.0)),
        ColmapLens("FOV", (1.0, 1.0, 0.0, 0.0, 0.5)),
    ],
)
def test_undistort_inverts_distort(lens: BrownLens | FisheyeLens | ColmapLens) -> None:
    np.testing.assert_allclose(undistort(lens, lens.distort(grid())), grid(), atol=1e-9)


def test_colmap_lens_agrees_with_ours() -> None:
    lens = BrownLens(k1=-0.1, k2=0.02, p1=0.001, p2=0.002)
    theirs = ColmapLens("OPENCV", (100.0, 110.0, 64.0, 48.0, -0.1, 0.02, 0.001, 0.002))
    np.testing.assert_allclose(theirs.distort(grid()), lens.distort(grid()), atol=1e-12)


def test_folded_radius_shows_nothing() -> None:
    # r (1 - r²/3) turns back at r = 1: beyond, two ideal points would share one photo pixel.
    lens = BrownLens(k1=-1 / 3)
    out = lens.distort(np.array([[0.99, 0.0], [1.01, 0.0], [0.0, -3.0]]))
    assert np.isfinite(out).all(axis=1).tolist() == [True, False, False]
    assert np.isnan(undistort(lens, np.array([[0.9, 0.0]]))).all(), "the photo has no ideal point there: 2/3 is its end"


def test_positions_are_fractions_of_the_photo() -> None:
    camera = Camera(K, np.eye(4), 128, 96)
    plain = photo_positions(None, camera)
    assert plain.shape == (96, 128, 2)
    np.testing.assert_allclose(plain[10, 20], [20.5 / 128, 10.5 / 96], rtol=1e-6)
    lens = BrownLens(k1=0.2)
    stretched = photo_positions(lens, camera)
    assert np.isnan(stretched[0, 0]).all(), "barrel correction pulls the corner from outside the photo"
    x = (20.5 - 64) / 100, (40.5 - 48) / 110
    r2 = x[0] ** 2 + x[1] ** 2
    expected = [(x[0] * (1 + 0.2 * r2) * 100 + 64) / 128, (x[1] * (1 + 0.2 * r2) * 110 + 48) / 96]
    np.testing.assert_allclose(stretched[40, 20], expected, rtol=1e-6)


def test_every_colmap_camera_model_is_finite_near_the_axis() -> None:
    for name in pycolmap.CameraModelId.__members__:
        if name in ("INVALID", "EQUIRECTANGULAR"):
            continue
        params = pycolmap.Camera.create_from_model_name(1, name, 50.0, 64, 48).params
        assert np.isfinite(ColmapLens(name, tuple(params)).distort(grid(0.3))).all(), name
