"""Words for keypoints: the centres of a spherical k-means over a repository's descriptors (Sivic and Zisserman, ICCV
2003), by which a few scenes out of many are picked before any is compared exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.api.jobs import Job, Progress
from engine.api.scene import Float32
from engine.queries.quantise import Codes
from engine.repository.record import decode, encode

Words = NDArray[np.uint16]

CENTRES = 4096
"""Of 300 rooms, 64 of which were scanned twice, a third of the second scan's keypoints kept the right room among the
first 15 in all cases; with 2,048 centres in 61, with 1,024 in 60."""
POINTS_PER_CENTRE = 32
ROUNDS = 6
SLICE = 2048
"""Descriptors of one product with all centres: some 15 ms."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """Centres.

    Attributes:
        codes: (C, D) int8, unit vectors as ``encode`` writes them.
        scenes: so many a repository had when they were found.
    """

    codes: Codes
    scenes: int

    @cached_property
    def centres(self) -> Float32:
        """(C, D) of unit length."""
        return decode(self.codes)

    def words(self, codes: Codes) -> Words:
        """Of a scene's descriptors (K, D): the centres that are the nearest to any of them, rising, each once;
        none for descriptors of another width."""
        if codes.shape[1] != self.codes.shape[1]:
            return np.empty(0, np.uint16)
        return np.unique(nearest(decode(codes), self.centres)).astype(np.uint16)

    def probes(self, descriptors: Float32, count: int) -> tuple[NDArray[np.int32], Float32]:
        """The ``count`` centres nearest to each of (N, D) unit descriptors, the nearest first, and what each is worth.

        A word that a scene lacks could not have given more than the next centre in line, so that a probe is worth its
        cosine less that of probe ``count``.

        Returns:
            words (N, count) int32 and worth (N, count), not negative.
        """
        words = np.empty((len(descriptors), count), np.int32)
        worth = np.empty((len(descriptors), count), np.float32)
        centres = self.centres
        for part in _parts(len(descriptors)):
            cosine = descriptors[part] @ centres.T
            best = np.argpartition(-cosine, count, axis=1)[:, : count + 1]
            value = np.take_along_axis(cosine, best, axis=1)
            order = np.argsort(-value, axis=1, kind="stable")
            best, value = np.take_along_axis(best, order, axis=1), np.take_along_axis(value, order, axis=1)
            words[part], worth[part] = best[:, :count], value[:, :count] - value[:, count:]
        return words, worth


def nearest(descriptors: Float32, centres: Float32) -> NDArray[np.int64]:
    """(N,) rows of centres (C, D) with the largest cosine to unit descriptors (N, D)."""
    out = np.empty(len(descriptors), np.int64)
    for part in _parts(len(descriptors)):
        (descriptors[part] @ centres.T).argmax(axis=1, out=out[part])
    return out


def train(sample: Codes, scenes: int, seed: int = 0) -> Job[Codebook]:
    """Lloyd's algorithm on the sphere, from descriptors drawn at random.

    Args:
        sample: (N, D) int8 descriptors of a repository, some ``POINTS_PER_CENTRE`` a centre; N is at least 1.
        scenes: of the repository.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    points = decode(sample)
    count = min(CENTRES, len(points))
    centres = points[np.sort(rng.choice(len(points), count, replace=False))]
    parts = list(_parts(len(points)))
    for turn in range(ROUNDS):
        total = np.zeros((count, points.shape[1]), np.float64)
        members = np.zeros(count, np.int64)
        for n, part in enumerate(parts):
            yield Progress(turn * len(parts) + n, ROUNDS * len(parts), "slices", "words for keypoints")
            word = nearest(points[part], centres)
            order = np.argsort(word, kind="stable")
            used, first, many = np.unique(word[order], return_index=True, return_counts=True)
            total[used] += np.add.reduceat(points[part][order], first, axis=0)
            members[used] += many
        empty = np.flatnonzero(members == 0)
        total[empty] = points[rng.choice(len(points), len(empty))]  # elsewhere, rather than nowhere
        length = np.linalg.norm(total, axis=1, keepdims=True)
        centres = np.where(length > 1e-9, total / np.maximum(length, 1e-9), centres).astype(np.float32)
    return Codebook(encode(centres), scenes)


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, SLICE):
        yield slice(start, min(start + SLICE, count))
