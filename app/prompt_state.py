"""Prompts as the window knows them: what was typed, in which colour, from which relevancy on. Plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.api.replies import PromptFound, PromptReply
from engine.api.requests import THRESHOLD, Example
from engine.api.scene import Float32, Volume

MOST = 6
"""Prompts at once: as many as there are colours that are told apart."""
SOFTNESS = 0.12
LONGEST = 120
"""Characters of a prompt that are kept."""


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    Attributes:
        text: without the minus.
        negative: what is not meant.
        threshold: relevancy in [0, 1] from which on it shows.
        colour: place in ``app.colormaps.prompt_colours``; -1 for negatives.
        draft: still being typed.
        example: what is looked for in place of the text, which is then only its name.
        softness: relevancy over the threshold at which it shows fully.
    """

    text: str
    negative: bool = False
    threshold: float = THRESHOLD
    colour: int = -1
    draft: bool = False
    softness: float = SOFTNESS
    example: Example | None = None


@dataclass(frozen=True, eq=False)
class PromptAnswer:
    """A reply, with the volume that its relevancies belong to, and the prompts it answers by their text."""

    reply: PromptReply
    volume: Volume
    by_text: Mapping[str, PromptFound]


def parse(text: str) -> list[tuple[str, bool]]:
    """Split what was typed at commas: (text, negative) for each; ``chair -armchair`` is one of either kind."""
    out: list[tuple[str, bool]] = []
    for part in re.split(r"[,;\n]", text):
        for n, piece in enumerate(re.split(r"(?:^|\s)[-−](?=\S)", part)):
            word = " ".join(piece.split())[:LONGEST].strip()
            if word:
                out.append((word, n > 0))
    return out


def free_colour(prompts: Sequence[Prompt]) -> int | None:
    """A colour that none has; None when there are as many prompts as can be told apart."""
    taken = {p.colour for p in prompts}
    return next((n for n in range(MOST) if n not in taken), None)


def added(prompts: tuple[Prompt, ...], text: str, *, draft: bool = False) -> tuple[Prompt, ...]:
    """``prompts`` with those in ``text`` that are new, in colours that are free; no more than ``MOST``."""
    out = list(prompts)
    for word, negative in parse(text):
        if any(p.text.casefold() == word.casefold() and p.negative == negative for p in out):
            continue
        free = free_colour(out)
        if negative:
            out.append(Prompt(word, negative=True, draft=draft))
        elif free is not None:
            out.append(Prompt(word, colour=free, draft=draft))
    return tuple(out)


def blended(
    relevancies: Sequence[NDArray[np.uint8]], prompts: Sequence[Prompt], colours: Sequence[tuple[float, float, float]]
) -> tuple[Float32, Float32]:
    """What prompts look like where they have relevancies (…), as prompts.frag has it: colour (…, 3) in [0, 1], and how
    much of it (…)."""
    shape = relevancies[0].shape
    total: Float32 = np.zeros((*shape, 3), np.float32)
    weight: Float32 = np.zeros(shape, np.float32)
    most: Float32 = np.zeros(shape, np.float32)
    for relevancy, prompt, colour in zip(relevancies, prompts, colours, strict=True):
        r = relevancy.astype(np.float32) / 255
        s = np.clip((r - prompt.threshold) / max(prompt.softness, 1e-4), 0, 1)
        over = s * s * (3 - 2 * s) * (0.55 + 0.45 * r)
        total += over[..., None] * np.array(colour, np.float32)
        weight += over
        most = np.maximum(most, over)
    return np.divide(total, np.maximum(weight, 1e-4)[..., None], dtype=np.float32), most
