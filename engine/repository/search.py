"""Queries of a repository: late interaction over keypoints ranks scenes, geometry decides.

The score of a scene is the mean over a photo's keypoints of the best cosine to any of the scene's (ColBERT, Khattab and
Zaharia, SIGIR 2020), exact, by products of 8-bit codes. The best few are then asked for the photo's camera: what counts
is how many keypoints agree on one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api.errors import RepositoryError
from engine.api.jobs import Job, Progress
from engine.repository.align import Alignment, align
from engine.repository.pose import Pose, mutual_nearest, place
from engine.repository.record import LARGEST_ENTRY, NamedPlace, SceneRecord, decode, encode
from engine.repository.store import SceneRow, SceneStore, as_rows

if TYPE_CHECKING:
    from engine.api.scene import Float32
    from engine.queries.prompt import Vocabulary
    from engine.repository.photo import PhotoQuery

CHUNK = 8
"""Scenes of one product: its result stays in the processor's cache."""
VERIFIED = 10
"""Best scenes that are asked for a camera."""
COMPARED = 5
"""Best scenes that another one is aligned with."""
SURE = 0.99
"""Confidence from which on no further scene is asked."""
CONFIDENT = 0.5
"""Least confidence of an answer; below, the photo is of nothing here."""
_UNIT = (127 / LARGEST_ENTRY) ** 2


def thing(prompt: str) -> str:
    """What a prompt for scenes asks to be in them: "room with a piano" the piano."""
    return re.sub(r"^.*\bwith\b", "", prompt)


@dataclass(frozen=True, eq=False)
class Ranked:
    """A scene that a photo may show. ``score``: mean best cosine; ``pose``: None where there is no camera."""

    row: SceneRow
    record: SceneRecord
    score: float
    pose: Pose | None

    @property
    def confidence(self) -> float:
        """In [0, 1]."""
        return 0.0 if self.pose is None else self.pose.confidence


@dataclass(frozen=True, eq=False)
class Alike:
    """Scene ``row`` beside another. ``score``: mean best cosine; ``alignment``: from the other to it, or None."""

    row: SceneRow
    score: float
    alignment: Alignment | None

    @property
    def confidence(self) -> float:
        """In [0, 1], that both are of one place."""
        return 0.0 if self.alignment is None else self.alignment.confidence


@dataclass(frozen=True, eq=False)
class Duplicate:
    """Two scenes of one place: ``b.alignment`` brings ``a`` to it."""

    a: SceneRow
    b: Alike


@dataclass(frozen=True)
class Worded:
    """A scene that words may mean, how likely it holds such a thing, and where."""

    row: SceneRow
    score: float
    places: tuple[NamedPlace, ...]


