"""Train the 3D encoder on captures with depth, against the frozen 2D encoder::

    python -m engine.training.volume --data CAPTURE … --out volume.safetensors

Our form of METHOD 3, frozen teacher first. A step takes a pair of views of one capture. All other views are shared out
between the two by the nearness of their cameras, and each side is lifted and encoded on its own, as in the measure of
consistency; now and then a side's photos are withheld. With F_A, F_B the features marched into the two views at true
correspondences, and f_A, f_B those of the photos:

    L = NCE(F_A, F_B) + NCE(F_A, f_B) / 2 + NCE(F_B, f_A) / 2 + anchor (2 - cos(F_A, f_A) - cos(F_B, f_B)) / 2

NCE is ``head.info_nce``. The anchor keeps the trivial solution (everything alike) away.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import CondenseError, QueryError
from engine.api.jobs import Job, Progress, finish
from engine.captures import Capture, open_capture
from engine.encoders import load_encoder
from engine.encoders.image import ImageEncoder
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.grid import FitSettings, LiftAccumulator, RadianceGrid, fit_grid
from engine.march.bags import BagMaker, RayBags
from engine.metrics.consistency import Sides
from engine.metrics.correspondence import LONG_SIDE
from engine.metrics.truth import DepthView, depth_views, pixels_of_pairs, view_pairs
from engine.queries.bank import FeatureBank, sample_many
from engine.runtime import resolve_device, seed_all, set_threads
from engine.sparse import Pyramid, Voxels
from engine.training.head import info_nce, progress_printer

CORRESPONDENCES = 192
PAIRS = 60
LIFT_VIEWS = 8
LEAST_CORRESPONDENCES = 32
CLIP = 1.0
AVERAGE = 0.995
"""Decay of the running average of the weights, which is what is kept."""


@dataclass
class Arguments:
    """Train the 3D encoder on captures with depth."""

    data: list[Path]
    """Captures with depth."""
    out: Path
    """Where to write the weights."""
    steps: int = 1000
    """Steps of gradient descent."""
    rate: float = 2e-3
    """Learning rate after the warm-up; falls to zero along a cosine."""
    warm_up: int = 50
    """Steps over which the rate rises."""
    anchor: float = 0.5
    """Weight of the anchor."""
    withheld: float = 0.3
    """How often a side's photos are withheld."""
    cells: int = 400_000
    """Cells of the grids that are trained on."""
    fit_seconds: float = 4.0
    """Time for each grid."""
    seed: int = 0
    """Of everything random."""
    device: str = "auto"
    """Where to train."""
    config: VolumeConfig = field(default_factory=VolumeConfig)
    """Size of the network."""


@dataclass(frozen=True, eq=False)
class Side:
    """One view of a pair at R true correspondences.

    Attributes:
        image: (V, D) what its side's photos say of the voxels.
        bags: the rays through its pixels.
        met: (R',) which of those meet the grid on both sides, R of them.
        photo: (R, D) the frozen 2D features there.
        place: (R, 2) the pixels, in diagonals of the photo.
    """

    image: Tensor
    bags: RayBags
    met: Tensor
    photo: Tensor
    place: Tensor


class TrainScene:
    """One capture, ready to be trained on.

    Args:
        name: of the capture.
        grid: its radiance grid.
        views: those whose depth is known.
        bank: the frozen 2D encoder's maps, by place in ``views``.
        pairs: places of views to be compared.
        device: where its voxels lie.
    """

    def __init__(
        self,
        name: str,
        grid: RadianceGrid,
        views: Sequence[DepthView],
        bank: FeatureBank,
        pairs: Sequence[tuple[int, int]],
        device: torch.device,
        levels: int,
    ) -> None:
        self.name, self.grid, self.pairs = name, grid, pairs
        self._views, self._bank, self._device = views, bank, device
        self._sides, self._bags = Sides(views), BagMaker(grid, device)
        self.pyramid = Pyramid(Voxels.of([torch.tensor(grid.index, device=device)]), levels)
        alpha = -np.expm1(-grid.tau)[:, None]
        self.surface = torch.tensor(np.concatenate([grid.rgb, alpha], axis=1), dtype=torch.float32, device=device)

    def lifted(self, view: int, other: int) -> Tensor:
        """(V, D) mean of the photos that may speak for a view of a pair."""
        lift = LiftAccumulator(self.grid, self._bank.dim)
        for speaker in self._sides.of(view, other)[:LIFT_VIEWS]:
            lift.add(self._views[speaker].camera, self._bank.map(speaker))
        return torch.from_numpy(lift.result().mean).to(self._device)

    def sides(self, pair: tuple[int, int], rng: np.random.Generator) -> tuple[Side, Side] | None:
        """Both views of a pair at true correspondences; None when too few of them meet the grid."""
        truth = pixels_of_pairs(self._views, [pair], CORRESPONDENCES, rng)
        bags = [
            self._bags.through(self._views[v].camera, px)
            for v, px in zip(pair, (truth.source_px, truth.target_px), strict=True)
        ]
        met = (bags[0].opacity > 0.5) & (bags[1].opacity > 0.5)
        if int(met.sum()) < LEAST_CORRESPONDENCES:
            return None
        out: list[Side] = []
        for n, (view, px) in enumerate(zip(pair, (truth.source_px, truth.target_px), strict=True)):
            camera = self._views[view].camera
            size = np.array([camera.width, camera.height])
            photo = torch.from_numpy(sample_many(self._bank.map(view), px / size)).to(self._device)
            place = torch.from_numpy(px / np.hypot(*size)).float().to(self._device)
            image = self.lifted(view, pair[1 - n])
            out.append(Side(image, bags[n], met, photo[met], place[met]))
        return out[0], out[1]


