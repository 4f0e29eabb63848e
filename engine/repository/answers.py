"""Queries of the window to a repository, and what speaks for their answers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.api.errors import CondenseError, QueryError
from engine.api.replies import Reply
from engine.api.repository import (
    FindAlike,
    FindByPhoto,
    FindByWords,
    FoundPlace,
    FoundScene,
    PhotoEvidence,
    ScenesFound,
)
from engine.captures import open_capture
from engine.repository.photo import describe_photo, read_photo
from engine.repository.search import CONFIDENT, find_photo, thing
from engine.repository.service import card, thumbnail
from engine.scene_state import without_replies

if TYPE_CHECKING:
    from engine.api.camera import Camera
    from engine.captures import Capture
    from engine.queries.prompt import Vocabulary
    from engine.repository.photo import PhotoQuery
    from engine.repository.search import Ranked
    from engine.repository.service import RepositoryService

COUNT = 12
"""Results at most."""
PLACES = 4
"""Things of one scene at most."""
BESIDE_SIDE = 480
"""Of the scene's photo that is shown beside the query, pixels."""
EXPLAINED = 4
"""Results whose matches are shown."""
SEEN = 0.7
"""Of the keypoints that the best photo of a scene has in sight, that another must have to be shown for being nearer."""


def by_photo(service: RepositoryService, request: FindByPhoto) -> Iterator[Reply | None]:
    """Scenes for a photo, then why.

    Raises:
        CondenseError: it cannot be read, shows nothing, or the scenes are of other weights.
    """
    from engine.keypoints.network import load_keypoints
    from engine.runtime import resolve_device

    start = time.perf_counter()
    rgb, focal = read_photo(Path(request.path))
    yield None
    _, encoder = service.encoder(request.encoder)
    detector = load_keypoints(resolve_device(service.device))
    yield None
    describe = partial(describe_photo, rgb, focal, encoder, detector)
    photo, ranked = yield from without_replies(find_photo(service.repository, describe, service.seed))
    ranked = ranked[:COUNT]
    results = tuple(
        FoundScene(
            card(r.row), r.score, r.confidence, 0 if r.pose is None else r.pose.count,
            0 if r.pose is None else len(r.pose.matched), None if r.pose is None else r.pose.camera,
            ambiguous=r.pose is not None and r.pose.ambiguous,
        )
        for r in ranked
    )  # fmt: skip
    rejected = not ranked or ranked[0].confidence < CONFIDENT
    yield ScenesFound(id=request.id, results=results, rejected=rejected, photo=rgb, milliseconds=_since(start))
    if rejected:
        return
    for r in [r for r in ranked if r.pose is not None][:EXPLAINED]:
        yield None
        yield evidence(request, photo, r)


def evidence(request: FindByPhoto, photo: PhotoQuery, ranked: Ranked) -> PhotoEvidence:
    """The matches of a photo and a scene, beside the scene's photo from nearest by."""
    pose, record = ranked.pose, ranked.record
    assert pose is not None
    photo_px = photo.pos_px[pose.matched[:, 0]]
    pos_w = record.pos_w[pose.matched[:, 1]].astype(np.float64)
    beside = thumbnail(record.thumbnail)
    view, rgb = "", np.zeros((3, 4, 3), np.uint8) if beside is None else beside
    view_px = np.full((len(pos_w), 2), np.nan)
    try:
        capture = open_capture(Path(record.path))
        index = nearest_view(capture, pose.camera, pos_w[pose.inliers], record.extent_w)
        if capture.fingerprint == record.fingerprint and index is not None:
            seen = capture.read(index, max_side=BESIDE_SIDE)
            view, rgb = capture.views[index].name, seen.rgb
            view_px, _ = seen.camera.project(pos_w)
            view_px[~seen.camera.contains(np.nan_to_num(view_px, nan=-1.0))] = np.nan
    except CondenseError:
        pass  # the capture is gone or broken: the thumbnail must do
    return PhotoEvidence(
        id=request.id, scene=record.fingerprint, view=view, rgb=rgb, photo_px=photo_px, view_px=view_px,
        inliers=pose.inliers,
    )  # fmt: skip


def nearest_view(capture: Capture, camera: Camera, pos_w: np.ndarray, extent_w: float) -> int | None:
    """Of the photos that have most of the points in sight, the one taken from nearest to a camera, in its direction.

    Args:
        capture: whose photos.
        camera: near which.
        pos_w: (N, 3) points.
        extent_w: of the scene: a whole one is as far as a turn by 90 degrees.
    """
    found: list[tuple[int, float, int]] = []
    for view in capture.views:
        px, _ = view.camera.project(pos_w)
        seen = int(view.camera.contains(np.nan_to_num(px, nan=-1.0)).sum())
        away = float(np.linalg.norm(view.camera.centre_w - camera.centre_w)) / extent_w
        turned = 1 - float(view.camera.forward_w @ camera.forward_w)
        found.append((seen, away + turned, view.index))
    most = max((seen for seen, _, _ in found), default=0)
    best = min((f for f in found if f[0] >= SEEN * most), key=lambda f: f[1], default=None)
    return None if best is None else best[2]


def by_words(service: RepositoryService, request: FindByWords) -> Iterator[Reply | None]:
    """Scenes that hold what words mean.

    Raises:
        QueryError: they mean nothing here.
    """
    from engine.prompting import vocabularies

    start = time.perf_counter()
    known = vocabularies()
    yield None
    check_words(request.text, known)
    found = service.repository.by_words(request.text, known)[:COUNT]
    results = tuple(
        FoundScene(card(w.row), w.score, places=tuple(FoundPlace(*p) for p in w.places[:PLACES])) for w in found
    )
    yield ScenesFound(id=request.id, results=results, rejected=not results, photo=None, milliseconds=_since(start))


def check_words(text: str, known: Sequence[Vocabulary]) -> None:
    """Raises:
    QueryError: no word of a prompt for scenes is in the vocabularies.
    """
    meanings = [v.meaning(thing(text)) for v in known]
    if any(m.within for m in meanings):
        return
    near = sorted({n for m in meanings for n in m.nearest}, key=lambda n: -n[1])
    raise QueryError(
        "no word of this is in the vocabulary", found=text[:80] or "nothing",
        expected=f"words for things, nearest: {', '.join(n for n, _ in near[:3])}" if near else "words for things",
    )  # fmt: skip


def alike(service: RepositoryService, request: FindAlike) -> Iterator[Reply | None]:
    """Scenes like one of them."""
    start = time.perf_counter()
    record = service.store.load(service.row(request.scene).id)
    yield None
    found = service.repository.by_scene(record, service.seed)[:COUNT]
    results = tuple(
        FoundScene(
            card(a.row), a.score, a.confidence, 0 if a.alignment is None else a.alignment.count,
            0 if a.alignment is None else len(a.alignment.matched),
            overlap=None if a.alignment is None else a.alignment.overlap,
            ambiguous=a.alignment is not None and a.alignment.ambiguous,
        )
        for a in found
    )  # fmt: skip
    rejected = not found or found[0].confidence < CONFIDENT
    yield ScenesFound(id=request.id, results=results, rejected=rejected, photo=None, milliseconds=_since(start))


def _since(start: float) -> float:
    return (time.perf_counter() - start) * 1e3