class Repository:
    """A store with its descriptors in memory.

    Args:
        store: of the scenes.
    """

    def __init__(self, store: SceneStore) -> None:
        self.store = store
        self._seen: int | None = None
        self._rows: list[SceneRow] = []
        self._codes: Tensor = torch.empty((0, 1, 1), dtype=torch.int8)

    @property
    def rows(self) -> list[SceneRow]:
        """All scenes."""
        self._follow()
        return self._rows

    def check_weights(self, weights: str) -> None:
        """Raises:
        RepositoryError: its scenes were encoded by others.
        """
        other = next((r.weights for r in self.rows if r.weights != weights), None)
        if other is not None:
            raise RepositoryError(
                "the scenes were encoded by other weights, and cannot be compared with what these say",
                found=weights, expected=other, mend="use the encoder they were added with, or add them again",
            )  # fmt: skip

    def scores(self, descriptors: Float32) -> Float32:
        """(S,) mean best cosine of (N, D) unit descriptors to the keypoints of each scene."""
        self._follow()
        if not len(self._codes) or not len(descriptors):
            return np.zeros(len(self._codes), np.float32)
        query = torch.from_numpy(encode(descriptors))
        scenes, count, dim = self._codes.shape
        out = np.empty(scenes, np.float32)
        for start in range(0, scenes, CHUNK):
            some = self._codes[start : start + CHUNK]
            products = torch._int_mm(query, some.reshape(-1, dim).T)
            best = products.view(len(query), len(some), count).amax(dim=2).clamp(min=0)
            out[start : start + len(some)] = best.float().mean(dim=0).numpy() / _UNIT
        return out

    def by_photo(self, photo: PhotoQuery, seed: int = 0) -> list[Ranked]:
        """The scenes that a photo may show: those with a camera to be believed first, then by score."""
        scores = self.scores(photo.descriptors)
        order = np.argsort(-scores, kind="stable")[:VERIFIED]
        found: list[Ranked] = []
        sure = False
        for n in order:
            record, pose = self.store.load(self._rows[n].id), None
            if not sure:
                matched = mutual_nearest(photo.descriptors, decode(record.codes))
                pose = place(photo.pos_px, record.pos_w, matched, photo.size, photo.focal, seed)
                sure = pose is not None and pose.confidence >= SURE
            found.append(Ranked(self._rows[n], record, float(scores[n]), pose))
        return sorted(found, key=lambda r: (-r.confidence if r.confidence >= CONFIDENT else 0.0, -r.score))

    def by_scene(self, scene: SceneRecord, seed: int = 0) -> list[Alike]:
        """The scenes most like one, without itself, and how it lies in them."""
        scores = self.scores(decode(scene.codes))
        order = [n for n in np.argsort(-scores, kind="stable") if self._rows[n].fingerprint != scene.fingerprint]
        found = [
            Alike(self._rows[n], float(scores[n]), align(scene, self.store.load(self._rows[n].id), seed))
            for n in order[:COMPARED]
        ]
        return sorted(found, key=lambda a: (-a.confidence if a.confidence >= CONFIDENT else 0.0, -a.score))

    def duplicates(self, seed: int = 0) -> Job[list[Duplicate]]:
        """All pairs of scenes of one place, the surest first: each scene is aligned with the few that are most like it
        alone."""
        found: dict[tuple[int, int], Duplicate] = {}
        rows = list(self.rows)
        for done, row in enumerate(rows):
            yield Progress(done, len(rows), "scenes", row.name)
            for alike in self.by_scene(self.store.load(row.id), seed):
                pair = (min(row.id, alike.row.id), max(row.id, alike.row.id))
                if alike.confidence >= CONFIDENT and pair not in found:
                    found[pair] = Duplicate(row, alike)
        yield Progress(len(rows), len(rows), "scenes")
        return sorted(found.values(), key=lambda d: -d.b.confidence)

    def by_words(self, prompt: str, vocabularies: Sequence[Vocabulary]) -> list[Worded]:
        """All scenes by how likely they hold what a prompt means ("room with a piano": the piano); those that surely do
        not are left out."""
        prompt = thing(prompt)
        weight: dict[str, float] = {}
        for vocabulary in vocabularies:
            meaning = vocabulary.meaning(prompt)
            for n in np.flatnonzero(meaning.weights):
                name = vocabulary.names[n]
                weight[name] = max(weight.get(name, 0.0), float(meaning.weights[n]))
        found: list[Worded] = []
        for row in self.rows:
            fits = [p._replace(chance=p.chance * weight[p.name]) for p in self._places(row) if p.name in weight]
            fits.sort(key=lambda p: -p.chance)
            if fits:
                found.append(Worded(row, fits[0].chance, tuple(fits)))
        return sorted(found, key=lambda w: -w.score)

    def _places(self, row: SceneRow) -> tuple[NamedPlace, ...]:
        return self.store.load(row.id).places

    def _follow(self) -> None:
        """Read again what changed."""
        now = self.store.changes()
        if now == self._seen:
            return
        rows = {row.id: row for row in self.store.rows()}
        read = list(self.store.codes(list(rows)))
        widths: set[int] = {codes.shape[1] for _, codes in read}
        if len(widths) > 1:
            raise RepositoryError("holds scenes of several encoders", mend="make the repository anew")
        self._rows = [rows[id] for id, _ in read]
        stacked: NDArray[np.int8] = as_rows([codes for _, codes in read]) if read else np.empty((0, 1, 1), np.int8)
        self._codes, self._seen = torch.from_numpy(stacked), now
