"""Training states and the weights that come of them, all safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.api.errors import WeightsError
from engine.encoders.hypercolumn import HypercolumnTrunk
from engine.encoders.mobile import TRAINED_HEAD, TRAINED_VOLUME
from engine.encoders.weights import read_weights
from engine.storage import write_tensors
from engine.training.config import TrainConfig
from engine.training.trainer import Trainer

STATE_FILE = "state.safetensors"
FORMAT = 1


class State(NamedTuple):
    """An interrupted training: the settings, how many steps are done, every number, and what was said about it."""

    config: TrainConfig
    step: int
    tensors: dict[str, Tensor]
    meta: dict[str, Any]


def save_state(folder: Path, trainer: Trainer, meta: Mapping[str, Any]) -> Path:
    """Write everything that a resume needs, atomically.

    Raises:
        CacheError: the folder cannot be written.
    """
    path = folder / STATE_FILE
    tensors = {name: t.cpu().numpy() for name, t in trainer.tensors().items()}
    about = {**meta, "format": FORMAT, "step": trainer.step, "config": trainer.config.to_json()}
    write_tensors(path, tensors, about)
    return path


def load_state(path: Path) -> State:
    """Read what ``save_state`` wrote.

    Raises:
        WeightsError: no such file, damaged, or none of these.
    """
    tensors, meta = read_weights(path)
    try:
        if meta["format"] != FORMAT:
            raise ValueError(f"format {meta['format']}, this program reads {FORMAT}")
        config, step = TrainConfig.of(meta["config"]), int(meta["step"])
        if not 0 <= step <= config.steps or not all(torch.isfinite(t).all() for t in tensors.values()):
            raise ValueError("a number out of range")
    except (KeyError, TypeError, ValueError) as e:
        raise WeightsError(
            "is no state of a training", path=path, found=str(e)[:200], mend="train anew, without --resume"
        ) from e
    return State(config, step, tensors, meta)


def export(folder: Path, trainer: Trainer, trunk: HypercolumnTrunk, meta: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write the averaged 2D head and 3D encoder as fp16 weights, each with ``meta`` as its provenance.

    Raises:
        CacheError: the folder cannot be written.
    """
    about = {
        **meta,
        "trunk": trunk.id,
        "config": trainer.config.to_json(),
        "steps": trainer.step,
        "licence": "Apache-2.0",
        "made_by": "condense train",
    }
    head, volume = folder / TRAINED_HEAD, folder / TRAINED_VOLUME
    tensors = {name: t.detach().half().cpu().numpy() for name, t in trainer.mean_head.state_dict().items()}
    write_tensors(head, tensors, about)
    trainer.mean_network.save(volume, about)
    return head, volume
