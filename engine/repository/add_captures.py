"""Captures into a repository as a job: each fitted, encoded, named and condensed as the window does it, in one line of
progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.api.errors import CondenseError, RepositoryError
from engine.api.jobs import Progress
from engine.api.replies import JobFinished, JobProgress, Reply
from engine.api.repository import AddCaptures, CapturesAdded
from engine.api.requests import EncodeViews, FindKeypoints, FitGrid, NameScene
from engine.captures import open_capture
from engine.prompting import name
from engine.repository.adding import record_of
from engine.repository.shortlist import build_index, index_due
from engine.results import ResultStore
from engine.scene_state import SceneState, progress_reply, without_replies

if TYPE_CHECKING:
    from engine.repository.store import SqliteStore

SHARES = (0.55, 0.25, 0.1, 0.1)
"""Of a capture's time that fitting, encoding, keypoints and naming take."""


class Means(NamedTuple):
    """What captures are condensed with: the encoder's name, the device, the folder of results, the seed."""

    encoder: str
    device: str
    cache: Path
    seed: int


def add_captures(
    request: AddCaptures, store: SqliteStore, means: Means, listed: Callable[[], Reply]
) -> Iterator[Reply | None]:
    """Add captures one after another, each whole before the next is begun; one that cannot be added is told in the end.

    Args:
        request: which.
        store: where to.
        means: how.
        listed: what the repository holds, told after each.

    Raises:
        CondenseError: not one of them could be added.
    """
    start, total = time.perf_counter(), len(request.captures)
    there = {row.fingerprint for row in store.rows()}
    added: list[str] = []
    passed: list[str] = []
    failed: list[tuple[str, CondenseError]] = []

    def told(done: float, note: str) -> Reply:
        reply = progress_reply(request, Progress(done, total, "captures", note), time.perf_counter() - start)
        return replace(reply, rate=None)  # a hundredth of a capture a second tells nobody anything

    for number, path in enumerate(request.captures):
        yield told(number, Path(path).name)
        try:
            capture = open_capture(Path(path))
            yield None
            if capture.fingerprint in there:
                passed.append(capture.name)
                continue
            scene = SceneState(
                capture, ResultStore.of(capture.fingerprint, capture.path, means.cache), device=means.device,
                seed=means.seed,
            )  # fmt: skip
            for share, note in _condensed(scene, request.seconds, means.encoder):
                yield None if share is None else told(number + share, f"{capture.name}: {note}")
            store.add((yield from without_replies(record_of(scene))))
        except CondenseError as e:
            if isinstance(e, RepositoryError) and e.path == str(store.path):
                raise  # the next will fare no better
            failed.append((path, e))
            continue
        there.add(capture.fingerprint)
        added.append(capture.name)
        yield listed()
    if failed and not added and not passed:
        raise failed[0][1]
    if index_due(store):
        yield from without_replies(build_index(store, means.seed))
    texts = tuple((path, e.text()) for path, e in failed)
    yield CapturesAdded(id=request.id, added=tuple(added), passed_over=tuple(passed), failed=texts)
    metrics = {"added": float(len(added)), "failed": float(len(failed))}
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=metrics)


def _condensed(scene: SceneState, seconds: float, encoder: str) -> Iterator[tuple[float | None, str]]:
    """Take a scene through all steps; the share of it that is done, or None to give way, and what is being done."""
    for _ in scene.restore(0):
        yield None, ""
    steps: tuple[tuple[str, Callable[[], Iterator[Reply | None]]], ...] = (
        (FitGrid.title, lambda: scene.fit(FitGrid(seconds=seconds))),
        (EncodeViews.title, lambda: scene.encode(EncodeViews(encoder=encoder))),
        (FindKeypoints.title, lambda: scene.find_keypoints(FindKeypoints())),
        (NameScene.title, lambda: name(scene, NameScene())),
    )
    before = 0.0
    for (note, step), share in zip(steps, SHARES, strict=True):
        note = note[0].lower() + note[1:]
        yield before, note
        for reply in step():
            if isinstance(reply, JobProgress) and reply.total > 0:
                yield before + share * min(reply.done / reply.total, 1.0), note
            else:
                yield None, ""
        before += share
