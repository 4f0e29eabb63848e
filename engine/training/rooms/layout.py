"""The demo room: a sunny living room, every piece in its place.

Metres, z up, north = +y; the middle of the floor is the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.api.camera import Camera, look_at
from engine.training.rooms import shapes
from engine.training.rooms.light import BallLight, Light, RectLight, Sun
from engine.training.rooms.mesh import Float32, Material, Mesh, merged, to_linear
from engine.training.rooms.models import Catalogue
from engine.training.rooms.scene import Room

HALF_X, HALF_Y, HEIGHT = 2.7, 2.4, 2.7
DOOR = (0.1, 1.7, 0.0, 2.18)
"""The French window in the north wall: left and right x, bottom and top z."""

FOV_Y = 55.4
"""Vertical field of view, degrees: 70 across a 4:3 photo."""

OWN = {"creator": "ConDense Studio", "licence": "Apache-2.0"}


@dataclass(frozen=True)
class Piece:
    """A catalogue model in its place: ``yaw`` turns its front from -y counter-clockwise."""

    model: str
    name: str
    label: str
    position: tuple[float, float, float]
    yaw: float = 0.0
    scale: float = 1.0


PIECES = (
    Piece("Kator Legaz#oriental-rug", "oriental rug", "rug", (-0.75, 0.15, 0)),
    Piece("Kator Legaz#mid-century-sofa", "teal sofa", "sofa", (-2.22, 0.05, 0), 90),
    Piece("Scopia#saloon_table", "coffee table", "coffee table", (-0.75, 0.1, 0.025), 90),
    Piece("Kator Legaz#chair-ottoman", "lounge chair", "armchair", (0.80, 1.12, 0), -38),
    Piece("Blend Swap CC-BY#bookcase", "bookcase", "bookcase", (-1.15, 2.21, 0)),
    Piece("Blend Swap CC-0#bedsideTable2", "side table", "table", (-2.38, 1.42, 0), 90),
    Piece("Kator Legaz#pedestal-vase-lamp", "table lamp", "lamp", (-2.38, 1.42, 0.454)),
    Piece("Scopia#maceta", "potted palm", "plant", (2.20, 1.98, 0), 20, 1.55),
    Piece("Blend Swap CC-BY#piano", "piano", "piano", (2.40, 0.75, 0), -90),
    Piece("Blend Swap CC-0#stool2", "piano stool", "stool", (1.72, 0.75, 0), 0, 0.68),
    Piece("Blend Swap CC-BY#simpleDesk", "desk", "desk", (2.27, -1.02, 0), -90),
    Piece("Blend Swap CC-0#osakaChair", "desk chair", "chair", (1.62, -0.95, 0), 98),
    Piece("Kator Legaz#apple-imac-1998", "computer", "computer", (2.33, -1.02, 0.72), -90),
    Piece("Scopia#desk_lamp2", "desk lamp", "lamp", (2.40, -0.52, 0.72), -60),
    Piece("Scopia#puff", "green beanbag", "beanbag", (-1.98, -1.42, 0), 60, 0.85),
    Piece("Scopia#dog", "dog", "dog", (0.68, -0.25, 0), -35, 0.9),
    Piece("Scopia#cat", "cat", "cat", (-2.08, -0.55, 0.42), 80, 0.95),
    Piece("Blend Swap CC-0#basketball", "basketball", "ball", (1.2, 0.02, 0)),
    Piece("Kator Legaz#newspaper", "newspaper", "newspaper", (-0.72, -0.32, 0.535), 75, 1.2),
    Piece("Kator Legaz#coffee-mug", "mug", "cup", (-0.90, -0.12, 0.535), 30, 1.25),
    Piece("Scopia#bowl", "fruit bowl", "bowl", (-0.72, 0.25, 0.535), 0, 0.8),
    Piece("Scopia#vase3", "painted vase", "vase", (-0.80, 0.58, 0.535), 0, 0.7),
    Piece("Scopia#jar", "blue jar", "vase", (2.45, 1.20, 1.356)),
    Piece("Blend Swap CC-0#deer", "deer figurine", "figurine", (2.42, 0.35, 1.356), -60, 1.7),
    Piece("Scopia#vase1", "straw vase", "vase", (-0.55, 2.19, 1.864), 0, 1.0),
    Piece("Scopia#old_jar", "clay jar", "vase", (-1.80, 2.19, 1.864), 40),
    Piece("Blend Swap CC-0#augalas", "trailing plant", "plant", (-1.22, 2.19, 1.864), 0, 0.9),
    Piece("Blend Swap CC-0#woodToy", "wooden toy", "toy", (-1.36, 2.16, 1.116), 0, 1.8),
    Piece("Blend Swap CC-0#littlePlant", "little plant", "plant", (-0.62, 2.17, 1.116), 0, 1.0),
    Piece("Scopia#window_4x3", "French window", "window", (0.9, 2.47, 0)),
)

LAMP_BULB = (-2.38, 1.42, 0.454 + 0.70)


def build_room(catalogue: Catalogue, seed: int) -> tuple[Room, list[Light]]:
    """Furnish the room.

    Raises:
        CaptureError: the catalogue lacks a model or a model cannot be read.
    """
    rng = np.random.default_rng(seed)
    room = Room()
    _shell(room, rng)
    finishes = _finishes(rng)
    for piece in PIECES:
        entry = catalogue.entry(piece.model)
        mesh = _finished(catalogue.load(piece.model), finishes.get(piece.name, {}))
        placed = mesh.placed(piece.position, piece.yaw, piece.scale)
        room.add(placed, piece.name, piece.label, model=entry.id, creator=entry.creator, licence=entry.licence)
    _own_pieces(room, rng)
    return room, _lights()


def build_cameras(width: int, height: int) -> list[Camera]:
    """48 views on three smooth sweeps through the south of the room, all looking across it to the north."""
    cameras = []
    for sweep, (south, bow, z) in enumerate(((-2.1, 0.15, 1.30), (-1.35, 0.45, 1.55), (-2.0, 0.2, 1.88))):
        for k in range(16):
            s = k / 15 if sweep % 2 == 0 else 1 - k / 15
            x = -1.95 + 3.35 * s
            y = south + bow * np.sin(np.pi * s)
            eye = [x, y, z + 0.05 * np.sin(4 * np.pi * s)]
            target = [1.05 - 2.35 * s, 1.0, 0.68]
            cameras.append(look_at(eye, target, [0, 0, 1], fov_y=FOV_Y, width=width, height=height))
    return cameras


def _shell(room: Room, rng: np.random.Generator) -> None:
    x, y, h = HALF_X, HALF_Y, HEIGHT
    floor = shapes.printed("oak boards", shapes.planks(rng))
    room.add(
        shapes.quad([-x, -y, 0], [2 * x, 0, 0], [0, 2 * y, 0], floor, (2 * x / 2.4, 2 * y / 2.4)),
        "floor",
        "floor",
        **OWN,
    )
    white = shapes.printed("white plaster", _plaster(rng, (0.90, 0.87, 0.82)))
    sage = shapes.printed("sage plaster", _plaster(rng, (0.60, 0.66, 0.57)))
    opening = (DOOR[0] + x, DOOR[1] + x, DOOR[2], DOOR[3])
    room.add(shapes.wall_with_opening([-x, y, 0], [2 * x, 0, 0], h, opening, white), "north wall", "wall", **OWN)
    room.add(shapes.quad([-x, -y, 0], [0, 2 * y, 0], [0, 0, h], sage), "west wall", "wall", **OWN)
    room.add(shapes.quad([x, y, 0], [0, -2 * y, 0], [0, 0, h], white), "east wall", "wall", **OWN)
    room.add(shapes.quad([x, -y, 0], [-2 * x, 0, 0], [0, 0, h], white), "south wall", "wall", **OWN)
    room.add(
        shapes.quad([-x, -y, h], [0, 2 * y, 0], [2 * x, 0, 0], shapes.paint("ceiling", 0.93, 0.92, 0.90)),
        "ceiling",
        "ceiling",
        **OWN,
    )
    board = shapes.paint("skirting", 0.94, 0.93, 0.90)
    skirting = [
        shapes.box([-x, y - 0.02, 0], [DOOR[0], y, 0.1], board),
        shapes.box([DOOR[1], y - 0.02, 0], [x, y, 0.1], board),
        shapes.box([-x, -y, 0], [0.02 - x, y, 0.1], board),
        shapes.box([x - 0.02, -y, 0], [x, y, 0.1], board),
    ]
    room.add(merged(skirting), "skirting boards", "skirting", **OWN)


def _plaster(rng: np.random.Generator, colour: tuple[float, float, float]) -> Float32:
    """A wall with the faint unevenness of brushwork."""
    shade = shapes.smooth_noise((128, 128), (9, 15), rng) + 0.6 * shapes.smooth_noise((128, 128), (31, 45), rng) - 0.8
    return (to_linear(colour) * (1 + 0.055 * shade[..., None])).astype(np.float32)


def _finishes(rng: np.random.Generator) -> dict[str, dict[str, Material | None]]:
    """Per piece: material of the model -> what it is made of here; None takes it out (the renderer knows no glass)."""
    walnut = shapes.printed("walnut", shapes.wood(rng, (0.47, 0.31, 0.20)))
    glow = Material("lit shade", to_linear([0.9, 0.8, 0.65]), None, np.array([1.55, 1.0, 0.52], np.float32))
    return {
        "teal sofa": {"TEXTILE_generic": shapes.printed("teal wool", shapes.weave(rng, (0.17, 0.40, 0.43)))},
        "bookcase": {"Color": walnut},
        "coffee table": {"glasstransparent": shapes.paint("slate", 0.30, 0.33, 0.34)},
        "table lamp": {"Lamp_shade": glow, "Pedestal_Vase": shapes.paint("blue glaze", 0.16, 0.30, 0.50)},
        "piano": {"klavierlack": shapes.paint("black lacquer", 0.13, 0.12, 0.12)},
        "computer": {"CRT": shapes.paint("screen", 0.12, 0.16, 0.24)},
        "mug": {"White_ceramic": shapes.paint("red glaze", 0.72, 0.20, 0.16)},
        "fruit bowl": {"whitemat": shapes.paint("pale glaze", 0.80, 0.86, 0.88)},
        "deer figurine": {"Material": shapes.paint("brass", 0.74, 0.58, 0.30)},
        "French window": {"Glass": None},
    }


def _finished(mesh: Mesh, finish: dict[str, Material | None]) -> Mesh:
    for name, material in finish.items():
        mesh = mesh.without(name) if material is None else mesh.with_material(name, material, box_metres=0.5)
    return mesh


def _own_pieces(room: Room, rng: np.random.Generator) -> None:
    """What no catalogue model is there for: books, pictures, curtains, fruit, the view outside."""
    x0, front = -1.15, 2.21 - 0.11  # the bookcase's middle, the books' spines
    for shelf, (left, width, z) in enumerate(
        (
            (-0.78, 0.46, 0.76),
            (-0.25, 0.74, 0.76),
            (-0.78, 0.44, 1.117),
            (-0.08, 0.30, 1.117),
            (-0.78, 0.46, 1.483),
            (-0.25, 0.60, 1.483),
        )
    ):
        row = shapes.books(width, 0.19, 0.285, rng).placed([x0 + left, front, z])
        room.add(row, f"books {shelf + 1}", "books", **OWN)
    oak, black = shapes.paint("oak frame", 0.66, 0.48, 0.30), shapes.paint("black frame", 0.14, 0.13, 0.13)
    pictures = (
        ("landscape picture", 1.05, 0.76, shapes.hills(rng), oak, (-HALF_X, -0.42, 1.62), 90),
        ("abstract picture", 0.56, 0.76, shapes.discs(rng), black, (-HALF_X, 0.62, 1.62), 90),
        ("picture over the piano", 0.95, 0.66, shapes.hills(rng), black, (HALF_X, 0.75, 1.98), -90),
        ("picture over the desk", 0.54, 0.70, shapes.discs(rng), oak, (HALF_X, -0.95, 1.62), -90),
    )
    for name, w, h, art, frame, at, yaw in pictures:
        mesh = shapes.framed(w, h, shapes.printed("print", art), frame).placed(at, yaw)
        room.add(mesh, name, "picture", **OWN)
    cloth = shapes.printed("rust linen", shapes.weave(rng, (0.74, 0.45, 0.30)))
    rod = shapes.box([DOOR[0] - 0.45, 2.29, 2.33], [DOOR[1] + 0.45, 2.32, 2.36], black)
    for name, left in (("left curtain", DOOR[0] - 0.36), ("right curtain", DOOR[1] - 0.02)):
        room.add(shapes.curtain([left, 2.30, 0.02], [0.38, 0, 0], 2.31, 4, 0.09, cloth), name, "curtain", **OWN)
    room.add(rod, "curtain rod", "curtain rod", **OWN)
    peel = shapes.paint("orange peel", 0.90, 0.50, 0.12)
    at = ((-0.78, 0.21, 0.66), (-0.68, 0.30, 0.66), (-0.69, 0.19, 0.665), (-0.76, 0.31, 0.67))
    room.add(merged([shapes.ball(p, 0.045, peel) for p in at]), "oranges", "fruit", **OWN)
    view = shapes.garden()
    outside = Material("outside", np.zeros(3, np.float32), view, np.full(3, 1.9, np.float32))
    room.add(
        shapes.quad([DOOR[0], 2.66, 0], [DOOR[1] - DOOR[0], 0, 0], [0, 0, DOOR[3]], outside), "garden", "outside", **OWN
    )


def _lights() -> list[Light]:
    """Sky and sun through the French window, the table lamp, a little light from the ceiling."""
    width, top = DOOR[1] - DOOR[0], DOOR[3]
    return [
        RectLight(_vec(DOOR[0], 2.65, 0.02), _vec(width, 0, 0), _vec(0, 0, top - 0.04), 1.75 * _vec(0.88, 0.95, 1.0)),
        Sun(_vec(0.42, 1.0, 0.66), 4.6 * _vec(1.0, 0.84, 0.62)),
        BallLight(np.asarray(LAMP_BULB, np.float32), 0.07, 0.22 * _vec(1.0, 0.62, 0.32)),
        RectLight(_vec(-1.3, -1.5, HEIGHT - 0.02), _vec(0, 3.0, 0), _vec(2.6, 0, 0), 0.12 * _vec(1.0, 0.93, 0.82)),
    ]


def _vec(x: float, y: float, z: float) -> Float32:
    return np.array([x, y, z], np.float32)
