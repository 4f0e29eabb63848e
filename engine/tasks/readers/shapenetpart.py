"""ShapeNetPart (Yi et al., 2016) as text: ``SYNSET/ID.txt`` of ``x y z nx ny nz label`` lines, y up.

``synsetoffset2category.txt`` names the categories, ``train_test_split/shuffled_*_file_list.json`` the splits; what is
for validation is learnt from. A class is a part of a category; parts have no names there, so they are numbered.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from engine.annotations.formats.content import read_json
from engine.api.errors import AnnotationError, CaptureError
from engine.tasks.readers.s3dis import read_table
from engine.tasks.scans import Listing, Points, ScanItem

CATEGORIES, SPLIT = "synsetoffset2category.txt", "train_test_split"
PARTS = {
    "Airplane": 4, "Bag": 2, "Cap": 2, "Car": 4, "Chair": 4, "Earphone": 3, "Guitar": 3, "Knife": 2, "Lamp": 4,
    "Laptop": 2, "Motorbike": 6, "Mug": 2, "Pistol": 3, "Rocket": 3, "Skateboard": 3, "Table": 3,
}  # fmt: skip
"""How many parts each category has; labels count on from one category to the next, in this order."""
NAMES = tuple(f"{name} {n + 1}" for name, count in PARTS.items() for n in range(count))
_FIRST = {name: sum(list(PARTS.values())[:n]) for n, name in enumerate(PARTS)}


def is_shapenetpart(folder: Path) -> bool:
    """Whether a folder is laid out so."""
    return (folder / CATEGORIES).is_file()


def list_shapenetpart(folder: Path) -> Listing:
    """All objects of the three lists.

    Raises:
        CaptureError: the categories or a list cannot be read, or name what is not there.
    """
    categories = _categories(folder / CATEGORIES)
    items: list[ScanItem] = []
    for split in ("train", "val", "test"):
        path = folder / SPLIT / f"shuffled_{split}_file_list.json"
        if split == "val" and not path.exists():
            continue
        try:
            told = read_json(path)
        except AnnotationError as e:
            raise CaptureError("a list of objects cannot be read", path=path, found=e.found or e.what) from e
        if not isinstance(told, list) or not all(isinstance(x, str) for x in told):
            raise CaptureError("is no list of objects", path=path, expected='such as ["shape_data/02691156/ID"]')
        for name in told:
            match = re.fullmatch(r"(?:[\w-]+/)?(\d{1,12})/([\w.-]{1,200})", name)
            if match is None or match[1] not in categories:
                raise CaptureError("names what is no object", path=path, found=name[:100], expected="SYNSET/ID")
            file = folder / match[1] / f"{match[2]}.txt"
            if file.is_file():
                load = partial(_load, file, categories[match[1]])
                items.append(ScanItem(f"{match[1]}/{match[2]}", split == "test", (file,), load))
            else:
                items.append(ScanItem(f"{match[1]}/{match[2]}", split == "test", (), partial(_missing, file)))
    return Listing("ShapeNetPart objects", items, "object", NAMES)


def _missing(path: Path) -> Points:
    raise CaptureError("is listed and not there", path=path)


def _load(path: Path, category: str) -> Points:
    table = read_table(path, 7)
    first, count = _FIRST[category], PARTS[category]
    label = table[:, 6]
    if not ((label >= first) & (label < first + count) & (label == np.floor(label))).all():
        found, expected = (
            f"labels from {label.min():g} to {label.max():g}",
            f"{first} to {first + count - 1}: {category}",
        )
        raise CaptureError("has labels of another category", path=path, found=found, expected=expected)
    pos = np.stack([table[:, 0], -table[:, 2], table[:, 1]], axis=1)  # y up to z up, nothing mirrored
    return Points(pos, None, label.astype(np.int64), NAMES)


def _categories(path: Path) -> dict[str, str]:
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
        out = {synset: name for name, synset in lines}
    except (OSError, ValueError) as e:
        raise CaptureError("cannot be read", path=path, found=str(e)[:160], expected="lines of NAME SYNSET") from e
    unknown = sorted(set(out.values()) - PARTS.keys())
    if unknown or not out:
        found = ", ".join(unknown)[:160] or "no categories"
        raise CaptureError("names no categories of ShapeNetPart", path=path, found=found, expected=", ".join(PARTS))
    return out
