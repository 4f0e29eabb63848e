"""COLMAP models: read against pycolmap's own projections, and written from other captures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from engine.api.errors import CaptureError
from engine.captures import open_capture
from engine.captures.colmap import ColmapLens
from engine.captures.export_colmap import export_colmap
from tests.engine.captures.capture_makers import (
    HEIGHT,
    WIDTH,
    assert_cameras,
    ramp,
    save,
    write_colmap,
    write_nerfstudio,
)


class TestColmap:
    @pytest.mark.parametrize("text", [False, True])
    def test_round_trip(self, tmp_path: Path, text: bool) -> None:
        model = write_colmap(tmp_path)
        if text:
            shutil.rmtree(tmp_path / "sparse")
            (tmp_path / "sparse" / "0").mkdir(parents=True)
            model.write_text(str(tmp_path / "sparse" / "0"))
        capture = open_capture(tmp_path)
        assert (capture.format, capture.name, capture.warnings) == ("colmap", tmp_path.name, ())
        assert len(capture.views) == 10
        for view in capture.views:
            image = model.find_image_with_name(view.name)
            for point in image.points2D:
                if point.has_point3D():
                    pixel, _ = view.camera.project(model.point3D(point.point3D_id).xyz[None])
                    np.testing.assert_allclose(view.distort_px(pixel)[0], point.xy, atol=1e-6)
        assert capture.points is not None
        expected = np.array([p.xyz for p in model.points3D.values()])
        np.testing.assert_allclose(capture.points.pos_w, expected, atol=1e-6)
        inside = ((expected >= capture.bounds_w[0]) & (expected <= capture.bounds_w[1])).all(axis=1)
        assert inside.mean() > 0.9

    @pytest.mark.parametrize(
        ("model", "distortion"),
        [
            ("SIMPLE_PINHOLE", ()),
            ("PINHOLE", ()),
            ("RADIAL", (0.1, -0.02)),
            ("OPENCV", (0.1, -0.02, 0.001, 0.002)),
            ("OPENCV_FISHEYE", (0.02, 0.01, 0.0, 0.0)),
            ("FULL_OPENCV", (0.1, -0.02, 0.001, 0.002, 0.01, 0.02, 0.0, 0.0)),
            ("FOV", (0.4,)),
            ("SIMPLE_RADIAL_FISHEYE", (0.02,)),
            ("RADIAL_FISHEYE", (0.02, 0.01)),
            ("THIN_PRISM_FISHEYE", (0.02, 0.01, 0.001, 0.002, 0.0, 0.0, 0.001, 0.0)),
        ],
    )
    def test_camera_models(self, tmp_path: Path, model: str, distortion: tuple[float, ...]) -> None:
        reconstruction = write_colmap(tmp_path, model, distortion)
        capture = open_capture(tmp_path)
        view = capture.views[0]
        theirs = reconstruction.find_image_with_name(view.name)
        point = next(p for p in theirs.points2D if p.has_point3D())
        pixel, _ = view.camera.project(reconstruction.point3D(point.point3D_id).xyz[None])
        np.testing.assert_allclose(view.distort_px(pixel)[0], point.xy, atol=1e-6)
        assert capture.read(0).rgb.shape == (HEIGHT, WIDTH, 3)
        assert isinstance(view.lens, ColmapLens) == (
            model in ("FULL_OPENCV", "FOV", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "THIN_PRISM_FISHEYE")
        )

    @pytest.mark.parametrize("opened", [".", "sparse", "sparse/0", "sparse/0/images.bin"])
    def test_the_model_opens_from_any_place(self, tmp_path: Path, opened: str) -> None:
        write_colmap(tmp_path)
        capture = open_capture(tmp_path / opened)
        assert len(capture.views) == 10
        assert capture.name == tmp_path.name
        assert capture.fingerprint == open_capture(tmp_path).fingerprint

    def test_photos_beside_the_model_and_smaller(self, tmp_path: Path) -> None:
        write_colmap(tmp_path)
        for path in (tmp_path / "images").iterdir():
            save(tmp_path / path.name, ramp(WIDTH // 2, HEIGHT // 2))
        for path in (tmp_path / "sparse" / "0").iterdir():
            path.rename(tmp_path / path.name)
        shutil.rmtree(tmp_path / "images")
        view = open_capture(tmp_path).views[0]
        assert (view.camera.width, view.camera.height) == (WIDTH // 2, HEIGHT // 2)
        assert view.camera.intrinsics[0, 0] == pytest.approx(30)

    def test_panoramas_are_refused_by_name(self, tmp_path: Path) -> None:
        model = write_colmap(tmp_path)
        out = pycolmap.Reconstruction()
        out.add_camera_with_trivial_rig(
            pycolmap.Camera(model="EQUIRECTANGULAR", width=64, height=32, params=[64, 32], camera_id=1)
        )
        name = next(iter(model.images.values())).name
        out.add_image_with_trivial_frame(pycolmap.Image(name=name, camera_id=1, image_id=1), pycolmap.Rigid3d())
        out.write_binary(str(tmp_path / "sparse" / "0"))
        with pytest.raises(CaptureError, match="panorama"):
            open_capture(tmp_path)


class TestExport:
    def test_a_capture_comes_back_from_colmap(self, tiny_capture_dir: Path, tmp_path: Path) -> None:
        capture = open_capture(tiny_capture_dir)
        written = export_colmap(capture, tmp_path / "out" / "model")
        again = open_capture(written)
        assert again.format == "colmap"
        assert_cameras(again, [v.camera for v in capture.views])
        np.testing.assert_allclose(again.up_w, capture.up_w, atol=1e-6)
        np.testing.assert_array_equal(again.read(2).rgb, capture.read(2).rgb)
        assert again.points is not None
        assert sorted(p.name for p in (written / "images").iterdir())[0] == "000.png"

    @pytest.mark.parametrize(
        "lens", [{"k1": -0.1, "k2": 0.02, "p1": 0.001}, {"k1": 0.1, "k3": 0.02}, {"camera_model": "OPENCV_FISHEYE"}]
    )
    def test_lenses_survive(self, tmp_path: Path, lens: dict[str, object]) -> None:
        write_nerfstudio(tmp_path / "a", n=2, **lens)
        capture = open_capture(tmp_path / "a")
        again = open_capture(export_colmap(capture, tmp_path / "b"))
        corner = np.array([[3.0, 4.0], [40.0, 30.0]])
        for old, new in zip(capture.views, again.views, strict=True):
            np.testing.assert_allclose(new.distort_px(corner), old.distort_px(corner), atol=1e-9)

    def test_nothing_is_overwritten_or_left_behind(self, tiny_capture_dir: Path, tmp_path: Path) -> None:
        capture = open_capture(tiny_capture_dir)
        (tmp_path / "there").mkdir()
        with pytest.raises(CaptureError, match="already exists"):
            export_colmap(capture, tmp_path / "there")
        (tiny_capture_dir / "images" / "005.png").unlink()
        with pytest.raises(CaptureError, match="cannot be written"):
            export_colmap(capture, tmp_path / "new")
        assert not [p for p in tmp_path.iterdir() if p.name not in ("there", "tiny")]

    def test_a_lens_colmap_does_not_have(self, tmp_path: Path) -> None:
        write_nerfstudio(tmp_path / "a", n=2, k1=0.1, k4=0.02)
        with pytest.raises(CaptureError, match="no equal in COLMAP"):
            export_colmap(open_capture(tmp_path / "a"), tmp_path / "b")
