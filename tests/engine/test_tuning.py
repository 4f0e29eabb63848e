"""Training as a job of the engine: what it answers, that it gives way, and what is left when it is stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import CondenseError, QueryError
from engine.api.replies import (
    JobFinished,
    Notice,
    Reply,
    TrainedWeights,
    TrainingPreview,
    TrainingUpdate,
    ViewFeatures,
    VoxelFeatures,
)
from engine.api.requests import EncodeViews, FitGrid, OpenCapture, PreviewView, Request, SaveWeights, TrainEncoders
from engine.session import Session
from tests.conftest import write_tiny_capture


def ask(session: Session, request: Request) -> list[Reply]:
    return [r for r in session.handle(request) if r is not None]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = write_tiny_capture(tmp_path_factory.mktemp("tuning") / "tiny", width=160, height=120)
    made = Session(device="cpu", cache=tmp_path_factory.mktemp("cache"))
    ask(made, OpenCapture(path=str(folder)))
    yield made
    made.close()


@pytest.fixture(scope="module")
def ready(session: Session) -> Session:
    ask(session, FitGrid(seconds=2))
    ask(session, EncodeViews())
    return session


def of(replies: list[Reply], kind: type[Reply]) -> list[Reply]:
    return [r for r in replies if isinstance(r, kind)]


@pytest.fixture(scope="module")
def trained(ready: Session) -> list[Reply]:
    return ask(ready, TrainEncoders(steps=3, view=2))


def test_every_step_is_told_and_the_last_is_measured(trained: list[Reply]) -> None:
    updates = [r for r in trained if isinstance(r, TrainingUpdate)]
    assert [u.step for u in updates] == [1, 2, 3]
    assert all(u.steps == 3 and {"total", "bare"} & set(u.losses) for u in updates)
    assert all(np.isfinite(v) for u in updates for v in u.losses.values())
    assert updates[0].measures is None
    assert updates[-1].measures is not None
    told = {"recall_2d", "recall_3d", "variance_2d", "variance_3d", "agreement", "geometry"}
    assert set(updates[-1].measures) == told
    assert isinstance(trained[-1], JobFinished)


def test_pictures_show_the_photo_that_was_asked_for_in_both_branches(trained: list[Reply]) -> None:
    previews = [r for r in trained if isinstance(r, TrainingPreview)]
    assert previews[0].step == 0
    assert previews[-1].step == 3
    for p in previews:
        assert p.view == 2
        assert p.photo.shape == p.marched.shape
        assert p.photo.dtype == p.marched.dtype == np.uint8
        assert p.photo.std() > 5
        assert p.marched.std() > 5
    voxels = [r for r in trained if isinstance(r, VoxelFeatures)]
    assert voxels
    assert len(voxels[-1].rgb) == len(voxels[-1].spread)
    assert not np.array_equal(voxels[0].rgb, voxels[-1].rgb)  # the features change before one's eyes


def test_the_weights_can_be_used_saved_and_gone_on_from(trained: list[Reply], ready: Session, tmp_path: Path) -> None:
    folder = of(trained, TrainedWeights)[-1].folder  # type: ignore[attr-defined]
    notices = ask(ready, SaveWeights(folder=str(tmp_path / "mine")))
    assert isinstance(notices[-1], Notice)
    views = of(ask(ready, EncodeViews(encoder=f"condense:{tmp_path / 'mine'}")), ViewFeatures)
    assert len(views) == 8
    ask(ready, EncodeViews())
    again = ask(ready, TrainEncoders(steps=1, afresh=False))
    assert isinstance(again[-1], JobFinished)
    assert Path(folder).is_dir()


def test_stopping_keeps_what_was_reached(ready: Session) -> None:
    job = ready.handle(TrainEncoders(steps=50))
    for reply in job:
        if isinstance(reply, TrainingUpdate) and reply.step == 2:
            break
    job.close()  # type: ignore[attr-defined]
    from engine.encoders.mobile import TRAINED_HEAD
    from engine.encoders.weights import read_weights
    from engine.tuning import folder_of

    assert read_weights(folder_of(ready.scene) / TRAINED_HEAD)[1]["steps"] == 2


def test_another_photo_may_be_shown(ready: Session) -> None:
    assert ask(ready, PreviewView(view=5)) == []
    assert ready.scene.preview_view == 5
    with pytest.raises(QueryError):
        ask(ready, PreviewView(view=99))


def test_what_cannot_be_trained_says_why(tmp_path: Path) -> None:
    alone = Session(device="cpu", cache=tmp_path / "cache")
    with pytest.raises(CondenseError, match="no capture is open"):
        ask(alone, TrainEncoders())
    ask(alone, OpenCapture(path=str(write_tiny_capture(tmp_path / "one", views=1))))
    with pytest.raises(QueryError, match="share enough"):
        ask(alone, TrainEncoders())
    with pytest.raises(QueryError, match="nothing was trained"):
        ask(alone, SaveWeights(folder=str(tmp_path)))
