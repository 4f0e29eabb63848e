"""Rooms that are like another one: scanned a second time, with its furniture moved, or with other furniture.

They measure what tells duplicates. A second scan is one. The same furniture moved about in another room is none, nor is
other furniture in the same order there. In the same room, with the same walls, floor and pictures, either is the same
place, changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.training.rooms.cameras import room_cameras
from engine.training.rooms.catalogues import LARGE_M, Library
from engine.training.rooms.furnish import (
    LEAST_LARGE,
    Placement,
    Plan,
    add_model,
    hang_pictures,
    place_small,
    put_walls,
    stand_large,
)
from engine.training.rooms.models import ModelEntry
from engine.training.rooms.render import Rendering
from engine.training.rooms.scene import Room, RoomScene
from engine.training.rooms.surfaces import UInt8

Variant = Literal["plain", "rescanned", "moved", "swapped", "moved-elsewhere", "swapped-elsewhere"]
VARIANTS: tuple[Variant, ...] = ("plain", "rescanned", "moved", "swapped", "moved-elsewhere", "swapped-elsewhere")

ATTEMPTS = 20
OVERLAP, CELL_M, RAYS_ACROSS = 0.5, 0.25, 32
"""Share of what either scan sees that the other sees too, in cells of so many metres, by so many rays a row."""
ALIKE = 6
"""A piece is swapped for one of so many others that are nearest to it in size."""
WHITE_BALANCE, GAMMA, GREY_LEVELS = 0.06, 0.1, (2.0, 5.0)
"""Of a camera: largest shift of a colour channel and of the tone curve, noise of a pixel in levels of 255."""
DEPTH_NOISE, DEPTH_HOLES = 0.004, 0.01
"""Of a depth sensor: standard deviation as a share of depth, share of pixels without an answer."""


def varied(
    room: Room, plan: Plan, library: Library, photos: Sequence[UInt8], variant: Variant, rng: np.random.Generator
) -> tuple[Room, Plan]:
    """The room as a variant has it; ``photos``: for the walls and pictures of another room.

    Raises:
        CaptureError: no other place was found for its furniture.
    """
    walls, pictures = Room(), Room()
    if variant.endswith("elsewhere"):
        put_walls(walls, plan, photos, rng)
        hang_pictures(pictures, plan, photos, rng)
    else:
        for n, o in enumerate(room.objects):
            if o.model is None:
                _copy(room, n, pictures if o.label == "picture" else walls)
    if variant.startswith("moved"):
        room, plan = _moved(walls, plan, library, rng)
    elif variant.startswith("swapped"):
        room, plan = _swapped(walls, plan, library, rng)
    else:
        return room, plan
    for n in range(len(pictures.objects)):
        _copy(pictures, n, room)
    return room, plan


def cameras_again(
    scene: RoomScene, plan: Plan, first: Sequence[Camera], width: int, rng: np.random.Generator
) -> list[Camera]:
    """As many other cameras, that see at least half of what the first ones saw, and not much else; of ``ATTEMPTS``
    draws the one with most in common where none has so much."""
    seen = _cells_seen(scene, first)
    best: list[Camera] = []
    most = -1.0
    for _ in range(ATTEMPTS):
        cameras = room_cameras(plan, len(first), width, rng)
        now = _cells_seen(scene, cameras)
        share = len(seen & now) / max(1, len(seen), len(now))
        if share > most:
            best, most = cameras, share
        if share >= OVERLAP:
            break
    return best


def _cells_seen(scene: RoomScene, cameras: Sequence[Camera]) -> set[tuple[int, ...]]:
    out: set[tuple[int, ...]] = set()
    for camera in cameras:
        few = camera.fitted(RAYS_ACROSS)
        origin, direction = few.rays(few.pixel_grid())
        hits = scene.cast(origin, direction.astype(np.float32))
        out |= {tuple(cell) for cell in np.floor(hits.pos / CELL_M).astype(int).tolist()}
    return out


def sensed(views: Sequence[Rendering], rng: np.random.Generator) -> list[Rendering]:
    """Photos and depth as another camera would have them."""
    balance = rng.uniform(1 - WHITE_BALANCE, 1 + WHITE_BALANCE, 3)
    gamma, level = rng.uniform(1 - GAMMA, 1 + GAMMA), rng.uniform(*GREY_LEVELS)
    out: list[Rendering] = []
    for view in views:
        rgb = 255 * (view.rgb / 255) ** gamma * balance + rng.normal(0, level, view.rgb.shape)
        depth_z = view.depth_z * rng.normal(1, DEPTH_NOISE, view.depth_z.shape)
        depth_z[rng.random(depth_z.shape) < DEPTH_HOLES] = 0
        out.append(replace(view, rgb=np.round(rgb).clip(0, 255).astype(np.uint8), depth_z=depth_z.astype(np.float32)))
    return out


def _copy(room: Room, place: int, into: Room) -> None:
    o = room.objects[place]
    into.add(room.meshes[place], o.name, o.label, model=o.model, creator=o.creator, licence=o.licence)


def _walled(walls: Room, plan: Plan) -> tuple[Room, Plan]:
    """An empty room within walls."""
    room = Room()
    for n in range(len(walls.objects)):
        _copy(walls, n, room)
    return room, Plan(plan.half, plan.height)


def _moved(walls: Room, plan: Plan, library: Library, rng: np.random.Generator) -> tuple[Room, Plan]:
    large = [plan.placed[i].entry for i in plan.large]
    small = [p.entry for i, p in enumerate(plan.placed) if i not in plan.large]
    for _ in range(ATTEMPTS):
        room, there = _walled(walls, plan)
        stand_large(room, there, library, [large[i] for i in rng.permutation(len(large))], len(large), rng)
        if len(there.large) >= min(LEAST_LARGE, len(large)):
            place_small(room, there, library, small, rng)
            return room, there
    raise CaptureError("the furniture of a room fits in no other way", mend="choose another seed")


def _swapped(walls: Room, plan: Plan, library: Library, rng: np.random.Generator) -> tuple[Room, Plan]:
    room, there = _walled(walls, plan)
    used = {p.entry.id for p in plan.placed}
    for n, old in enumerate(plan.placed):
        entry = _another(old.entry, library, used, rng)
        used.add(entry.id)
        mesh = library.load(entry)
        assert mesh is not None
        foot = old.position.copy()
        if old.on is not None:
            foot[2] = there.boxes[old.on][1][2]
        half = np.array([*((plan.boxes[n][1] - plan.boxes[n][0])[:2] / 2), 0])
        there.boxes.append((foot - half, foot + half + [0, 0, entry.size[2]]))
        add_model(room, there, mesh, Placement(entry, foot, old.yaw, old.on))
    there.large = list(plan.large)
    return room, there


def _another(entry: ModelEntry, library: Library, used: set[str], rng: np.random.Generator) -> ModelEntry:
    """A model that is not in the room, of about the same size; one that was used where there is no other."""
    pool = [e for e in (library.large if entry.size[0] > LARGE_M else library.small) if e.id != entry.id]
    size = np.array(entry.size)
    pool.sort(key=lambda e: (e.id in used, float(np.abs(np.log(np.array(e.size) / size)).sum())))
    near = [e for e in pool[: 2 * ALIKE] if library.load(e) is not None][:ALIKE]
    if not near:
        raise CaptureError("no other model of about the same size", found=entry.id, mend="give further catalogues")
    return near[int(rng.integers(len(near)))]
