"""Rooms in shards: many small captures in a few safetensors files, read back as captures in memory.

A shard holds up to 16 rooms. Of each room: the photos as JPEG, depth in millimetres as 16-bit PNG, object ids as 8-bit
PNG (bytes end to end, with offsets), the cameras, and in the header what the room is and which objects stand in it.
Nothing is ever pickled, and every file is taken to be hostile.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.captures.capture import Capture, Photo, View
from engine.captures.photos import nearest
from engine.training.rooms.scene import NOTHING, RoomObject

UInt8 = NDArray[np.uint8]
Float64 = NDArray[np.float64]

FORMAT = "condense-rooms-1"
MOST_ROOMS, MOST_VIEWS, MOST_SIDE, MOST_OBJECTS = 1024, 1024, 4096, 255
MOST_BYTES = 1 << 28
"""What one room's images may take in the file."""

HOLD_OUT_EVERY = 8
"""As in other captures: every 8th view is not fitted on."""

IMAGES = ("photos", "depth", "objects")
MEND = "make the shard again with python -m engine.training.rooms.generate"
_PNG_HEAD = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Encoded:
    """A room's images as they are stored: for each view JPEG, 16-bit PNG (mm) and 8-bit PNG (ids)."""

    photos: tuple[bytes, ...]
    depth: tuple[bytes, ...]
    objects: tuple[bytes, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class RoomView(View):
    """A posed photo in memory; ``image`` is the shard's file, ``encoded`` the room's images."""

    encoded: Encoded

    @property
    def has_depth(self) -> bool:
        return True

    def read(self, max_side: int | None = None, depth: bool = False) -> Photo:
        """As ``View.read``. ``alpha`` is 0 where there is nothing, around an object in the open.

        Raises:
            CaptureError: the photo or its depth is damaged.
        """
        camera = self.camera if max_side is None else self.camera.fitted(max_side)
        size = (camera.width, camera.height)
        rgb = self.decoded("photos", cv2.IMREAD_COLOR)[..., ::-1]
        if size != (self.camera.width, self.camera.height):
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        ids = nearest(self.decoded("objects", cv2.IMREAD_UNCHANGED), size, None)
        solid = ids != NOTHING
        depth_z = None
        if depth:
            millimetres = nearest(self.decoded("depth", cv2.IMREAD_UNCHANGED), size, None)
            depth_z = millimetres.astype(np.float32) / np.float32(1000)
        alpha = None if solid.all() else np.where(solid, 255, 0).astype(np.uint8)
        return Photo(camera=camera, rgb=np.ascontiguousarray(rgb), alpha=alpha, depth_z=depth_z)

    def decoded(self, kind: str, flag: int) -> NDArray[Any]:
        """One image of this view: (h, w, 3) uint8 in OpenCV's order, (h, w) uint16 or (h, w) uint8."""
        data: bytes = getattr(self.encoded, kind)[self.index]
        shape = (self.camera.height, self.camera.width)
        # the header first: a few bytes may speak of gigapixels
        if _size_of(data) == shape:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
            wanted = {"photos": (np.uint8, (*shape, 3)), "depth": (np.uint16, shape), "objects": (np.uint8, shape)}
            if image is not None and (image.dtype, image.shape) == wanted[kind]:
                return image
        raise CaptureError(
            f"an image of view {self.name} is damaged",
            path=self.image,
            found=f"{len(data)} bytes that are no whole {kind} image of {shape[1]} × {shape[0]} pixels",
            mend=MEND,
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class RoomCapture(Capture):
    """A room in memory: a capture like any other that also knows which object each pixel shows.

    Attributes:
        objects: what stands in it, ids from 1.
        split: ``train`` or ``held-out``.
        kind: ``room``, or ``object`` for a single one on a plain floor.
    """

    views: tuple[RoomView, ...]
    objects: list[RoomObject]
    split: str
    kind: str

    def object_ids(self, i: int) -> UInt8:
        """(h, w) uint8 id of the object at each pixel of photo ``i`` at full size, 0 where there is none.

        Raises:
            CaptureError: the image is damaged.
        """
        return self.views[i].decoded("objects", cv2.IMREAD_UNCHANGED)

    def labels(self) -> dict[int, str]:
        """Object id to label, for the objects of this room."""
        return {o.id: o.label for o in self.objects}


@dataclass(frozen=True, eq=False)
class RoomRef:
    """A room in a shard, not yet read.

    Attributes:
        path: the shard.
        place: which of its rooms.
        name, split, kind, objects: as ``RoomCapture`` has them.
        seed, number: it is room ``number`` of that seed.
        size: (width, height) of the photos.
        bounds_w: (2, 3).
        fingerprint: of its content.
    """

    path: Path
    place: int
    name: str
    split: str
    kind: str
    objects: list[RoomObject]
    seed: int
    number: int
    size: tuple[int, int]
    bounds_w: Float64
    fingerprint: str

    def load(self) -> RoomCapture:
        """Read the room: its bytes alone, images are decoded as they are asked for.

        Raises:
            CaptureError: the shard is truncated or damaged, or a camera or an offset makes no sense.
        """
        try:
            with safe_open(self.path, framework="numpy") as f:
                cameras = _cameras(f, self)
                encoded = Encoded(*(_images(f, self, kind, len(cameras)) for kind in IMAGES))
        except (OSError, SafetensorError, ValueError, TypeError) as e:
            raise _damaged(self.path, str(e)) from e
        views = tuple(
            RoomView(
                index=i,
                name=f"{self.name}/{i:03}",
                camera=camera,
                held_out=len(cameras) >= HOLD_OUT_EVERY and i % HOLD_OUT_EVERY == HOLD_OUT_EVERY - 1,
                image=self.path,
                encoded=encoded,
            )
            for i, camera in enumerate(cameras)
        )
        return RoomCapture(
            name=self.name,
            path=self.path,
            format="room",
            views=views,
            points=None,
            bounds_w=self.bounds_w,
            bounded=True,
            up_w=np.array([0.0, 0.0, 1.0]),
            fingerprint=self.fingerprint,
            objects=self.objects,
            split=self.split,
            kind=self.kind,
        )


def is_shards(folder: Path) -> bool:
    """Whether a path is a folder with shards of rooms in it."""
    return folder.is_dir() and any(folder.glob("shard-*.safetensors"))


def open_shards(folder: Path) -> list[RoomRef]:
    """The rooms of all shards in a folder, in order; only headers are read.

    Raises:
        CaptureError: no shard there, or one is truncated or damaged.
    """
    paths = sorted(folder.glob("shard-*.safetensors")) if folder.is_dir() else []
    if not paths:
        raise CaptureError(
            "holds no rooms",
            path=folder,
            expected="shard-0000.safetensors and so on",
            mend="make some: python -m engine.training.rooms.generate --out FOLDER",
        )
    return [ref for path in paths for ref in open_shard(path)[0]]


def open_shard(path: Path) -> tuple[list[RoomRef], dict[str, Any]]:
    """The rooms of one shard and the settings that it was made with; only the header is read.

    Raises:
        CaptureError: truncated, damaged, or not a shard.
    """
    try:
        with safe_open(path, framework="numpy") as f:
            meta = json.loads((f.metadata() or {}).get("meta", "null"))
        if not isinstance(meta, dict) or meta.get("format") != FORMAT:
            raise ValueError("no rooms in its header")
        rooms, settings = meta["rooms"], meta["settings"]
        if not isinstance(rooms, list) or not isinstance(settings, dict) or len(rooms) > MOST_ROOMS:
            raise ValueError("its header does not list rooms")
        return [_ref(path, place, room) for place, room in enumerate(rooms)], settings
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError, OverflowError) as e:
        raise _damaged(path, f"{type(e).__name__}: {e}") from e


def _ref(path: Path, place: int, room: Mapping[str, Any]) -> RoomRef:
    bounds = np.array(room["bounds_w"], np.float64)
    width, height = (int(n) for n in room["size"])
    objects = [_object(o) for o in room["objects"]]
    if bounds.shape != (2, 3) or not np.isfinite(bounds).all() or not (bounds[0] < bounds[1]).all():
        raise ValueError(f"bounds of room {place} are {bounds.tolist()}")
    if not (0 < width <= MOST_SIDE and 0 < height <= MOST_SIDE):
        raise ValueError(f"photos of room {place} are {width} × {height} pixels")
    if len(objects) > MOST_OBJECTS or not all(0 < o.id <= MOST_OBJECTS for o in objects):
        raise ValueError(f"ids of the objects of room {place} are not 1 to {MOST_OBJECTS}")
    texts = {k: str(room[k]) for k in ("name", "split", "kind", "fingerprint")}
    return RoomRef(
        path=path,
        place=place,
        objects=objects,
        seed=int(room["seed"]),
        number=int(room["number"]),
        size=(width, height),
        bounds_w=bounds,
        **texts,
    )


def _object(o: Mapping[str, Any]) -> RoomObject:
    model = None if o["model"] is None else str(o["model"])
    return RoomObject(int(o["id"]), str(o["name"]), str(o["label"]), model, str(o["creator"]), str(o["licence"]))


def _cameras(f: Any, ref: RoomRef) -> list[Camera]:
    k, c2w = (_tensor(f, ref, name, np.float64, MOST_VIEWS * 128) for name in ("intrinsics", "c2w"))
    n = len(c2w) if c2w.ndim else 0
    if not 0 < n <= MOST_VIEWS or c2w.shape != (n, 4, 4) or k.shape != (n, 3, 3):
        raise ValueError(f"cameras of shapes {k.shape} and {c2w.shape}")
    if not (np.isfinite(k).all() and np.isfinite(c2w).all()):
        raise ValueError("a camera holds NaN or infinity")
    turn = c2w[:, :3, :3]
    if np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max() > 1e-4 or (np.linalg.det(turn) < 0).any():
        raise ValueError("a camera's pose is not a rotation and a place")
    if (k[:, (0, 1), (0, 1)] <= 0).any() or (k[:, 2] != [0, 0, 1]).any() or (c2w[:, 3] != [0, 0, 0, 1]).any():
        raise ValueError("a camera's matrix has no focal length or a wrong last row")
    return [Camera(k[i], c2w[i], *ref.size) for i in range(n)]


def _images(f: Any, ref: RoomRef, kind: str, views: int) -> tuple[bytes, ...]:
    data = _tensor(f, ref, kind, np.uint8, MOST_BYTES)
    ends = _tensor(f, ref, f"{kind}_ends", np.int64, MOST_VIEWS * 8)
    if data.ndim != 1 or ends.shape != (views,):
        raise ValueError(f"{kind} of shapes {data.shape} and {ends.shape} for {views} views")
    starts = np.concatenate([[0], ends[:-1]])
    if (starts < 0).any() or (ends <= starts).any() or ends[-1] != len(data):
        raise ValueError(f"offsets of {kind} do not fit its {len(data)} bytes")
    return tuple(data[a:b].tobytes() for a, b in zip(starts, ends, strict=True))


def _tensor(f: Any, ref: RoomRef, name: str, dtype: type, most_bytes: int) -> NDArray[Any]:
    """One array of the room, its size and type looked at before it is read."""
    part = f.get_slice(f"{ref.place:03}.{name}")
    if math.prod(part.get_shape()) * np.dtype(dtype).itemsize > most_bytes:
        raise ValueError(f"{name} of shape {part.get_shape()}")
    found = f.get_tensor(f"{ref.place:03}.{name}")
    if found.dtype != dtype:
        raise ValueError(f"{name} of type {found.dtype}")
    return found


def _size_of(data: bytes) -> tuple[int, int] | None:
    """(height, width) that the header of a PNG or JPEG speaks of; None when it is neither."""
    if data.startswith(_PNG_HEAD) and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data) and data[at] == 0xFF:
        if 0xC0 <= data[at + 1] <= 0xC3:  # a start of frame
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _damaged(path: Path, found: str) -> CaptureError:
    return CaptureError(
        "cannot be read as a shard of rooms",
        path=path,
        found=(found.splitlines() or [""])[0][:200],
        expected="a whole safetensors file as the generator writes it",
        mend=f"delete the file and {MEND}",
    )
