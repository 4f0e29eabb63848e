"""How photos and the open scene agree: shown photo by photo, or written into a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress
from engine.api.replies import JobFinished, Notice, ViewCompared
from engine.api.requests import CompareViews, SaveAgreement
from engine.scene_state import progress_reply, report

if TYPE_CHECKING:
    from engine.features import ViewFeatureSet
    from engine.lifted import LiftedOn
    from engine.metrics.agreement import ViewAgreement
    from engine.scene_state import Replies, SceneState


def compare(scene: SceneState, request: CompareViews) -> Replies[None]:
    """Compare every photo's features with the scene's.

    Raises:
        QueryError: there are no features yet.
    """
    from engine.metrics.agreement import Comparison

    start = time.perf_counter()
    features, lifted = _ready(scene)
    basis = features.basis
    assert basis is not None
    comparison, views = Comparison(scene.capture, features, lifted), features.views()
    for done, view in enumerate(views):
        progress = Progress(done, len(views), "views", scene.capture.views[view].name)
        yield progress_reply(request, progress, time.perf_counter() - start)
        one = comparison.view(view)
        row = one.row()
        yield ViewCompared(
            id=request.id,
            view=view,
            rgb=np.where(np.isfinite(one.cosine)[..., None], basis.apply(one.marched), np.uint8(0)),
            cosine=one.cosine,
            mean=row["mean"],
            low=row["p05"],
            centred=row["centred"],
            worst=one.worst,
        )
    metrics = {"views": float(len(views))}
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=metrics)


def save_agreement(scene: SceneState, request: SaveAgreement) -> Replies[None]:
    """Write a table of all photos, and a picture of each.

    Raises:
        QueryError: there are no features yet.
        CaptureError: a photo cannot be read.
        CacheError: a file cannot be written.
    """
    start = time.perf_counter()
    features, lifted = _ready(scene)
    found = yield from report(request, _written(scene, features, lifted, Path(request.folder)))
    yield Notice(id=request.id, text=f"Saved consistency.csv and {len(found)} pictures in {request.folder}")
    metrics = {"views": float(len(found))}
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=metrics)


def _written(scene: SceneState, features: ViewFeatureSet, lifted: LiftedOn, folder: Path) -> Job[list[ViewAgreement]]:
    from engine.metrics.agreement import view_agreements, write_picture, write_table

    found = yield from view_agreements(scene.capture, features, lifted)
    write_table(folder / "consistency.csv", found)
    for done, view in enumerate(found):
        yield Progress(done, len(found), "pictures", view.name)
        write_picture(folder / f"{view.view:04}.png", scene.capture, features, view)
    return found


def _ready(scene: SceneState) -> tuple[ViewFeatureSet, LiftedOn]:
    if scene.lifted is None or scene.features is None or scene.features.basis is None:
        raise QueryError("there are no features on the scene yet", mend="wait until the photos are encoded")
    return scene.features, scene.lifted
