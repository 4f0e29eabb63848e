"""``condense train``: captures and room shards in, checkpoints, weights and logs out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from engine.api.errors import QueryError
from engine.api.jobs import Job, Progress
from engine.captures import Capture, open_capture
from engine.encoders.hypercolumn import HypercolumnTrunk
from engine.encoders.mobile import embedded_head, embedded_trunk, load_default
from engine.encoders.volume import VolumeEncoder
from engine.storage import write_json
from engine.training.checkpoint import STATE_FILE, export, load_state, save_state
from engine.training.config import TrainConfig
from engine.training.logs import TrainLog
from engine.training.rooms.shards import is_shards, open_shards
from engine.training.scenes import TrainScene, prepare
from engine.training.share import ALONE, Share
from engine.training.trainer import Trainer
from engine.training.voxels import read_voxels

SAVE_SECONDS = 60.0
"""Between states written during a training."""


def train(
    paths: Sequence[Path],
    out: Path,
    config: TrainConfig,
    device: torch.device,
    *,
    held_out: Sequence[Path] = (),
    voxels: Sequence[Path] = (),
    resume: bool = False,
    start: VolumeEncoder | None = None,
    share: Share = ALONE,
) -> Job[dict[str, Any]]:
    """Prepare the scenes, train, write checkpoints, weights and logs into ``out``.

    Of several processes each prepares all scenes, takes its share of every step, and has the same numbers after it; the
    first one measures and writes, and its answer counts. A checkpoint does not say how many processes there were, and
    any number of them goes on from it.

    Args:
        paths: captures with depth, and folders of room shards.
        out: folder; ``state.safetensors`` (to resume), ``condense2d.safetensors``, ``condense3d.safetensors``,
            ``metrics.json`` and TensorBoard's event file.
        config: the settings; those of the checkpoint after a resume.
        device: where to train.
        held_out: captures on which consistency is measured; without any it is measured on the training scenes, and
            said so.
        voxels: folders of packed scenes, see ``engine.training.voxels``.
        resume: go on from the state in ``out``.
        start: the 3D encoder to start from.
        share: this process's part.

    Raises:
        CaptureError: a path is no capture.
        QueryError: nothing to train on, the scenes are not those of the checkpoint, or there are more processes than
            draws in a step.
        WeightsError: no checkpoint to resume from, or another network's.
        ResourceError: another process is gone.
        CacheError: ``out`` cannot be written.
    """
    state = load_state(out / STATE_FILE) if resume else None
    if state is not None:
        config = state.config
    if config.batch < share.size:
        raise QueryError(
            "there are more processes than draws in a step",
            found=f"{share.size} processes, batch {config.batch}" + (" in the checkpoint" if resume else ""),
            mend=f"give {config.batch} devices" if resume else 'set a larger "batch" in --config',
        )
    first = share.rank == 0
    trunk, head = embedded_trunk(device), embedded_head(device)
    packed = [scene for folder in voxels for scene in read_voxels(folder, load_default(device).id)]
    scenes = yield from _scenes(paths, trunk, config, device)
    watched = (yield from _scenes(held_out, trunk, config, device)) if held_out else scenes
    if not scenes or not watched:
        raise QueryError("none of the captures has views that share enough to be compared")
    trainer = Trainer(config, scenes, head, start, device, packed, share)
    data = [s.name for s in [*scenes, *packed]]
    about = {"data": data, "watched": [s.name for s in watched], "seed": config.seed}
    if state is not None:
        if state.meta.get("data") != about["data"]:
            raise QueryError(
                "the checkpoint was trained on other scenes",
                path=out / STATE_FILE,
                found=", ".join(about["data"])[:200],
                expected=", ".join(map(str, state.meta.get("data", [])))[:200],
                mend="give the same SCENES in the same order, or train anew in another folder",
            )
        trainer.restore(state.tensors, state.step)
        _same_step(share, state.step, device)
    else:
        yield from trainer.start()
    history: list[dict[str, Any]] = list(state.meta.get("history", [])) if state is not None else []
    begin, before, saved = time.perf_counter(), trainer.step, time.perf_counter()
    if not first:
        while trainer.step < config.steps:
            yield from trainer.run_step()
        return {"steps": trainer.step}
    try:
        with TrainLog(out) as log:
            while trainer.step < config.steps:
                report = yield from trainer.run_step()
                log.step(report)
                yield Progress(report.step, config.steps, "steps", f"loss {report.total:.3f}" + _shown(history))
                validated = report.step % max(1, config.validate_every) == 0 or report.step == config.steps
                if validated:
                    measures = yield from trainer.measure(watched)
                    history.append({"step": report.step, "loss": round(report.total, 5), **measures})
                    log.measures(report.step, measures)
                due = validated or time.perf_counter() - saved > SAVE_SECONDS
                if due and report.step < config.steps:  # the last one is saved below
                    save_state(out, trainer, {**about, "history": history})
                    saved = time.perf_counter()
    finally:  # stopped or done: nothing is lost, and there are weights; after a power cut the last minute is lost
        seconds = time.perf_counter() - begin
        if trainer.whole:  # a signal may have come amid an update; then the last state stays
            save_state(out, trainer, {**about, "history": history})
            figures = {**about, "seconds": round(seconds, 1), "measures": history[-1] if history else {}}
            files = export(out, trainer, trunk, figures)
    answer = {
        "steps": trainer.step,
        "seconds": round(seconds, 1),
        "steps_per_second": round((trainer.step - before) / max(seconds, 1e-9), 3),
        "scenes": len(scenes),
        "packed": len(packed),
        "devices": share.size,
        "watched": "held out" if held_out else "the training scenes",
        "history": history,
        "weights": [str(f) for f in files],
    }
    write_json(out / "metrics.json", answer)
    return answer


def _same_step(share: Share, step: int, device: torch.device) -> None:
    """All processes must have read one checkpoint; on several machines ``out`` lies where all of them see it."""
    total = torch.tensor(float(step), device=device)
    share.add([total])
    if int(total) != step * share.size:
        raise QueryError(
            "the processes found different checkpoints",
            found=f"step {step} here, {int(total) / share.size:.1f} on average",
            mend="let --out be one folder that all machines see",
        )


def _shown(history: Sequence[dict[str, Any]]) -> str:
    if not history:
        return ""
    last = history[-1]
    return f", recall 2D {last['recall_2d']:.2f} 3D {last['recall_3d']:.2f}"


def _scenes(
    paths: Sequence[Path], trunk: HypercolumnTrunk, config: TrainConfig, device: torch.device
) -> Job[list[TrainScene]]:
    out: list[TrainScene] = []
    for path in paths:
        for capture in captures_of(path):
            scene = yield from prepare(capture, trunk, config, device, None)
            if scene is not None:
                out.append(scene)
    return out


def captures_of(path: Path) -> Iterator[Capture]:
    """The capture at a path, or all rooms of a folder of shards, one at a time.

    Raises:
        CaptureError: neither.
    """
    if is_shards(path):
        for room in open_shards(path):
            yield room.load()
    else:
        yield open_capture(path)
