"""Fine-tuning: the encoder and its head learn together, from the probe's head on.

A head that already fits keeps the first steps from undoing what the encoder knows (Kumar et al., 2022, arXiv
2202.10054); an encoder from scratch starts from the probe of its random features in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.errors import CacheError, WeightsError
from engine.api.jobs import Job, Progress, told_as
from engine.encoders.weights import read_weights
from engine.storage import write_tensors
from engine.tasks.classifier import ShapeClassifier
from engine.tasks.shapes import Shape, voxels_of
from engine.training.muon import Muon

BATCH = 24
RATE = 1e-3
"""Of all but the kernels, which learn at 2.5 times it; falls to zero along a cosine."""
KERNELS = 2.5
DECAY, CLIP, SMOOTHING, WARM_UP = 0.05, 1.0, 0.1, 10
EPOCHS, LEAST_STEPS, MOST_STEPS = 12, 100, 2000
EVERY = 20
"""Steps between two states on disk."""


def steps_for(objects: int) -> int:
    """Twelve epochs, but no fewer than 100 steps and no more than 2,000."""
    return min(max(LEAST_STEPS, math.ceil(EPOCHS * objects / BATCH)), MOST_STEPS)


def finetune(
    network: ShapeClassifier, shapes: Sequence[Shape], label: np.ndarray, steps: int, seed: int, state: Path
) -> Job[list[float]]:
    """Train in place; the loss of every step is returned.

    A run that was stopped goes on from ``state``, exactly as if it had not: what a step draws depends on the seed and
    its number alone.

    Args:
        network: with its head and standardisation.
        shapes: the training objects.
        label: (N,) of each.
        steps: of gradient descent.
        seed: of everything random.
        state: file for the state.

    Raises:
        CacheError: the state cannot be written.
    """
    hidden = network.encoder.hidden()
    among = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if id(p) not in among and p.requires_grad]
    optimisers = (
        Muon([{"params": hidden, "share": KERNELS}], weight_decay=DECAY),
        torch.optim.AdamW([{"params": rest, "share": 1.0}], weight_decay=DECAY),
    )
    device = network.mean.device
    losses = _resume(state, network, optimisers, steps)
    network.train()
    for step in range(len(losses), steps):
        rng = np.random.default_rng([seed, step])
        fall = 0.5 * (1 + math.cos(math.pi * step / steps)) * min(1.0, (step + 1) / WARM_UP)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = RATE * group["share"] * fall
        chosen = _balanced(label, rng)
        said = torch.from_numpy(label[chosen]).to(device)
        note = f"loss {losses[-1]:.2f}" if losses else ""
        batch = [voxels_of(shapes[n], rng) for n in chosen]
        logits = yield from told_as(network.logits(batch), Progress(step, steps, "steps", note))
        loss = F.cross_entropy(logits, said, label_smoothing=SMOOTHING)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        for optimiser in optimisers:
            optimiser.step()
        losses.append(loss.item())
        if len(losses) % EVERY == 0 and len(losses) < steps:
            _save(state, network, optimisers, losses, steps)
    network.eval()
    return losses


def _balanced(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places of a batch's objects: classes first, so that rare ones are seen as often, then one of each."""
    classes = rng.permutation(np.unique(label))
    classes = np.resize(classes, BATCH) if len(classes) < BATCH else classes[:BATCH]
    return np.array([rng.choice(np.flatnonzero(label == c)) for c in classes])


def _moments(network: ShapeClassifier, optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimisers remember of each parameter, by names."""
    names = {id(p): name for name, p in network.named_parameters()}
    out: dict[str, Tensor] = {}
    for optimiser in optimisers:
        for p, kept in optimiser.state.items():
            out |= {f"moment/{names[id(p)]}/{key}": value for key, value in kept.items()}
    return out


def _save(
    path: Path,
    network: ShapeClassifier,
    optimisers: Sequence[torch.optim.Optimizer],
    losses: list[float],
    steps: int,
) -> None:
    tensors = {f"net/{k}": v for k, v in network.state_dict().items()} | _moments(network, optimisers)
    write_tensors(path, {k: v.detach().cpu().numpy() for k, v in tensors.items()}, {"losses": losses, "steps": steps})


def _resume(
    path: Path, network: ShapeClassifier, optimisers: Sequence[torch.optim.Optimizer], steps: int
) -> list[float]:
    """Losses so far; [] when there is no state of this run, and it starts at its beginning."""
    if not path.is_file():
        return []
    parameters = dict(network.named_parameters())
    try:
        tensors, meta = read_weights(path)
        losses = [float(x) for x in meta["losses"]]
        if meta["steps"] != steps or not 0 < len(losses) < steps:
            return []
        found = {k.removeprefix("net/"): v for k, v in tensors.items() if k.startswith("net/")}
        own = network.state_dict()
        if {k: v.shape for k, v in found.items()} != {k: v.shape for k, v in own.items()}:
            return []
        if not all(bool(torch.isfinite(v).all()) for v in tensors.values()):
            return []
        remembered: list[tuple[nn.Parameter, str, Tensor]] = []
        for key, value in tensors.items():
            if key.startswith("moment/"):
                _, name, what = key.split("/")
                remembered.append((parameters[name], what, value))
    except (WeightsError, CacheError, KeyError, TypeError, ValueError):
        return []
    network.load_state_dict(found)
    owner = {id(p): o for o in optimisers for group in o.param_groups for p in group["params"]}
    for p, what, value in remembered:
        owner[id(p)].state[p][what] = value.to(p.device if value.ndim else "cpu")
    return losses
