"""A small catalogue and a small lit room, made on the spot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.api.camera import Camera, look_at
from engine.training.rooms import shapes
from engine.training.rooms.light import RectLight
from engine.training.rooms.scene import Room

OWN = {"creator": "test", "licence": "CC0"}

# A 2 x 4 x 6 (x, y up, z) box: the face towards +z (the model's front) is textured, the rest plain.
OBJ = """mtllib box.mtl
v -1 0 -3
v 1 0 -3
v 1 4 -3
v -1 4 -3
v -1 0 3
v 1 0 3
v 1 4 3
v -1 4 3
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl plain side
f 4 3 2 1
f 1 5 8 4
f 2 3 7 6
f 4 8 7 3
f 1 2 6 5
usemtl front
f 5/1 6/2 7/3 8/4
usemtl glass
f 4 3 7 8
"""
MTL = """newmtl plain side
Kd 0.5 0.25 1.0
newmtl front
Kd 0.64 0.64 0.64
map_Kd /home/author/My Textures/front.png
newmtl glass
Kd 1 1 1
d 0.2
"""


@pytest.fixture
def catalogue_dir(tmp_path: Path) -> Path:
    """One model, ``box``: 1 m wide, 2 m deep, 3 m high; its front has a red lower and a green upper half."""
    folder = tmp_path / "models" / "box"
    folder.mkdir(parents=True)
    (folder / "box.obj").write_text(OBJ)
    (folder / "box.mtl").write_text(MTL)
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:4, :, 1] = 255
    texture[4:, :, 0] = 255
    Image.fromarray(texture).save(folder / "texture.png")
    row = {"id": "box", "name": "Box", "class": "box", "creator": "Ann", "licence": "CC0", "obj": "box/box.obj"}
    row |= {"width_cm": 100, "depth_cm": 200, "height_cm": 300}
    (tmp_path / "models" / "catalog.json").write_text(json.dumps([row]))
    return tmp_path / "models"


@pytest.fixture
def small_room() -> Room:
    """A unit cube (object 2) on a 4 x 4 textured floor (object 1), its middle at the origin."""
    room = Room()
    floor = shapes.printed("floor", shapes.planks(np.random.default_rng(1)))
    room.add(shapes.quad([-2, -2, 0], [4, 0, 0], [0, 4, 0], floor, (2, 2)), "floor", "floor", **OWN)
    room.add(shapes.box([-0.5, -0.5, 0], [0.5, 0.5, 1], shapes.paint("red", 0.8, 0.3, 0.2)), "cube", "box", **OWN)
    return room


@pytest.fixture
def lamp() -> RectLight:
    """A 1 x 1 light at 3 m, shining down."""
    return RectLight(*(np.array(a, np.float32) for a in ([-0.5, -0.5, 3], [0, 1, 0], [1, 0, 0], [4, 4, 4])))


@pytest.fixture
def two_cameras() -> list[Camera]:
    """Two views of the cube, 25 degrees apart."""
    angles = np.deg2rad([20, 45])
    return [
        look_at([3 * np.cos(a), 3 * np.sin(a), 2], [0, 0, 0.4], [0, 0, 1], fov_y=50, width=96, height=72)
        for a in angles
    ]


CUBE = """\
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
f 1 4 3 2
f 5 6 7 8
f 1 2 6 5
f 2 3 7 6
f 3 4 8 7
f 4 1 5 8
"""


@pytest.fixture(scope="session")
def make_boxes() -> Callable[[Path], Path]:
    """Makes a catalogue of 90 boxes and tables of many sizes in a folder, and returns where."""

    def make(folder: Path) -> Path:
        made = folder / "boxes"
        made.mkdir()
        (made / "cube.obj").write_text(CUBE)
        rng = np.random.default_rng(0)
        rows = []
        for n in range(90):
            side, high = (rng.uniform(50, 90), rng.uniform(40, 120)) if n % 2 else (rng.uniform(14, 40), 20.0)
            row = {"id": f"maker#box{n}", "name": f"Box {n}", "class": "table" if n % 6 == 1 else "box"}
            row |= {"width_cm": side, "depth_cm": side * 0.8, "height_cm": high}
            rows.append(row | {"creator": "nobody", "licence": "CC0", "obj": "cube.obj"})
        (made / "catalog.json").write_text(json.dumps(rows))
        return made

    return make


@pytest.fixture(scope="session")
def make_photos() -> Callable[[Path], Path]:
    """Makes two small photos in a folder, and returns where."""

    def make(folder: Path) -> Path:
        made = folder / "photos"
        made.mkdir()
        rng = np.random.default_rng(0)
        for n in range(2):
            Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(made / f"{n}.png")
        return made

    return make


@pytest.fixture
def boxes_dir(tmp_path: Path, make_boxes: Callable[[Path], Path]) -> Path:
    """A catalogue of 90 boxes and tables."""
    return make_boxes(tmp_path)


@pytest.fixture
def photos_dir(tmp_path: Path, make_photos: Callable[[Path], Path]) -> Path:
    """A folder of two photos."""
    return make_photos(tmp_path)
