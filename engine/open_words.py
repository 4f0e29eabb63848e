"""Prompts in free words, where the scene's features lie in a space with texts (CLIP, SigLIP): an open vocabulary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.api.scene import Float32
from engine.encoders.words import Text
from engine.queries.prompt import Answer

if TYPE_CHECKING:
    from engine.encoders.clip import TextImageEncoder

CANONICAL = ("object", "things", "stuff", "texture")
"""What a prompt has to be more like than to be found (LERF)."""
TEMPERATURE = 10.0


@dataclass(frozen=True, eq=False)
class OpenWords:
    """Answers free words on W places.

    Attributes:
        encoder: of texts.
        features: (W, D) of the places in its space, of unit length, or zero where nothing is known.
    """

    encoder: TextImageEncoder
    features: Float32
    _vectors: dict[str, Float32] = field(default_factory=dict)

    def answer(self, prompt: str, negatives: tuple[str, ...]) -> Answer:
        """Relevancy in [0, 1] as in LERF (Kerr et al., 2023): over 0.5 where a place is more like the prompt than like
        any canonical word and any negative."""
        if not prompt.strip():
            return Answer(Text(np.zeros(0, np.float32), (), ()), False, (), np.zeros(len(self.features), np.float32))
        against = np.stack([self._vector(n) for n in (*CANONICAL, *(n for n in negatives if n.strip()))])
        vector = self._vector(prompt)
        found = relevancy(self.features, vector, against)
        return Answer(Text(vector, (prompt,), ()), True, (), found)

    def _vector(self, text: str) -> Float32:
        if text not in self._vectors:
            self._vectors[text] = self.encoder.encode_texts([text])[0]
        return self._vectors[text]


def relevancy(features: Float32, vector: Float32, against: Float32) -> Float32:
    """``min_k exp(t cos(f, q)) / (exp(t cos(f, q)) + exp(t cos(f, n_k)))``, 0 where a feature is zero.

    Args:
        features: (W, D) of unit length or zero.
        vector: (D,) q, of unit length.
        against: (K, D) the n_k, of unit length.
    """
    margin = features @ vector - (features @ against.T).max(axis=1)
    return np.where(features.any(axis=1), 1 / (1 + np.exp(-TEMPERATURE * margin)), 0).astype(np.float32)
