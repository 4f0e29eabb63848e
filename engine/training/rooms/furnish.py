"""What stands where: rooms with furniture along the walls and things in them, and single objects on a plain floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.training.rooms import shapes
from engine.training.rooms.catalogues import LARGE_M, Library, label_of
from engine.training.rooms.light import BallLight, Light, RectLight
from engine.training.rooms.mesh import Float32, Mesh
from engine.training.rooms.models import ModelEntry
from engine.training.rooms.scene import Room
from engine.training.rooms.surfaces import UInt8, photo_square, random_colour, surface

Float64 = NDArray[np.float64]

OWN = {"creator": "ConDense Studio", "licence": "Apache-2.0"}
SUPPORTS = {"table", "coffee table", "desk", "cabinet", "bench", "fridge", "piano"}
"""Pieces with a flat top, on which small things may stand."""

ANYWHERE = {"table", "coffee table", "chair", "armchair", "stool", "animal"}
"""Large pieces that stand by a wall half of the time only."""

LEAST_LARGE = 3
TRIES = 30
ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class Placement:
    """A model in its place: where its foot is (3,), its yaw in degrees, and the place in the plan's list of what it
    stands on, None for the floor."""

    entry: ModelEntry
    position: Float64
    yaw: float
    on: int | None = None


@dataclass(eq=False)
class Plan:
    """A room's half sizes (2,) and height (m), the boxes (lo, hi), each (3,), of what stands in it, which of them are
    large pieces, and the models themselves, a box each."""

    half: Float64
    height: float
    boxes: list[tuple[Float64, Float64]] = field(default_factory=list)
    large: list[int] = field(default_factory=list)
    placed: list[Placement] = field(default_factory=list)

    def free(self, lo: Float64, hi: Float64, gap: float) -> bool:
        """Whether a rectangle (2,), (2,) lies in the room and ``gap`` away from every footprint."""
        inside = bool((lo >= -self.half).all() and (hi <= self.half).all())
        return inside and all(
            bool((lo - gap >= b[:2]).any() or (hi + gap <= a[:2]).any()) for a, b in self.boxes if a[2] == 0
        )

    def clear(self, eye: Float64, gap: float) -> bool:
        """Whether a point (3,) is in the room, ``gap`` away from its walls and from every piece."""
        inside = bool((np.abs(eye[:2]) <= self.half - gap).all())
        return inside and all(bool((eye <= a - gap).any() or (eye >= b + gap).any()) for a, b in self.boxes)


def random_room(library: Library, photos: Sequence[UInt8], rng: np.random.Generator) -> tuple[Room, Plan]:
    """A room with three or more large pieces, small things among and on them, and 2 to 8 pictures.

    Raises:
        CaptureError: hardly any model of the library can be read.
    """
    for _ in range(ATTEMPTS):
        plan = Plan(rng.uniform([1.8, 1.6], [3.2, 2.6]), float(rng.uniform(2.4, 2.9)))
        room = Room()
        put_walls(room, plan, photos, rng)
        _furnish(room, plan, library, rng)
        if len(plan.large) >= LEAST_LARGE:
            break
    else:
        raise CaptureError(
            "no room could be furnished",
            found=f"fewer than {LEAST_LARGE} pieces found a place in each of {ATTEMPTS} rooms",
            mend="check that the model files can be read, or give --models further catalogue folders",
        )
    hang_pictures(room, plan, photos, rng)
    return room, plan


def _furnish(room: Room, plan: Plan, library: Library, rng: np.random.Generator) -> None:
    wanted = int(rng.integers(6, 14))
    stand_large(room, plan, library, [library.large[i] for i in rng.permutation(len(library.large))], wanted, rng)
    some = rng.permutation(len(library.small))[: int(rng.integers(6, 14))]
    place_small(room, plan, library, [library.small[i] for i in some], rng)


def stand_large(
    room: Room, plan: Plan, library: Library, entries: Sequence[ModelEntry], wanted: int, rng: np.random.Generator
) -> None:
    """Try ``wanted`` large pieces, more while fewer than ``LEAST_LARGE`` have found a place."""
    for tried, entry in enumerate(entries):
        if tried >= wanted and len(plan.large) >= LEAST_LARGE:
            break
        mesh = library.load(entry)
        if mesh is not None and _stand(room, plan, entry, mesh, rng):
            plan.large.append(len(plan.boxes) - 1)


def place_small(
    room: Room, plan: Plan, library: Library, entries: Sequence[ModelEntry], rng: np.random.Generator
) -> None:
    """Put small things on flat tops and on the floor."""
    supports = [i for i in plan.large if plan.placed[i].entry.label in SUPPORTS]
    for entry in entries:
        mesh = library.load(entry)
        if mesh is None:
            continue
        if not (supports and rng.random() < 0.6 and _put_on(room, plan, supports, entry, mesh, rng)):
            _stand(room, plan, entry, mesh, rng)


def put_walls(room: Room, plan: Plan, photos: Sequence[UInt8], rng: np.random.Generator) -> None:
    """Walls, floor and ceiling."""
    (x, y), h = plan.half, plan.height
    sides = {
        "north wall": ([-x, y, 0], [2 * x, 0, 0], [0, 0, h]),
        "west wall": ([-x, -y, 0], [0, 2 * y, 0], [0, 0, h]),
        "east wall": ([x, y, 0], [0, -2 * y, 0], [0, 0, h]),
        "south wall": ([x, -y, 0], [-2 * x, 0, 0], [0, 0, h]),
        "floor": ([-x, -y, 0], [2 * x, 0, 0], [0, 2 * y, 0]),
    }
    shared = surface(photos, rng) if rng.random() < 0.5 else None  # half of the rooms have one wallpaper all round
    texture_m = float(rng.uniform(0.7, 2.4))
    for name, (corner, u, v) in sides.items():
        material = shared if shared is not None and name != "floor" else surface(photos, rng)
        repeat = (float(np.linalg.norm(u)) / texture_m, float(np.linalg.norm(v)) / texture_m)
        room.add(shapes.quad(corner, u, v, material, repeat), name, name.split()[-1], **OWN)
    pale = rng.uniform(0.75, 0.95)
    ceiling = shapes.quad([-x, -y, h], [0, 2 * y, 0], [2 * x, 0, 0], shapes.paint("ceiling", pale, pale, pale * 0.98))
    room.add(ceiling, "ceiling", "ceiling", **OWN)


def _stand(room: Room, plan: Plan, entry: ModelEntry, mesh: Mesh, rng: np.random.Generator) -> bool:
    """Stand a model on the floor where it is free; False if no place is found."""
    by_wall = entry.size[0] > LARGE_M and (entry.label not in ANYWHERE or rng.random() < 0.5)
    for _ in range(TRIES):
        quarter = int(rng.integers(4))
        size = np.array(entry.size[:2] if quarter % 2 == 0 else entry.size[1::-1])
        position = rng.uniform(-plan.half, plan.half)
        if by_wall:  # its back to a wall
            axis, sign = ((1, 1), (0, -1), (1, -1), (0, 1))[quarter]
            position[axis] = sign * (plan.half[axis] - size[axis] / 2 - 0.02)
        lo, hi = position - size / 2, position + size / 2
        if plan.free(lo, hi, 0.05):
            plan.boxes.append((np.array([*lo, 0.0]), np.array([*hi, entry.size[2]])))
            yaw = 90.0 * quarter + (0 if by_wall else float(rng.uniform(-20, 20)))
            add_model(room, plan, mesh, Placement(entry, np.array([*position, 0.0]), yaw))
            return True
    return False


def _put_on(
    room: Room,
    plan: Plan,
    supports: Sequence[int],
    entry: ModelEntry,
    mesh: Mesh,
    rng: np.random.Generator,
) -> bool:
    """Put a small thing on a piece with a flat top; False if it is too large or the place is taken."""
    support = supports[int(rng.integers(len(supports)))]
    lo, hi = plan.boxes[support]
    room_for = (hi - lo)[:2] / 2 - np.hypot(*entry.size[:2]) / 2
    top = hi[2]
    if (room_for < 0).any() or top > 1.4 or entry.size[2] > 0.6:
        return False
    position = (lo + hi)[:2] / 2 + rng.uniform(-1, 1, 2) * room_for
    half = np.array(entry.size[:2]) / 2 + 0.02
    new_lo, new_hi = np.array([*(position - half), top]), np.array([*(position + half), top + entry.size[2]])
    if any((new_lo[:2] < b[:2]).all() and (new_hi[:2] > a[:2]).all() for a, b in plan.boxes if a[2] > 0):
        return False
    plan.boxes.append((new_lo, new_hi))
    add_model(room, plan, mesh, Placement(entry, np.array([*position, top]), float(rng.uniform(0, 360)), support))
    return True


def add_model(room: Room, plan: Plan, mesh: Mesh, where: Placement) -> None:
    """Add a model, whose box is the plan's last, to room and plan."""
    plan.placed.append(where)
    _add(room, where.entry, mesh.placed(where.position, where.yaw))


