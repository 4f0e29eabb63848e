"""What a training step and a pass of the 3D encoder cost, beside the sum of their parts::

    python -m tests.bench.bench_training SHARDS --rooms 4 --steps 20

A step is timed as it runs (in slices); its parts are timed each on its own: drawing a pair (rays, lifting), a plain
forward and backward pass of the 3D encoder for each of the two views, and the optimiser. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.api.jobs import finish
from engine.encoders.mobile import embedded_head, embedded_trunk
from engine.encoders.volume import VolumeEncoder
from engine.encoders.volume.working import MOST, WorkingVoxels
from engine.grid.coarse import coarsened
from engine.runtime import resolve_device, seed_all, set_threads
from engine.sparse import Pyramid, Voxels
from engine.training.config import TrainConfig
from engine.training.rooms.grid import fused_grid
from engine.training.run import captures_of
from engine.training.scenes import TrainScene, prepare
from engine.training.trainer import Trainer


def seconds(call: Callable[[], object], times: int) -> float:
    """Median of some calls, after one to warm up."""
    call()
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begin)
    return float(np.median(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="a capture with depth, or a folder of room shards")
    parser.add_argument("--rooms", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    threads, device = set_threads(options.threads), resolve_device(options.device)
    seed_all(0)
    config = TrainConfig(steps=1000, bare=0.0, withheld=0.0, frozen=1.0)
    trunk, ready, fine = embedded_trunk(device), [], None
    for capture in captures_of(options.scenes):
        if fine is None:
            fine = finish(fused_grid(capture, 2_000_000))
        scene = finish(prepare(capture, trunk, config, device, None))
        if scene is not None:
            ready.append(scene)
        if len(ready) == options.rooms:
            break
    trainer = Trainer(config, ready, embedded_head(device), None, device)
    finish(trainer.start())
    for scene in ready:  # features of the photos are computed once
        for view in range(len(scene.views)):
            scene.map(view, trainer.head, keep=True)
    for _ in range(3):
        finish(trainer.run_step())
    begin = time.perf_counter()
    for _ in range(options.steps):
        finish(trainer.run_step())
    step = (time.perf_counter() - begin) / options.steps

    rng = np.random.default_rng(0)
    passes, draws = [], []
    for scene in ready:
        draws.append(seconds(lambda s=scene: finish(trainer._sides_of(s, trainer.head, rng)), options.steps))
        image = scene.surface.new_zeros(len(scene.surface), config.volume.dim)

        def both_ways(s: TrainScene = scene, x: Tensor = image) -> None:
            trainer.network(s.surface, x, s.pyramid).features.square().mean().backward()

        passes.append(seconds(both_ways, 5))
    updates = sum(seconds(optimiser.step, 5) for optimiser in trainer.optimisers)
    parts = {
        "pair": float(np.mean(draws)),
        "both views, there and back": 2 * float(np.mean(passes)),
        "updates": updates,
    }

    assert fine is not None
    network = VolumeEncoder(config.volume).to(device).eval()
    coarse = coarsened(fine, MOST)
    blocks = WorkingVoxels(coarse, network.levels, device)
    unseen = torch.zeros(len(fine.index), config.volume.dim, device=device)
    middle = np.sort(np.argsort(np.linalg.norm(fine.index - fine.index.mean(axis=0), axis=1))[:50_000])
    pyramid = Pyramid(Voxels.of([torch.tensor(fine.index[middle], device=device)]), network.levels)
    surface = torch.rand(len(middle), 4, device=device)

    def whole() -> None:
        with torch.no_grad():
            network(surface, unseen[: len(middle)], pyramid)

    rows = {
        f"{len(fine.index)} voxels in {len(coarse.grid.index)} blocks": seconds(
            lambda: finish(blocks.encode(network, unseen)), 5
        ),
        f"{len(middle)} voxels one by one": seconds(whole, 5),
    }
    answer = {
        "device": str(device),
        "threads": threads,
        "voxels": [len(s.grid.index) for s in ready],
        "step_s": round(step, 3),
        "parts_s": {k: round(v, 3) for k, v in parts.items()},
        "step_over_parts": round(step / sum(parts.values()), 2),
        "encoder_s": {k: round(v, 3) for k, v in rows.items()},
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    print(json.dumps(answer, indent=1))
