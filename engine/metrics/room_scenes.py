"""Rooms of shards as scenes of a repository, with some of their photos held out of everything, to be asked with.

A room is fused from its depth, encoded, named and condensed as the session does it with a capture; only the refinement
of its grid by ray marching is left out, which takes a minute.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from engine.api.camera import Camera
from engine.api.jobs import Job, finish
from engine.api.scene import UInt8
from engine.captures.capture import View
from engine.encoders import load_encoder
from engine.encoders.classes import ClassNetwork, load_classes
from engine.encoders.image import ImageEncoder
from engine.encoders.names import NameNetwork, load_names
from engine.features import ViewFeatureSet
from engine.keypoints.decorated import decorate
from engine.keypoints.network import KeypointDetector, load_keypoints
from engine.lifted import LiftedOn, lift
from engine.naming import ask_photos, name_scene
from engine.prompting import classes_path, names_path, vocabularies
from engine.repository.adding import named_places, record_of
from engine.repository.photo import PhotoQuery, describe_photo
from engine.repository.record import MOST_KEYPOINTS, SceneRecord
from engine.repository.store import open_store
from engine.results import ResultStore
from engine.scene_state import SceneState
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.shards import Encoded, RoomCapture, RoomView, open_shards
from engine.training.workers import Tell, in_order

ASKED = (4, 11)
"""Views of a room that are held out of its scene; of the rooms' 14, no two beside each other."""
BY_PHOTOS = "by-photos"
CELLS = 600_000
"""Of a room's grid: cells of some 4 cm."""
LEAST_SHARE = 0.01
"""Of a photo: a thing that covers less of every photo is not called present."""


@dataclass(frozen=True, eq=False)
class AskedPhoto:
    """A photo (H, W, 3) of a room, described, and where it was taken; ``room``: the scene that it should find."""

    room: str
    rgb: UInt8
    query: PhotoQuery
    camera: Camera


def parted(room: RoomCapture) -> tuple[RoomCapture, list[RoomView]]:
    """A room without the photos it is to be asked by, and these."""
    asked = [room.views[n] for n in ASKED if n < len(room.views)]
    kept = [view for view in room.views if view not in asked]
    encoded = Encoded(*(tuple(images[v.index] for v in kept) for images in _images(room)))
    views = tuple(replace(v, index=n, encoded=encoded, held_out=False) for n, v in enumerate(kept))
    return replace(room, views=views), asked


def _images(room: RoomCapture) -> tuple[tuple[bytes, ...], ...]:
    encoded = room.views[0].encoded
    return encoded.photos, encoded.depth, encoded.objects


def present(room: RoomCapture) -> tuple[str, ...]:
    """What the things are called that some photo of a room shows plainly."""
    labels, found = room.labels(), set[str]()
    for view in room.views:
        ids, count = np.unique(room.object_ids(view.index), return_counts=True)
        share = count / count.sum()
        found |= {labels[int(n)] for n, s in zip(ids, share, strict=True) if s >= LEAST_SHARE and int(n) in labels}
    return tuple(sorted(found))


class Condenser:
    """The networks that make scenes of rooms, loaded once.

    Args:
        device: where they run.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        where = torch.device(device)
        self._encoder: ImageEncoder = load_encoder("default", where)
        self._detector: KeypointDetector = load_keypoints(where)
        self._names: NameNetwork = load_names(names_path()).to(where)
        self._classes: ClassNetwork = load_classes(classes_path()).to(where)

    def record(self, room: RoomCapture) -> Job[tuple[SceneRecord, SceneRecord]]:
        """A room's record, and the same with the places that photos alone tell: the image classifier's classes, without
        ConDense.

        Raises:
            CondenseError: it cannot be made into a scene.
        """
        with tempfile.TemporaryDirectory() as folder:
            store = ResultStore.of(room.fingerprint, room.path, Path(folder))
            scene = SceneState(room, store, device=self.device, seed=0)
            maps, lifted = yield from self.condense(scene)
            taught, seen = vocabularies()
            named = yield from name_scene(lifted.grid, room, maps, self._names, taught, store, "")
            scene.named = yield from ask_photos(named, room, self._classes, seen, store, "", {})
        record = yield from record_of(scene)
        by_photos = replace(scene.named, namers=scene.named.namers[1:])
        return record, replace(record, places=named_places(by_photos))

    def condense(self, scene: SceneState, max_side: int | None = None) -> Job[tuple[ViewFeatureSet, LiftedOn]]:
        """Give a scene of a capture with depth its features and keypoints; photos are fused at this long side at most.

        Raises:
            CondenseError: it cannot be made into a scene.
        """
        capture, store = scene.capture, scene.store
        grid = yield from fused_grid(capture, CELLS, max_side=max_side)
        scene.features = maps = ViewFeatureSet(capture, store, "default", self.device)
        yield from maps.encode(maps.missing())
        scene.lifted = lifted = yield from lift(grid, maps, capture, store)
        scene.keypoints = yield from decorate(capture, lifted, self._detector, MOST_KEYPOINTS)
        return maps, lifted

    def photo(self, view: View, shows: str, max_side: int | None = None) -> Job[AskedPhoto]:
        """A photo, its focal length known, with its long side at most ``max_side`` pixels; ``shows``: name of the scene
        that it should find.

        Raises:
            CaptureError: it is damaged.
        """
        photo = view.read(max_side)
        query = yield from describe_photo(
            photo.rgb, float(photo.camera.intrinsics[0, 0]), self._encoder, self._detector
        )
        return AskedPhoto(shows, photo.rgb, query, photo.camera)


def condense_rooms(folder: Path, into: Path, workers: int) -> None:
    """Add all rooms of shards to two repositories, ``into`` and, with the places that photos alone tell, one within it;
    those that are there already are left alone.

    Args:
        folder: of the shards.
        into: folder of the repository.
        workers: processes, one core each.

    Raises:
        CondenseError: a room is damaged or makes no scene, or the folder cannot be written.
    """
    there = {row.fingerprint for row in open_store(into / BY_PHOTOS, make=True).rows()}
    open_store(into, make=True)
    refs = open_shards(folder)
    todo = [(folder, place) for place, ref in enumerate(refs) if ref.fingerprint not in there]
    if todo:
        tell = Tell(len(refs), len(refs) - len(todo))
        for _ in in_order(partial(_one, into), todo, workers, _start):
            tell()


_worker: Condenser | None = None


def _start() -> None:
    """Once in each worker."""
    global _worker
    torch.set_num_threads(1)
    _worker = Condenser("cpu")


def _one(into: Path, item: tuple[Path, int]) -> None:
    assert _worker is not None
    folder, place = item
    room, _ = parted(open_shards(folder)[place].load())
    record, by_photos = finish(_worker.record(room))
    open_store(into).add(record)
    open_store(into / BY_PHOTOS).add(by_photos)
