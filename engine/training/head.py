"""Train the embedded encoder's 64-d head so that true correspondences agree.

The trunk stays frozen and its hypercolumns are computed once, so a training takes minutes on a CPU::

    python -m engine.training.head --data CAPTURE_OR_PHOTOS … --out assets/weights/condense2d.safetensors

Start: a discriminant projection (``projection``). Then InfoNCE (van den Oord et al., 2018) at temperature 0.07 over the
points of a pair, both ways, at a low rate, with an anchor (our form of the paper's): a linear map from the 64 channels
must still be able to tell the frozen hypercolumn, so that nothing is forgotten that the training set does not need.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from engine.api.errors import QueryError, told_and_exited
from engine.api.jobs import Job, Progress, finish
from engine.encoders.hypercolumn import OURS, HypercolumnTrunk, channels
from engine.encoders.mobile import DIM, HEAD_FILE, TRUNK_FILE, HypercolumnHead
from engine.runtime import asset_path, resolve_device, seed_all
from engine.storage import write_tensors
from engine.training.pairs import PairSet, Source, capture_pairs, open_sources, warped_pairs
from engine.training.projection import discriminant_projection
from engine.training.rooms.shards import RoomCapture

TEMPERATURE = 0.07
SPREAD = 0.008
"""Of the image's diagonal: how far beside the true point still counts, see ``info_nce``."""
START_POINTS = 100_000
"""Points that the closed-form start is computed from: enough for 512 channels, in 3 GB of memory."""
BATCH = 4
VALIDATION = 0.1
"""Share of each set's pairs that is kept for the printed recall."""
FINE, COARSE = 1.15, 0.85
"""At the end the weights on blocks 3 and 6 are multiplied by the first, those on block 17 by the second: the contrast
leans on context more than the place needs. Measured like ``engine.encoders.mobile.SMOOTH``, from .552 to .558; 1.3 and
0.7 give .558 too, and features that differ more."""
DEPTH_SHARE = 0.6
"""Share of the batches that come from captures with depth, where there are any."""


@dataclass
class Arguments:
    """Train the head of the embedded encoder on captures with depth and on photos."""

    data: list[Path]
    """Captures, folders of photos, and folders of room shards."""
    out: Path = field(default_factory=lambda: asset_path(HEAD_FILE))
    """Where to write the weights."""
    steps: int = 700
    """Steps of gradient descent."""
    rate: float = 1e-3
    """Learning rate at the start; falls to zero along a cosine."""
    anchor: float = 0.5
    """Weight of the anchor to the frozen hypercolumn."""
    warps: int = 300
    """Pairs by homography, shared among all photos."""
    pairs: int = 300
    """Pairs of views of each capture with depth, at most."""
    room_pairs: int = 24
    """Pairs of views of each room in a shard, at most."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """Where to compute."""


class LinearHead(nn.Module):
    """The head on whole hypercolumns: (..., C) to (..., dim). At a point equal to ``HypercolumnHead``."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., dim) of unit length."""
        return nn.functional.normalize(x @ self.weight.T + self.bias, dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        """The weights under the names of ``HypercolumnHead``."""
        parts = self.weight.detach().split(list(channels(OURS)), dim=1)
        out = {f"levels.{n}.weight": part[:, :, None, None].contiguous() for n, part in enumerate(parts)}
        return out | {"bias": self.bias.detach()}


def info_nce(a: Tensor, b: Tensor, pos_a: Tensor, pos_b: Tensor) -> Tensor:
    """Cross-entropy of which point of the other view each point is, among those of its pair, both ways.

    The target is not the true point alone but a Gaussian of ``SPREAD`` around its place: a point beside the true one
    is nearly right, and pushing it away costs recall at the looser radii.

    Args:
        a: (P, N, dim) unit features in one view.
        b: the same points in the other, row by row.
        pos_a: (P, N, 2) where the points lie in the first view, in diagonals.
        pos_b: where they lie in the other.
    """
    logits = a @ b.transpose(1, 2) / TEMPERATURE
    there = nn.functional.cross_entropy(logits.flatten(0, 1), _nearness(pos_b).flatten(0, 1))
    back = nn.functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), _nearness(pos_a).flatten(0, 1))
    return (there + back) / 2


def _nearness(pos: Tensor) -> Tensor:
    """(P, N, 2) places to (P, N, N) weights that sum to one along the last axis."""
    return torch.softmax(-(torch.cdist(pos, pos) ** 2) / (2 * SPREAD**2), dim=-1)


def recall(head: LinearHead, pairs: PairSet) -> float:
    """Share of points whose most similar point of the other view, among the pair's, is the true one."""
    with torch.inference_mode():
        a, b = head(pairs.a.float()), head(pairs.b.float())
        best = (a @ b.transpose(1, 2)).argmax(dim=2)
        return float((best == torch.arange(best.shape[1])).float().mean())


def gather(sources: list[Source], trunk: HypercolumnTrunk, args: Arguments) -> Job[list[PairSet]]:
    """The training pairs of all sources."""
    rng = np.random.default_rng(args.seed)
    photos = sum(len(s.photos) for s in sources)
    sets: list[PairSet] = []
    for source in sources:
        if source.capture is not None:
            count = args.room_pairs if isinstance(source.capture, RoomCapture) else args.pairs
            try:
                sets.append((yield from capture_pairs(trunk, source.capture, count, rng)))
            except QueryError:
                if not isinstance(source.capture, RoomCapture):  # of many rooms a few show too little twice
                    raise
        else:
            count = max(1, round(args.warps * len(source.photos) / photos))
            sets.append((yield from warped_pairs(trunk, source.name, source.photos, count, rng)))
    return sets