def _add(room: Room, entry: ModelEntry, mesh: Mesh) -> None:
    room.add(mesh, entry.name, label_of(entry), model=entry.id, creator=entry.creator, licence=entry.licence)


def hang_pictures(room: Room, plan: Plan, photos: Sequence[UInt8], rng: np.random.Generator) -> None:
    """2 to 8 pictures."""
    for _ in range(int(rng.integers(2, 9))):
        _hang(room, plan, photos, rng)


def _hang(room: Room, plan: Plan, photos: Sequence[UInt8], rng: np.random.Generator) -> None:
    """A picture on a random wall; pictures may overlap, as in a full house."""
    quarter = int(rng.integers(4))
    axis, sign = ((1, 1), (0, -1), (1, -1), (0, 1))[quarter]
    width, height = rng.uniform(0.3, 1.1, 2)
    position = rng.uniform(-plan.half + 0.6, plan.half - 0.6)
    position[axis] = sign * plan.half[axis]
    art = shapes.printed("print", photo_square(photos, 192, rng))
    mesh = shapes.framed(float(width), float(height), art, shapes.paint("frame", *random_colour(rng)))
    room.add(mesh.placed([*position, float(rng.uniform(1.2, 1.8))], 90.0 * quarter), "picture", "picture", **OWN)


