"""Prompts on ten photos of scikit-image, with boxes drawn by hand::

    pip download --no-deps scikit-image==0.26.0 && python -m zipfile -e scikit_image-*.whl .
    python -m tests.bench.prompt_photos skimage/data --out PICTURES

A prompt for what is there is right when something is over the threshold and the hottest cell lies in the box; one for
what is not there, when nothing is over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

from engine.api.jobs import finish
from engine.encoders.classes import load_classes
from engine.photo_names import cell_chances
from engine.prompt_commands import highlighted
from engine.prompting import PHOTO_THRESHOLD, classes_path, words
from engine.queries.prompt import Namer, Vocabulary, answers

SIDE = 190
Box = tuple[float, float, float, float]
ASKED: dict[str, dict[str, Box | None]] = {
    "astronaut.png": {
        "space shuttle": (0.64, 0.0, 0.92, 0.58), "helmet": (0.52, 0.64, 1.0, 1.0), "flag": (0.0, 0.0, 0.24, 1.0),
        "dog": None,
    },
    "camera.png": {
        "tripod": (0.43, 0.34, 0.82, 1.0), "camera": (0.48, 0.25, 0.67, 0.44), "person": (0.0, 0.1, 0.58, 1.0),
        "horse": None,
    },
    "chelsea.png": {"cat": (0.0, 0.0, 0.96, 1.0), "dog": None},
    "clock_motion.png": {"clock": (0.3, 0.27, 0.75, 0.75), "car": None},
    "coffee.png": {
        "cup of coffee": (0.26, 0.02, 0.7, 0.8), "spoon": (0.5, 0.13, 0.72, 0.84), "plate": (0.1, 0.25, 0.84, 0.97),
        "bottle": None,
    },
    "coins.png": {"coin": (0.0, 0.0, 1.0, 1.0), "cat": None},
    "horse.png": {"horse": (0.03, 0.0, 0.98, 0.97), "sofa": None},
    "motorcycle_left.png": {
        "motorcycle": (0.15, 0.22, 0.94, 0.94), "cardboard box": (0.58, 0.0, 1.0, 0.5), "boat": None,
    },
    "rocket.jpg": {"rocket": (0.44, 0.26, 0.57, 1.0), "tower": (0.0, 0.0, 0.42, 1.0), "cat": None},
    "page.png": {"book": (0.0, 0.0, 1.0, 1.0), "chair": None},
}  # fmt: skip


@dataclass
class Arguments:
    """Ask photos, print a table."""

    photos: Annotated[Path, tyro.conf.Positional]
    """Folder with scikit-image's pictures."""
    out: Path | None = None
    """Write all pictures as one, contact.jpg, into this folder."""


def main(args: Arguments) -> None:
    """Ask all, print a row for each prompt."""
    network = load_classes(classes_path())
    vocabulary = Vocabulary(network.names, words(), network.kinds)
    pictures: list[Image.Image] = []
    right = {True: [0, 0], False: [0, 0]}
    print("| photo | prompt | there | best | right |\n|---|---|---|---|---|")
    for name, prompts in ASKED.items():
        rgb = np.asarray(Image.open(args.photos / name).convert("RGB"))
        chances = cell_chances(finish(network.slices(rgb)))
        h, w, _ = chances.shape
        for prompt, answer in zip(
            prompts, answers([Namer(vocabulary, chances.reshape(h * w, -1))], list(prompts)), strict=True
        ):
            box, best = prompts[prompt], float(answer.relevancy.max())
            y, x = divmod(int(answer.relevancy.argmax()), w)
            at = ((x + 0.5) / w, (y + 0.5) / h)
            if box is None:
                good = best < PHOTO_THRESHOLD
            else:
                good = best >= PHOTO_THRESHOLD and box[0] <= at[0] <= box[2] and box[1] <= at[1] <= box[3]
            there = box is not None
            right[there][0] += good
            right[there][1] += 1
            print(f"| {name} | {prompt} | {'yes' if there else 'no'} | {best:.2f} | {'yes' if good else 'no'} |")
            level = np.round(255 * answer.relevancy).astype(np.uint8).reshape(h, w)
            small = Image.fromarray(rgb)
            small.thumbnail((SIDE, SIDE))
            pictures.append(highlighted(np.asarray(small), level, PHOTO_THRESHOLD, f"“{prompt}”  {best:.2f}"))
    for there, (good, all_of_them) in right.items():
        print(f"{'there' if there else 'not there'}: {good} of {all_of_them} right")
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        sheet(pictures).save(args.out / "contact.jpg", quality=88)


def sheet(pictures: list[Image.Image], columns: int = 7) -> Image.Image:
    """All on one."""
    rows = [pictures[n : n + columns] for n in range(0, len(pictures), columns)]
    heights = [max(p.height for p in row) + 6 for row in rows]
    out = Image.new("RGB", (columns * (SIDE + 6), sum(heights)), (24, 24, 24))
    for n, row in enumerate(rows):
        for m, picture in enumerate(row):
            out.paste(picture, (m * (SIDE + 6) + 3, sum(heights[:n]) + 3))
    return out


if __name__ == "__main__":
    main(tyro.cli(Arguments))
