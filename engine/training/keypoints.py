"""Train the 2D keypoint head: scores that say whether a point will be found again and matched, and local descriptors.

Self-supervised, on the deployed detector (our form of the paper's sparse losses)::

    python -m engine.training.keypoints --data CAPTURE_OR_PHOTOS … --out assets/weights/keypoints2d.safetensors

Each step looks at one pair of views whose geometry is known. Both are detected in as later in use; a keypoint whose
surface the other view sees has an outcome: found again there (half), and matched by descriptor (half). The score at
the keypoint is regressed to the outcome; where both views have the point, each view's maximum is drawn to where the
other has it; the local descriptor is trained by InfoNCE together with the frozen encoder's, whose weight is learned
too. In the first steps SIFT's keypoints teach the scores where to begin; after that they are not seen again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy.spatial import KDTree
from torch import Tensor

from engine.api.errors import told_and_exited
from engine.api.jobs import Job, Progress, finish
from engine.encoders import load_encoder
from engine.encoders.image import ImageEncoder
from engine.encoders.weights import load_module, read_weights
from engine.keypoints.detect import RADIUS_PX, keypoints_2d
from engine.keypoints.network import WEIGHTS_FILE, KeypointNet
from engine.metrics.keypoints import sift_keypoints
from engine.metrics.truth import Bool, Float64
from engine.runtime import asset_path, resolve_device, seed_all
from engine.storage import write_tensors
from engine.training.head import progress_printer
from engine.training.keypoint_losses import (
    matching_loss,
    outcome_loss,
    sample_map,
    teacher_loss,
    window_cross_entropy,
)
from engine.training.keypoint_pairs import Look, LookPair, Transfer, depth_looks, drawing, warped_looks
from engine.training.pairs import Source, open_source
from engine.training.rooms.shards import RoomCapture, open_shards
from engine.training.warps import relit

KEPT = 512
"""Keypoints of a view that the other view's are compared with."""
TRIED = 1024
"""Maxima of a view whose outcome is looked at."""
FOUND_PX = 2.0
"""A point is found again within this distance: less than the 3 px of the measure, to leave chance fewer hits."""
MATCHED_PX = 3.0
FLAT = 0.006
"""Standard deviation of brightness around a keypoint, of 1, below which there is nothing to see: never a success.
Without this the head marks where it feels an edge from afar, which is found again but is no point."""
EXPLORE = 0.5
"""Noise on the ranking of the other view's maxima, so that points not chosen yet get their chance."""
CLIP = 1.0
WARM_UP = 50
DEPTH_SHARE = 0.5
"""Share of the steps on captures with depth, where there are any."""
VALIDATION = 0.05


@dataclass
class Arguments:
    """Train the 2D keypoint head on captures with depth and on photos."""

    data: list[Path]
    """Captures, folders of photos, or folders of shards of rooms."""
    out: Path = field(default_factory=lambda: asset_path(WEIGHTS_FILE))
    """Where to write the weights."""
    start: Path | None = None
    """Weights to go on from; with --seeding 0."""
    steps: int = 2000
    """Steps of gradient descent, one pair each."""
    seeding: int = 250
    """First steps, in which SIFT's keypoints teach the scores."""
    rate: float = 2e-3
    """Learning rate at its highest; rises for a moment and falls to zero along a cosine."""
    warps: int = 240
    """Pairs by homography, shared among all photos."""
    drawings: int = 6
    """Drawn pictures of plain shapes that are added to the photos."""
    pairs: int = 200
    """Pairs of views of each capture with depth, at most."""
    rooms: int = 40
    """Rooms of each folder of shards, spread over it."""
    pairs_a_room: int = 5
    """Pairs of views of each of them, at most."""
    seed: int = 0
    """Of everything random."""
    device: str = "cpu"
    """Where to compute."""
    threads: int = 1
    """Processor threads."""
    encoder: str = "default"
    """Whose features the local descriptors are to stand beside."""


@dataclass(frozen=True, eq=False)
class Side:
    """One view of a pair in a step: logits (h, w), local (dim, h', w'), the encoder's map, detections.

    ``tried`` (N, 2) are the highest maxima, ``flat`` (N,) those around which the image is flat, ``kept`` (M, 2) the
    (noisily) best of all, in pixels.
    """

    logits: Tensor
    local: Tensor
    features: Tensor
    tried: Float64
    flat: Bool
    kept: Float64

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.logits.shape[1], self.logits.shape[0]


@dataclass
class Step:
    """What one step gives: the loss, and the shares of counted keypoints that were found again and matched."""

    loss: Tensor
    repeated: float = 0.0
    matched: float = 0.0


def open_sources(path: Path, rooms: int) -> list[Source]:
    """What a path of ``--data`` holds: one capture, one folder of photos, or ``rooms`` rooms from shards."""
    if not (path.is_dir() and any(path.glob("shard-*.safetensors"))):
        return [open_source(path)]
    refs = open_shards(path)
    chosen = np.unique(np.linspace(0, len(refs) - 1, rooms).round().astype(int))
    return [Source(refs[i].name, [], refs[i].load()) for i in chosen]


