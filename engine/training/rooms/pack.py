"""Make one room and pack rooms into shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.api.camera import Camera
from engine.storage import write_tensors
from engine.training.rooms.cameras import object_cameras, room_cameras
from engine.training.rooms.catalogues import Library
from engine.training.rooms.furnish import random_lights, random_room, single_object
from engine.training.rooms.quick import Look, render_views
from engine.training.rooms.render import Rendering
from engine.training.rooms.scene import Room, RoomScene
from engine.training.rooms.shards import FORMAT, IMAGES
from engine.training.rooms.surfaces import UInt8
from engine.training.rooms.variants import VARIANTS, Variant, cameras_again, sensed, varied

JPEG_QUALITY = 87
MARGIN = 0.03
"""By this share of its diagonal the bounds reach beyond what is there, so that walls have voxels on both sides."""


@dataclass(frozen=True)
class Recipe:
    """What decides a room besides its number, the models and the photos.

    Attributes:
        seed: of everything random.
        views: photos of each room.
        width: of the photos in pixels; the height is three quarters.
        objects: share of captures of a single object.
        variant: of each room, see ``variants``; other than the plain one it has cameras, light and noise of its own.
    """

    seed: int
    views: int
    width: int
    objects: float
    variant: Variant = "plain"


@dataclass(frozen=True, eq=False)
class PackedRoom:
    """A room ready for a shard: arrays by name, and its entry in the header."""

    arrays: dict[str, NDArray[Any]]
    entry: dict[str, Any]


def make_room(library: Library, photos: Sequence[UInt8], recipe: Recipe, number: int) -> PackedRoom:
    """Room ``number`` of a recipe: with the same models and photos always the same, byte by byte.

    Raises:
        CaptureError: too few models can be read.
    """
    rng = np.random.default_rng([recipe.seed, number])
    seed = int(rng.integers(1 << 32))
    if rng.random() < recipe.objects:
        kind = "object"
        room, lights, middle, radius = single_object(library, photos, rng)
        cameras = object_cameras(middle, radius, recipe.views, recipe.width, rng)
        scale = radius / 2
    else:
        kind, scale = "room", 1.0
        room, plan = random_room(library, photos, rng)
        lights = random_lights(plan, rng)
        cameras = room_cameras(plan, recipe.views, recipe.width, rng)
        if recipe.variant != "plain":
            rng = np.random.default_rng([recipe.seed, number, VARIANTS.index(recipe.variant)])
            room, plan = varied(room, plan, library, photos, recipe.variant, rng)
            lights = random_lights(plan, rng)
            cameras = cameras_again(RoomScene(room), plan, cameras, recipe.width, rng)
    scene = RoomScene(room)
    views = render_views(scene, lights, cameras, Look(float(rng.uniform(0.16, 0.34))), scale, seed)
    if recipe.variant != "plain":
        views = sensed(views, rng)
    arrays = _arrays(views, cameras)
    entry = _entry(room, scene, cameras[0], arrays)
    name = f"{library.split} {recipe.seed}-{number:05}" + ("" if recipe.variant == "plain" else f" {recipe.variant}")
    entry |= {"name": name, "split": library.split, "kind": kind}
    return PackedRoom(arrays, entry | {"seed": recipe.seed, "number": number})


def _arrays(views: Sequence[Rendering], cameras: Sequence[Camera]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {
        "intrinsics": np.stack([c.intrinsics for c in cameras]),
        "c2w": np.stack([c.c2w for c in cameras]),
    }
    encoded = {
        "photos": [cv2.imencode(".jpg", v.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1] for v in views],
        "depth": [cv2.imencode(".png", _millimetres(v))[1] for v in views],
        "objects": [cv2.imencode(".png", v.objects)[1] for v in views],
    }
    for kind in IMAGES:
        parts = [p.ravel() for p in encoded[kind]]
        arrays[kind] = np.concatenate(parts)
        arrays[f"{kind}_ends"] = np.cumsum([len(p) for p in parts]).astype(np.int64)
    return arrays


def _millimetres(view: Rendering) -> NDArray[np.uint16]:
    return np.round(view.depth_z * 1000).clip(0, 65535).astype(np.uint16)


def _entry(room: Room, scene: RoomScene, camera: Camera, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    lo, hi = scene.bounds().astype(np.float64)
    reach = MARGIN * float(np.linalg.norm(hi - lo))
    content = hashlib.sha256(b"".join(np.ascontiguousarray(arrays[k]).tobytes() for k in sorted(arrays)))
    return {
        "objects": [vars(o) for o in room.objects],
        "size": [camera.width, camera.height],
        "bounds_w": np.round([lo - reach, hi + reach], 4).tolist(),
        "fingerprint": content.hexdigest()[:24],
    }


def write_shard(path: Path, rooms: Sequence[PackedRoom], settings: Mapping[str, Any]) -> None:
    """Write rooms as one safetensors file, whole or not at all.

    Raises:
        CacheError: the folder cannot be written.
    """
    tensors = {f"{n:03}.{key}": a for n, room in enumerate(rooms) for key, a in room.arrays.items()}
    meta = {"format": FORMAT, "settings": dict(settings), "rooms": [room.entry for room in rooms]}
    json.dumps(meta, allow_nan=False)
    write_tensors(path, tensors, meta)