def split(pairs: PairSet) -> tuple[PairSet, PairSet]:
    """Training and validation pairs; a single pair serves as both."""
    kept = max(1, round(VALIDATION * len(pairs)))
    first = max(1, len(pairs) - kept)
    return pairs.rows(slice(None, first)), pairs.rows(slice(-kept, None))


def batch_weights(sets: list[PairSet]) -> Tensor:
    """How often each set gives a batch: by its pairs, with ``DEPTH_SHARE`` for captures with depth altogether."""
    count = torch.tensor([float(len(s)) for s in sets])
    depth = torch.tensor([s.kind == "depth" for s in sets])
    if depth.all() or not depth.any():
        return count / count.sum()
    return torch.where(depth, count * DEPTH_SHARE / count[depth].sum(), count * (1 - DEPTH_SHARE) / count[~depth].sum())


def start_points(sets: list[PairSet], choice: torch.Generator) -> tuple[Tensor, Tensor]:
    """About ``START_POINTS`` random points in both views, (N, C) each, from every set in proportion to its pairs."""
    total = sum(len(s) for s in sets)
    parts: list[tuple[Tensor, Tensor]] = []
    for pairs in sets:
        a, b = pairs.a.flatten(0, 1), pairs.b.flatten(0, 1)
        rows = torch.randint(len(a), (math.ceil(START_POINTS * len(pairs) / total),), generator=choice)
        parts.append((a[rows].float(), b[rows].float()))
    return torch.cat([a for a, _ in parts]), torch.cat([b for _, b in parts])


def train(sets: list[PairSet], args: Arguments) -> Job[LinearHead]:
    """Fit the head to the training pairs."""
    choice = torch.Generator().manual_seed(args.seed)
    weights = batch_weights(sets)
    a, b = start_points(sets, choice)
    head = LinearHead(*discriminant_projection(a, b, DIM))
    teller = nn.Linear(DIM, a.shape[1])
    nn.init.zeros_(teller.bias)
    with torch.no_grad():
        teller.weight.copy_(torch.linalg.lstsq(head(a), a).solution.T)
    parameters = [*head.parameters(), *teller.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=args.rate, weight_decay=0)
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = args.rate * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        chosen = sets[int(torch.multinomial(weights, 1, generator=choice))]
        rows = torch.randint(len(chosen), (BATCH,), generator=choice)
        x, y = chosen.a[rows].float(), chosen.b[rows].float()
        f, g = head(x), head(y)
        told = nn.functional.cosine_similarity(teller(f), x, dim=-1).mean()
        loss = info_nce(f, g, chosen.pos_a[rows], chosen.pos_b[rows]) + args.anchor * (1 - told)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield Progress(step + 1, args.steps, "steps", f"loss {loss.item():.3f}")
    return head


def balanced(head: LinearHead) -> LinearHead:
    """The head with ``FINE`` and ``COARSE`` applied."""
    share = {3: FINE, 6: FINE, 17: COARSE}
    scale = [share.get(block, 1.0) for _, blocks in OURS for block in blocks]
    per_channel = torch.tensor(scale).repeat_interleave(torch.tensor(channels(OURS)))
    return LinearHead(head.weight.detach() * per_channel, head.bias.detach())


def main(args: Arguments) -> None:
    """Gather, train, write; prints progress and what the head recalls on pairs it did not see.

    Raises:
        CaptureError: a path of ``--data`` is neither a capture nor a folder of photos.
    """
    seed_all(args.seed)
    trunk = HypercolumnTrunk(asset_path(TRUNK_FILE), resolve_device(args.device), OURS)
    sources = [source for path in args.data for source in open_sources(path)]
    split_sets = [split(s) for s in finish(gather(sources, trunk, args), progress_printer())]
    training, validation = [s for s, _ in split_sets], [v for _, v in split_sets]
    head = balanced(finish(train(training, args), progress_printer()))
    stored = {name: t.half() for name, t in head.tensors().items()}
    HypercolumnHead().load_state_dict({name: t.float() for name, t in stored.items()})
    figures = {f"{v.name} ({v.kind})": round(recall(head, v), 3) for v in validation}
    meta = {
        "network": f"linear head, {head.weight.shape[1]} to {DIM} channels, on the hypercolumns of mobilenetv2",
        "trunk": trunk.id,
        "data": [f"{s.name} ({s.kind}): {len(s)} pairs" for s in training],
        "settings": {k: v for k, v in vars(args).items() if k not in ("data", "out")},
        "balance": [FINE, COARSE],
        "recall_among_256_unseen_pairs": figures,
        "licence": "Apache-2.0",
        "made_by": "python -m engine.training.head",
    }
    write_tensors(args.out, {name: t.numpy() for name, t in stored.items()}, meta)
    print(f"\n{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")
    for name, value in figures.items():
        print(f"  {name}: {value:.3f} of 256 points of unseen pairs found")


def progress_printer(every: float = 1.0) -> Callable[[Progress], None]:
    """Prints a line with rate and ETA, over itself, at most once in ``every`` seconds."""
    start = shown = time.perf_counter()
    note = ""

    def show(p: Progress) -> None:
        nonlocal start, shown, note
        if not p.total:  # a piece of something else's step
            return
        now = time.perf_counter()
        kind = p.note.partition(" ")[0]
        if kind != note:
            start, note = now, kind
        if now - shown >= every:
            shown = now
            rate = p.done / max(now - start, 1e-9)
            left = f"{(p.total - p.done) / rate:.0f} s left" if rate > 0 else ""
            print(
                f"\r{p.note}: {p.done:.0f} of {p.total:.0f} {p.unit}, {rate:.1f} a second, {left}\x1b[K",
                end="",
                flush=True,
            )

    return show


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
