"""Furnished rooms at random, as captures to train on::

    python -m engine.training.random_rooms --models CATALOGUE --photos FOLDER --out FOLDER --rooms 24 --seed 0

They teach what warped photos cannot: parallax, occlusion, context that changes with the view. Walls, floors and
pictures carry real photos, so that surfaces look like more than paint. Light is computed coarsely; places are true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray

from engine.api.camera import Camera, look_at
from engine.api.errors import CaptureError, CondenseError
from engine.api.jobs import finish
from engine.api.scene import UInt8
from engine.training.pairs import open_source
from engine.training.rooms import shapes
from engine.training.rooms.capture import write_capture
from engine.training.rooms.light import BallLight, Light, RectLight
from engine.training.rooms.mesh import Float32, Material, to_linear
from engine.training.rooms.models import Catalogue, ModelEntry
from engine.training.rooms.render import LightSettings, light_scene
from engine.training.rooms.scene import Room, RoomScene

LIGHT = LightSettings(direct_cell=0.04, bounce_cell=0.15, bounces=2, rays=64, supersampling=2)
OWN = {"creator": "ConDense Studio", "licence": "Apache-2.0"}
OUTDOORS = {"car", "truck/bus/van", "tree", "two-wheeler", "door", "window", "person"}
LARGE_M = 0.45
"""Pieces wider than this stand along the walls, smaller ones anywhere."""
TRIES = 30

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """Render random furnished rooms as captures with depth.

    Attributes:
        models: folder of the model catalogue (with catalog.json).
        photos: folder of photos for walls, floors and pictures.
        out: folder to write; one capture a room.
        rooms: how many.
        views: photos of each.
        width: of the photos in pixels; the height is three quarters.
        seed: of everything random.
    """

    models: Path
    photos: Path
    out: Path
    rooms: int = 24
    views: int = 12
    width: int = 448
    seed: int = 0


@dataclass(eq=False)
class Plan:
    """What stands where: the room's half sizes and height (m), and the pieces' footprints (lo, hi) in x and y."""

    half: Float64
    height: float
    footprints: list[tuple[Float64, Float64]]

    def free(self, lo: Float64, hi: Float64, gap: float) -> bool:
        """Whether a rectangle lies in the room and ``gap`` away from every footprint."""
        inside = bool((lo >= -self.half).all() and (hi <= self.half).all())
        return inside and all(bool((lo - gap >= b).any() or (hi + gap <= a).any()) for a, b in self.footprints)


def random_room(catalogue: Catalogue, photos: Sequence[UInt8], rng: np.random.Generator) -> tuple[Room, Plan]:
    """A room with up to 25 pieces of furniture, as many as find a place, and 4 to 9 pictures."""
    plan = Plan(rng.uniform([1.8, 1.6], [3.2, 2.6]), float(rng.uniform(2.4, 2.9)), [])
    room = Room()
    _shell(room, plan, photos, rng)
    entries = [e for e in catalogue.entries.values() if e.label not in OUTDOORS and max(e.size) < 2.3]
    large = [e for e in entries if e.size[0] > LARGE_M]
    small = [e for e in entries if LARGE_M >= e.size[0] > 0.15]
    for pool, count in ((large, rng.integers(8, 15)), (small, rng.integers(6, 12))):
        for index in rng.choice(len(pool), count, replace=False):
            _place(room, plan, catalogue, pool[index], rng)
    for _ in range(int(rng.integers(4, 10))):
        _hang(room, plan, photos, rng)
    return room, plan


def _shell(room: Room, plan: Plan, photos: Sequence[UInt8], rng: np.random.Generator) -> None:
    (x, y), h = plan.half, plan.height
    sides = {
        "north wall": ([-x, y, 0], [2 * x, 0, 0], [0, 0, h]),
        "west wall": ([-x, -y, 0], [0, 2 * y, 0], [0, 0, h]),
        "east wall": ([x, y, 0], [0, -2 * y, 0], [0, 0, h]),
        "south wall": ([x, -y, 0], [-2 * x, 0, 0], [0, 0, h]),
        "floor": ([-x, -y, 0], [2 * x, 0, 0], [0, 2 * y, 0]),
    }
    for name, (corner, u, v) in sides.items():
        repeat = (float(np.linalg.norm(u)) / 1.2, float(np.linalg.norm(v)) / 1.2)
        room.add(shapes.quad(corner, u, v, _surface(photos, rng), repeat), name, name.split()[-1], **OWN)
    ceiling = shapes.quad([-x, -y, h], [0, 2 * y, 0], [2 * x, 0, 0], shapes.paint("ceiling", 0.92, 0.91, 0.89))
    room.add(ceiling, "ceiling", "ceiling", **OWN)


def _surface(photos: Sequence[UInt8], rng: np.random.Generator) -> Material:
    """Paint, boards, cloth, or a photo faded towards paint like a wallpaper."""
    colour = tuple(float(c) for c in np.clip(rng.uniform(0.35, 0.9) + rng.normal(0, 0.08, 3), 0.1, 0.97))
    kind = rng.integers(5)
    if kind == 0:
        return shapes.printed("boards", shapes.planks(rng))
    if kind == 1:
        return shapes.printed("cloth", shapes.weave(rng, colour))
    if kind == 2:
        return shapes.printed("wood", shapes.wood(rng, colour))
    shade = shapes.smooth_noise((128, 128), (9, 15), rng)[..., None] - 0.5
    plain = to_linear(colour) * (1 + 0.15 * shade)
    if kind == 3:
        return shapes.printed("plaster", plain.astype(np.float32))
    strength = rng.uniform(0.15, 0.6)
    return shapes.printed(
        "wallpaper", (strength * _print(photos, 128, rng) + (1 - strength) * plain).astype(np.float32)
    )


def _print(photos: Sequence[UInt8], size: int, rng: np.random.Generator) -> Float32:
    """(size, size, 3) linear: a random photo, its middle square."""
    photo = photos[rng.integers(len(photos))]
    side = min(photo.shape[:2])
    top, left = ((n - side) // 2 for n in photo.shape[:2])
    square = cv2.resize(photo[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
    return to_linear(square.astype(np.float32) / 255)


def _place(room: Room, plan: Plan, catalogue: Catalogue, entry: ModelEntry, rng: np.random.Generator) -> None:
    """Stand a model on the floor where it is free; it is left out if no place is found or its file is damaged."""
    try:
        mesh = catalogue.load(entry.id)
    except CaptureError:
        return
    for _ in range(TRIES):
        quarter = int(rng.integers(4))
        size = np.array(entry.size[:2] if quarter % 2 == 0 else entry.size[1::-1])
        position = rng.uniform(-plan.half, plan.half)
        if entry.size[0] > LARGE_M:  # its back to a wall
            axis, sign = ((1, 1), (0, -1), (1, -1), (0, 1))[quarter]
            position[axis] = sign * (plan.half[axis] - size[axis] / 2 - 0.02)
        lo, hi = position - size / 2, position + size / 2
        if plan.free(lo, hi, 0.05):
            plan.footprints.append((lo, hi))
            yaw = 90.0 * quarter + (0 if entry.size[0] > LARGE_M else float(rng.uniform(-20, 20)))
            placed = mesh.placed([*position, 0.0], yaw)
            label = entry.label or "thing"
            room.add(placed, entry.name, label, model=entry.id, creator=entry.creator, licence=entry.licence)
            return


def _hang(room: Room, plan: Plan, photos: Sequence[UInt8], rng: np.random.Generator) -> None:
    """A picture on a random wall; pictures may overlap, as in a full house."""
    quarter = int(rng.integers(4))
    axis, sign = ((1, 1), (0, -1), (1, -1), (0, 1))[quarter]
    width, height = rng.uniform(0.3, 1.1, 2)
    position = rng.uniform(-plan.half + 0.6, plan.half - 0.6)
    position[axis] = sign * plan.half[axis]
    art = shapes.printed("print", _print(photos, 192, rng))
    frame = shapes.paint("frame", *rng.uniform(0.1, 0.9, 3))
    mesh = shapes.framed(float(width), float(height), art, frame)
    room.add(mesh.placed([*position, float(rng.uniform(1.2, 1.8))], 90.0 * quarter), "picture", "picture", **OWN)


def random_lights(plan: Plan, rng: np.random.Generator) -> list[Light]:
    """A panel on the ceiling and a glowing ball somewhere below it."""
    warm = np.array([1, rng.uniform(0.8, 1), rng.uniform(0.6, 1)], np.float32)
    u = np.array([0, plan.half[1] * 1.2, 0], np.float32)
    v = np.array([plan.half[0] * 1.2, 0, 0], np.float32)
    corner = np.array([-v[0] / 2, -u[1] / 2, plan.height - 0.02], np.float32)
    at = np.array([*rng.uniform(-plan.half * 0.8, plan.half * 0.8), rng.uniform(1.0, 2.0)], np.float32)
    return [
        RectLight(corner, u, v, float(rng.uniform(0.5, 1.1)) * warm),
        BallLight(at, 0.07, float(rng.uniform(0.1, 0.5)) * warm[::-1].copy()),
    ]


def random_cameras(plan: Plan, count: int, width: int, rng: np.random.Generator) -> list[Camera]:
    """Eyes at 1.1 to 2 m in the freer half of the room, all looking across it at about the same place."""
    angle = rng.uniform(0, 2 * np.pi)
    side = np.array([np.cos(angle), np.sin(angle)])
    centre = -0.5 * side * plan.half
    cameras: list[Camera] = []
    while len(cameras) < count:
        eye = rng.uniform(-plan.half + 0.2, plan.half - 0.2)
        clear = plan.free(eye - 0.15, eye + 0.15, 0.1) or len(cameras) % 2
        if clear and (eye / plan.half) @ side > 0.1:
            target = [*(centre + rng.normal(0, 0.35, 2)), rng.uniform(0.4, 1.2)]
            eye_w = [*eye, rng.uniform(1.1, 2.0)]
            fov = float(rng.uniform(48, 62))
            cameras.append(look_at(eye_w, target, [0, 0, 1], fov_y=fov, width=width, height=width * 3 // 4))
    return cameras


def main(options: Options) -> None:
    """Make the rooms, one capture each.

    Raises:
        CondenseError: no catalogue or photos, or the folder cannot be written.
    """
    catalogue = Catalogue(options.models)
    photos = open_source(options.photos).photos
    for number in range(options.rooms):
        rng = np.random.default_rng([options.seed, number])
        room, plan = random_room(catalogue, photos, rng)
        cameras = random_cameras(plan, options.views, options.width, rng)
        scene = RoomScene(room)
        lit = finish(light_scene(scene, random_lights(plan, rng), cameras, LIGHT, options.seed))
        folder = options.out / f"room{number:03}"
        finish(write_capture(lit, cameras, room.objects, folder, side_scale=1.0))
        print(f"{folder}: {len(room.objects)} objects, {len(cameras)} views", flush=True)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except CondenseError as e:
        raise SystemExit(e.text()) from e