def gather(sources: list[Source], encoder: ImageEncoder, args: Arguments) -> Job[list[LookPair]]:
    """The pairs of all sources, shuffled."""
    rng = np.random.default_rng(args.seed)
    out: list[LookPair] = []
    for source in sources:
        if source.capture is not None:
            count = args.pairs_a_room if isinstance(source.capture, RoomCapture) else args.pairs
            out += yield from depth_looks(source.capture, encoder, count, rng)
    photos = [photo for source in sources for photo in source.photos] + [drawing(rng) for _ in range(args.drawings)]
    if photos and args.warps:
        out += yield from warped_looks(photos, encoder, args.warps, rng)
    return [out[i] for i in rng.permutation(len(out))]


def sides(net: KeypointNet, pair: LookPair, rng: np.random.Generator, light: bool) -> tuple[Side, Side]:
    """Both looks through the network, their maxima found."""
    device = net.balance.device
    images = [relit(look.rgb, rng) if light and rng.random() < 0.5 else look.rgb for look in (pair.a, pair.b)]
    tensors = [torch.from_numpy(image).to(device).permute(2, 0, 1).float() / 255 for image in images]
    if tensors[0].shape == tensors[1].shape:
        logits, local = net(torch.stack(tensors).contiguous(memory_format=torch.channels_last))
        out = [(logits[n], local[n]) for n in (0, 1)]
    else:
        out = [(s[0], f[0]) for s, f in (net(x[None].contiguous(memory_format=torch.channels_last)) for x in tensors)]
    looks = (pair.a, pair.b)
    a, b = (_side(s, f, x, look, rng) for (s, f), x, look in zip(out, tensors, looks, strict=True))
    return a, b


def _side(logits: Tensor, local: Tensor, image: Tensor, look: Look, rng: np.random.Generator) -> Side:
    tried, score = keypoints_2d(logits, TRIED, RADIUS_PX)
    rank = np.log(np.clip(score, 1e-6, 1 - 1e-6)) - np.log1p(-np.clip(score, 1e-6, 1 - 1e-6))
    order = np.argsort(-(rank + rng.normal(0, EXPLORE, len(rank))), kind="stable")
    x, y = tried.astype(np.int64).T
    flat = contrast(image)[y, x].cpu().numpy() < FLAT
    return Side(logits, local, look.features.to(logits.device).float(), tried, flat, tried[order[:KEPT]])


def contrast(image: Tensor) -> Tensor:
    """(3, h, w) to the standard deviation (h, w) of brightness over 9x9 pixels."""
    grey = image.mean(dim=0, keepdim=True)
    mean, square = (torch.nn.functional.avg_pool2d(x, 9, 1, 4, count_include_pad=False) for x in (grey, grey**2))
    return (square - mean**2).clamp(min=0).sqrt()[0]


def joint_similarity(net: KeypointNet, a: Side, b: Side, in_a: Float64, in_b: Float64) -> Tensor:
    """(N, M) logits of which of M pixels of ``b`` each of N pixels of ``a`` is, by both descriptors together."""
    device = a.logits.device
    rel_a = torch.from_numpy(in_a / a.size).float().to(device)
    rel_b = torch.from_numpy(in_b / b.size).float().to(device)
    features = sample_map(a.features, rel_a) @ sample_map(b.features, rel_b).T
    local = sample_map(a.local, rel_a) @ sample_map(b.local, rel_b).T
    weight = net.balance.clamp(min=0)
    return weight[0] * features + weight[1] * local


