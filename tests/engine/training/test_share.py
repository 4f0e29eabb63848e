"""The part of one process: draws divided, gradients added, and what cannot be started says why."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.api.errors import QueryError, ResourceError
from engine.api.jobs import finish
from engine.captures import open_capture
from engine.cli import Train
from engine.encoders.mobile import embedded_head, embedded_trunk
from engine.encoders.volume import VolumeConfig
from engine.training.commands import run
from engine.training.config import TrainConfig
from engine.training.fabric import accelerator, join
from engine.training.launch import other_devices
from engine.training.run import train
from engine.training.scenes import TrainScene, prepare
from engine.training.share import Share
from engine.training.trainer import Trainer
from tests.conftest import write_tiny_capture

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    steps=8, batch=3, bare=0.0, withheld=0.0, warm_up=1, frozen=0.0, correspondences=48, lift_views=2, pairs=8,
    cells=40_000, volume=VolumeConfig(widths=(8, 8, 8)),
)  # fmt: skip


class Part(Share):
    """One of several processes, whose others do not answer; keeps what it would have sent."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.sent: list[Tensor] = []

    def add(self, tensors: Iterable[Tensor]) -> None:
        self.sent = [t.clone() for t in tensors]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> TrainScene:
    capture = open_capture(write_tiny_capture(tmp_path_factory.mktemp("share") / "tiny", width=160, height=120))
    found = finish(prepare(capture, embedded_trunk(CPU), CONFIG, CPU, None))
    assert found is not None
    return found


def sent(config: TrainConfig, scene: TrainScene, rank: int, size: int) -> list[Tensor]:
    part = Part(rank, size)
    trainer = Trainer(config, [scene], embedded_head(CPU), None, CPU, share=part)
    finish(trainer.start())
    finish(trainer.run_step())
    return part.sent


@pytest.mark.parametrize("bare", [0.0, 1.0])
def test_what_the_processes_send_adds_up_to_what_one_has(scene: TrainScene, bare: float) -> None:
    config = replace(CONFIG, bare=bare)
    alone, first, second = (sent(config, scene, *part) for part in ((0, 1), (0, 2), (1, 2)))
    assert len(alone) == len(first) == len(second) > 10
    assert any(not torch.allclose(a, b) for a, b in zip(first, second, strict=True))
    for whole, a, b in zip(alone, first, second, strict=True):
        torch.testing.assert_close(a + b, whole, rtol=1e-4, atol=1e-5)


def test_a_larger_batch_has_the_draws_of_a_smaller_one(scene: TrainScene) -> None:
    """Its first draw is that of a batch of one, whose loss is a third of the mean."""
    whole, one = (sent(replace(CONFIG, batch=b), scene, 0, b)[-1] for b in (3, 1))
    torch.testing.assert_close(3 * whole, one, rtol=1e-5, atol=1e-6)


def test_draws_are_dealt_in_turn() -> None:
    assert [list(Part(r, 3).draws(7)) for r in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert list(Share().draws(2)) == [0, 1]


def test_more_processes_than_draws_are_refused(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="4 processes, batch 3"):
        finish(train([tmp_path], tmp_path, CONFIG, CPU, share=Part(0, 4)))


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert accelerator("auto", 2) == "cuda"
    assert accelerator("cpu", 8) == "cpu"
    with pytest.raises(ResourceError, match="give --devices 2"):
        accelerator("cuda", 3)
    with pytest.raises(ResourceError, match="auto, cpu or cuda"):
        accelerator("tpu", 1)


def test_without_fabric_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ResourceError, match=r"condense-studio\[distributed\]"):
        join("cpu", 2, 1)


def test_machines_that_are_not_named_are_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = Train(scenes=(tmp_path,), out=tmp_path, nodes=2)
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(QueryError, match="no MASTER_ADDR"):
        run(command)
    for name, value in (("MASTER_ADDR", "localhost"), ("MASTER_PORT", "29500"), ("NODE_RANK", "2")):
        monkeypatch.setenv(name, value)
    with pytest.raises(QueryError, match="NODE_RANK from 0 to 1"):
        run(command)
    with pytest.raises(QueryError, match="no such number"):
        run(replace(command, devices=0))


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "6")
    command = Train(scenes=(tmp_path,), out=tmp_path)
    found = other_devices(command)
    assert (found.devices, found.nodes) == (2, 3)
    with pytest.raises(QueryError, match="--devices 2 --nodes 3"):
        other_devices(replace(command, devices=4))
