"""Bare geometry: points and colours of each kind of file, and what hostile files may not do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from engine.api.errors import CaptureError
from engine.captures import open_capture
from engine.captures.geometry import MAX_POINTS, SH_C0


def ply(path: Path, fields: dict[str, np.ndarray]) -> Path:
    """Binary PLY of vertices with these properties."""
    kinds = {"f4": "float", "u1": "uchar", "f8": "double"}
    dtype = np.dtype([(name, values.dtype.str) for name, values in fields.items()])
    data = np.empty(len(next(iter(fields.values()))), dtype)
    for name, values in fields.items():
        data[name] = values
    properties = "".join(f"property {kinds[v.dtype.str[1:]]} {name}\n" for name, v in fields.items())
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(data)}\n{properties}end_header\n"
    path.write_bytes(header.encode() + data.tobytes())
    return path


def xyz(n: int = 500, seed: int = 0) -> dict[str, np.ndarray]:
    p = np.random.default_rng(seed).uniform(-1, 1, (n, 3)).astype(np.float32)
    return {"x": p[:, 0], "y": p[:, 1], "z": p[:, 2]}


def test_ply_points(tmp_path: Path) -> None:
    fields = xyz()
    fields |= {c: np.arange(500).astype(np.uint8) for c in ("red", "green", "blue")}
    capture = open_capture(ply(tmp_path / "cloud.ply", fields))
    assert (capture.format, capture.name, capture.views) == ("geometry", "cloud", ())
    assert capture.points is not None
    np.testing.assert_array_equal(capture.points.pos_w[:, 1], fields["y"])
    np.testing.assert_array_equal(capture.points.rgb[:, 2], fields["blue"])
    assert capture.bounded
    assert (capture.bounds_w[0] < -0.9).all()
    assert (capture.bounds_w[1] > 0.9).all()
    assert capture.scene_info().points is capture.points


def test_gaussian_splats(tmp_path: Path) -> None:
    fields = xyz(4)
    fields |= {f"f_dc_{i}": np.array([0, 1, -1, 100], np.float32) for i in range(3)}
    fields |= {"opacity": np.array([5, 5, -5, 5], np.float32), "scale_0": np.zeros(4, np.float32)}
    points = open_capture(ply(tmp_path / "splats.ply", fields)).points
    assert points is not None
    np.testing.assert_array_equal(points.pos_w[:, 0], fields["x"][[0, 1, 3]], "the third is all but invisible")
    np.testing.assert_array_equal(points.rgb[:, 0], [128, round((0.5 + SH_C0) * 255), 255])


def test_points_that_are_not_finite_are_dropped(tmp_path: Path) -> None:
    fields = xyz(200)
    fields["x"][:3] = [np.nan, np.inf, 1e30]
    points = open_capture(ply(tmp_path / "a.ply", fields)).points
    assert points is not None
    assert len(points.pos_w) == 197


def test_many_points_are_thinned(tmp_path: Path) -> None:
    points = open_capture(ply(tmp_path / "a.ply", xyz(MAX_POINTS + 1000))).points
    assert points is not None
    assert len(points.pos_w) == MAX_POINTS


def test_pcd(tmp_path: Path) -> None:
    (tmp_path / "a.pcd").write_text(
        "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA ascii\n"
        "1 2 3\n4 5 6\n"
    )
    points = open_capture(tmp_path).points
    assert points is not None
    np.testing.assert_array_equal(points.pos_w, [[1, 2, 3], [4, 5, 6]])


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "stl", "off"])
def test_meshes_become_points_on_their_surface(tmp_path: Path, suffix: str) -> None:
    trimesh.creation.box((2, 4, 6)).export(tmp_path / f"box.{suffix}")
    capture = open_capture(tmp_path / f"box.{suffix}")
    assert capture.points is not None
    p = np.abs(capture.points.pos_w)
    assert len(p) > 399_000
    np.testing.assert_allclose((p / [1, 2, 3]).max(axis=1), 1, atol=1e-5)
    # Samples fall by area: the two faces across x have 2·24 of 88.
    assert (p[:, 0] > 1 - 1e-6).mean() == pytest.approx(48 / 88, abs=0.005)
    assert capture.up_w.tolist() == ([0, 1, 0] if suffix in ("obj", "glb") else [0, 0, 1])


@pytest.mark.parametrize("suffix", ["obj", "glb"])
def test_texture(tmp_path: Path, suffix: str) -> None:
    """A square with red on its left half and blue on its right."""
    image = Image.new("RGB", (64, 64), (255, 0, 0))
    image.paste((0, 0, 255), (32, 0, 64, 64))
    square = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    square.visual = trimesh.visual.TextureVisuals(uv, trimesh.visual.material.SimpleMaterial(image=image))
    square.export(tmp_path / f"square.{suffix}")
    points = open_capture(tmp_path / f"square.{suffix}").points
    assert points is not None
    left, right = points.pos_w[:, 0] < 0.47, points.pos_w[:, 0] > 0.53
    assert (points.rgb[left] == [255, 0, 0]).all()
    assert (points.rgb[right] == [0, 0, 255]).all()


def test_vertex_colours_are_interpolated(tmp_path: Path) -> None:
    mesh = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False)
    mesh.visual.vertex_colors = [[0, 0, 0, 255], [200, 0, 0, 255], [0, 200, 0, 255]]
    mesh.export(tmp_path / "a.ply")
    points = open_capture(tmp_path / "a.ply").points
    assert points is not None
    np.testing.assert_allclose(points.rgb[:, :2], points.pos_w[:, :2] * 200, atol=1)


def test_a_texture_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    Image.new("RGB", (4, 4), (1, 255, 2)).save(tmp_path / "secret.png")
    (tmp_path / "model" / "a.mtl").write_text("newmtl m\nmap_Kd ../secret.png\n")
    (tmp_path / "model" / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    points = open_capture(tmp_path / "model").points
    assert points is not None
    assert not (points.rgb == [1, 255, 2]).all(axis=1).any()


def test_a_buffer_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "secret.bin").write_bytes(np.arange(9, dtype=np.float32).tobytes())
    data = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": "../secret.bin", "byteLength": 36}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    (tmp_path / "model" / "a.gltf").write_text(json.dumps(data))
    with pytest.raises(CaptureError, match="outside the folder"):
        open_capture(tmp_path / "model" / "a.gltf")


@pytest.mark.parametrize("suffix", ["ply", "obj", "glb", "gltf", "stl", "off", "pcd"])
def test_rubbish(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    for content in (b"", b"\0" * 200, b"hello\n" * 20):
        path.write_bytes(content)
        with pytest.raises(CaptureError, match="cannot be read"):
            open_capture(path)


@pytest.mark.parametrize("count", [10**6, 10**15, -5])
def test_a_count_the_file_does_not_hold(tmp_path: Path, count: int) -> None:
    path = ply(tmp_path / "a.ply", xyz(10))
    path.write_bytes(path.read_bytes().replace(b"vertex 10", f"vertex {count}".encode()))
    with pytest.raises(CaptureError, match="cannot be read"):
        open_capture(path)


@pytest.mark.data
def test_real_models(shared_data: Path) -> None:
    models = sorted((shared_data / "models_sweethome3d" / "models").glob("*/*.obj"))[:4]
    models += sorted((shared_data / "models_kaykit_furniture" / "gltf").glob("*.gltf"))[:2]
    assert len(models) == 6
    for path in models:
        points = open_capture(path).points
        assert points is not None
        assert len(points.pos_w) > 390_000
        assert len(np.unique(points.rgb[::400], axis=0)) > 1, path
