"""Fine-tuning: a network and its head learn together, from the probe's head on.

A head that already fits keeps the first steps from undoing what the encoder knows (Kumar et al., 2022, arXiv
2202.10054); an encoder from scratch starts from the probe of its random features in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engine.api.errors import CacheError, WeightsError
from engine.api.jobs import Job, Progress, aside, told_as
from engine.encoders.weights import read_weights
from engine.storage import write_tensors
from engine.training.muon import Muon

DECAY, CLIP, WARM_UP = 0.05, 1.0, 10
EVERY = 20
"""Steps between two states on disk."""


@dataclass(frozen=True)
class Step(Progress):
    """Progress of fine-tuning; ``loss``: of the step before, None before the second."""

    loss: float | None = None


@dataclass(frozen=True)
class Rates:
    """Learning rates, which fall to zero along a cosine: of the encoder's kernels (by Muon), of what else is in the
    encoder, and of the head (by AdamW)."""

    kernels: float
    encoder: float
    head: float


class Learner(nn.Module):
    """A network that is fine-tuned; its encoder, if it has one, is called ``encoder``."""

    def hidden(self) -> list[nn.Parameter]:
        """What learns by Muon."""
        return []


def finetune(
    network: Learner,
    loss_of: Callable[[np.random.Generator], Job[Tensor]],
    rates: Rates,
    steps: int,
    seed: int,
    state: Path,
) -> Job[list[float]]:
    """Train in place; the loss of every step is returned.

    A run that was stopped goes on from ``state``, exactly as if it had not: what a step draws depends on the seed and
    its number alone.

    Args:
        network: with its head.
        loss_of: draws a batch and gives its loss.
        rates: of learning.
        steps: of gradient descent.
        seed: of everything random.
        state: file for the state.

    Raises:
        CacheError: the state cannot be written.
    """
    network.requires_grad_(True).train()
    optimisers = _optimisers(network, rates)
    losses = _resume(state, network, optimisers, steps)
    with torch.random.fork_rng():
        for step in range(len(losses), steps):
            torch.manual_seed(seed * 1_000_003 + step)  # of dropout
            fall = 0.5 * (1 + math.cos(math.pi * step / steps)) * min(1.0, (step + 1) / WARM_UP)
            for optimiser in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = group["share"] * fall
            note = f"loss {losses[-1]:.2f}" if losses else ""
            told = Step(step, steps, "steps", note, losses[-1] if losses else None)
            loss = yield from told_as(loss_of(np.random.default_rng([seed, step])), told)
            losses.append((yield from aside(partial(_descend, network, optimisers, loss), told)))
            if len(losses) % EVERY == 0 and len(losses) < steps:
                _save(state, network, optimisers, losses, steps)
    network.requires_grad_(False).eval()
    state.unlink(missing_ok=True)
    return losses


def _descend(network: Learner, optimisers: Sequence[torch.optim.Optimizer], loss: Tensor) -> float:
    for optimiser in optimisers:
        optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    for optimiser in optimisers:
        optimiser.step()
    return loss.item()


def _optimisers(network: Learner, rates: Rates) -> list[torch.optim.Optimizer]:
    hidden = network.hidden()
    among = {id(p) for p in hidden}
    groups: list[list[nn.Parameter]] = [[], []]
    for name, p in network.named_parameters():
        if id(p) not in among:
            groups[not name.startswith("encoder.")].append(p)
    shares = ((groups[0], rates.encoder), (groups[1], rates.head))
    out: list[torch.optim.Optimizer] = []
    if hidden:
        out.append(Muon([{"params": hidden, "share": rates.kernels}], weight_decay=DECAY))
    some = [{"params": of, "share": share} for of, share in shares if of]
    return [*out, torch.optim.AdamW(some, weight_decay=DECAY)]


def _moments(network: nn.Module, optimisers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimisers remember of each parameter, by names."""
    names = {id(p): name for name, p in network.named_parameters()}
    out: dict[str, Tensor] = {}
    for optimiser in optimisers:
        for p, kept in optimiser.state.items():
            out |= {f"moment/{names[id(p)]}/{key}": value for key, value in kept.items()}
    return out


def _save(
    path: Path,
    network: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    losses: list[float],
    steps: int,
) -> None:
    tensors = {f"net/{k}": v for k, v in network.state_dict().items()} | _moments(network, optimisers)
    write_tensors(path, {k: v.detach().cpu().numpy() for k, v in tensors.items()}, {"losses": losses, "steps": steps})


def _resume(path: Path, network: nn.Module, optimisers: Sequence[torch.optim.Optimizer], steps: int) -> list[float]:
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
