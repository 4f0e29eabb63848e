"""Each format written with known cameras and pixels, and read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.captures import Capture, open_capture
from tests.engine.captures.capture_makers import (
    DISTANCE,
    HEIGHT,
    WIDTH,
    assert_cameras,
    nerfstudio_frame,
    ramp,
    ring,
    save,
    write_blender,
    write_json,
    write_llff,
    write_nerfstudio,
    write_open3d,
    write_scannet,
    write_seven_scenes,
)


def assert_depth(capture: Capture, expected: float = DISTANCE) -> None:
    for i in range(len(capture.views)):
        depth_z = capture.read(i, depth=True).depth_z
        assert depth_z is not None
        assert depth_z.dtype == np.float32
        assert depth_z.shape == (HEIGHT, WIDTH)
        np.testing.assert_allclose(depth_z[2:], expected, rtol=1e-6)


class TestNerfstudio:
    def test_round_trip(self, tmp_path: Path) -> None:
        cameras = write_nerfstudio(tmp_path / "room", n=9)
        capture = open_capture(tmp_path / "room")
        assert (capture.name, capture.format, capture.warnings) == ("room", "nerfstudio", ())
        assert_cameras(capture, cameras)
        assert_depth(capture)
        assert [v.index for v in capture.views if v.held_out] == [7]
        assert [v.name for v in capture.views][:2] == ["images/000.png", "images/001.png"]
        photo = capture.read(3)
        np.testing.assert_array_equal(photo.rgb, ramp(blue=3))
        assert photo.alpha is None
        assert photo.valid is None
        assert photo.depth_z is None, "not asked for"
        np.testing.assert_allclose(capture.up_w, [0, 0, 1], atol=1e-9)
        assert capture.bounded, "depth covers the photos"

    def test_the_file_opens_as_the_folder_does(self, tmp_path: Path) -> None:
        write_nerfstudio(tmp_path)
        by_file, by_folder = open_capture(tmp_path / "transforms.json"), open_capture(tmp_path)
        assert by_file.fingerprint == by_folder.fingerprint
        assert len(by_file.views) == 8

    def test_opengl_axes_by_hand(self, tmp_path: Path) -> None:
        save(tmp_path / "a.png", ramp(100, 80))
        pose = [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3]]  # 3×4
        frame = {"file_path": "a.png", "transform_matrix": pose}
        write_json(tmp_path / "transforms.json", {"camera_angle_x": np.pi / 2, "frames": [frame]})
        view = open_capture(tmp_path).views[0]
        np.testing.assert_allclose(view.camera.intrinsics, [[50, 0, 50], [0, 50, 40], [0, 0, 1]], atol=1e-12)
        # Two units before an OpenGL camera is z = 3 - 2; one up is y + 1, which is up in the photo.
        pixel, depth = view.camera.project(np.array([[1, 2, 1], [1, 3, 1.0]]))
        np.testing.assert_allclose(pixel, [[50, 40], [50, 15]])
        np.testing.assert_allclose(depth, [2, 2])

    def test_frames_override_what_is_shared(self, tmp_path: Path) -> None:
        frames = []
        for i, own in enumerate([{}, {"fl_x": 33.0}]):
            save(tmp_path / f"{i}.png", ramp())
            frames.append({"file_path": f"{i}.png", "transform_matrix": np.eye(4).tolist(), **own})
        shared = {"fl_x": 44.0, "fl_y": 45.0, "cx": 30.0, "cy": 20.0, "w": WIDTH, "h": HEIGHT}
        write_json(tmp_path / "transforms.json", {**shared, "frames": frames})
        k = [v.camera.intrinsics for v in open_capture(tmp_path).views]
        assert (k[0][0, 0], k[1][0, 0], k[1][1, 1], k[1][0, 2]) == (44, 33, 45, 30)

    def test_intrinsics_follow_photos_made_smaller(self, tmp_path: Path) -> None:
        camera = ring(1, width=128, height=96)[0]
        save(tmp_path / "a.png", ramp(64, 48))
        write_json(tmp_path / "transforms.json", {"frames": [nerfstudio_frame(camera, "a.png")]})
        view = open_capture(tmp_path).views[0]
        np.testing.assert_allclose(view.camera.intrinsics, camera.scaled(64, 48).intrinsics)
        assert (view.camera.width, view.camera.height) == (64, 48)

    @pytest.mark.parametrize("model", ["OPENCV", "OPENCV_FISHEYE"])
    def test_distortion_is_undone(self, tmp_path: Path, model: str) -> None:
        """A photo whose colours tell where OpenCV undistorts each pixel to must read as a plain ramp."""
        camera = ring(1, width=160, height=120)[0]
        k = camera.intrinsics.copy()
        k[0, 2] += 3.0
        camera = Camera(k, camera.c2w, 160, 120)
        d = {"k1": -0.15, "k2": 0.03, "p1": 0.002, "p2": -0.003}
        if model == "OPENCV_FISHEYE":
            d = {"k1": 0.05, "k2": -0.01, "k3": 0.003, "k4": 0.0}
        values = np.array(list(d.values()))
        centres = camera.pixel_grid()[:, None]
        undo = cv2.undistortPoints if model == "OPENCV" else cv2.fisheye.undistortPoints
        ideal = undo(centres, k, values)[:, 0] * [k[0, 0], k[1, 1]] + [k[0, 2], k[1, 2]]
        rg = (ideal / [160, 120] * 200 + 25).reshape(120, 160, 2)
        save(tmp_path / "a.png", np.dstack([rg, np.zeros((120, 160))]).clip(0, 255).round().astype(np.uint8))
        frame = nerfstudio_frame(camera, "a.png", camera_model=model, **d)
        write_json(tmp_path / "transforms.json", {"frames": [frame]})
        capture = open_capture(tmp_path)
        for max_side, tolerance in ((None, 1.0), (80, 1.5)):
            photo = capture.read(0, max_side)
            w, h = photo.camera.width, photo.camera.height
            assert photo.rgb.shape == (h, w, 3)
            expected = photo.camera.pixel_grid().reshape(h, w, 2) / [w, h] * 200 + 25
            valid = np.ones((h, w), bool) if photo.valid is None else photo.valid
            inner = cv2.erode(valid.astype(np.uint8), np.ones((3, 3))) > 0
            inner[[0, -1]] = inner[:, [0, -1]] = False
            assert inner.mean() > 0.8
            assert np.abs(photo.rgb[..., :2] - expected)[inner].max() <= tolerance
        view = capture.views[0]
        np.testing.assert_allclose(view.undistort_px(centres[:, 0]), ideal, atol=5e-3)  # OpenCV stops early
        np.testing.assert_allclose(view.distort_px(view.undistort_px(centres[:, 0])), centres[:, 0], atol=1e-4)

    def test_the_border_without_photo_is_not_valid(self, tmp_path: Path) -> None:
        camera = ring(1)[0]
        save(tmp_path / "a.png", np.full((HEIGHT, WIDTH, 3), 255, np.uint8))
        frame = nerfstudio_frame(camera, "a.png", k1=0.3)
        write_json(tmp_path / "transforms.json", {"frames": [frame]})
        photo = open_capture(tmp_path).read(0)
        assert photo.valid is not None
        assert not photo.valid[0, 0]
        assert photo.valid[HEIGHT // 2, WIDTH // 2]
        assert (photo.rgb[photo.valid] == 255).all()
        assert (photo.rgb[~photo.valid] == 0).all()

    @pytest.mark.parametrize(
        ("shared", "expected"),
        [
            ({}, 3.0),
            ({"depth_unit_scale_factor": 0.0002}, 0.6),
            ({"depth_unit_m": 0.002}, 6.0),
            ({"integer_depth_scale": 0.0005}, 1.5),
            ({"applied_scale": 2.0}, 6.0),
            ({"applied_transform": [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0]]}, 3.0),
        ],
    )
    def test_depth_units(self, tmp_path: Path, shared: dict[str, object], expected: float) -> None:
        cameras = write_nerfstudio(tmp_path, **shared)
        capture = open_capture(tmp_path)
        assert_depth(capture, expected)
        assert_cameras(capture, cameras)

    def test_float_depth_of_another_size_is_in_world_units(self, tmp_path: Path) -> None:
        cameras = write_nerfstudio(tmp_path, n=2, depth=False)
        z = np.arange(12 * 16, dtype=np.float32).reshape(12, 16)
        z[0, 0], z[0, 1] = np.nan, -1
        np.savez(tmp_path / "a.npz", z=z)
        np.save(tmp_path / "b.npy", z.astype(np.float64))
        frames = [
            nerfstudio_frame(c, f"images/{i:03}.png", depth_file_path=name)
            for i, (c, name) in enumerate(zip(cameras, ["a.npz", "b.npy"], strict=True))
        ]
        write_json(tmp_path / "transforms.json", {"frames": frames})
        capture = open_capture(tmp_path)
        for i in range(2):
            depth_z = capture.read(i, depth=True).depth_z
            assert depth_z is not None
            np.testing.assert_array_equal(depth_z[2::4, 2::4], np.nan_to_num(z).clip(0))
            np.testing.assert_array_equal(depth_z[4:8, 4:8], np.full((4, 4), z[1, 1]))

    def test_images_of_depth_are_distorted_as_the_photo_is_and_arrays_are_not(self, tmp_path: Path) -> None:
        camera = ring(1)[0]
        column = np.tile(np.arange(1, WIDTH + 1, dtype=np.uint16), (HEIGHT, 1))
        save(tmp_path / "d.png", column)
        np.save(tmp_path / "d.npy", column.astype(np.float32))
        save(tmp_path / "0.png", ramp())
        save(tmp_path / "1.png", ramp())
        frames = [
            nerfstudio_frame(camera, f"{i}.png", depth_file_path=name, k1=-0.3)
            for i, name in enumerate(["d.png", "d.npy"])
        ]
        write_json(tmp_path / "transforms.json", {"integer_depth_scale": 1.0, "frames": frames})
        capture = open_capture(tmp_path)
        distorted, plain = (capture.read(i, depth=True).depth_z for i in range(2))
        assert distorted is not None
        assert plain is not None
        np.testing.assert_array_equal(plain, column)
        pixel = np.array([[3.5, 24.5]])
        assert distorted[24, 3] == np.floor(capture.views[0].distort_px(pixel)[0, 0]) + 1
        assert distorted[24, 3] != plain[24, 3]

    def test_masks(self, tmp_path: Path) -> None:
        cameras = write_nerfstudio(tmp_path, n=1, depth=False)
        mask = np.full((HEIGHT, WIDTH), 255, np.uint8)
        mask[:, : WIDTH // 2] = 0
        save(tmp_path / "masks/0.png", mask)
        frame = nerfstudio_frame(cameras[0], "images/000.png", mask_path="masks/0.png")
        write_json(tmp_path / "transforms.json", {"frames": [frame]})
        capture = open_capture(tmp_path)
        np.testing.assert_array_equal(capture.read(0).valid, mask > 0)
        np.testing.assert_array_equal(capture.read(0, 32).valid, mask[::2, ::2] > 0)

    def test_sparse_points(self, tmp_path: Path) -> None:
        write_nerfstudio(tmp_path, ply_file_path="sparse.ply")
        (tmp_path / "sparse.ply").write_text(
            "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n"
            "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n1 2 3 255 0 0\n4 5 6 0 9 0\n"
        )
        points = open_capture(tmp_path).points
        assert points is not None
        np.testing.assert_array_equal(points.pos_w, [[1, 2, 3], [4, 5, 6]])
        np.testing.assert_array_equal(points.rgb, [[255, 0, 0], [0, 9, 0]])


class TestBlender:
    def test_round_trip(self, tmp_path: Path) -> None:
        cameras = write_blender(tmp_path)
        capture = open_capture(tmp_path)
        assert (capture.format, capture.warnings) == ("blender", ())
        assert_cameras(capture, cameras)
        photo = capture.read(5)
        assert photo.alpha is not None
        assert photo.alpha[HEIGHT // 2, WIDTH // 2] == 255
        assert photo.alpha[0, 0] == 0
        np.testing.assert_array_equal(photo.rgb, ramp(blue=5))
        assert capture.bounded, "the object is cut out"

    def test_one_split(self, tmp_path: Path) -> None:
        cameras = write_blender(tmp_path)
        capture = open_capture(tmp_path / "transforms_test.json")
        assert capture.format == "blender"
        assert_cameras(capture, cameras[4:])

    def test_alpha_does_not_bleed_when_made_smaller(self, tmp_path: Path) -> None:
        write_blender(tmp_path)
        photo = open_capture(tmp_path).read(0, 16)
        assert photo.alpha is not None
        edge = (photo.alpha > 40) & (photo.alpha < 215)
        assert edge.any()
        centres = photo.camera.pixel_grid().reshape(*photo.alpha.shape, 2) / [16, 12] * 255
        assert np.abs(photo.rgb[..., :2][edge] - centres[edge]).max() < 12, "colours stay those of the object"


class TestLlff:
    def test_round_trip(self, tmp_path: Path) -> None:
        cameras = write_llff(tmp_path)
        capture = open_capture(tmp_path)
        assert (capture.format, capture.warnings) == ("llff", ())
        assert_cameras(capture, cameras)
        np.testing.assert_allclose(capture.up_w, [0, 0, 1], atol=1e-6)
        assert not capture.bounded
        lo, hi = capture.bounds_w
        # Cameras at y = 0 look along y: near 2, far 9.
        np.testing.assert_allclose([lo[1], hi[1]], [2, 9], atol=1e-9)

    def test_smaller_photos(self, tmp_path: Path) -> None:
        cameras = write_llff(tmp_path)
        (tmp_path / "images").rename(tmp_path / "images_4")
        for path in (tmp_path / "images_4").iterdir():
            save(path, ramp(WIDTH // 4, HEIGHT // 4))
        assert_cameras(open_capture(tmp_path / "poses_bounds.npy"), [c.scaled(16, 12) for c in cameras])

    def test_another_number_of_photos(self, tmp_path: Path) -> None:
        write_llff(tmp_path)
        (tmp_path / "images" / "003.png").unlink()
        with pytest.raises(CaptureError, match="8 poses, and 7 photos in images"):
            open_capture(tmp_path)


class TestRgbd:
    def test_scannet(self, tmp_path: Path) -> None:
        cameras = write_scannet(tmp_path)
        capture = open_capture(tmp_path)
        assert (capture.format, capture.warnings) == ("rgbd", ())
        assert_cameras(capture, cameras)
        assert_depth(capture)
        assert capture.bounded

    def test_seven_scenes(self, tmp_path: Path) -> None:
        cameras = write_seven_scenes(tmp_path)
        capture = open_capture(tmp_path)
        assert_cameras(capture, cameras)
        assert_depth(capture)
        depth_z = capture.read(0, depth=True).depth_z
        assert depth_z is not None
        assert (depth_z[0] == 0).all(), "65535 stands for unknown"

    def test_open3d(self, tmp_path: Path) -> None:
        cameras = write_open3d(tmp_path)
        capture = open_capture(tmp_path)
        assert_cameras(capture, cameras)
        assert_depth(capture)

    def test_frames_are_ordered_by_number(self, tmp_path: Path) -> None:
        cameras = write_scannet(tmp_path)
        for folder, suffix in (("color", "jpg"), ("depth", "png"), ("pose", "txt")):
            (tmp_path / folder / f"2.{suffix}").rename(tmp_path / folder / f"10.{suffix}")
        capture = open_capture(tmp_path)
        assert_cameras(capture, [*cameras[:2], *cameras[3:], cameras[2]])

    def test_lost_frames_are_counted(self, tmp_path: Path) -> None:
        write_scannet(tmp_path)
        (tmp_path / "pose" / "3.txt").unlink()
        (tmp_path / "pose" / "4.txt").write_text("-inf " * 16)
        (tmp_path / "pose" / "5.txt").write_text("hello")
        (tmp_path / "depth" / "6.png").unlink()
        capture = open_capture(tmp_path)
        assert len(capture.views) == 5
        assert [v.has_depth for v in capture.views] == [True, True, True, False, True]
        assert [w.split(" (first")[0] for w in capture.warnings] == [
            "1 frames skipped, no pose",
            "1 frames skipped, the pose is not finite",
            "1 frames skipped, the pose is not a matrix of numbers",
            "1 frames have no depth image",
        ]

    def test_no_intrinsics(self, tmp_path: Path) -> None:
        write_scannet(tmp_path)
        shutil.rmtree(tmp_path / "intrinsic")
        with pytest.raises(CaptureError, match="fx fy cx cy"):
            open_capture(tmp_path)


class TestDetection:
    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(CaptureError, match="no such file or folder"):
            open_capture(tmp_path / "nowhere")

    def test_an_unknown_folder_is_described(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("hello")
        (tmp_path / "photos").mkdir()
        with pytest.raises(CaptureError, match=r"notes\.txt, photos/") as e:
            open_capture(tmp_path)
        assert "poses_bounds.npy" in str(e.value)

    def test_an_unknown_file(self, tmp_path: Path) -> None:
        (tmp_path / "notes.docx").write_text("hello")
        with pytest.raises(CaptureError, match=r"a \.docx file"):
            open_capture(tmp_path / "notes.docx")

    def test_a_json_of_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "transforms.json").write_text(json.dumps({"images": []}))
        with pytest.raises(CaptureError, match="images"):
            open_capture(tmp_path)


def test_a_large_jpeg_is_read_small(tmp_path: Path) -> None:
    camera = ring(1, width=1600, height=1200)[0]
    (tmp_path / "images").mkdir()
    Image.fromarray(ramp(1600, 1200)).save(tmp_path / "images" / "a.jpg", quality=95)
    write_json(tmp_path / "transforms.json", {"frames": [nerfstudio_frame(camera, "images/a.jpg")]})
    capture = open_capture(tmp_path)
    photo = capture.read(0, 131)
    assert photo.rgb.shape == (98, 131, 3)
    assert np.abs(photo.rgb[..., :2] - ramp(131, 98)[..., :2].astype(int)).max() <= 3
    np.testing.assert_allclose(photo.camera.intrinsics[0, 0], camera.intrinsics[0, 0] * 131 / 1600)


def test_orientation_in_exif_is_not_applied(tmp_path: Path) -> None:
    camera = ring(1)[0]
    (tmp_path / "images").mkdir()
    image = Image.fromarray(ramp())
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "images" / "a.jpg", exif=exif)
    write_json(tmp_path / "transforms.json", {"frames": [nerfstudio_frame(camera, "images/a.jpg")]})
    capture = open_capture(tmp_path)
    assert capture.views[0].camera.width == WIDTH
    assert np.abs(capture.read(0).rgb.astype(int) - ramp()).max() < 12