def one_way(net: KeypointNet, a: Side, b: Side, there: Transfer) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """The three losses of keypoints of ``a`` that ``b`` sees: outcome, place, match; and both shares of outcomes."""
    device = a.logits.device
    target, seen = there(a.tried)
    chosen, target, flat = a.tried[seen], target[seen], a.flat[seen]
    zero = a.logits.sum() * 0
    if len(chosen) < 8 or len(b.kept) < 8:
        return zero, zero, zero, 0.0, 0.0
    distance, _ = KDTree(b.kept).query(target)
    found = distance <= FOUND_PX
    columns = np.concatenate([b.kept, target[: KEPT // 2]])
    similarity = joint_similarity(net, a, b, chosen, columns)
    guess = similarity[:, : len(b.kept)].detach().argmax(dim=1).cpu().numpy()
    matched = np.linalg.norm(b.kept[guess] - target, axis=1) <= MATCHED_PX
    as_tensor = torch.from_numpy
    outcome = as_tensor(np.where(flat, 0.0, 0.5 * found + 0.5 * matched)).float().to(device)
    score = outcome_loss(a.logits, as_tensor(chosen).to(device), outcome)
    # Points without a partner make no demand, or every view's clutter would be carried to the other.
    place = window_cross_entropy(b.logits, as_tensor(target[found & ~flat]).float().to(device))
    rows = np.arange(min(len(target), KEPT // 2))
    match = matching_loss(
        similarity[: len(rows)], as_tensor(target[rows]).float().to(device), as_tensor(columns).float().to(device)
    )
    best = min(len(found), KEPT // 2)
    return score, place, match, float(found[:best].mean()), float(matched[:best].mean())


def learn(net: KeypointNet, pair: LookPair, rng: np.random.Generator, teach: bool, light: bool = True) -> Step:
    """The losses of one pair, both ways."""
    a, b = sides(net, pair, rng, light)
    step = Step(a.logits.sum() * 0)
    for (mine, other), there in (((a, b), pair.there), ((b, a), pair.back)):
        score, place, match, repeated, matched = one_way(net, mine, other, there)
        step.loss = step.loss + match
        if not teach:
            step.loss = step.loss + 2 * score + 0.5 * place
        step.repeated += repeated / 2
        step.matched += matched / 2
    if teach:
        for side, look in ((a, pair.a), (b, pair.b)):
            taught = torch.from_numpy(sift_keypoints(look.rgb, KEPT).pos_px).float().to(side.logits.device)
            step.loss = step.loss + teacher_loss(side.logits, taught) + 0.5 * window_cross_entropy(side.logits, taught)
    return step


def train(net: KeypointNet, pairs: list[LookPair], args: Arguments) -> Job[KeypointNet]:
    """Fit the network to the pairs."""
    rng = np.random.default_rng(args.seed)
    groups = [g for g in ([p for p in pairs if p.kind == k] for k in ("depth", "photos")) if g]
    share = [DEPTH_SHARE, 1 - DEPTH_SHARE] if len(groups) == 2 else [1.0]
    net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    weights = [p for name, p in net.named_parameters() if name != "balance"]
    optimiser = torch.optim.AdamW(
        [{"params": weights, "weight_decay": 1e-4}, {"params": [net.balance], "weight_decay": 0.0, "times": 20.0}],
        lr=args.rate,
    )
    repeated = matched = 0.0
    for n in range(args.steps):
        rate = args.rate * min(1.0, (n + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * n / args.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate * group.get("times", 1.0)
        group = groups[int(rng.choice(len(groups), p=share))]
        pair = group[int(rng.integers(len(group)))]
        step = learn(net, pair, rng, teach=n < args.seeding)
        optimiser.zero_grad()
        step.loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimiser.step()
        repeated += 0.02 * (step.repeated - repeated)
        matched += 0.02 * (step.matched - matched)
        note = f"loss {step.loss.item():.3f}, found again {repeated:.3f}, matched {matched:.3f}"
        yield Progress(n + 1, args.steps, "steps", note)
    return net.eval()


def validate(net: KeypointNet, pairs: list[LookPair], seed: int) -> tuple[float, float]:
    """Mean shares of the best keypoints that are found again and matched, over pairs, with clean light."""
    rng = np.random.default_rng(seed)
    with torch.inference_mode():
        steps = [learn(net.eval(), pair, rng, teach=False, light=False) for pair in pairs]
    return float(np.mean([s.repeated for s in steps])), float(np.mean([s.matched for s in steps]))


def main(args: Arguments) -> None:
    """Gather, train, write; prints progress and the outcome on pairs that were not trained on.

    Raises:
        CaptureError: a path of ``--data`` is neither a capture nor a folder of photos.
    """
    seed_all(args.seed)
    torch.set_num_threads(args.threads)
    torch.set_float32_matmul_precision("medium")
    device = resolve_device(args.device)
    encoder = load_encoder(args.encoder, device)
    sources = [source for path in args.data for source in open_sources(path, args.rooms)]
    pairs = finish(gather(sources, encoder, args), progress_printer())
    kept = max(1, round(VALIDATION * len(pairs)))
    training, unseen = pairs[: max(1, len(pairs) - kept)], pairs[-kept:]
    net, before = KeypointNet(), None
    if args.start is not None:
        tensors, before = read_weights(args.start)
        load_module(net, tensors, args.start, "the keypoint head")
        net.requires_grad_(True)
    net = finish(train(net.to(device), training, args), progress_printer())
    stored = {name: t.detach().half().cpu() for name, t in net.state_dict().items()}
    net.load_state_dict({name: t.float() for name, t in stored.items()})
    repeated, matched = validate(net, unseen, args.seed)
    meta = {
        "network": f"keypoint head, {sum(t.numel() for t in stored.values())} parameters",
        "encoder": encoder.id,
        "data": [path.name for path in args.data],
        "pairs": {k: sum(p.kind == k for p in training) for k in ("depth", "photos")},
        "settings": {k: v for k, v in vars(args).items() if k not in ("data", "out", "start")},
        "went_on_from": before,
        "found_again_on_unseen_pairs": round(repeated, 3),
        "matched_on_unseen_pairs": round(matched, 3),
        "licence": "Apache-2.0",
        "made_by": "python -m engine.training.keypoints",
    }
    write_tensors(args.out, {name: t.contiguous().numpy() for name, t in stored.items()}, meta)
    print(f"\n{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")
    print(f"  on {len(unseen)} unseen pairs {repeated:.3f} of keypoints found again, {matched:.3f} matched")


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
