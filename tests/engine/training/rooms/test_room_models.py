"""Reading furniture, placing it and making plain shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.api.errors import CaptureError
from engine.training.rooms import shapes
from engine.training.rooms.mesh import merged, to_linear, to_srgb
from engine.training.rooms.models import TEXEL_M, Catalogue, texture_from
from engine.training.rooms.obj import read_obj
from engine.training.rooms.scene import Room, RoomScene


def test_model_stands_upright_at_its_catalogue_size(catalogue_dir: Path) -> None:
    mesh = Catalogue(catalogue_dir).load("box")
    np.testing.assert_allclose(mesh.bounds(), [[-0.5, -1, 0], [0.5, 1, 3]], atol=1e-6)
    assert {mesh.materials[i].name for i in mesh.material} == {"plain side", "front"}  # no glass
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=2), 1, atol=1e-5)


def test_front_shows_its_texture_the_right_way_up(catalogue_dir: Path) -> None:
    """The texture is found beside the model although the file names its author's folder."""
    room = Room()
    room.add(Catalogue(catalogue_dir).load("box"), "box", "box", creator="", licence="")
    scene = RoomScene(room)
    origin = np.array([[0, -5, 0.5], [0, -5, 2.5], [5, 0, 1.5]], np.float32)
    hits = scene.cast(origin, np.array([[0, 1, 0], [0, 1, 0], [-1, 0, 0]], np.float32))
    albedo, _ = scene.reflectance(hits)
    np.testing.assert_allclose(albedo[:2], [[1, 0, 0], [0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(albedo[2], to_linear([0.5, 0.25, 1.0]), atol=0.01)


def test_textures_are_averaged_to_the_surface(catalogue_dir: Path) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert texture_from(Image.fromarray(noisy), metres_per_uv=8 * TEXEL_M).shape == (8, 8, 3)
    assert texture_from(Image.fromarray(noisy), metres_per_uv=100.0).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "change", [{"obj": "../../secret.obj"}, {"width_cm": -1}, {"height_cm": float("nan")}, {"creator": ...}]
)
def test_bad_catalogue_is_refused(catalogue_dir: Path, change: dict[str, object]) -> None:
    file = catalogue_dir / "catalog.json"
    row = {k: v for k, v in {**json.loads(file.read_text())[0], **change}.items() if v is not ...}
    file.write_text(json.dumps([row]))
    with pytest.raises(CaptureError, match="not a model catalogue"):
        Catalogue(catalogue_dir)


def test_missing_catalogue_model_and_file_are_named(catalogue_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="not a model catalogue"):
        Catalogue(tmp_path / "nowhere")
    catalogue = Catalogue(catalogue_dir)
    with pytest.raises(CaptureError, match="no model 'sofa'"):
        catalogue.load("sofa")
    (catalogue_dir / "box" / "box.obj").write_bytes(b"f 1 2 900\nv 0")
    with pytest.raises(CaptureError, match="cannot be read"):
        catalogue.load("box")


def test_placing_turns_counter_clockwise(catalogue_dir: Path) -> None:
    mesh = Catalogue(catalogue_dir).load("box")
    placed = mesh.placed([10, 0, 0], yaw=90, scale=2)
    np.testing.assert_allclose(placed.bounds(), [[8, -1, 0], [12, 1, 6]], atol=1e-5)
    front = placed.corners[placed.material == [m.name for m in mesh.materials].index("front")]
    np.testing.assert_allclose(front[..., 0], 12, atol=1e-5)  # -y turned to +x


def test_finish_replaces_one_material(catalogue_dir: Path) -> None:
    mesh = Catalogue(catalogue_dir).load("box")
    red = shapes.paint("red", 1, 0, 0)
    painted = mesh.with_material("front", red, box_metres=0.5)
    assert red in painted.materials
    assert np.ptp(painted.uv[painted.material == painted.materials.index(red)].reshape(-1, 2), axis=0) == pytest.approx(
        [2, 6]
    )
    assert len(mesh.without("front").corners) == len(mesh.corners) - 2
    with pytest.raises(KeyError, match="velvet"):
        mesh.with_material("velvet", red, box_metres=1)


@given(st.floats(0, 1))
def test_srgb_round_trip(c: float) -> None:
    assert to_srgb(to_linear([c]))[0] == pytest.approx(c, abs=1e-5)


def test_box_faces_outwards() -> None:
    box = shapes.box([1, 2, 3], [2, 4, 6], shapes.paint("x", 1, 1, 1))
    outward = box.corners.mean(axis=1) - [1.5, 3, 4.5]
    assert (np.einsum("td,td->t", outward, box.normals[:, 0]) > 0).all()
    area = np.linalg.norm(
        np.cross(box.corners[:, 1] - box.corners[:, 0], box.corners[:, 2] - box.corners[:, 0]), axis=1
    )
    assert area.sum() / 2 == pytest.approx(2 * (2 + 3 + 6))


def test_wall_leaves_its_opening_free() -> None:
    room = Room()
    wall = shapes.wall_with_opening([0, 0, 0], [4, 0, 0], 3, (1, 2, 0.5, 2), shapes.paint("x", 1, 1, 1))
    room.add(wall, "wall", "wall", creator="", licence="")
    x, z = np.array([0.5, 1.5, 1.5, 1.5, 3.0]), np.array([1, 1, 0.2, 2.5, 1])
    origin = np.stack([x, np.full(5, -1), z], axis=1).astype(np.float32)
    hits = RoomScene(room).cast(origin, np.tile(np.array([[0, 1, 0]], np.float32), (5, 1)))
    np.testing.assert_array_equal(hits.ray, [0, 2, 3, 4])


def test_round_shapes_have_outward_unit_normals() -> None:
    ball = shapes.ball([1, 1, 1], 0.5, shapes.paint("x", 1, 1, 1))
    np.testing.assert_allclose(ball.corners - 1, 0.5 * ball.normals, atol=1e-5)
    cloth = shapes.curtain([0, 0, 0], [1, 0, 0], 2, 3, 0.1, shapes.paint("x", 1, 1, 1))
    np.testing.assert_allclose(cloth.bounds(), [[0, -0.05, 0], [1, 0.05, 2]], atol=1e-3)


def test_books_fill_their_shelf_and_no_more() -> None:
    low, high = shapes.books(0.6, 0.2, 0.3, np.random.default_rng(0)).bounds()
    assert (low >= -1e-6).all()
    assert 0.54 < high[0] <= 0.6
    assert high[2] <= 0.3
    assert high[1] == pytest.approx(0.2)


def test_merged_keeps_each_triangles_material() -> None:
    a, b = (shapes.quad([0, 0, z], [1, 0, 0], [0, 1, 0], shapes.paint(str(z), z, z, z)) for z in (0, 1))
    both = merged([a, b])
    assert [both.materials[i].name for i in both.material] == ["0", "0", "1", "1"]


def test_obj_corners_count_from_the_end_too(tmp_path: Path) -> None:
    """A quad by negative indices becomes two triangles; without vn the normals are the plane's; no surface is grey."""
    file = tmp_path / "quad.obj"
    file.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nf -4/-3 -3/-2 -2/-1 -1/9\n")
    model = read_obj(file)
    np.testing.assert_array_equal(model.corners, [[[0, 0, 0], [1, 0, 0], [1, 1, 0]], [[0, 0, 0], [1, 1, 0], [0, 1, 0]]])
    np.testing.assert_array_equal(model.normals, np.broadcast_to([0, 0, 1], (2, 3, 3)))
    np.testing.assert_array_equal(model.has_uv, [True, False])  # texture corner 9 does not exist
    np.testing.assert_array_equal(model.uv[0], [[0, 0], [1, 0], [1, 1]])
    assert model.surfaces[0].name == "none"


@pytest.mark.parametrize(
    "text", ["", "v 0 0 0\n", "v 0 0 0\nf 1 1 2\n", "v 0 nan 0\nf 1 1 1\n", "v a b c\nf 1 1 1\n", "f x\n"]
)
def test_broken_obj_raises(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.obj"
    file.write_text(text)
    with pytest.raises((ValueError, IndexError)):
        read_obj(file)
