"""Class folders of models that no training saw, for ``condense task classify``.

    python tests/bench/classify_data.py --models CATALOGUE --out DIR

Writes OUT/0, OUT/1, …: each a folder of CLASS/train/*.npz and CLASS/test/*.npz with the points of held-out models, the
designs of each class divided anew between the two, so that no model, nor a variant of it, is on both sides. With
``--taught`` OUT alone: learnt from models that rooms of the encoder's training may hold, tested on held-out ones. With
``--validate CATALOGUE`` OUT/0, …: to choose settings by; no held-out model at all, and those to test are not in the
catalogue that the encoder's rooms were made of, so that it has not seen them either.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from engine.api.errors import CaptureError
from engine.training.rooms.catalogues import held_out, label_of
from engine.training.rooms.mesh import Mesh, to_srgb
from engine.training.rooms.models import Catalogue

POINTS = 4096


@dataclass
class Arguments:
    """Class folders of held-out models."""

    models: Path
    """Folder with catalog.json."""
    out: Path
    """Folder to write."""
    splits: int = 3
    """How many divisions into training and test."""
    taught: bool = False
    """Learn from the other models, of which there are many more."""
    validate: Path | None = None
    """Catalogue of the encoder's training: validation data, of models that are not held out."""


def sampled(mesh: Mesh, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points spread evenly over the surface, and their materials' mean colours (N, 3) uint8."""
    a, b, c = (mesh.corners[:, k].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    face = rng.choice(len(area), POINTS, p=area / area.sum())
    u, v = np.sort(rng.random((2, POINTS, 1)), axis=0)
    pos = u * a[face] + (v - u) * b[face] + (1 - v) * c[face]
    tints = np.stack([to_srgb(m.mean) for m in mesh.materials])
    return pos.astype(np.float32), (tints[mesh.material[face]].clip(0, 1) * 255).round().astype(np.uint8)


def write(folder: Path, name: str, side: str, id: str, mesh: Mesh, rng: np.random.Generator) -> None:
    """Sample a model of a class into its place."""
    pos, rgb = sampled(mesh, rng)
    place = folder / name.replace("/", "-") / side
    place.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(place / f"{id.replace('/', '-').replace(' ', '-')}.npz", points=pos, rgb=rgb)


def taught(args: Arguments) -> None:
    """Held-out models of each class to test, all others to learn from."""
    catalogue, rng = Catalogue(args.models), np.random.default_rng(0)
    sides: dict[str, tuple[list[tuple[str, Mesh]], list[tuple[str, Mesh]]]] = defaultdict(lambda: ([], []))
    for entry in catalogue.entries.values():
        try:
            mesh = catalogue.load(entry.id)
        except CaptureError as e:
            print(e.text(), file=sys.stderr)
            continue
        if len(mesh.corners):
            sides[label_of(entry)][held_out(entry.id)].append((entry.id, mesh))
    used = {name: of for name, of in sorted(sides.items()) if len(of[0]) >= 2 and of[1]}
    for name, of in used.items():
        for side, models in zip(("train", "test"), of, strict=True):
            for id, mesh in models:
                write(args.out, name, side, id, mesh, rng)
    counts = [sum(len(of[n]) for of in used.values()) for n in (0, 1)]
    print(f"{args.out}: {len(used)} classes, {counts[0]} models to train with, {counts[1]} to test")


def validation(args: Arguments, known: Catalogue) -> None:
    """Of each class two fifths of the designs that the encoder never saw to test, all others to learn from."""
    catalogue = Catalogue(args.models)
    designs: dict[str, dict[str, list[tuple[str, Mesh]]]] = defaultdict(lambda: defaultdict(list))
    for entry in catalogue.entries.values():
        if not held_out(entry.id):
            try:
                designs[label_of(entry)][entry.id.split("_")[0]].append((entry.id, catalogue.load(entry.id)))
            except CaptureError as e:
                print(e.text(), file=sys.stderr)
    seen = {id.split("_")[0] for id in known.entries}
    for split in range(args.splits):
        rng = np.random.default_rng(split)
        counts = [0, 0]
        for name, of in sorted(designs.items()):
            new = sorted(of.keys() - seen)
            if len(of) < 2 or not new:
                continue
            tested = set(rng.permutation(new)[: min(max(1, round(0.4 * len(new))), len(of) - 1)])
            for design, models in of.items():
                for id, mesh in models:
                    if len(mesh.corners):
                        write(args.out / str(split), name, "test" if design in tested else "train", id, mesh, rng)
                        counts[design in tested] += 1
        print(f"{args.out / str(split)}: {counts[0]} models to train with, {counts[1]} to test")


def main(args: Arguments) -> None:
    """Sample, divide, write."""
    if args.validate is not None:
        validation(args, Catalogue(args.validate))
        return
    if args.taught:
        taught(args)
        return
    catalogue = Catalogue(args.models)
    designs: dict[str, dict[str, list[tuple[str, Mesh]]]] = defaultdict(lambda: defaultdict(list))
    for entry in catalogue.entries.values():
        if held_out(entry.id):
            try:
                mesh = catalogue.load(entry.id)
            except CaptureError as e:
                print(e.text(), file=sys.stderr)
                continue
            designs[label_of(entry)][entry.id.split("_")[0]].append((entry.id, mesh))
    used = {name: of for name, of in sorted(designs.items()) if len(of) >= 2}
    for split in range(args.splits):
        rng = np.random.default_rng(split)
        counts = [0, 0]
        for name, of in used.items():
            order = [sorted(of)[n] for n in rng.permutation(len(of))]
            for n, design in enumerate(order):
                side = "train" if n < (len(order) + 1) // 2 else "test"
                for id, mesh in of[design]:
                    write(args.out / str(split), name, side, id, mesh, rng)
                    counts[side == "test"] += 1
        print(f"{args.out / str(split)}: {len(used)} classes, {counts[0]} models to train with, {counts[1]} to test")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
