"""``condense train`` as a job: what it leaves behind, and that a stopped one goes on exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from engine.api.errors import QueryError, WeightsError
from engine.api.jobs import Progress, finish
from engine.encoders.mobile import TRAINED_HEAD, TRAINED_VOLUME
from engine.encoders.volume import VolumeConfig, load_volume_encoder
from engine.encoders.weights import read_weights
from engine.training.checkpoint import STATE_FILE
from engine.training.config import TrainConfig
from engine.training.run import train
from tests.conftest import write_tiny_capture

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    steps=4, frozen=0.25, warm_up=1, correspondences=48, lift_views=2, pairs=8, validate_every=2, cells=40_000,
    volume=VolumeConfig(widths=(8, 8, 8)),
)  # fmt: skip


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_capture(tmp_path_factory.mktemp("run") / "tiny", width=160, height=120)


@pytest.fixture(scope="module")
def whole(capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    answer = finish(train([capture], out, CONFIG, CPU))
    assert answer["steps"] == 4
    assert answer["watched"] == "the training scenes"
    assert [h["step"] for h in answer["history"]] == [2, 4]
    return out


def test_weights_logs_and_metrics_are_left(whole: Path) -> None:
    assert load_volume_encoder(whole / TRAINED_VOLUME).config == CONFIG.volume
    for name in (TRAINED_HEAD, STATE_FILE, "metrics.json"):
        assert (whole / name).stat().st_size > 100
    (events,) = whole.glob("events.out.tfevents.*")
    assert b"loss/total" in events.read_bytes()
    assert b"consistency/recall_3d" in events.read_bytes()


def test_a_stopped_training_goes_on_as_if_it_had_not(whole: Path, capture: Path, tmp_path: Path) -> None:
    job = train([capture], tmp_path, CONFIG, CPU)
    for progress in job:
        if isinstance(progress, Progress) and progress.unit == "steps" and progress.done == 2:
            break
    job.close()
    assert read_weights(tmp_path / TRAINED_VOLUME)[1]["steps"] == 2
    answer = finish(train([capture], tmp_path, TrainConfig(), CPU, resume=True))  # the checkpoint's settings count
    assert answer["steps"] == 4
    want, found = load_file(whole / STATE_FILE), load_file(tmp_path / STATE_FILE)
    assert want.keys() == found.keys()
    assert all(torch.equal(want[k], found[k]) for k in want)


def test_what_cannot_be_gone_on_from_says_why(whole: Path, capture: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=STATE_FILE):
        finish(train([capture], tmp_path, CONFIG, CPU, resume=True))
    other = write_tiny_capture(tmp_path / "other", width=160, height=120)
    (tmp_path / STATE_FILE).write_bytes((whole / STATE_FILE).read_bytes())
    with pytest.raises(QueryError, match="other scenes"):
        finish(train([other], tmp_path, CONFIG, CPU, resume=True))


def test_a_capture_without_pairs_is_no_training_scene(tmp_path: Path) -> None:
    alone = write_tiny_capture(tmp_path / "alone", views=1)
    with pytest.raises(QueryError, match="share enough"):
        finish(train([alone], tmp_path / "out", replace(CONFIG, steps=1), CPU))
