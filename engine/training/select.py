"""Train the networks of smart select on rooms whose things are known::

    python -m engine.training.select --rooms FOLDER… --out select.safetensors

Every sixth room is kept for validation, by its number. Four small perceptrons, one after another, for each is given
what those before it make: do two voxels that touch belong to one thing; do two regions; how well does a region cover
the thing that was clicked; how well does a selection after a further click.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.annotations.nets import Net, SelectNets
from engine.annotations.regions import Merging, RegionTree, finished, pairs_seen, small_regions
from engine.annotations.select import (
    Click,
    block_scores,
    first_choice,
    further_choices,
    whole_features,
)
from engine.annotations.surface import touching
from engine.api.errors import CaptureError, told_and_exited
from engine.api.jobs import finish
from engine.api.scene import Float32
from engine.encoders.mobile import load_default
from engine.encoders.volume import load_volume_encoder
from engine.metrics.select import KnownRoom, clicked, first_click, iou, known_room, next_click
from engine.runtime import asset_path, seed_all
from engine.training.rooms.scene import NOTHING
from engine.training.rooms.shards import open_shards

KEPT_EVERY = 6
LEAST_VOXELS = 20
CLICKS = 4
OTHER_CLICKS = 6
"""Random voxels of a thing that are clicked first, besides its middle."""
DIFFERENT = 8.0
"""How much more voxels of two things count than those of one, of which there are so many more."""
PAIRS_SHARE = 0.3
NOISE = 0.15
MEAN_CHANCE = 5  # its column in merge_features

Samples = list[tuple[Float32, NDArray[np.float64], NDArray[np.float64]]]
"""Features (N, F), what is true of them (N,) in [0, 1], and how much they count (N,)."""


@dataclass(frozen=True)
class Options:
    """Train smart select.

    Attributes:
        rooms: folders of room shards, of models for training.
        out: the file to write.
        seed: of everything random.
        steps: of each network, times 1000.
    """

    rooms: tuple[Path, ...]
    out: Path
    seed: int = 0
    steps: float = 4.0


class Truth:
    """Which thing the blocks and regions of a room are of: ``blocks`` (W,) ids, and ``votes`` (R, things) voxels."""

    def __init__(self, room: KnownRoom, region: NDArray[np.int64]) -> None:
        self.votes = np.zeros((int(region.max()) + 1, int(room.ids.max()) + 1))
        np.add.at(self.votes, (region[room.block], room.ids), 1.0)
        self.votes[:, NOTHING] = 0


def train(rooms: Sequence[KnownRoom], seed: int, steps: int, tell: Callable[[str], None]) -> SelectNets:
    """Train the four networks, and tell how they do on every sixth room."""
    if len(rooms) < KEPT_EVERY:
        raise CaptureError("these are too few rooms to train on", found=str(len(rooms)), expected=f">= {KEPT_EVERY}")
    rng = np.random.default_rng(seed)
    kept = [r for n, r in enumerate(rooms) if n % KEPT_EVERY == KEPT_EVERY - 1]
    some = [r for n, r in enumerate(rooms) if n % KEPT_EVERY != KEPT_EVERY - 1]
    touch = fitted([s for r in some for s in _touch_samples(r, rng)], seed, steps // 2, hidden=32)
    tell("touch")
    trees: dict[str, RegionTree] = {}
    merge_samples: Samples = []
    for room in some:
        _tree(room, touch, lambda x: x[:, MEAN_CHANCE], merge_samples, rng)
    merge = fitted(merge_samples, seed, steps, hidden=48)
    tell("merge")
    for room in rooms:
        trees[room.name] = _tree(room, touch, merge)
    whole = fitted([s for r in some for s in _whole_samples(r, trees[r.name], rng)], seed, steps, hidden=48, soft=True)
    tell("whole")
    nets = SelectNets(touch, merge, whole, whole)
    refined: Samples = []
    for on_policy in (False, True):
        for room in some:
            _refine_samples(room, trees[room.name], nets, on_policy, refined, rng)
        if not refined:
            raise CaptureError("a first click selects every thing of these rooms", mend="train on richer rooms")
        refine = fitted(refined, seed, steps, hidden=64, soft=True)
        nets = SelectNets(touch, merge, whole, refine)
        tell(f"refine, validation: {validated(kept, trees, nets)}")
    return nets


def validated(rooms: Sequence[KnownRoom], trees: dict[str, RegionTree], nets: SelectNets) -> list[float]:
    """Mean IoU after each click."""

    def method(room: KnownRoom) -> Callable[[Sequence[Click]], NDArray[np.bool_]]:
        return lambda clicks: block_scores(trees[room.name], nets, _at_blocks(room, clicks))[room.block] >= 0.5

    every = [clicked(r, t, method(r), CLICKS) for r in rooms for t in r.things]
    return [round(float(x), 4) for x in np.mean(every, axis=0)]


def _touch_samples(room: KnownRoom, rng: np.random.Generator) -> Samples:
    edges = finish(touching(room.voxels.grid))
    ids = Truth(room, np.arange(len(room.voxels.grid.index))).votes.argmax(axis=1)
    chosen = np.flatnonzero((ids[edges] != NOTHING).all(axis=1) & (rng.random(len(edges)) < PAIRS_SHARE))
    same = ids[edges[chosen, 0]] == ids[edges[chosen, 1]]
    features = finish(pairs_seen(room.voxels, edges[chosen]))
    return [(features, same.astype(np.float64), np.where(same, 1, DIFFERENT))]


class _Watched(Merging):
    """Notes every pair that is judged, and whether most of both is of one thing."""

    def __init__(self, start: object, votes: NDArray[np.float64], samples: Samples, rng: np.random.Generator) -> None:
        super().__init__(start)  # type: ignore[arg-type]  # SmallRegions, as Merging takes them
        self._votes, self._samples, self._rng = list(votes), samples, rng

    def _joined(self, a: int, b: int, score: float) -> int:
        self._votes.append(self._votes[a] + self._votes[b])
        return super()._joined(a, b, score)

    def judged(self, a: list[int], b: list[int], border: NDArray[np.float64]) -> Float32:
        features = super().judged(a, b, border)
        first, second = (np.stack([self._votes[k] for k in nodes]) for nodes in (a, b))
        sizes = first.sum(axis=1), second.sum(axis=1)
        pure = np.minimum(*(v.max(axis=1) / np.maximum(v.sum(axis=1), 1) for v in (first, second)))
        use = (pure > 0.5) & (self._rng.random(len(pure)) < PAIRS_SHARE)
        same = first.argmax(axis=1) == second.argmax(axis=1)
        weight = np.log(2 + np.minimum(*sizes)) * np.where(same, 1, 1.5)
        self._samples.append((features[use], same[use].astype(np.float64), weight[use]))
        return features


def _tree(
    room: KnownRoom,
    touch: Net,
    score: Callable[[Float32], Float32],
    samples: Samples | None = None,
    rng: np.random.Generator | None = None,
) -> RegionTree:
    edges = finish(touching(room.voxels.grid))
    pair = finish(pairs_seen(room.voxels, edges))
    start = finish(small_regions(room.voxels, edges, pair, touch(pair)))
    if samples is None or rng is None:
        merging = Merging(start)
    else:
        merging = _Watched(start, Truth(room, start.region).votes, samples, rng)
    finish(merging.run(score))
    return finish(finished(start, merging))


def _at_blocks(room: KnownRoom, clicks: Sequence[Click]) -> list[Click]:
    return [Click(int(room.block[c.row]), c.positive) for c in clicks]


def _covers(tree: RegionTree, votes: NDArray[np.float64], holds: NDArray[np.bool_], thing: int) -> NDArray[np.float64]:
    """(C,) the IoU of sets of small regions (C, R) with a thing."""
    inside, size = holds @ votes[:, thing], holds @ votes.sum(axis=1)
    return inside / (size + votes[:, thing].sum() - inside)


def _whole_samples(room: KnownRoom, tree: RegionTree, rng: np.random.Generator) -> Samples:
    votes = Truth(room, tree.region).votes
    out: Samples = []
    for thing in _things(room):
        rows = np.flatnonzero(room.ids == thing)
        for n, row in enumerate([first_click(room, thing).row, *rng.choice(rows, OTHER_CLICKS)]):
            at = int(room.block[row])
            nodes = tree.above(int(tree.region[at]))
            covers = _covers(tree, votes, tree.holds(nodes), thing)
            out.append((whole_features(tree, nodes, at), covers, np.full(len(nodes), 1.0 if n else 4.0)))
    return out


def _refine_samples(
    room: KnownRoom, tree: RegionTree, nets: SelectNets, on_policy: bool, samples: Samples, rng: np.random.Generator
) -> None:
    """What could be chosen after each further click; the choice that is gone on from is the network's or, at first, a
    good one with ``NOISE``."""
    votes, known = Truth(room, tree.region).votes, room.ids != NOTHING
    region = tree.region[room.block]
    for thing in _things(room):
        clicks = [first_click(room, thing)]
        chosen, _ = first_choice(tree, nets, _at_blocks(room, clicks)[0])
        for _ in range(CLICKS - 1):
            after = next_click(room, chosen[region], thing)
            if after is None or iou(chosen[region] & known, room.ids == thing) > 0.98:
                break
            clicks.append(after)
            choices = further_choices(tree, _at_blocks(room, clicks), chosen)
            covers = _covers(tree, votes, choices.holds, thing)
            samples.append((choices.features, covers, np.full(len(covers), len(covers) ** -0.5)))
            if on_policy:
                best = int(nets.refine(choices.features).argmax())
            else:
                best = int((covers + NOISE * rng.standard_normal(len(covers))).argmax())
            chosen = choices.holds[best]


def _things(room: KnownRoom) -> list[int]:
    return [int(t) for t in room.things]


def fitted(samples: Samples, seed: int, steps: int, *, hidden: int, soft: bool = False) -> Net:
    """Train one network. ``soft``: by squares, on shares; otherwise by cross-entropy, on yes or no."""
    torch.manual_seed(seed)
    x, y, weight = (torch.tensor(np.concatenate(column), dtype=torch.float32) for column in zip(*samples, strict=True))
    mean, scale = x.mean(dim=0), x.std(dim=0) + 1e-6
    weight = weight / weight.mean()
    layers = nn.Sequential(
        nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1)
    )
    optimiser = torch.optim.AdamW(layers.parameters(), 3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (2048,))
        logit = layers((x[rows] - mean) / scale)[:, 0]
        loss = (_loss(logit, y[rows], soft) * weight[rows]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    linear = [m for m in layers if isinstance(m, nn.Linear)]
    arrays = tuple((_array(m.weight.T), _array(m.bias)) for m in linear)
    return Net(_array(mean), _array(scale), arrays)


def _loss(logit: Tensor, y: Tensor, soft: bool) -> Tensor:
    if soft:
        return (logit.sigmoid() - y) ** 2
    return nn.functional.binary_cross_entropy_with_logits(logit, y, reduction="none")


def _array(t: Tensor) -> Float32:
    return np.ascontiguousarray(t.detach().numpy(), np.float32)


def main() -> None:
    """The command line."""
    with told_and_exited():
        options = tyro.cli(Options)
        seed_all(options.seed)
        encoder = load_default(torch.device("cpu"))
        volume = load_volume_encoder(asset_path("weights/condense3d.safetensors"))
        refs = [ref for folder in options.rooms for ref in open_shards(folder)]
        rooms: list[KnownRoom] = []
        for n, ref in enumerate(refs, start=1):
            rooms.append(finish(known_room(ref.load(), encoder, volume, LEAST_VOXELS)))
            print(f"\r{n} of {len(refs)} rooms", end="", file=sys.stderr)
        nets = train(rooms, options.seed, round(1000 * options.steps), lambda text: print(text, file=sys.stderr))
        nets.save(options.out)
    print(f"{len(rooms)} rooms: {options.out}")


if __name__ == "__main__":
    main()
