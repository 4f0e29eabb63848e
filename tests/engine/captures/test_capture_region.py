"""Bounds and up: hand-made camera arrangements, and the real captures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.api.camera import Camera, look_at
from engine.captures import open_capture
from engine.captures.bounds import focus_point, from_poses, from_range, near_focus
from engine.captures.export_colmap import export_colmap
from engine.captures.upright import estimate_up
from tests.engine.captures.capture_makers import DISTANCE, ring, write_nerfstudio


def turned(camera: Camera, quarters: int = 0, roll: float = 0.0) -> Camera:
    """The camera turned about its optical axis."""
    r = np.eye(4)
    r[:3, :3] = Rotation.from_euler("z", quarters * np.pi / 2 + roll).as_matrix()
    return Camera(camera.intrinsics, camera.c2w @ r, camera.width, camera.height)


def moved(camera: Camera, world: Rotation) -> Camera:
    m = np.eye(4)
    m[:3, :3] = world.as_matrix()
    return Camera(camera.intrinsics, m @ camera.c2w, camera.width, camera.height)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(-0.2, 1.1), st.integers(3, 40), st.floats(0, 0.4))
def test_up_of_a_ring_in_any_world_with_sideways_photos(seed: int, pitch: float, n: int, sideways: float) -> None:
    rng = np.random.default_rng(seed)
    world = Rotation.random(random_state=rng.integers(2**31))
    cameras = [
        moved(turned(c, quarters=int(rng.random() < sideways and rng.choice([1, 3])), roll=rng.normal(0, 0.02)), world)
        for c in ring(max(n, 8), pitch=pitch)
    ]
    up = estimate_up(cameras)
    angle = np.degrees(np.arccos(np.clip(up @ world.apply([0, 0, 1]), -1, 1)))
    assert angle < 8


@pytest.mark.parametrize("quarters", [1, 3])
def test_all_photos_sideways_looking_level_up_from_the_ground(quarters: int) -> None:
    """Nothing in the poses tells up from down; the scene stands on its wide ground."""
    rng = np.random.default_rng(0)
    ground = np.stack([*rng.uniform(-2, 2, (2, 2000)), np.full(2000, -1.0)], axis=1)
    statue = rng.uniform([-0.2, -0.2, -1], [0.2, 0.2, 1], (2000, 3))
    cameras = [turned(c, quarters) for c in ring(12, pitch=0.0)]
    up = estimate_up(cameras, np.concatenate([ground, statue]))
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-6)


def test_up_of_one_photo_is_its_top() -> None:
    camera = ring(3, pitch=0.5)[1]
    np.testing.assert_allclose(estimate_up([camera]), -camera.c2w[:3, 1], atol=0.2)


def test_up_of_a_walk_through_a_room() -> None:
    rng = np.random.default_rng(1)
    cameras = []
    for _ in range(30):
        eye, aim = rng.uniform(-2, 2, 3), rng.uniform(-2, 2, 3)
        eye[2], aim[2] = 1.5, eye[2] + rng.uniform(-0.8, 0.3)
        cameras.append(look_at(eye, aim, [0, 0, 1], fov_y=60, width=64, height=48))
    np.testing.assert_allclose(estimate_up(cameras), [0, 0, 1], atol=0.03)


def test_focus_by_hand() -> None:
    a = look_at([0, -4, 1], [0, 2, 1], [0, 0, 1], fov_y=50, width=64, height=48)
    b = look_at([3, 2, 1], [0, 2, 1], [0, 0, 1], fov_y=50, width=64, height=48)
    np.testing.assert_allclose(focus_point([a, b])[0], [0, 2, 1], atol=1e-9)
    assert focus_point([a, a])[1] == pytest.approx(0, abs=1e-12), "parallel axes fix nothing"


def test_bounds_from_poses_hold_what_the_photos_show() -> None:
    cameras = ring(10)
    lo, hi = from_poses(cameras)
    np.testing.assert_allclose(lo, -hi, atol=1e-9)
    shown = DISTANCE * 32 / cameras[0].intrinsics[0, 0]
    assert hi[0] == pytest.approx(1.1 * shown)


def test_bounds_of_one_photo_lie_before_it() -> None:
    camera = look_at([0, 0, 0], [0, 1, 0], [0, 0, 1], fov_y=50, width=64, height=48)
    lo, hi = from_poses([camera])
    assert lo[1] > 0
    assert (hi > lo).all()


def test_near_and_far_by_hand() -> None:
    camera = look_at([0, 0, 0], [0, 1, 0], [0, 0, 1], fov_y=90, width=100, height=100)
    lo, hi = from_range([camera], [(1.0, 3.0)])
    np.testing.assert_allclose(lo, [-3, 1, -3], atol=1e-9)
    np.testing.assert_allclose(hi, [3, 3, 3], atol=1e-9)
    assert from_range([camera], [(1.0, 1000.0)])[1][1] == pytest.approx(8)


def test_background_is_left_out_when_cameras_go_round() -> None:
    rng = np.random.default_rng(0)
    subject, background = rng.uniform(-1, 1, (500, 3)), rng.uniform([49, -1, -1], [51, 1, 1], (500, 3))
    both = np.concatenate([subject, background])
    np.testing.assert_array_equal(near_focus(both, ring(12)), subject)
    one_side = ring(40)[:4]
    assert len(near_focus(both, one_side)) == 1000


def test_depth_bounds_hold_the_surface(tiny_capture_dir: Path) -> None:
    capture = open_capture(tiny_capture_dir)
    lo, hi = capture.bounds_w
    # A unit cube on a floor of 4 × 4 at z = 0.
    assert (lo[:2] < -1.5).all()
    assert (hi[:2] > 1.5).all()
    assert -0.5 < lo[2] < 0
    assert 1 < hi[2] < 1.5
    np.testing.assert_allclose(capture.up_w, [0, 0, 1], atol=1e-3)


def test_a_capture_without_depth_is_not_bounded(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path, depth=False)
    assert not open_capture(tmp_path).bounded


@pytest.mark.data
class TestReal:
    def test_saharov_stands_upright(self, shared_data: Path) -> None:
        """The statue lies sideways in the pixels: its head is at the right of the photos."""
        capture = open_capture(shared_data / "saharov32")
        assert (len(capture.views), capture.warnings, capture.bounded) == (32, (), False)
        assert min(v.camera.c2w[:3, 0] @ capture.up_w for v in capture.views) > 0.97
        assert sum(v.held_out for v in capture.views) == 4

    def test_saharov_agrees_with_bundler(self, shared_data: Path) -> None:
        """Sparse points of cameras.out, projected and distorted, fall on the pixels where they were found."""
        capture = open_capture(shared_data / "saharov32")
        lines = (shared_data / "saharov32" / "cameras.out").read_text().splitlines()
        cameras, points = map(int, lines[1].split())
        errors, inside = [], []
        for i in range(2 + 5 * cameras, 2 + 5 * cameras + 3 * points, 3):
            pos_w = np.array([[float(v) for v in lines[i].split()]])
            inside.append(((pos_w >= capture.bounds_w[0]) & (pos_w <= capture.bounds_w[1])).all())
            track = lines[i + 2].split()[1:]
            for j in range(0, len(track), 4):
                view = capture.views[int(track[j])]
                pixel = view.distort_px(view.camera.project(pos_w)[0])[0]
                errors.append(np.hypot(pixel[0] - 546 - float(track[j + 2]), pixel[1] - 364 + float(track[j + 3])))
        assert np.median(errors) < 0.25
        assert np.mean(inside) > 0.6

    def test_buddha_is_upright_though_photos_are_mixed(self, shared_data: Path) -> None:
        capture = open_capture(shared_data / "buddha13")
        # 00052 is level and sideways: the top of the head is at the left of the photo.
        names = {v.name: v for v in capture.views}
        assert -names["images/00052.jpg"].camera.c2w[:3, 0] @ capture.up_w > 0.9
        assert np.mean([v.camera.forward_w @ capture.up_w for v in capture.views]) < -0.5, "photographed from above"

    def test_living_room(self, shared_data: Path) -> None:
        capture = open_capture(shared_data / "rgbd_livingroom_o3d")
        assert (len(capture.views), capture.warnings, capture.bounded) == (106, (), True)
        assert capture.up_w @ [0, -1, 0] > 0.99
        photo = capture.read(0, 320, depth=True)
        assert photo.rgb.shape == (240, 320, 3)
        assert photo.depth_z is not None
        assert (photo.depth_z > 0).mean() > 0.9

    @pytest.mark.parametrize("name", ["saharov32", "buddha13", "rgbd_livingroom_o3d"])
    def test_through_colmap(self, shared_data: Path, tmp_path: Path, name: str) -> None:
        capture = open_capture(shared_data / name)
        again = open_capture(export_colmap(capture, tmp_path / name))
        assert len(again.views) == len(capture.views)
        assert again.up_w @ capture.up_w > 0.999
        pixel = np.array([[100.0, 60.0]])
        for old, new in zip(capture.views, again.views, strict=True):
            np.testing.assert_allclose(new.camera.c2w, old.camera.c2w, atol=1e-9)
            np.testing.assert_allclose(new.distort_px(pixel), old.distort_px(pixel), atol=1e-9)
        overlap = np.minimum(again.bounds_w[1], capture.bounds_w[1]) - np.maximum(
            again.bounds_w[0], capture.bounds_w[0]
        )
        assert np.prod(overlap.clip(0)) > 0.4 * np.prod(np.ptp(capture.bounds_w, axis=0))


def test_a_thousand_views() -> None:
    cameras = ring(1000)
    np.testing.assert_allclose(estimate_up(cameras), [0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(focus_point(cameras)[0], 0, atol=1e-9)
