"""Paths from files, warnings, fingerprints, and the decoding of odd photos."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.api.errors import CaptureError
from engine.captures import open_capture
from engine.captures.files import Notes, inside, is_file, number
from engine.captures.photos import decode, image_size, nearest
from tests.engine.captures.capture_makers import (
    HEIGHT,
    WIDTH,
    nerfstudio_frame,
    ramp,
    ring,
    write_json,
    write_nerfstudio,
)

ROOT = Path("/captures/room")
parts = st.sampled_from(["..", ".", "a", "b.png", "", "C:", "\\", "//", "\0", "~", "\ud800"])


@given(st.lists(parts, max_size=8).map("/".join) | st.text(max_size=30))
def test_no_path_leads_out(name: str) -> None:
    path = inside(ROOT, name)
    if path is not None:
        assert os.path.normpath(path).startswith(str(ROOT) + os.sep)
        assert is_file(path) is False


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("images/a.png", "images/a.png"),
        ("./images/a.png", "images/a.png"),
        ("images\\a.png", "images/a.png"),
        ("images/../depth/a.png", "depth/a.png"),
        ("a b/ü.png", "a b/ü.png"),
    ],
)
def test_honest_paths(name: str, expected: str) -> None:
    assert inside(ROOT, name) == ROOT / expected


@pytest.mark.parametrize(
    "name", ["", ".", "/a.png", "../a.png", "a/../../b", "C:/a.png", "c:a.png", "\\\\s\\a", None, 3]
)
def test_refused_paths(name: object) -> None:
    assert inside(ROOT, name) is None


def test_warnings_are_counted_by_kind() -> None:
    notes = Notes()
    for i in range(3):
        notes.count("frames skipped, the photo is missing", f"images/{i}.png")
    notes.count("masks ignored", "m\n\ud800.png")
    assert notes.messages() == (
        "3 frames skipped, the photo is missing (first: images/0.png)",
        "1 masks ignored (first: m??.png)",
    )


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers()))
def test_number_is_finite_or_refused(value: object) -> None:
    try:
        out = number({"a": value}, "a")
    except ValueError:
        return
    assert (out is None) == (value is None)
    assert out is None or np.isfinite(out)


class TestFingerprint:
    @pytest.fixture
    def capture_dir(self, tmp_path: Path) -> Path:
        write_nerfstudio(tmp_path / "a")
        return tmp_path / "a"

    def test_it_follows_the_content_not_the_place(self, capture_dir: Path, tmp_path: Path) -> None:
        first = open_capture(capture_dir).fingerprint
        shutil.copytree(capture_dir, tmp_path / "elsewhere" / "b")
        for path in (tmp_path / "elsewhere").rglob("*"):
            os.utime(path, (1, 1))
        assert open_capture(tmp_path / "elsewhere" / "b").fingerprint == first

    @pytest.mark.parametrize("name", ["images/003.png", "depth/003.png"])
    def test_it_changes_with_any_image(self, capture_dir: Path, name: str) -> None:
        first = open_capture(capture_dir).fingerprint
        pixels = np.array(Image.open(capture_dir / name))
        pixels[5, 5] = 1
        Image.fromarray(pixels).save(capture_dir / name)
        assert open_capture(capture_dir).fingerprint != first

    def test_it_changes_with_the_poses(self, capture_dir: Path) -> None:
        first = open_capture(capture_dir).fingerprint
        text = (capture_dir / "transforms.json").read_text()
        (capture_dir / "transforms.json").write_text(text.replace('"fl_x": 5', '"fl_x": 6', 1))
        assert open_capture(capture_dir).fingerprint != first


class TestOddPhotos:
    def read(self, folder: Path, image: Image.Image, name: str = "a.png") -> np.ndarray:
        image.save(folder / name)
        size = image_size(folder / name)
        assert size == image.size
        return np.array(decode(folder / name, size, size))

    def test_grey(self, tmp_path: Path) -> None:
        grey = ramp()[..., 0]
        np.testing.assert_array_equal(self.read(tmp_path, Image.fromarray(grey)), np.repeat(grey[..., None], 3, axis=2))

    def test_sixteen_bits(self, tmp_path: Path) -> None:
        grey = np.array([[0, 257, 65535]], np.uint16)
        np.testing.assert_array_equal(self.read(tmp_path, Image.fromarray(grey))[0, :, 0], [0, 1, 255])

    def test_palette_with_transparency(self, tmp_path: Path) -> None:
        image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.info["transparency"] = 1
        np.testing.assert_array_equal(self.read(tmp_path, image), [[[10, 20, 30, 255], [40, 50, 60, 0]]])

    def test_cmyk(self, tmp_path: Path) -> None:
        image = Image.fromarray(ramp()).convert("CMYK")
        assert np.abs(self.read(tmp_path, image, "a.tif").astype(int) - ramp()).max() <= 1


def test_nearest_keeps_values_and_places() -> None:
    z = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(nearest(z, (6, 4), None), np.repeat(np.repeat(z, 2, axis=0), 2, axis=1))
    np.testing.assert_array_equal(nearest(np.repeat(np.repeat(z, 3, axis=0), 3, axis=1), (3, 2), None), z)


def test_a_link_the_user_made_is_followed(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path / "a")
    shutil.move(tmp_path / "a" / "images", tmp_path / "disk2")
    (tmp_path / "a" / "images").symlink_to(tmp_path / "disk2")
    assert len(open_capture(tmp_path / "a").views) == 8


def test_missing_photos_are_one_warning(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path, n=12)
    for i in (2, 5, 7):
        (tmp_path / "images" / f"{i:03}.png").unlink()
    capture = open_capture(tmp_path)
    assert capture.warnings == ("3 frames skipped, the photo is missing (first: images/002.png)",)
    assert [v.index for v in capture.views] == list(range(9))
    assert capture.scene_info().warnings == capture.warnings


def test_readable_passes_over_damaged_photos(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path)
    path = tmp_path / "images" / "004.png"
    path.write_bytes(path.read_bytes()[:-40])
    capture = open_capture(tmp_path)
    skipped: list[tuple[int, CaptureError]] = []
    read = [i for i, _ in capture.readable(32, on_skip=lambda i, e: skipped.append((i, e)))]
    assert read == [0, 1, 2, 3, 5, 6, 7]
    assert [i for i, _ in skipped] == [4]
    assert skipped[0][1].path == str(path)
    with pytest.raises(CaptureError, match=r"004\.png"):
        capture.read(4)
    assert [i for i, _ in capture.readable(views=[6, 1])] == [6, 1]


def test_few_views_are_not_held_out(tmp_path: Path) -> None:
    write_nerfstudio(tmp_path, n=7)
    assert not any(v.held_out for v in open_capture(tmp_path).views)


def test_slightly_bent_poses_are_mended_and_mentioned(tmp_path: Path) -> None:
    cameras = ring(2)
    frames = []
    for i, camera in enumerate(cameras):
        Image.fromarray(ramp()).save(tmp_path / f"{i}.png")
        frames.append(nerfstudio_frame(camera, f"{i}.png"))
    frames[1]["transform_matrix"][0][0] += 0.01
    write_json(tmp_path / "transforms.json", {"frames": frames})
    capture = open_capture(tmp_path)
    assert capture.warnings == ("1 poses were not quite rigid and were made so (first: 1.png)",)
    r = capture.views[1].camera.c2w[:3, :3]
    np.testing.assert_allclose(r @ r.T, np.eye(3), atol=1e-12)


def test_read_from_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    write_nerfstudio(tmp_path, k1=0.1)
    capture = open_capture(tmp_path)
    alone = [capture.read(i, 40, depth=True) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda i: capture.read(i % 8, 40, depth=True), range(64)))
    for i, photo in enumerate(together):
        np.testing.assert_array_equal(photo.rgb, alone[i % 8].rgb)
        np.testing.assert_array_equal(photo.depth_z, alone[i % 8].depth_z)
    assert alone[0].rgb.shape == (30, 40, 3)
    assert (WIDTH, HEIGHT) == (64, 48)
