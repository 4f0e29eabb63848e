"""Queries of a repository: late interaction over keypoints ranks scenes, geometry decides.

The score of a scene is the mean over a photo's keypoints of the best cosine to any of the scene's (ColBERT, Khattab and
Zaharia, SIGIR 2020), by products of 8-bit codes; of many scenes, for those alone that the index lists. The best few are
then asked for the photo's camera: what counts is how many keypoints agree on one.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.api.errors import RepositoryError
from engine.api.jobs import Job, Progress
from engine.repository.align import Alignment, align
from engine.repository.pose import Pose, mutual_nearest, place
from engine.repository.record import LARGEST_ENTRY, MOST_KEYPOINTS, NamedPlace, SceneRecord, decode, encode
from engine.repository.scenes import Changes, SceneRow, SceneStore
from engine.repository.shortlist import Shortlist, listed_of

if TYPE_CHECKING:
    from engine.api.scene import Float32
    from engine.queries.prompt import Vocabulary
    from engine.queries.quantise import Codes
    from engine.repository.photo import PhotoQuery

READ = 64
"""Scenes that are read at once."""
KEPT = 8192
"""Scenes whose descriptors stay in memory: a quarter of a gigabyte."""
WORDED = 100
"""Scenes at most that words find."""
VERIFIED = 10
"""Best scenes that are asked for a camera."""
COMPARED = 7
"""Best scenes that another one is aligned with."""
SURE = 0.99
"""Confidence from which on no further scene is asked."""
CONFIDENT = 0.5
"""Least confidence of an answer; below, the photo is of nothing here."""
TURNS = (0, 1, 3, 2)
"""Quarter turns of a photo, in the order in which they are tried until it is found: scenes are encoded upright, and a
photo may lie on its side and not say so."""
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


Describe = Callable[[int], Job["PhotoQuery"]]
"""A photo's keypoints, looked at after so many quarter turns; see ``describe_photo``."""


