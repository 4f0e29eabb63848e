"""Which few of many scenes are worth an exact comparison: those that share words of the codebook with a photo.

A photo's keypoint asks the few centres nearest to it, each of which knows the scenes that have it (an inverted file,
Sivic and Zisserman, ICCV 2003); a scene gets the best that any of its words gives, summed over keypoints: a cheap lower
bound of late interaction. Scenes without words are always worth it, so that no answer depends on what can be derived.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.api.jobs import Job, Progress
from engine.api.scene import Float32
from engine.march.rays import jit
from engine.repository.codebook import CENTRES, POINTS_PER_CENTRE, Codebook, Words, train
from engine.repository.scenes import SceneStore

EXACT = 400
"""So many scenes are all compared: no index is made for fewer."""
LEAST_LISTED = 128
LISTED = 4.0
"""Of the square root of the number of scenes: so long is a shortlist."""
PROBES = 3
BLOCK = 4096
"""Scenes at most whose postings lie together: tallies of one block stay in the processor's nearest cache."""
GROWTH = 8
"""A codebook is made anew when the repository has grown so many times since."""
SAMPLED = 2048
"""Scenes at most whose descriptors a codebook is made from."""
BATCH = 64


def listed_of(scenes: int) -> int:
    """Length of the shortlist of a repository of so many scenes: with its square root, as postings alone get worse."""
    return scenes if scenes <= EXACT else max(LEAST_LISTED, int(LISTED * scenes**0.5))


class _Block(NamedTuple):
    """Postings of some scenes: ``members[starts[w] : starts[w + 1]]`` are the rows in ``ids`` that have word w."""

    ids: NDArray[np.int64]
    starts: NDArray[np.int64]
    members: NDArray[np.uint16]


class Shortlist:
    """The postings of a store, in memory: some 1 kB a scene.

    Args:
        store: of the scenes.
    """

    def __init__(self, store: SceneStore) -> None:
        self._store = store
        self._book: Codebook | None = None
        self._mark: int | None = None
        self._blocks: list[_Block] = []
        self._bare = np.empty(0, np.int64)

    def follow(self, ids: NDArray[np.int64], mark: int) -> None:
        """Read what changed.

        Args:
            ids: (S,) of all scenes, rising.
            mark: of the store's codebook.
        """
        if mark != self._mark:
            self._book, self._mark, self._blocks = self._store.codebook(), mark, []
        if self._book is None:
            self._bare = ids
            return
        old = {int(block.ids[0]): block for block in self._blocks}
        self._blocks = []
        for those in np.split(ids, np.searchsorted(ids, sorted(old)[1:])):
            for part in np.split(those, range(BLOCK, len(those), BLOCK)):
                if len(part):
                    known = old.get(int(part[0]))
                    same = known is not None and np.array_equal(known.ids, part)
                    self._blocks.append(known if same else self._read(part, len(self._book.codes)))
        bare = [block.ids[np.bincount(block.members, minlength=len(block.ids)) == 0] for block in self._blocks]
        self._bare = np.concatenate([np.empty(0, np.int64), *bare])

    def best(self, descriptors: Float32, count: int) -> NDArray[np.int64] | None:
        """Ids of the ``count`` scenes to compare with (N, D) unit descriptors, in no order; None: there is no index."""
        if self._book is None:
            return None
        words, worth = self._book.probes(descriptors, PROBES)
        scores: list[Float32] = []
        for block in self._blocks:
            score = np.zeros(len(block.ids), np.float32)
            tally(block.starts, block.members, words, worth, score)
            scores.append(score)
        ids = np.concatenate([np.empty(0, np.int64), *(block.ids for block in self._blocks)])
        if len(ids) <= count:
            return ids
        best = ids[np.argpartition(-np.concatenate(scores), count)[:count]]
        return np.union1d(best, self._bare)

    def _read(self, ids: NDArray[np.int64], centres: int) -> _Block:
        there = {int(id): row for row, id in enumerate(ids)}
        words: list[Words] = []
        rows: list[int] = []
        for id, some in self._store.postings(int(ids[0]), int(ids[-1])):
            if id in there and len(some) and int(some.max()) < centres:
                words.append(some)
                rows.append(there[id])
        counts = np.array([len(w) for w in words], np.int64)
        every = np.concatenate(words) if words else np.empty(0, np.uint16)
        owner = np.repeat(np.array(rows, np.uint16), counts)
        order = np.argsort(every, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(every, minlength=centres))]).astype(np.int64)
        return _Block(ids, starts, owner[order])


@jit
def tally(starts, members, words, worth, score):
    """Add to ``score`` (S,), for each of N keypoints, what the first of its probes that a scene has is worth.

    Args: postings ``starts`` (C + 1,) and ``members``; ``words`` and ``worth`` (N, P), the best probe first.
    """
    last = np.full(score.shape[0], -1, np.int32)
    for q in range(words.shape[0]):
        for p in range(words.shape[1]):
            w = words[q, p]
            value = worth[q, p]
            for j in range(starts[w], starts[w + 1]):
                s = members[j]
                if last[s] != q:
                    last[s] = q
                    score[s] += value


def index_due(store: SceneStore) -> bool:
    """Whether a store has grown so much that ``build_index`` is worth its time."""
    scenes = store.count()
    if scenes <= EXACT or not store.writable:
        return False
    book = store.codebook()
    return book is None or scenes >= GROWTH * max(book.scenes, 1)


def build_index(store: SceneStore, seed: int = 0) -> Job[Codebook | None]:
    """Make the codebook and all postings anew. Others read and write meanwhile; the old ones serve until the end.

    Returns:
        None where there is nothing to index.
    """
    ids = [row.id for row in store.rows()]
    rng = np.random.default_rng(seed)
    drawn = sorted(int(n) for n in rng.choice(len(ids), min(len(ids), SAMPLED), replace=False))
    each = -(-CENTRES * POINTS_PER_CENTRE // max(len(drawn), 1))
    sample: list[NDArray[np.int8]] = []
    for start in range(0, len(drawn), BATCH):
        yield Progress(start, len(drawn), "scenes", "reading keypoints")
        for _, codes in store.codes([ids[n] for n in drawn[start : start + BATCH]]):
            sample.append(codes[rng.permutation(len(codes))[:each]])
    if not sample:
        return None
    book = yield from train(np.concatenate(sample), len(ids), seed)
    words: dict[int, Words] = {}
    for start in range(0, len(ids), BATCH):
        for id, codes in store.codes(ids[start : start + BATCH]):
            words[id] = book.words(codes)
            yield Progress(len(words), len(ids), "scenes", "indexing keypoints")
    yield Progress(len(ids), len(ids), "scenes", "writing the index")
    store.put_index(book, words)
    return book
