"""Does the pre-trained 3D encoder start ahead? Object names per voxel in rooms of held-out models::

    python -m tests.bench.bench_probe HELD_OUT_SHARDS --volume condense3d.safetensors --steps 80

Half of the rooms to learn from, half to be asked. From bare geometry and colour. The encoder and a linear layer on top
are fine-tuned with 1, 10 and 100 % of the labelled voxels of the learning rooms, from the pre-trained weights and from
random ones, the same steps, rates and seed. Mean IoU over the classes that occur in both halves; prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.jobs import finish
from engine.encoders.volume import VolumeEncoder, load_volume_encoder
from engine.encoders.volume.working import surface_of
from engine.runtime import seed_all
from engine.sparse import Pyramid, Voxels
from engine.training.rooms.grid import fused_grid
from engine.training.rooms.labels import voxel_objects
from engine.training.rooms.shards import open_shards

SHARES = (0.01, 0.1, 1.0)
NONE = -1


@dataclass(frozen=True, eq=False)
class Labelled:
    """A room's voxels: ``surface`` (V, 4), their pyramid, and the names (V,) of what they belong to."""

    surface: Tensor
    pyramid: Pyramid
    names: list[str]


def labelled(folder: Path, levels: int, cells: int) -> list[Labelled]:
    """All rooms of a folder."""
    out = []
    for ref in open_shards(folder):
        room = ref.load()
        grid = finish(fused_grid(room, cells, views=[v.index for v in room.views]))
        names = {0: "", **room.labels()}
        ids = voxel_objects(room, grid)
        pyramid = Pyramid(Voxels.of([torch.tensor(grid.index)]), levels)
        out.append(Labelled(surface_of(grid, torch.device("cpu")), pyramid, [names[i] for i in ids]))
    return out


def mean_iou(network: VolumeEncoder, head: nn.Linear, rooms: list[Labelled], truth: list[Tensor]) -> float:
    """Over the classes that occur in the truth."""
    classes = head.out_features
    confusion = torch.zeros(classes, classes)
    for room, names in zip(rooms, truth, strict=True):
        with torch.no_grad():
            said = head(features(network, room)).argmax(dim=1)
        known = names != NONE
        confusion += torch.bincount(names[known] * classes + said[known], minlength=classes**2).view(classes, classes)
    hit, there = confusion.diagonal(), confusion.sum(dim=1)
    iou = hit / (there + confusion.sum(dim=0) - hit).clamp(min=1)
    return float(iou[there > 0].mean())


def features(network: VolumeEncoder, room: Labelled) -> Tensor:
    """(V, D), without photos."""
    return network(room.surface, room.surface.new_zeros(len(room.surface), network.config.dim), room.pyramid).features


def tuned(
    start: VolumeEncoder, rooms: list[Labelled], names: list[Tensor], classes: int, share: float, steps: int, seed: int
) -> tuple[VolumeEncoder, nn.Linear]:
    """Fine-tune on a share of the labelled voxels."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = VolumeEncoder(start.config)
    network.load_state_dict(start.state_dict())
    head = nn.Linear(start.config.dim, classes)
    given = [torch.where(torch.from_numpy(rng.random(len(n)) < share), n, NONE) for n in names]
    groups = [{"params": network.parameters(), "lr": 5e-4}, {"params": head.parameters(), "lr": 1e-2}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, [5e-4, 1e-2], total_steps=steps)
    for _ in range(steps):
        i = int(rng.integers(len(rooms)))
        logits = 5 * head(features(network, rooms[i]))
        loss = F.cross_entropy(logits, given[i], ignore_index=NONE)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.eval(), head


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--volume", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--cells", type=int, default=150_000)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    torch.set_float32_matmul_precision("medium")
    seed_all(0)
    trained = load_volume_encoder(options.volume)
    rooms = labelled(options.shards, trained.levels, options.cells)
    half = len(rooms) // 2
    counts = [Counter(n for r in part for n in set(r.names)) for part in (rooms[:half], rooms[half:])]
    common = sorted(n for n in counts[0] if n and n in counts[1])
    number = {n: i for i, n in enumerate(common)}
    names = [torch.tensor([number.get(n, NONE) for n in r.names]) for r in rooms]
    rows = []
    for share in SHARES:
        for seed in range(options.seeds):
            torch.manual_seed(seed)
            for label, start in (("pre-trained", trained), ("from scratch", VolumeEncoder(trained.config))):
                begin = time.perf_counter()
                network, head = tuned(start, rooms[:half], names[:half], len(common), share, options.steps, seed)
                score = mean_iou(network, head, rooms[half:], names[half:])
                rows.append({"labels": share, "start": label, "seed": seed, "miou": round(score, 4),
                             "seconds": round(time.perf_counter() - begin, 1)})  # fmt: skip
                print(rows[-1], flush=True)
    print(json.dumps({"classes": common, "rooms": len(rooms), "rows": rows}))
