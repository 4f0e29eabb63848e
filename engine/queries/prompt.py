"""Prompts: from words to how much each place of a scene is like them.

Namers say how likely each of K names is at a place: a network that learnt the names of furniture in rooms, and an image
classifier on the photos. A prompt is brought to a namer's names by the text encoder: a name counts by how near its
vector is to the prompt's, the nearest fully. So relevancy is a probability: all other names are the prompt's canonical
negatives, and a negative of the user takes away in proportion, as in LERF (Kerr et al., 2023). Words far from every
name are outside the vocabulary, and light up nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from engine.api.scene import Float32, UInt8
from engine.encoders.words import Text, WordEncoder

WITHIN = 0.55
"""Least cosine of a prompt and a name for the prompt to be within the vocabulary."""
SOFTNESS = 0.06
"""Fall of a name's weight with the difference of its cosine to the best one's."""
LEAST_WEIGHT = 0.05
SECOND = 0.7
"""Weight of what other namers say of a prompt that the first one knows, too. Chosen on four rooms: as much as costs no
false alarms there."""
NEAREST = 3


@dataclass(frozen=True)
class Meaning:
    """What a prompt means in a vocabulary.

    Attributes:
        text: what the text encoder makes of it.
        weights: (K,) of the names, the highest 1; all zero when it is outside the vocabulary.
        nearest: the names nearest to it with their cosines, the nearest first.
    """

    text: Text
    weights: Float32
    nearest: tuple[tuple[str, float], ...]

    @property
    def within(self) -> bool:
        """Whether it is within the vocabulary."""
        return bool(self.weights.any())


class Vocabulary:
    """K names and what they mean.

    Args:
        names: such as ``chair`` or ``oven/stove`` or ``tabby, tabby cat``, of which either word will do.
        words: the text encoder.
        kinds: of each name what it is a kind of, where that is known: a prompt for one of these means all its names.
    """

    def __init__(self, names: Sequence[str], words: WordEncoder, kinds: Sequence[Sequence[str]] = ()) -> None:
        self._words = words
        parts = [[p.strip() for p in re.split(r"/|, | or ", name) if p.strip()] or [name] for name in names]
        self.names = tuple(name.split(",")[0] for name in names)
        self._owner = np.repeat(np.arange(len(names)), [len(p) for p in parts])
        self._vectors = words.encode([p for some in parts for p in some])
        self._of: dict[str, list[int]] = defaultdict(list)
        for n, some in enumerate(kinds):
            for kind in some:
                self._of[kind.lower()].append(n)

    def cosines(self, text: Text) -> Float32:
        """(K,) of the prompt with each name, of its words the nearest."""
        out = np.full(len(self.names), -1.0, np.float32)
        np.maximum.at(out, self._owner, self._vectors @ text.vector)
        return out

    def meaning(self, prompt: str) -> Meaning:
        """What ``prompt`` means."""
        text = self._words.read(prompt)
        cosine = self.cosines(text)
        kind = self._of.get(text.known[-1], ()) if text.known else ()
        weights = np.zeros(len(self.names), np.float32)
        if len(kind):
            weights[kind] = 1
            cosine = np.where(weights > 0, 1, cosine)
        best = float(cosine.max(initial=0))
        if text.known and not len(kind) and best >= WITHIN:
            weights = np.exp((cosine - best) / SOFTNESS).astype(np.float32)
            weights[(weights < LEAST_WEIGHT) | (cosine < WITHIN)] = 0
        order = np.argsort(-cosine, kind="stable")[:NEAREST]
        nearest = tuple((self.names[n], float(cosine[n])) for n in order) if text.known else ()
        return Meaning(text, weights, nearest)


class Namer(NamedTuple):
    """``chances`` (W, K): 255 times the probabilities of a ``vocabulary``'s names at W places."""

    vocabulary: Vocabulary
    chances: UInt8

    def chance(self, meaning: Meaning) -> Float32:
        """(W,) in [0, 1] of all that a prompt means, less what who knows nothing would say: kinds have many names."""
        total = np.zeros(len(self.chances), np.float32)
        for name in np.flatnonzero(meaning.weights):
            total += self.chances[:, name] * np.float32(meaning.weights[name] / 255)
        guess = float(meaning.weights.sum()) / len(meaning.weights)
        return np.clip((total - guess) / max(1 - guess, 1e-6), 0, 1)


class Answer(NamedTuple):
    """What was understood of a prompt and its ``relevancy`` (W,) in [0, 1]. ``within``: some namer knows it;
    ``nearest``: of all their names."""

    text: Text
    within: bool
    nearest: tuple[tuple[str, float], ...]
    relevancy: Float32


def answers(namers: Sequence[Namer], prompts: Sequence[str], negatives: Sequence[str] = ()) -> list[Answer]:
    """Ask prompts of W places: how likely it is that one of several namers is right.

    Args:
        namers: at least one, the one to be trusted most first.
        prompts: to look for.
        negatives: what is not meant; it takes from all prompts.
    """
    against = np.zeros(len(namers[0].chances), np.float32)
    for negative in negatives:
        against = np.maximum(against, _found(namers, [n.vocabulary.meaning(negative) for n in namers]))
    out: list[Answer] = []
    for prompt in prompts:
        meanings = [namer.vocabulary.meaning(prompt) for namer in namers]
        found = _found(namers, meanings)
        if negatives:
            found = found * found / np.maximum(found + against, 1e-9)
        nearest: dict[str, float] = {}
        for name, cosine in sorted((n for m in meanings for n in m.nearest), key=lambda n: -n[1]):
            nearest.setdefault(name, cosine)
        within = any(m.within for m in meanings)
        out.append(Answer(meanings[0].text, within, tuple(nearest.items())[:NEAREST], found))
    return out


def _found(namers: Sequence[Namer], meanings: Sequence[Meaning]) -> Float32:
    weight = SECOND if meanings[0].within else 1.0
    missed = 1 - namers[0].chance(meanings[0])
    for namer, meaning in zip(namers[1:], meanings[1:], strict=True):
        missed *= 1 - weight * namer.chance(meaning)
    return 1 - missed