def random_lights(plan: Plan, rng: np.random.Generator) -> list[Light]:
    """A panel on the ceiling or daylight from a wall, or both, and one or two glowing balls."""
    kind = rng.integers(3)
    lights: list[Light] = []
    if kind != 1:
        u = np.array([0, plan.half[1] * rng.uniform(0.5, 1.4), 0], np.float32)
        v = np.array([plan.half[0] * rng.uniform(0.5, 1.4), 0, 0], np.float32)
        corner = np.array([-v[0] / 2, -u[1] / 2, plan.height - 0.02], np.float32)
        lights.append(RectLight(corner, u, v, _tint(rng), (4, 4)))
    if kind != 0:
        lights.append(_window(plan, rng))
    for _ in range(int(rng.integers(1, 3))):
        at = np.array([*rng.uniform(-plan.half * 0.8, plan.half * 0.8), rng.uniform(1.2, 2.2)], np.float32)
        lights.append(BallLight(at, 0.12, float(rng.uniform(0.05, 0.3)) * _tint(rng), 8))
    return lights


def _window(plan: Plan, rng: np.random.Generator) -> RectLight:
    """Daylight through an opening in the west or east wall, which is not itself seen."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    width, height = rng.uniform(0.8, 1.8), rng.uniform(0.8, 1.4)
    middle = rng.uniform(-1, 1) * (plan.half[1] - width / 2)
    corner = np.array([side * (plan.half[0] - 0.02), middle + side * width / 2, 0.8], np.float32)
    u, v = np.array([0, -side * width, 0], np.float32), np.array([0, 0, height], np.float32)
    return RectLight(corner, u, v, 3 * _tint(rng)[::-1].copy(), (4, 4))  # u × v points into the room


def _tint(rng: np.random.Generator) -> Float32:
    """(3,) white to warm light."""
    return np.array([1, rng.uniform(0.82, 1), rng.uniform(0.62, 1)], np.float32)


def single_object(
    library: Library, photos: Sequence[UInt8], rng: np.random.Generator
) -> tuple[Room, list[Light], Float64, float]:
    """One model on a plain floor in the open.

    Returns:
        (the room, its lights, (3,) the object's middle, its radius in metres).

    Raises:
        CaptureError: hardly any model of the library can be read.
    """
    pool = [*library.large, *library.small]
    for index in rng.permutation(len(pool)):
        entry = pool[index]
        mesh = library.load(entry)
        if mesh is not None and entry.size[2] > 0.2 * max(entry.size[:2]):
            break
    else:
        raise CaptureError("not one model can be read", mend="check the catalogue folders given to --models")
    radius = float(np.linalg.norm(entry.size)) / 2
    room, r = Room(), 1.25 * radius
    repeat = float(rng.uniform(1, 3))
    floor = shapes.quad([-r, -r, 0], [2 * r, 0, 0], [0, 2 * r, 0], surface(photos, rng), (repeat, repeat))
    room.add(floor, "floor", "floor", **OWN)
    _add(room, entry, mesh.placed([0, 0, 0], float(rng.uniform(0, 360))))
    a, high = rng.uniform(0, 2 * np.pi), rng.uniform(2, 4)
    towards = np.array([np.cos(a), np.sin(a), 0], np.float32) * np.float32(rng.uniform(1, 3) * radius)
    above = np.array([-radius, -radius, high * radius], np.float32)
    u, v = np.array([0, 2 * radius, 0], np.float32), np.array([2 * radius, 0, 0], np.float32)
    lights: list[Light] = [
        RectLight(above, u, v, 2 * _tint(rng), (4, 4)),
        BallLight(
            towards + np.array([0, 0, high / 2 * radius], np.float32), 0.4 * radius, _tint(rng) * radius**2 * 1.5, 8
        ),
    ]
    return room, lights, np.array([0, 0, entry.size[2] / 2]), radius
