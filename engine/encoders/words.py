"""The embedded text encoder: vectors of words that name what can be seen, and of phrases of them. No network, no wait.

``engine.training.words`` makes the vectors. A phrase is the weighted mean of its words, the longest known ones first
("coffee table" is one of them); words that say nothing of a thing ("a", "photo", "of") are left out.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from engine.api.errors import WeightsError
from engine.api.scene import Float32
from engine.encoders.weights import first_line, foreign, read_weights
from engine.storage import write_tensors

LONGEST = 4
"""Words of the longest entry."""
MOST_CHARACTERS = 2_000
"""Of a text that are looked at."""
EMPTY = frozenset(re.findall(r"\w+", """
    a an the of in on at by to for from with and or is are it its this that these those some any my your there here
    photo picture image view show find where what which one very something somewhere
"""))  # fmt: skip
"""Words that are left out unless there are no others."""
DETACHED = (("ies", "y"), ("ves", "f"), ("ves", "fe"), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"),
            ("men", "man"), ("es", "e"), ("es", ""), ("s", ""))  # fmt: skip
"""Endings of plurals and what stands for them in a dictionary (WordNet's rules of detachment)."""
HEAD = 2.0
"""Weight of a phrase's last word, which says what the thing is, against 1 of each that says of what kind."""


class Text(NamedTuple):
    """What a prompt is to the encoder.

    Attributes:
        vector: (T,) of unit length; zero when no word is known.
        known: its words and phrases that have vectors.
        unknown: its words that have none.
    """

    vector: Float32
    known: tuple[str, ...]
    unknown: tuple[str, ...]


class WordEncoder:
    """t(s), from a table.

    Args:
        words: in alphabetical order, lower case.
        vectors: (N, T) of unit length.
    """

    def __init__(self, words: Sequence[str], vectors: Float32, id: str) -> None:
        self.words, self.vectors, self.id = tuple(words), vectors, id
        self._row = {w: n for n, w in enumerate(self.words)}

    @property
    def dim(self) -> int:
        """T."""
        return self.vectors.shape[1]

    def read(self, text: str) -> Text:
        """Find the words of a text."""
        words = re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?", text[:MOST_CHARACTERS].lower())
        parts: list[tuple[str, int]] = []
        unknown: list[str] = []
        at = 0
        while at < len(words):
            for length in range(min(LONGEST, len(words) - at), 0, -1):
                row = self._find(words[at : at + length])
                if row is not None:
                    parts.append((self.words[row], row))
                    break
            else:
                length = 1
                if words[at] not in EMPTY:
                    unknown.append(words[at])
            at += length
        said = [p for p in parts if p[0] not in EMPTY] or parts
        if not said:
            return Text(np.zeros(self.dim, np.float32), (), tuple(dict.fromkeys(unknown)))
        weights = np.array([1.0] * (len(said) - 1) + [HEAD], np.float32)
        vector = weights @ self.vectors[[row for _, row in said]]
        vector /= max(float(np.linalg.norm(vector)), 1e-9)
        return Text(vector, tuple(dict.fromkeys(w for w, _ in said)), tuple(dict.fromkeys(unknown)))

    def encode(self, texts: Sequence[str]) -> Float32:
        """(N, T) of unit length, or zero where no word is known."""
        return np.stack([self.read(t).vector for t in texts]) if texts else np.empty((0, self.dim), np.float32)

    def spelled_like(self, word: str, most: int = 3) -> list[str]:
        """Known words that are spelled like ``word``."""
        word = word[:40].lower()
        among = [w for w in self.words if w[:1] == word[:1] and abs(len(w) - len(word)) < 4]
        return difflib.get_close_matches(word, among, most, 0.7)

    def _find(self, words: Sequence[str]) -> int | None:
        """Row of a phrase, or of what it is the plural of."""
        phrase = " ".join(words).replace("’", "'")
        if phrase in self._row:
            return self._row[phrase]
        for ending, stands in DETACHED:
            if phrase.endswith(ending) and len(words[-1]) > len(ending) + 1:
                row = self._row.get(phrase[: -len(ending)] + stands)
                if row is not None:
                    return row
        return None


def save_words(path: Path, words: Sequence[str], vectors: Float32, meta: Mapping[str, Any]) -> None:
    """Write a table with 8 bits a number, atomically.

    Args:
        path: of the file.
        words: without line breaks.
        vectors: (N, T).
        meta: further metadata.

    Raises:
        CacheError: the file cannot be written.
    """
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    codes = np.round(vectors / np.maximum(scale, 1e-12)).astype(np.int8)
    listed = np.frombuffer("\n".join(words).encode(), np.uint8)
    made = {"licence": "Apache-2.0 AND WordNet-3.0", "made_by": "python -m engine.training.words"}
    write_tensors(path, {"codes": codes, "words": listed}, {**meta, **made, "words": len(words)})


def load_words(path: Path) -> WordEncoder:
    """Read what ``save_words`` wrote.

    Raises:
        WeightsError: no such file, or not such a table.
    """
    tensors, meta = read_weights(path)
    try:
        codes = tensors["codes"].numpy()
        words = tensors["words"].numpy().tobytes().decode().split("\n")
        if codes.ndim != 2 or codes.dtype != np.int8 or len(words) != len(codes) or int(meta["words"]) != len(words):
            raise ValueError(f"{len(words)} words for vectors {codes.shape}")
    except (KeyError, TypeError, ValueError) as e:
        made_by = "choose a file that python -m engine.training.words wrote"
        raise foreign("a table of words", path, first_line(e), "words and as many vectors", made_by) from e
    vectors = codes.astype(np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (length > 0).all():
        raise WeightsError("holds empty vectors", path=path, mend="make it again: python -m engine.training.words")
    return WordEncoder(words, vectors / length, str(meta.get("space", path.stem)))
