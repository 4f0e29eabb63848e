"""The paper's claim, shown: agreement of 2D and 3D alone collapses, with the anchor it does not. One figure::

    python -m tests.bench.bench_collapse SHARDS HELD_OUT_SHARDS --rooms 4 --steps 120 --out collapse.png

Three trainings from the same start, both branches free to move: agreement alone; agreement and the anchor; all losses.
Measured on pairs of views of rooms that were not trained on.
"""

from __future__ import annotations

import argparse
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from engine.api.jobs import finish
from engine.encoders.mobile import embedded_head, embedded_trunk
from engine.runtime import resolve_device, seed_all, set_threads
from engine.training.config import LossWeights, TrainConfig
from engine.training.head import progress_printer
from engine.training.run import captures_of
from engine.training.scenes import TrainScene, prepare
from engine.training.trainer import Trainer

ALONE = LossWeights(rendered=0, crossed=0, photo=0, agree=1, anchor=0, distil=0, lifted=0, score=0)
VARIANTS = {
    "agreement alone": ALONE,
    "agreement + anchor": replace(ALONE, anchor=1.0, distil=0.5),
    "all losses": LossWeights(),
}
SHOWN = {"variance_2d": "variance of 2D features", "agreement": "centred cosine 2D-3D", "recall_2d": "recall of 2D"}


def curves(
    scenes: list[TrainScene],
    held_out: list[TrainScene],
    device: torch.device,
    weights: LossWeights,
    steps: int,
    every: int,
    seed: int,
) -> list[dict[str, Any]]:
    """What is measured every so many steps of a training."""
    free = TrainConfig(steps=steps, head_rate=1.0, frozen=0.0, bare=0.0, withheld=0.0, average=0.9, seed=seed)
    config = replace(free, weights=weights)
    trainer = Trainer(config, scenes, embedded_head(device), None, device)
    finish(trainer.start())
    out: list[dict[str, Any]] = [{"step": 0, **finish(trainer.measure(held_out))}]
    show = progress_printer()
    while trainer.step < steps:
        finish(trainer.run_step(), show)
        if trainer.step % every == 0 or trainer.step == steps:
            out.append({"step": trainer.step, **finish(trainer.measure(held_out))})
    return out


def rooms_of(path: Path, count: int, device: torch.device, seed: int) -> list[TrainScene]:
    """The first captures that can be trained on."""
    trunk = embedded_trunk(device)
    made = (finish(prepare(c, trunk, TrainConfig(seed=seed), device, None)) for c in captures_of(path))
    return list(itertools.islice((scene for scene in made if scene is not None), count))


def draw(found: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """One panel a measure."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(SHOWN), figsize=(12, 3.4), layout="constrained")
    for panel, (key, title) in zip(panels, SHOWN.items(), strict=True):
        for name, rows in found.items():
            panel.plot([r["step"] for r in rows], [r[key] for r in rows], label=name, linewidth=2)
        panel.set(title=title, xlabel="step", ylim=(min(-0.05, panel.get_ylim()[0]), 1.02))
        panel.grid(alpha=0.25)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path, help="a capture with depth, or a folder of room shards")
    parser.add_argument("held_out", type=Path, help="the same, to measure on")
    parser.add_argument("--rooms", type=int, default=4, help="so many of each")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("collapse.png"))
    options = parser.parse_args()
    set_threads()
    torch.set_float32_matmul_precision("medium")
    seed_all(options.seed)
    device = resolve_device("auto")
    ready, unseen = (rooms_of(path, options.rooms, device, options.seed) for path in (options.scenes, options.held_out))
    found = {
        n: curves(ready, unseen, device, w, options.steps, options.every, options.seed) for n, w in VARIANTS.items()
    }
    options.out.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, options.out)
    print()
    for name, rows in found.items():
        print(f"{name:20}", {k: rows[-1][k] for k in SHOWN})
    print(json.dumps({name: rows[-1:] for name, rows in found.items()}))
