"""Joint training of both branches, one step at a time, each step in slices.

Everything random in step n comes from the seed and n, and a checkpoint holds every number that changes; so a training
that was interrupted goes on exactly as if it had not been.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from engine.api.jobs import Job, Progress
from engine.encoders.mobile import HypercolumnHead
from engine.encoders.volume import VolumeEncoder
from engine.encoders.volume.unet import VolumeChange
from engine.runtime import without_gradient
from engine.sparse import Pyramid
from engine.training.config import TrainConfig
from engine.training.cut import Cuts
from engine.training.losses import ViewSample, dense_terms, lifted_term, score_term, weighted
from engine.training.measures import Measures, centred_cosine, measure
from engine.training.muon import Muon
from engine.training.scenes import Side, TrainScene
from engine.training.share import ALONE, Share
from engine.training.voxels import VoxelScene

VALIDATION_PAIRS = 6
VALIDATION_STREAM = 1 << 40
"""Number of the random stream of validation, far from any step's."""
START_PAIRS = 12
RIDGE = 1e-3
DECAY = 0.01
"""Weight decay of the 3D branch."""


@dataclass(frozen=True)
class StepReport:
    """``step`` steps are done; ``terms``: the last one's losses by name, unweighted, and their weighted ``total``;
    ``bare``: it was spent on bare voxels, which have one loss, so that its total stands beside its like alone."""

    step: int
    total: float
    terms: dict[str, float]
    bare: bool

    def curves(self) -> dict[str, float]:
        """The losses as points of curves."""
        return {"bare": self.total} if self.bare else {**self.terms, "total": self.total}


