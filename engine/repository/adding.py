"""From an open capture to its record: fitted, encoded, named and condensed by the session, as the window does it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engine.api.errors import CaptureError, RepositoryError
from engine.api.jobs import Job
from engine.repository.occupancy import observed
from engine.repository.record import LEAST_KEYPOINTS, MOST_KEYPOINTS, NamedPlace, SceneRecord, encode

if TYPE_CHECKING:
    from engine.naming import NamedScene
    from engine.scene_state import SceneState

LEAST_CHANCE = 0.1
MOST_PLACES = 96
THUMBNAIL_SIDE = 120


def record_of(scene: SceneState) -> Job[SceneRecord]:
    """The record of a scene whose keypoints were found and whose places are named.

    Raises:
        RepositoryError: they are not, or there are too few keypoints.
        CaptureError: the capture has no photos.
    """
    capture = scene.capture
    if not capture.views:
        mend = "add a capture with photos"
        raise CaptureError("there are no photos to find it by", path=capture.path, found=capture.format, mend=mend)
    if scene.keypoints is None or scene.features is None or scene.named is None or scene.lifted is None:
        raise RepositoryError("the scene is not ready to be added", mend="fit and encode it first")
    found = scene.keypoints.best(MOST_KEYPOINTS)
    if len(found) < LEAST_KEYPOINTS:
        raise RepositoryError(
            "the scene has too few keypoints to be found again", path=capture.path, found=str(len(found)),
            mend="photograph it with more overlap, and something to see",
        )  # fmt: skip
    cameras = [v.camera for v in capture.views]
    extent_w = float(np.linalg.norm(capture.bounds_w[1] - capture.bounds_w[0]))
    occupancy = yield from observed(scene.lifted.grid, cameras, extent_w)
    return SceneRecord(
        fingerprint=capture.fingerprint,
        name=capture.name,
        path=str(capture.path.absolute()),
        weights=scene.features.id,
        pos_w=found.pos_w,
        codes=encode(found.features),
        extent_w=extent_w,
        places=named_places(scene.named),
        thumbnail=_thumbnail(scene),
        cameras=np.stack([c.c2w for c in cameras]).astype(np.float32),
        occupancy=occupancy,
    )


def named_places(named: NamedScene) -> tuple[NamedPlace, ...]:
    """The likeliest names, each with the place where it is the likeliest."""
    best: dict[str, NamedPlace] = {}
    centres_w = named.coarse.spec.to_world(named.coarse.index + 0.5)
    for namer in named.namers:
        for n, name in enumerate(namer.vocabulary.names):
            row = int(namer.chances[:, n].argmax())
            chance = float(namer.chances[row, n]) / 255
            if chance >= LEAST_CHANCE and (name not in best or chance > best[name].chance):
                x, y, z = (float(v) for v in centres_w[row])
                best[name] = NamedPlace(name, chance, (x, y, z))
    return tuple(sorted(best.values(), key=lambda p: -p.chance)[:MOST_PLACES])


def _thumbnail(scene: SceneState) -> bytes:
    """Of the photo in which the most keypoints are seen."""
    assert scene.keypoints is not None
    view = int(scene.keypoints.seen.sum(axis=0).argmax())
    try:
        rgb = scene.capture.read(view, max_side=THUMBNAIL_SIDE).rgb
    except CaptureError:
        return b""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "WEBP", quality=55, method=6)  # half as large as a JPEG
    return out.getvalue()
