"""Depth by stereo: of a wall, a slope and a sphere as known cameras see them, and of photos that tell nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.api.camera import Camera, look_at
from engine.captures import Photo
from engine.grid.stereo import NEAREST, Stereo, affinity
from engine.grid.sweep import OUTSIDE, _correlate, aggregate, moments, pick

BOX = np.array([[-1.0, -1, -1], [1, 1, 1]])
PIXEL_W = 3 * 2 * np.tan(np.deg2rad(20)) / 72  # of the cameras below, at the middle
Surface = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


def ring(count: int, degrees: float, distance: float = 3.0) -> list[Camera]:
    """Cameras side by side, that many degrees apart, looking at the middle."""
    angles = np.deg2rad(degrees * (np.arange(count) - (count - 1) / 2))
    eyes = [[distance * np.sin(a), 0.0, -distance * np.cos(a)] for a in angles]
    return [look_at(eye, [0, 0, 0], [0, -1, 0], fov_y=40, width=96, height=72) for eye in eyes]


def wall(origin: NDArray[np.float64], ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance along rays to z = 0."""
    return -origin[2] / ray[:, 2]


def slope(origin: NDArray[np.float64], ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """… to z = x / 2."""
    return -(origin[2] - origin[0] / 2) / (ray[:, 2] - ray[:, 0] / 2)


def sphere(origin: NDArray[np.float64], ray: NDArray[np.float64]) -> NDArray[np.float64]:
    """… to a ball of radius 0.8, before the wall z = 0.9."""
    b, c = ray @ origin, origin @ origin - 0.8**2
    a = np.sum(ray * ray, axis=1)
    inside = b * b - a * c
    near = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where(inside > 0, near, (0.9 - origin[2]) / ray[:, 2])


@cache
def noise() -> NDArray[np.float64]:
    return np.random.default_rng(3).random((16, 16, 16))


def texture(pos_w: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(N, 3) grey: random values on a lattice 0.15 wide, interpolated."""
    p = pos_w / 0.15
    low = np.floor(p).astype(int)
    part = p - low
    value = np.zeros(len(p))
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(corner, part, 1 - part), axis=1)
        value += share * noise()[tuple(((low + corner) % 16).T)]
    return np.repeat((255 * value).astype(np.uint8)[:, None], 3, axis=1)


def photographed(camera: Camera, surface: Surface) -> tuple[Photo, NDArray[np.float64]]:
    """A photo of a surface, and its true depth along z."""
    ray = camera.ray_z(camera.pixel_grid())
    depth_z = surface(camera.centre_w, ray)
    rgb = texture(camera.centre_w + ray * depth_z[:, None])
    return Photo(camera, rgb.reshape(camera.height, camera.width, 3)), depth_z.reshape(camera.height, camera.width)


def stereo_of(photos: Sequence[Photo], bounded: bool = True) -> Stereo:
    stereo = Stereo(BOX, bounded)
    for photo in photos:
        stereo.add(photo)
    for _ in stereo.estimate(lambda: True):
        pass
    return stereo


@pytest.mark.parametrize(("surface", "least"), [(wall, 0.6), (slope, 0.5), (sphere, 0.4)])
@pytest.mark.parametrize("bounded", [True, False])
def test_depth_is_found_to_less_than_a_pixel_spans_there(surface: Surface, least: float, bounded: bool) -> None:
    shown = [photographed(camera, surface) for camera in ring(5, 8)]
    found = stereo_of([photo for photo, _ in shown], bounded).found
    assert len(found) == 5
    middle, depth_z, rgba = found[2]
    assert depth_z.shape == rgba.shape[:2] == (middle.height, middle.width)
    known = depth_z > 0
    assert known.mean() > least
    error = np.abs(depth_z - shown[2][1])[known]
    assert np.median(error) < PIXEL_W
    assert np.quantile(error, 0.9) < 0.1


def test_turned_photos_are_compared_as_well() -> None:
    cameras = ring(3, 10)
    roll = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    turned = cameras[1]
    turned = Camera(turned.intrinsics, turned.c2w @ roll, turned.width, turned.height)
    shown = [photographed(c, wall) for c in (cameras[0], turned, cameras[2])]
    _, depth_z, _ = stereo_of([photo for photo, _ in shown]).found[1]
    known = depth_z > 0
    assert known.mean() > 0.4
    assert np.median(np.abs(depth_z - shown[1][1])[known]) < PIXEL_W


def test_the_same_photos_give_the_same_depth() -> None:
    photos = [photographed(camera, sphere)[0] for camera in ring(3, 10)]
    for (_, a, _), (_, b, _) in zip(stereo_of(photos).found, stereo_of(photos).found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_depth_where_nothing_tells_it() -> None:
    cameras = ring(3, 10)
    photos = [photographed(camera, wall)[0] for camera in cameras]
    assert not stereo_of([]).found
    assert not stereo_of(photos[:1]).found  # alone
    assert not stereo_of([photos[0], photos[0], photos[0]]).found  # from one place
    away = look_at([0, 0, -3], [0, 0, -9], [0, -1, 0], fov_y=40, width=96, height=72)
    assert not stereo_of([photos[0], Photo(away, photos[0].rgb)]).found  # of other things
    plain = [Photo(camera, np.full((72, 96, 3), 128, np.uint8)) for camera in cameras]
    assert all((depth_z == 0).all() for _, depth_z, _ in stereo_of(plain).found)
    strange = [
        Photo(c, np.random.default_rng(n).integers(0, 256, (72, 96, 3), np.uint8)) for n, c in enumerate(cameras)
    ]
    assert np.mean([(depth_z > 0).mean() for _, depth_z, _ in stereo_of(strange).found]) < 0.01


def test_no_depth_where_a_photo_is_transparent_or_invalid() -> None:
    shown = [photographed(camera, wall)[0] for camera in ring(3, 10)]
    half = np.zeros((72, 96), np.uint8)
    half[:, 48:] = 255
    clear = [Photo(p.camera, p.rgb, alpha=half) for p in shown]
    masked = [Photo(p.camera, p.rgb, valid=half > 0) for p in shown]
    for photos in (clear, masked):
        _, depth_z, rgba = stereo_of(photos).found[1]
        assert (depth_z[:, :48] == 0).all()
        assert (depth_z > 0).mean() > 0.15
        np.testing.assert_array_equal(rgba[..., 3], half > 0)


def test_photos_of_different_sizes_go_together() -> None:
    cameras = ring(3, 10)
    photos = [photographed(c, wall)[0] for c in (cameras[0], cameras[1].scaled(120, 90), cameras[2].scaled(64, 48))]
    sizes = [depth_z.shape for _, depth_z, _ in stereo_of(photos).found]
    assert sizes == [(72, 96), (90, 120), (48, 64)]


def test_estimating_ends_when_it_is_told_to() -> None:
    photos = [photographed(camera, wall)[0] for camera in ring(4, 8)]
    stereo = Stereo(BOX, True)
    for photo in photos:
        stereo.add(photo)
    asked = iter([True, True, False])
    for _ in stereo.estimate(lambda: next(asked)):
        pass
    found = stereo.found
    assert len(found) == 2
    assert all((depth_z > 0).mean() > 0.3 for _, depth_z, _ in found)


def test_the_best_partner_is_a_dozen_degrees_away() -> None:
    first, *others = ring(5, 12)
    shared = affinity(first, others, np.array([3.0]))
    assert list(np.argsort(-shared)) == [0, 1, 2, 3]
    nearer = ring(2, 4)
    assert affinity(*_one(nearer), np.array([3.0]))[0] < shared[0]
    back = look_at([0, 0, -3], [0, 0, -9], [0, -1, 0], fov_y=40, width=96, height=72)
    np.testing.assert_array_equal(affinity(first, [first, back], np.array([3.0])), [0, 0])
    assert affinity(first, [], np.array([3.0])).shape == (0,)


def _one(pair: list[Camera]) -> tuple[Camera, list[Camera]]:
    return pair[0], pair[1:]


def test_a_camera_within_the_box_looks_no_nearer_than_a_tenth_of_it() -> None:
    inside = look_at([0, 0, 0], [0, 0, 1], [0, -1, 0], fov_y=40, width=96, height=72)
    near, far = Stereo(BOX, True)._range(inside) or (0, 0)
    assert near == pytest.approx(NEAREST * np.sqrt(12))
    assert far == pytest.approx(1)
    behind = look_at([0, 0, 2], [0, 0, 3], [0, -1, 0], fov_y=40, width=96, height=72)
    assert Stereo(BOX, True)._range(behind) is None
    assert Stereo(BOX, False)._range(behind) is not None


def test_correlation_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    grey, other = (rng.random((9, 12), np.float32) * 255 for _ in range(2))
    mean, inverse, out = (np.empty_like(grey) for _ in range(3))
    moments(grey, mean, inverse)
    shift = np.array([[1, 0, 2], [0, 1, 1], [0, 0, 1]], np.float32)
    _correlate(grey, mean, inverse, other, shift, out)
    a, b = grey[2:7, 3:8], other[3:8, 5:10]
    expected = np.mean((a - a.mean()) * (b - b.mean())) / np.sqrt((a.var() + 4) * (b.var() + 4))
    assert out[4, 5] == pytest.approx(expected, abs=1e-4)
    assert out[4, 9] == OUTSIDE  # its window would end at column 13 of 12
    assert (out[:2] == OUTSIDE).all()


def test_a_path_follows_the_cheap_plane_past_a_pixel_that_knows_nothing() -> None:
    cost = np.ones((1, 3, 5), np.float32)
    cost[0, 0, 2] = cost[0, 2, 2] = 0
    grey, total = np.zeros((1, 3), np.float32), np.zeros_like(cost)
    for right in (1, -1):
        aggregate(cost, grey, 0, right, total)
    # from either side: 1 + the step's penalty of 0.06 times the planes between, at most two by steps
    np.testing.assert_allclose(total[0, 1], [2.0 + 2 * x for x in (0.6, 0.06, 0, 0.06, 0.6)], atol=1e-5)
    inverse_z, score = np.empty_like(grey), np.empty_like(grey)
    pick(total, cost, np.float32(0.1), np.float32(0.5), inverse_z, score)
    np.testing.assert_allclose(inverse_z, [[1.1, 1.1, 1.1]], atol=1e-5)
    np.testing.assert_allclose(score, [[1, 0, 1]], atol=1e-6)


def test_the_least_at_the_edge_has_no_score_and_a_parabola_refines_others() -> None:
    total = np.array([[[0, 1, 2, 3], [3, 0, 1, 3]]], np.float32)
    inverse_z, score = np.empty((1, 2), np.float32), np.empty((1, 2), np.float32)
    pick(total, total, np.float32(1), np.float32(1), inverse_z, score)
    # (3, 0, 1): the parabola's least is at 1 + (3 - 1) / (2 (3 + 1 - 0))
    np.testing.assert_allclose(inverse_z, [[1, 2.25]], atol=1e-6)
    np.testing.assert_allclose(score, [[0, 1]])