class Trainer:
    """Trains a 2D head and a 3D encoder on scenes.

    Args:
        config: the settings.
        scenes: to train on, at least one; the same ones in the same order after a resume.
        head: the 2D head to start from; it is copied.
        network: the 3D encoder to start from; None: random weights from the seed.
        device: where to train.
        voxels: scenes that are learnt from on bare voxels alone, beside the others and as often as each of them, while
            the 2D head rests.
        share: the process's part of each step.

    Attributes:
        step: how many steps are done.
        whole: false amid an update, whose numbers are of no step.
        head, network: as they are being trained.
        mean_head, mean_network: their running averages, which are what is kept.
    """

    def __init__(
        self,
        config: TrainConfig,
        scenes: Sequence[TrainScene],
        head: HypercolumnHead,
        network: VolumeEncoder | None,
        device: torch.device,
        voxels: Sequence[VoxelScene] = (),
        share: Share = ALONE,
    ) -> None:
        self.config, self.scenes, self.device, self.share = config, scenes, device, share
        self.voxels = [scene.to(device) for scene in voxels]
        self.step, self.whole = 0, True
        generator = torch.random.get_rng_state()
        torch.manual_seed(config.seed)
        self.network = (copy.deepcopy(network) if network else VolumeEncoder(config.volume)).to(device).train()
        self.head = copy.deepcopy(head).to(device)
        columns = sum(p.weight.shape[1] for p in self.head.levels)
        self.teller = nn.Linear(head.bias.shape[0], columns).to(device).requires_grad_(False)
        torch.random.set_rng_state(generator)
        for module in (self.network, self.head):
            module.requires_grad_()
        self.mean_network = copy.deepcopy(self.network).requires_grad_(False).eval()
        self.mean_head = copy.deepcopy(self.head).requires_grad_(False)
        hidden = self.network.hidden()
        among = {id(p) for p in hidden}
        rest = [p for p in self.network.parameters() if id(p) not in among]
        groups = [
            {"params": rest, "share": 1.0, "weight_decay": DECAY},
            {"params": list(self.head.parameters()), "share": config.head_rate, "weight_decay": 0.0},
        ]
        self.optimisers = (
            Muon([{"params": hidden, "share": config.kernel_rate}], weight_decay=DECAY),
            torch.optim.AdamW(groups),
        )

    @property
    def head_learns(self) -> bool:
        """Whether the 2D head learns in the coming step."""
        return self.config.head_rate > 0 and self.step >= self.config.frozen * self.config.steps

    def start(self) -> Job[None]:
        """Fit the linear map of anchor and distillation to the 2D features as they are; before the first step.

        It rests from then on: one that learned would follow features that shrink, and the anchor would hold nothing
        (variance of 2D features after 120 steps of agreement and anchor: .22 of .90).
        """
        rng = np.random.default_rng([self.config.seed, VALIDATION_STREAM])
        columns: list[Tensor] = []
        for _ in range(START_PAIRS):
            sides = yield from self._draw(rng)
            columns += [side.column for side in sides]
        x = torch.cat(columns)
        with torch.no_grad():
            f = F.normalize(self.head.on(x), dim=1)
            f = torch.cat([f, torch.ones_like(f[:, :1])], dim=1)
            gram = f.T @ f + RIDGE * len(f) * torch.eye(f.shape[1], device=f.device)
            solution = torch.linalg.solve(gram, f.T @ x)
            self.teller.weight.copy_(solution[:-1].T)
            self.teller.bias.copy_(solution[-1])
        self.share.follow(t.detach() for module in self._modules().values() for t in module.state_dict().values())

    def run_step(self) -> Job[StepReport]:
        """One step of gradient descent, in slices."""
        config = self.config
        rng = np.random.default_rng([config.seed, self.step])
        fall = 0.5 * (1 + math.cos(math.pi * self.step / config.steps))
        rises = min(1.0, (self.step + 1) / max(1, config.warm_up))
        for group in self._groups():
            group["lr"] = config.rate * group["share"] * rises * fall
        bare = self.step < config.bare * config.steps or rng.random() < config.withheld
        bare &= config.weights.lifted > 0  # the one loss of bare voxels
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        found: dict[str, Tensor] = {}
        for place in self.share.draws(config.batch):
            cuts = Cuts()
            draw = rng if place == 0 else np.random.default_rng([config.seed, self.step, 0, place])
            loss, terms = yield from (self._bare(cuts, draw) if bare else self._joint(cuts, draw))
            yield from cuts.backward(loss / config.batch)
            for name, term in {**terms, "total": loss}.items():
                found[name] = found.get(name, 0) + term.detach() / config.batch
            yield self._progress()
        learning = [*self.network.parameters(), *(self.head.parameters() if self.head_learns else ())]
        self.share.add([*(p.grad for p in learning if p.grad is not None), *found.values()])
        nn.utils.clip_grad_norm_(learning, config.clip)
        if not self.head_learns:
            for p in self.head.parameters():
                p.grad = None
        self.whole = False
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        self._average()
        self.whole = True
        yield self._progress()
        losses = {name: float(term) for name, term in found.items()}
        return StepReport(self.step, losses.pop("total"), losses, bare)

    def _bare(self, cuts: Cuts, rng: np.random.Generator) -> Job[tuple[Tensor, dict[str, Tensor]]]:
        """What photos say of a scene's voxels, guessed from the voxels alone; one pass, and no rays.

        Photos are withheld from whole steps: were they withheld from one side of a pair, the losses of the pair would
        be lowered by any mark of the place, for both sides meet the same voxels.
        """
        surface, said, pyramid = yield from self._bare_scene(rng)
        nothing = torch.zeros_like(said)
        change = yield from self.network.slices(surface, nothing, pyramid, cuts)
        terms = {"lifted": lifted_term(change.onto(nothing).features, said)}
        return weighted(terms, self.config.weights), terms

    def _bare_scene(self, rng: np.random.Generator) -> Job[tuple[Tensor, Tensor, Pyramid]]:
        """Surface (V, 4) of a random scene's voxels, what photos say of them (V, D), and their pyramid."""
        choice = int(rng.integers(len(self.scenes) + (0 if self.head_learns else len(self.voxels))))
        if choice >= len(self.scenes):
            packed = self.voxels[choice - len(self.scenes)]
            return packed.surface, packed.said, packed.turned(rng, self.network.levels)
        scene = self.scenes[choice]
        if self.head_learns:
            some = rng.permutation(len(scene.views))[: 2 * self.config.lift_views]
            said = yield from scene.lifted(some.tolist(), self.head, keep=False)
        else:
            said = yield from scene.said_by_all(self.head)
        return scene.surface, said, scene.turned(rng)

    def _joint(self, cuts: Cuts, rng: np.random.Generator) -> Job[tuple[Tensor, dict[str, Tensor]]]:
        """All losses on a pair of views."""
        sides = yield from self._draw(rng)
        samples: list[ViewSample] = []
        scores: list[Tensor] = []
        near: list[Tensor] = []
        said = lifted_by_both(sides)
        pyramid = self._scene.turned(rng)
        for side in sides:
            change = yield from self.network.slices(self._scene.surface, side.image, pyramid, cuts)
            features = change.onto(side.image).features
            samples.append(self._sample(side, features, self.head))
            near.append(lifted_term(features, said))
            marched = side.score_bags.mix(torch.sigmoid(change.score_logits)[:, None])[:, 0]
            scores.append(score_term(marched / side.score_bags.opacity, side.score))
            yield self._progress()
        terms = {**dense_terms(samples[0], samples[1]), "score": torch.stack(scores).mean()}
        terms["lifted"] = torch.stack(near).mean()
        return weighted(terms, self.config.weights), terms

    def measure(self, scenes: Sequence[TrainScene]) -> Job[Measures]:
        """Consistency of the averaged weights on a fixed choice of pairs of some scenes."""
        found: list[Measures] = []
        for n in range(VALIDATION_PAIRS):
            rng = np.random.default_rng([self.config.seed, VALIDATION_STREAM + 1 + n])
            scene = scenes[n % len(scenes)]
            sides = yield from self._sides_of(scene, self.mean_head, rng)
            samples: list[ViewSample] = []
            for side in sides:
                change = yield from self.change(scene, side.image)
                with torch.no_grad():
                    samples.append(self._sample(side, change.onto(side.image).features, self.mean_head))
            a, b = samples
            said = lifted_by_both(sides)
            blind = yield from self.change(scene, torch.zeros_like(said))
            known = said.abs().amax(dim=1) > 0
            features = blind.onto(torch.zeros_like(said)).features
            geometry = centred_cosine(features[known], said[known])
            pair = measure((a.marched, b.marched), (a.photo, b.photo), (a.place, b.place))
            found.append({**pair, "geometry": geometry})
            yield self._progress()
        keys = Measures.__annotations__
        return cast("Measures", {k: round(float(np.mean([m[k] for m in found])), 4) for k in keys})

    def change(self, scene: TrainScene, image: Tensor) -> Job[VolumeChange]:
        """What the averaged 3D encoder adds to a scene's voxels, given their lifted features (V, D)."""
        return without_gradient(self.mean_network.slices(scene.surface, image, scene.pyramid))

    def tensors(self) -> dict[str, Tensor]:
        """Every number that changes, by name."""
        out: dict[str, Tensor] = {}
        for name, module in self._modules().items():
            out |= {f"{name}.{k}": v for k, v in module.state_dict().items()}
        for n, (p, optimiser) in enumerate(self._parameters()):
            state = optimiser.state.get(p, {})
            out |= {f"optimiser.{n}.{k}": torch.as_tensor(v) for k, v in state.items()}
        return {k: v.detach() for k, v in out.items()}

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Go on from ``tensors``.

        Raises:
            ValueError: they are another network's.
        """
        for name, module in self._modules().items():
            part = {k[len(name) + 1 :]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            try:
                module.load_state_dict(part)
            except RuntimeError as e:
                raise ValueError(str(e)) from e
        for n, (p, optimiser) in enumerate(self._parameters()):
            head = f"optimiser.{n}."
            state = {k[len(head) :]: v for k, v in tensors.items() if k.startswith(head)}
            counted = state.pop("step", None)  # AdamW's; it lies on the CPU
            if any(v.shape != p.shape for v in state.values()):
                raise ValueError("the optimiser's state has other shapes")
            if state:
                moments = {k: v.to(p.device) for k, v in state.items()}
                optimiser.state[p] = moments if counted is None else {"step": counted.reshape(()).clone(), **moments}
        self.step = step

    def _modules(self) -> dict[str, nn.Module]:
        return {
            "network": self.network,
            "head": self.head,
            "teller": self.teller,
            "mean_network": self.mean_network,
            "mean_head": self.mean_head,
        }

    def _groups(self) -> Iterable[dict[str, Any]]:
        return (group for optimiser in self.optimisers for group in optimiser.param_groups)

    def _parameters(self) -> Iterable[tuple[nn.Parameter, Optimizer]]:
        return ((p, o) for o in self.optimisers for group in o.param_groups for p in group["params"])

    def _draw(self, rng: np.random.Generator) -> Job[tuple[Side, Side]]:
        """Sides of a random pair of a random scene, which becomes ``_scene``."""
        self._scene = self.scenes[int(rng.integers(len(self.scenes)))]
        return (yield from self._sides_of(self._scene, self.head, rng))

    def _sides_of(self, scene: TrainScene, head: HypercolumnHead, rng: np.random.Generator) -> Job[tuple[Side, Side]]:
        while True:
            pair = scene.pairs[int(rng.integers(len(scene.pairs)))]
            sides = yield from scene.sides(
                pair, self.config.correspondences, self.config.lift_views, head, rng, keep=not self.head_learns
            )
            if sides is not None:
                return sides
            yield self._progress()

    def _sample(self, side: Side, features: Tensor, head: HypercolumnHead) -> ViewSample:
        marched = F.normalize(side.bags.mix(features), dim=1)
        photo = F.normalize(head.on(side.column), dim=1)
        return ViewSample(marched, photo, self.teller(marched), self.teller(photo), side.column, side.place)

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.config.average, self.step / (self.step + 9))
        for mean, now in ((self.mean_network, self.network), (self.mean_head, self.head)):
            for m, p in zip(mean.parameters(), now.parameters(), strict=True):
                m.lerp_(p, 1 - keep)

    def _progress(self) -> Progress:
        return Progress(self.step, self.config.steps, "steps", "training")


def lifted_by_both(sides: tuple[Side, Side]) -> Tensor:
    """(V, D) what the photos of both sides say of the voxels, of unit length; zero where none speaks."""
    return F.normalize(sides[0].image + sides[1].image, dim=1)