def prepare(capture: Capture, encoder: ImageEncoder, args: Arguments, device: torch.device) -> Job[TrainScene | None]:
    """Fit, encode and pair the views of a capture; None when its views share too little."""
    rng = np.random.default_rng(args.seed)
    views, _ = yield from depth_views(capture, LONG_SIDE)
    pairs = yield from view_pairs(views, PAIRS, rng)
    if not pairs:
        return None
    grid = yield from fit_grid(capture, FitSettings(seconds=args.fit_seconds, seed=args.seed, cells=args.cells))
    bank = FeatureBank(encoder.dim)
    for place, view in enumerate(views):
        yield Progress(place, len(views), "views", f"encoding {capture.name}")
        bank.add_view(place, (yield from encoder.encode_slices(capture.read(view.index, max_side=LONG_SIDE).rgb)))
    return TrainScene(capture.name, grid, views, bank, pairs, device, len(args.config.widths))


def pair_loss(
    network: VolumeEncoder, scene: TrainScene, sides: Sequence[Side], withheld: Sequence[bool], anchor: float
) -> Tensor:
    """The loss of one pair, see the module."""
    marched = []
    for side, blind in zip(sides, withheld, strict=True):
        image = torch.zeros_like(side.image) if blind else side.image
        features = network(scene.surface, image, scene.pyramid).features
        marched.append(F.normalize(side.bags.mix(features)[side.met], dim=1))
    a, b = sides
    f_a, f_b = marched

    def nce(x: Tensor, y: Tensor) -> Tensor:
        return info_nce(x[None], y[None], a.place[None], b.place[None])

    agreement = ((f_a * a.photo).sum(dim=1).mean() + (f_b * b.photo).sum(dim=1).mean()) / 2
    return nce(f_a, f_b) + 0.5 * nce(f_a, b.photo) + 0.5 * nce(a.photo, f_b) + anchor * (1 - agreement)


def train(scenes: Sequence[TrainScene], args: Arguments, device: torch.device) -> Job[VolumeEncoder]:
    """Fit the network; the running average of its weights is the result."""
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    network = VolumeEncoder(args.config).to(device)
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=args.rate, weight_decay=0.01)
    shown = 0.0
    for step in range(args.steps):
        fall = 0.5 * (1 + math.cos(math.pi * step / args.steps))
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1.0, (step + 1) / max(1, args.warm_up)) * fall
        sides = None
        while sides is None:
            scene = scenes[int(rng.integers(len(scenes)))]
            sides = scene.sides(scene.pairs[int(rng.integers(len(scene.pairs)))], rng)
            yield Progress(step, args.steps, "steps", f"loss {shown:.3f}")
        withheld = [bool(rng.random() < args.withheld) for _ in sides]
        loss = pair_loss(network, scene, sides, withheld, args.anchor)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        shown = float(loss.detach()) if step == 0 else 0.95 * shown + 0.05 * float(loss.detach())
        keep = min(AVERAGE, (step + 1) / (step + 10))
        with torch.no_grad():
            for mean, now in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
        yield Progress(step + 1, args.steps, "steps", f"loss {shown:.3f}")
    return average.eval()


def main(args: Arguments) -> None:
    """Prepare, train, write.

    Raises:
        CondenseError: a path of ``--data`` is no capture with depth, or the file cannot be written.
    """
    set_threads()
    torch.set_float32_matmul_precision("medium")
    seed_all(args.seed)
    device = resolve_device(args.device)
    encoder = load_encoder("default", device)
    scenes: list[TrainScene] = []
    for path in args.data:
        scene = finish(prepare(open_capture(path), encoder, args, device), progress_printer())
        if scene is not None:
            scenes.append(scene)
            print(f"\n{scene.name}: {len(scene.grid.index):,} voxels, {len(scene.pairs)} pairs", flush=True)
    if not scenes:
        raise QueryError("none of the captures has views that share enough to be compared")
    begin = time.perf_counter()
    network = finish(train(scenes, args, device), progress_printer())
    seconds = time.perf_counter() - begin
    settings = {k: v for k, v in vars(args).items() if k not in ("data", "out", "config")}
    meta = {
        "encoder": encoder.id,
        "data": [s.name for s in scenes],
        "settings": settings,
        "seconds": round(seconds, 1),
        "licence": "Apache-2.0",
        "made_by": "python -m engine.training.volume",
    }
    network.save(args.out, meta)
    print(f"\n{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {args.steps / seconds:.2f} steps a second")


if __name__ == "__main__":
    try:
        main(tyro.cli(Arguments))
    except CondenseError as e:
        raise SystemExit(e.text()) from e
