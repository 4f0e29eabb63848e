"""The models that a room may use: one or several catalogues, divided by model into a training and a held-out part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from engine.api.errors import CaptureError
from engine.training.rooms.mesh import Mesh
from engine.training.rooms.models import Catalogue, ModelEntry

Split = Literal["train", "held-out"]

HELD_OUT_SHARE = 0.2
OUTDOORS = {"car", "truck/bus/van", "tree", "two-wheeler", "door", "window", "person"}
LONGEST_M = 2.3
MOST_TRIANGLES = 25_000
LARGE_M = 0.45
"""Pieces wider than this stand along the walls, smaller ones anywhere."""
SMALLEST_M = 0.12
FEWEST = 4
"""Large and small models that a room cannot do without."""


def held_out(model_id: str) -> bool:
    """Whether a model is kept from training: about one in five, by its name alone.

    Only the part before the first underscore counts, so that variants of one design (``KayKit#armchair`` and
    ``KayKit#armchair_pillows``) stay on one side.
    """
    design = model_id.split("_")[0]
    number = int.from_bytes(hashlib.sha1(design.encode(), usedforsecurity=False).digest()[:4], "big")
    return number < HELD_OUT_SHARE * 2**32


def label_of(entry: ModelEntry) -> str:
    """The model's class, else what it is called (``Double door with panes``: ``double door``), else ``thing``."""
    if entry.label:
        return entry.label
    head = re.split(r" with | for | and |[,:(/]| - ", entry.name.lower())[0]
    words = [w for w in re.findall(r"[^\W\d_][^\W_]*", head) if len(w) > 1]
    return " ".join(words[:3]) or "thing"


class Library:
    """The models of one side of the split, ordered by id; meshes are read once and kept.

    Attributes:
        large, small: entries for rooms; ``large`` ones stand along the walls.

    Raises:
        CaptureError: no readable catalogue, or too few models on this side of the split.
    """

    def __init__(self, folders: Sequence[Path], split: Split) -> None:
        self.split: Split = split
        self._of: dict[str, Catalogue] = {}
        entries: list[ModelEntry] = []
        for folder in folders:
            catalogue = Catalogue(folder)
            for entry in catalogue.entries.values():
                if held_out(entry.id) == (split == "held-out") and entry.id not in self._of and _indoors(entry):
                    self._of[entry.id] = catalogue
                    entries.append(entry)
        entries.sort(key=lambda e: e.id)
        self.large = [e for e in entries if e.size[0] > LARGE_M]
        self.small = [e for e in entries if LARGE_M >= e.size[0] > SMALLEST_M]
        self._kept: dict[str, Mesh | None] = {}
        if min(len(self.large), len(self.small)) < FEWEST:
            raise CaptureError(
                "the catalogues have too few models",
                path=folders[0] if folders else None,
                found=f"{len(self.large)} large and {len(self.small)} small ones for '{split}'",
                expected=f"at least {FEWEST} of each",
                mend="give --models further catalogue folders",
            )

    def load(self, entry: ModelEntry) -> Mesh | None:
        """The model's mesh, see ``Catalogue.load``; None when its file is damaged or far too detailed."""
        if entry.id not in self._kept:
            try:
                mesh = self._of[entry.id].load(entry.id)
            except CaptureError:
                mesh = None
            self._kept[entry.id] = mesh if mesh is not None and len(mesh.material) <= MOST_TRIANGLES else None
        return self._kept[entry.id]


def _indoors(entry: ModelEntry) -> bool:
    return entry.label not in OUTDOORS and max(entry.size) < LONGEST_M
