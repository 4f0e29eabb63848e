"""Which object each voxel of a room belongs to, by what the views that see it say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.training.rooms.scene import NOTHING
from engine.training.rooms.shards import RoomCapture

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid

REACH = 1.5
"""A view speaks for a voxel when its depth there agrees to so many voxels."""


def voxel_objects(room: RoomCapture, grid: RadianceGrid) -> NDArray[np.uint8]:
    """(V,) id of the object that most of the views that see a voxel find there; 0 where none sees it.

    Raises:
        CaptureError: an image of the room is damaged.
    """
    centres_w = grid.centres_w()
    votes = np.zeros((len(centres_w), max((o.id for o in room.objects), default=0) + 1), np.int32)
    rows = np.arange(len(centres_w))
    for view in room.views:
        photo = room.read(view.index, depth=True)
        if photo.depth_z is None:
            continue
        pos_px, z = photo.camera.project(centres_w)
        inside = photo.camera.contains(pos_px) & (z > 0)
        column, row = np.where(inside[:, None], pos_px, 0).astype(np.int64).T
        seen = inside & (np.abs(photo.depth_z[row, column] - z) <= REACH * grid.spec.voxel)
        ids = room.object_ids(view.index)[row, column]
        np.add.at(votes, (rows[seen], ids[seen]), 1)
    votes[:, NOTHING] = 0
    return np.where(votes.any(axis=1), votes.argmax(axis=1), NOTHING).astype(np.uint8)
