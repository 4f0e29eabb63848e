"""Train the naming network: the pre-trained 3D encoder, fine-tuned to say what each voxel of a room is called.

    python -m engine.training.voxels --rooms ROOMS --out VOXELS
    python -m engine.training.voxels --rooms HELD_OUT --out UNSEEN
    python -m engine.training.names --voxels VOXELS --held-out UNSEEN --out names.safetensors

Cross-entropy over the names of all things in the rooms, rare ones weighted up by the root of their frequency; what
photos say is withheld from some steps, so that bare geometry is named too.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.errors import QueryError, told_and_exited
from engine.api.jobs import Job, Progress, finish
from engine.encoders.mobile import load_default
from engine.encoders.names import NameNetwork
from engine.encoders.volume import load_volume_encoder
from engine.runtime import asset_path, resolve_device, seed_all
from engine.sparse import Pyramid, Voxels
from engine.training.head import progress_printer
from engine.training.muon import Muon
from engine.training.voxels import VoxelScene, read_voxels

DECAY = 0.01
AVERAGE = 0.995
CLIP = 1.0
WARM_UP = 50
SHIFT = 0.15
"""Colours are made brighter or darker, and each channel scaled, by up to so much."""


@dataclass
class Arguments:
    """Train the naming network."""

    voxels: list[Path]
    """Folders of packed rooms to learn from."""
    held_out: Path
    """Folder of packed rooms of other models, to measure on."""
    out: Path
    """Where to write the weights."""
    start: Path | None = None
    """3D encoder to start from; by default the built-in one."""
    steps: int = 4000
    """Steps of gradient descent."""
    rate: float = 2e-3
    """Learning rate of all but the kernels, which learn at 2.5 times it; falls to zero along a cosine."""
    bare: float = 0.3
    """Share of the steps from which what photos say is withheld."""
    least: int = 2
    """A name is learnt when it occurs in so many rooms."""
    device: str = "auto"
    """Where to train."""
    seed: int = 0
    """Of everything random."""


def vocabulary(scenes: Sequence[VoxelScene], least: int) -> list[str]:
    """The names that occur on voxels of at least so many scenes."""
    rooms = Counter(name for s in scenes for n, name in enumerate(s.names) if bool((s.thing == n).any()))
    return sorted(name for name, count in rooms.items() if count >= least)


def labels_of(scene: VoxelScene, names: Sequence[str]) -> Tensor:
    """(V,) places in a vocabulary, -1 where the voxel has no name or one that is not in it."""
    place = {name: n for n, name in enumerate(names)}
    table = torch.tensor([place.get(name, -1) for name in scene.names] + [-1], device=scene.thing.device)
    return table[scene.thing]


def train(
    network: NameNetwork, scenes: Sequence[VoxelScene], args: Arguments, device: torch.device
) -> Job[NameNetwork]:
    """Fine-tune ``network`` in place; its running average is returned."""
    labels = [labels_of(s, network.names) for s in scenes]
    weights = (name_counts(scenes, network.names).clamp(min=1) ** -0.5).to(device)
    hidden = network.volume.hidden()
    among = {id(p) for p in hidden}
    rest = [p for p in network.parameters() if id(p) not in among]
    optimisers = (
        Muon([{"params": hidden, "share": 2.5}], weight_decay=DECAY),
        torch.optim.AdamW([{"params": rest, "share": 1.0}], weight_decay=DECAY),
    )
    mean = copy.deepcopy(network).requires_grad_(False)
    for step in range(args.steps):
        rng = np.random.default_rng([args.seed, step])
        fall = 0.5 * (1 + math.cos(math.pi * step / args.steps)) * min(1.0, (step + 1) / WARM_UP)
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = args.rate * group["share"] * fall
        choice = int(rng.integers(len(scenes)))
        scene, label = scenes[choice], labels[choice]
        image = torch.zeros_like(scene.said) if rng.random() < args.bare else scene.said
        pyramid = scene.turned(rng, network.volume.levels)
        logits = yield from network.slices(_shifted(scene.surface, rng), image, pyramid)
        loss = F.cross_entropy(logits, label, weights, ignore_index=-1)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        for optimiser in optimisers:
            optimiser.step()
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for m, p in zip(mean.parameters(), network.parameters(), strict=True):
                m.lerp_(p, 1 - keep)
        yield Progress(step + 1, args.steps, "steps", f"loss {loss.item():.2f}")
    return mean.eval()


def unbalanced(network: NameNetwork, counts: Tensor) -> None:
    """Make the probabilities those of the rooms as they are: training weighted names by the inverse root of their
    ``counts`` (K,), so that rare ones were learnt, and took them for likelier than they are."""
    with torch.no_grad():
        network.classes.bias += 0.5 * torch.log(counts.clamp(min=1) / counts.sum()).to(network.classes.bias.device)


def name_counts(scenes: Sequence[VoxelScene], names: Sequence[str]) -> Tensor:
    """(K,) voxels of each name."""
    labels = [labels_of(s, names) for s in scenes]
    return torch.stack([torch.bincount(x[x >= 0], minlength=len(names)) for x in labels]).sum(0).float().cpu()


def chances(network: NameNetwork, scene: VoxelScene, *, bare: bool = False) -> Job[Tensor]:
    """(V, K) probabilities of the names at each voxel of a scene."""
    pyramid = Pyramid(Voxels.of([scene.index]), network.volume.levels)
    image = torch.zeros_like(scene.said) if bare else scene.said
    with torch.no_grad():
        logits = finish(network.slices(scene.surface, image, pyramid))
    yield Progress(1, 1, "scenes")
    return logits.softmax(dim=1)


def measure(network: NameNetwork, scenes: Sequence[VoxelScene], *, bare: bool = False) -> Job[dict[str, float]]:
    """Pointing: how often the voxel most likely to be a name is one, of the names that are in a scene; and chance."""
    hits: list[bool] = []
    by_chance: list[float] = []
    right, known = 0, 0
    for n, scene in enumerate(scenes):
        label = labels_of(scene, network.names)
        found = yield from chances(network, scene, bare=bare)
        for name in label[label >= 0].unique().tolist():
            hits.append(int(label[int(found[:, name].argmax())]) == name)
            by_chance.append(float((label == name).float().mean()))
        right += int((found.argmax(dim=1) == label)[label >= 0].sum())
        known += int((label >= 0).sum())
        yield Progress(n + 1, len(scenes), "scenes", "measuring")
    return {
        "pointing": round(float(np.mean(hits)), 3),
        "chance": round(float(np.mean(by_chance)), 3),
        "questions": len(hits),
        "voxels": round(right / max(1, known), 3),
    }


def main(args: Arguments) -> None:
    """Read, train, measure, write.

    Raises:
        CaptureError: a folder holds no packed rooms.
        QueryError: no names, or nothing to learn from.
    """
    seed_all(args.seed)
    device = resolve_device(args.device)
    encoder = load_default(torch.device("cpu")).id
    scenes = [s.to(device) for folder in args.voxels for s in read_voxels(folder, encoder)]
    unseen = [s.to(device) for s in read_voxels(args.held_out, encoder)]
    names = vocabulary(scenes, args.least)
    if not names:
        raise QueryError("the rooms name nothing", mend="pack the rooms again: python -m engine.training.voxels")
    start = load_volume_encoder(args.start or asset_path("weights/condense3d.safetensors"))
    network = NameNetwork(start.config, names)
    network.volume.load_state_dict(start.state_dict())
    network.to(device).train()
    show = progress_printer()
    trained = finish(train(network, scenes, args, device), show)
    unbalanced(trained, name_counts(scenes, names))
    print()
    figures = {
        "photos and geometry": finish(measure(trained, unseen)),
        "geometry alone": finish(measure(trained, unseen, bare=True)),
    }
    for kind, found in figures.items():
        print(f"rooms of other models, {kind}: {found}")
    meta = {
        "encoder": encoder,
        "rooms": len(scenes),
        "measures": figures,
        "settings": {"steps": args.steps, "rate": args.rate, "bare": args.bare, "seed": args.seed},
        "licence": "Apache-2.0",
        "made_by": "python -m engine.training.names",
    }
    trained.save(args.out, meta)
    print(f"{args.out}: {len(names)} names, {args.out.stat().st_size / 1e6:.1f} MB")


def _shifted(surface: Tensor, rng: np.random.Generator) -> Tensor:
    """Voxels (V, 4) in another light."""
    gain = 1 + rng.uniform(-SHIFT, SHIFT) + rng.uniform(-SHIFT / 2, SHIFT / 2, 3)
    rgb = (surface[:, :3] * torch.tensor(gain, dtype=surface.dtype, device=surface.device)).clamp(0, 1)
    return torch.cat([rgb, surface[:, 3:]], dim=1)


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
