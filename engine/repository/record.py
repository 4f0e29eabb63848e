"""One scene as a repository holds it: some 40 kB, from which all its queries work."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import RepositoryError
from engine.api.scene import Float32
from engine.queries.quantise import Codes
from engine.repository.occupancy import Occupancy, pack_occupancy, unpack_occupancy

MOST_KEYPOINTS = 512
LEAST_KEYPOINTS = 4
"""A pose cannot be told from fewer."""
LARGEST_ENTRY = 0.5
"""Of a unit descriptor, that a code can stand for: products of codes are then products of descriptors, up to one factor
for all. Of 64 channels, few entries are larger; they are cut off."""
STEPS = 4095
LARGEST_WORLD = 1e30
"""Coordinate; a larger one has no place in 32 bits."""
MOST_TEXT = 1 << 20
"""Bytes of a scene's names, unpacked: more is no record of ours."""


class NamedPlace(NamedTuple):
    """A name, how likely the scene holds such a thing (in [0, 1]), and where it is the likeliest, world units."""

    name: str
    chance: float
    pos_w: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SceneRecord:
    """A condensed scene.

    Attributes:
        fingerprint: of the capture's content; a scene is in a repository once.
        name, path: of the capture, as it was added.
        weights: id of the encoders that its descriptors are of.
        pos_w: (K, 3) float32 keypoints, the best first.
        codes: (K, D) int8 descriptors, see ``encode``.
        extent_w: diagonal of the capture's bounds.
        places: what is where, by the vocabulary of the naming networks.
        thumbnail: a small picture, JPEG or WebP, or empty.
        cameras: (N, 4, 4) float32, camera-to-world of the photos.
        occupancy: which space is solid and which is free; None in records of older formats.
    """

    fingerprint: str
    name: str
    path: str
    weights: str
    pos_w: Float32
    codes: Codes
    extent_w: float
    places: tuple[NamedPlace, ...]
    thumbnail: bytes
    cameras: Float32
    occupancy: Occupancy | None = None

    def __len__(self) -> int:
        return len(self.codes)


class Packed(NamedTuple):
    """Arrays and places of a record as bytes. ``box``: (2, 3) float64, within which positions are 12 bits an axis, or
    16 as they once were."""

    box: bytes
    pos: bytes
    codes: bytes
    places: bytes
    cameras: bytes
    occupancy: bytes


def encode(descriptors: Float32) -> Codes:
    """(K, D) of unit length to int8: ``round(127 v / LARGEST_ENTRY)``, cut off at 127."""
    return np.clip(np.round(descriptors * (127 / LARGEST_ENTRY)), -127, 127).astype(np.int8)


def decode(codes: Codes) -> Float32:
    """Undo ``encode``, up to what was rounded and cut off; of unit length, or zero."""
    values = codes.astype(np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.divide(values, length, out=values, where=length > 0)


def pack(record: SceneRecord) -> Packed:
    """Positions are rounded to 1/4095 of their box along each axis: finer than the voxels that they are centres of."""
    pos = record.pos_w.astype(np.float64)
    lo, hi = pos.min(axis=0), pos.max(axis=0)
    steps = np.round((pos - lo) / np.maximum(hi - lo, 1e-12) * STEPS).astype(np.uint16)
    listed = [[p.name, round(p.chance, 3), *(float(f"{x:.5g}") for x in p.pos_w)] for p in record.places]
    text = zlib.compress(json.dumps(listed, separators=(",", ":")).encode(), 9)
    cameras = record.cameras[:, :3].astype("<f4").tobytes()
    box = np.stack([lo, hi]).astype("<f8").tobytes()
    occupancy = pack_occupancy(record.occupancy)
    return Packed(box, _pack_12(steps), record.codes.tobytes(), text, cameras, occupancy)


class Unpacked(NamedTuple):
    """What was packed, as ``SceneRecord`` has it."""

    pos_w: Float32
    codes: Codes
    places: tuple[NamedPlace, ...]
    cameras: Float32
    occupancy: Occupancy | None


def unpack(packed: Packed, count: int, dim: int) -> Unpacked:
    """Undo ``pack``.

    Raises:
        RepositoryError: they are not of that many keypoints, or damaged.
    """
    try:
        box = np.frombuffer(packed.box, "<f8").reshape(2, 3)
        old = len(packed.pos) == count * 6
        steps = np.frombuffer(packed.pos, "<u2") if old else _unpack_12(packed.pos, count * 3)
        steps = steps.reshape(count, 3) / (65535 if old else STEPS)
        codes = np.frombuffer(packed.codes, np.int8).reshape(count, dim)
        rows = np.frombuffer(packed.cameras, "<f4").reshape(-1, 3, 4)
        if not ((np.abs(box) < LARGEST_WORLD).all() and np.isfinite(rows).all()):
            raise ValueError("numbers that make no sense")
    except ValueError as e:
        raise _damaged(e) from e
    pos_w = (box[0] + steps * (box[1] - box[0])).astype(np.float32)
    cameras = np.tile(np.eye(4, dtype=np.float32), (len(rows), 1, 1))
    cameras[:, :3] = rows
    return Unpacked(pos_w, codes, places_of(packed.places), cameras, unpack_occupancy(packed.occupancy))


def _pack_12(steps: NDArray[np.uint16]) -> bytes:
    """Two numbers below 4096 in three bytes."""
    flat = np.append(steps, np.zeros(steps.size % 2, np.uint16))
    a, b = flat[0::2], flat[1::2]
    return np.stack([a & 255, a >> 8 | (b & 15) << 4, b >> 4], axis=1).astype(np.uint8).tobytes()


def _unpack_12(packed: bytes, count: int) -> NDArray[np.uint16]:
    """Undo ``_pack_12``.

    Raises:
        ValueError: they are not so many numbers.
    """
    x, y, z = np.frombuffer(packed, np.uint8).reshape((count + 1) // 2, 3).astype(np.uint16).T
    return np.stack([x | (y & 15) << 8, y >> 4 | z << 4], axis=1).reshape(-1)[:count]


def places_of(text: bytes) -> tuple[NamedPlace, ...]:
    """The places of ``Packed.places``; such as are nowhere, or of a chance that is none, are left out.

    Raises:
        RepositoryError: they are damaged.
    """
    try:
        listed = json.loads(zlib.decompressobj().decompress(text, MOST_TEXT))
        found = (NamedPlace(str(p[0]), float(p[1]), (float(p[2]), float(p[3]), float(p[4]))) for p in listed)
        return tuple(p for p in found if 0 <= p.chance <= 1 and np.isfinite(p.pos_w).all())
    except (ValueError, TypeError, IndexError, zlib.error, RecursionError) as e:
        raise _damaged(e) from e


def _damaged(e: Exception) -> RepositoryError:
    return RepositoryError("a scene's record is damaged", found=str(e), mend="remove the scene, and add it again")
