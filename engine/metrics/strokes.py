"""A label made in one photo, seen in the others: IoU against the truth, in rooms whose things are known.

Of each thing the photo that shows most of it is labelled, with the true outline for a lasso. In every other photo that
shows it the label is compared with the truth twice: on the pixels whose surface the labelled photo sees too, by the
rooms' true depth, and on all of them, where what only the other photo shows must be missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations.strokes import ViewHits, lifted, seen_mask, view_hits
from engine.api.jobs import Job, Progress, told_as
from engine.metrics.truth import DepthView, reproject

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid
    from engine.training.rooms.shards import RoomCapture

LEAST_PIXELS = 100
"""That a photo must show of a thing."""

Bool = NDArray[np.bool_]


def seen_elsewhere(room: RoomCapture, grid: RadianceGrid, things: Iterable[int]) -> Job[list[tuple[float, float]]]:
    """For each thing and each other photo that shows it: (IoU where both photos see, IoU over all pixels).

    Raises:
        CaptureError: an image of the room is damaged.
    """
    hits: list[ViewHits] = []
    depth: list[DepthView] = []
    ids: list[NDArray[np.uint8]] = []
    for view in room.views:
        progress = Progress(view.index, len(room.views), "views", room.name)
        photo = room.read(view.index, depth=True)
        assert photo.depth_z is not None
        hits.append((yield from told_as(view_hits(grid, view.camera), progress)))
        depth.append(DepthView(view.index, view.camera, photo.depth_z))
        ids.append(room.object_ids(view.index))
    out: list[tuple[float, float]] = []
    for thing in things:
        truth = [i == thing for i in ids]
        count = np.array([int(t.sum()) for t in truth])
        source = int(count.argmax())
        if count[source] < LEAST_PIXELS:
            continue
        rows = lifted(hits[source], truth[source])
        for other in np.flatnonzero(count >= LEAST_PIXELS):
            if other == source:
                continue
            yield Progress(0, 0, "things", room.name)
            found = _at(seen_mask(hits[other], rows), truth[other].shape)
            both = _seen_too(depth[other], depth[source])
            if (truth[other] & both).sum() >= LEAST_PIXELS:
                out.append((_iou(found & both, truth[other] & both), _iou(found, truth[other])))
    return out


def _seen_too(view: DepthView, source: DepthView) -> Bool:
    """(h, w) which pixels of a view show what another sees."""
    _, true = reproject(view, source, view.camera.pixel_grid())
    return true.reshape(view.depth_z.shape)


def _at(mask: Bool, shape: tuple[int, ...]) -> Bool:
    rows = (np.arange(shape[0]) + 0.5) * mask.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * mask.shape[1] / shape[1]
    return mask[rows.astype(np.int64)[:, None], columns.astype(np.int64)]


def _iou(found: Bool, right: Bool) -> float:
    return float((found & right).sum() / max(1, int((found | right).sum())))
