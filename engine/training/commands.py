"""``condense train``, alone or as one process among several."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import Any

import torch

from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.cli import Train
from engine.driving import run_job
from engine.encoders.volume import load_volume_encoder
from engine.runtime import resolve_device, seed_all, set_threads
from engine.training.config import TrainConfig, read_config
from engine.training.run import train
from engine.training.share import ALONE, Share


def run(command: Train) -> dict[str, Any]:
    """Train here, or start the processes that do.

    Raises:
        CondenseError: as ``engine.training.run.train``, and when a process is gone.
    """
    if not command.scenes:
        raise QueryError("nothing to train on", expected="captures with depth, or folders of room shards")
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun started this process
        from engine.training.launch import other_devices

        answer = work(other_devices(command))
        if os.environ["RANK"] != "0":
            raise SystemExit(0)  # the first process says it
        return answer
    if command.devices == command.nodes == 1:
        return _train(command, ALONE, resolve_device(command.device))
    from engine.training.launch import launch

    return launch(command, work)


def work(command: Train) -> dict[str, Any]:
    """What each of several processes does."""
    from engine.training.fabric import join

    share = join(command.device, command.devices, command.nodes)
    return _train(command, share, share.device)


def _train(command: Train, share: Share, device: torch.device) -> dict[str, Any]:
    torch.set_float32_matmul_precision("medium")
    set_threads(command.threads)
    seed_all(command.seed)
    config = replace(TrainConfig() if command.config is None else read_config(command.config), seed=command.seed)
    if command.steps is not None:
        config = TrainConfig.of({**config.to_json(), "steps": command.steps})
    if config.batch < share.size and not command.resume:
        config = replace(config, batch=share.size)
        if share.rank == 0:
            print(f"warning: the batch is raised to {share.size}, one draw for each process", file=sys.stderr)
    start = None if command.start is None else load_volume_encoder(command.start)
    job = train(
        command.scenes,
        command.out,
        config,
        device,
        held_out=command.held_out,
        voxels=command.voxels,
        resume=command.resume,
        start=start,
        share=share,
    )
    return run_job("Training", job) if share.rank == 0 else finish(job)