def find_photo(repository: Repository, describe: Describe, seed: int = 0) -> Job[tuple[PhotoQuery, list[Ranked]]]:
    """The scenes that a photo may show, however it lies, and its keypoints as it was found by; as it lies if it was
    not."""
    first: tuple[PhotoQuery, list[Ranked]] | None = None
    for turns in TURNS:
        photo = yield from describe(turns)
        ranked = repository.by_photo(photo, seed)
        if ranked and ranked[0].confidence >= CONFIDENT:
            return photo, ranked
        first = first or (photo, ranked)
        yield Progress(0, 0, "photos")
    assert first is not None
    return first


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
    """The queries of a store. What they need often is kept in memory: rows, postings, and descriptors up to a bound.

    Args:
        store: of the scenes.
    """

    def __init__(self, store: SceneStore) -> None:
        self.store = store
        self._seen: Changes | None = None
        self._rows: list[SceneRow] = []
        self._place: dict[int, int] = {}
        self._shortlist = Shortlist(store)
        self._kept: OrderedDict[int, Tensor] = OrderedDict()

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
        """(S,) mean best cosine of (N, D) unit descriptors to the keypoints of each scene, without the index."""
        self._follow()
        return self._exact(descriptors, [row.id for row in self._rows])

    def best(self, descriptors: Float32) -> list[tuple[SceneRow, float]]:
        """The scenes most like (N, D) unit descriptors, with their scores, the best first: all of them where they are
        few, or else some that the index lists."""
        self._follow()
        ids = None
        if (count := listed_of(len(self._rows))) < len(self._rows) and len(descriptors):
            ids = self._shortlist.best(descriptors, count)
        few = [row.id for row in self._rows] if ids is None else [int(id) for id in ids]
        scores = self._exact(descriptors, few)
        return [(self._rows[self._place[few[n]]], float(scores[n])) for n in np.argsort(-scores, kind="stable")]

    def by_photo(self, photo: PhotoQuery, seed: int = 0) -> list[Ranked]:
        """The scenes that a photo may show: those with a camera to be believed first, then by score."""
        found: list[Ranked] = []
        sure = False
        best = self.best(photo.descriptors)[:VERIFIED]
        records = self.store.load_all([row.id for row, _ in best])
        for row, score in best:
            if (record := records.get(row.id)) is None:
                continue  # removed meanwhile
            pose = None
            if not sure:
                matched = mutual_nearest(photo.descriptors, decode(record.codes))
                pose = place(photo.pos_px, record.pos_w, matched, photo.size, photo.focal, seed)
                sure = pose is not None and pose.confidence >= SURE
            found.append(Ranked(row, record, score, pose))
        return sorted(found, key=lambda r: (-r.confidence if r.confidence >= CONFIDENT else 0.0, -r.score))

    def by_scene(self, scene: SceneRecord, seed: int = 0) -> list[Alike]:
        """The scenes most like one, without itself, and how it lies in them."""
        near = self._near(scene)
        records = self.store.load_all([row.id for row, _ in near])
        found = [Alike(row, s, align(scene, records[row.id], seed)) for row, s in near if row.id in records]
        return sorted(found, key=lambda a: (-a.confidence if a.confidence >= CONFIDENT else 0.0, -a.score))

    def _near(self, scene: SceneRecord) -> list[tuple[SceneRow, float]]:
        found = self.best(decode(scene.codes))
        return [(row, score) for row, score in found if row.fingerprint != scene.fingerprint][:COMPARED]

    def duplicates(self, seed: int = 0) -> Job[list[Duplicate]]:
        """All pairs of scenes of one place, the surest first: each scene is aligned with the few that are most like it
        alone."""
        found: list[Duplicate] = []
        tried: set[tuple[int, int]] = set()
        rows = list(self.rows)
        for done, row in enumerate(rows):
            yield Progress(done, len(rows), "scenes", row.name)
            scene = self.store.load(row.id)
            for other, score in self._near(scene):
                pair = (min(row.id, other.id), max(row.id, other.id))
                if pair in tried:
                    continue
                tried.add(pair)
                yield Progress(done, len(rows), "scenes", row.name)
                alike = Alike(other, score, align(scene, self.store.load(other.id), seed))
                if alike.confidence >= CONFIDENT:
                    found.append(Duplicate(row, alike))
        yield Progress(len(rows), len(rows), "scenes")
        return sorted(found, key=lambda d: -d.b.confidence)

    def by_words(self, prompt: str, vocabularies: Sequence[Vocabulary], most: int = WORDED) -> list[Worded]:
        """Scenes by how likely they hold what a prompt means ("room with a piano": the piano), ``most`` at most; those
        that surely do not are left out."""
        prompt = thing(prompt)
        weight: dict[str, float] = {}
        for vocabulary in vocabularies:
            meaning = vocabulary.meaning(prompt)
            for n in np.flatnonzero(meaning.weights):
                name = vocabulary.names[n]
                weight[name] = max(weight.get(name, 0.0), float(meaning.weights[n]))
        self._follow()
        best: dict[int, float] = {}
        for id, name, chance in self.store.named(weight):
            if id in self._place:
                best[id] = max(best.get(id, 0.0), chance * weight[name])
        found: list[Worded] = []
        records = self.store.load_all(sorted(best, key=lambda id: (-best[id], id))[:most])
        for id, record in records.items():
            places = [p for p in record.places if p.name in weight]
            fits = sorted((p._replace(chance=p.chance * weight[p.name]) for p in places), key=lambda p: -p.chance)
            found.append(Worded(self._rows[self._place[id]], best[id], tuple(fits)))
        return found

    def _exact(self, descriptors: Float32, ids: list[int]) -> Float32:
        """(S,) scores of some scenes by products of their codes; zero for those that are gone."""
        out = np.zeros(len(ids), np.float32)
        if not len(descriptors):
            return out
        query = torch.from_numpy(encode(descriptors))
        for start in range(0, len(ids), READ):
            some = ids[start : start + READ]
            there = {id: self._kept[id] for id in some if id in self._kept}
            for id, codes in self.store.codes([id for id in some if id not in there]):
                if codes.shape[1] != descriptors.shape[1]:
                    raise RepositoryError("holds scenes of several encoders", mend="make the repository anew")
                there[id] = self._keep(id, codes)
            for n, id in enumerate(some, start=start):
                if id in there:
                    best = torch._int_mm(query, there[id].T).amax(dim=1).clamp(min=0)
                    out[n] = best.float().mean() / _UNIT
                    self._kept.move_to_end(id)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return out

    def _keep(self, id: int, codes: Codes) -> Tensor:
        """Filled up with zeros, which are like nothing: products of one shape need preparing once."""
        full = np.zeros((MOST_KEYPOINTS, codes.shape[1]), np.int8)
        full[: len(codes)] = codes
        self._kept[id] = kept = torch.from_numpy(full)
        return kept

    def _follow(self) -> None:
        """Read again what changed."""
        now = self.store.changes()
        if now == self._seen:
            return
        new = self.store.rows(after=self._rows[-1].id if self._rows else 0)
        if len(self._rows) + len(new) != now.count:  # some were removed
            self._rows, new = [], self.store.rows()
        self._rows = [*self._rows, *new]
        self._place = {row.id: n for n, row in enumerate(self._rows)}
        if listed_of(len(self._rows)) < len(self._rows):
            self._shortlist.follow(np.array([row.id for row in self._rows], np.int64), now.book)
        self._seen = now
