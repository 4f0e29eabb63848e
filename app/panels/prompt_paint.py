"""Paints what prompts found over a photo."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app import colormaps
from app.canvas.look import rgb
from app.prompt_state import Prompt, PromptAnswer
from app.view_state import PromptsOver

_images: WeakKeyDictionary[PromptAnswer, dict[int, tuple[tuple[Prompt, ...], QImage]]] = WeakKeyDictionary()


def prompts_of(over: PromptsOver, view: int) -> QImage | None:
    """A translucent picture of a view's relevancies, made once; None where there is nothing to show."""
    answer = over.answer
    if answer is None or not over.shown:
        return None
    made = _images.setdefault(answer, {})
    found = made.get(view)
    if found is None or found[0] != over.shown:
        parts = [answer.by_text[p.text].views.get(view) for p in over.shown]
        if any(part is None for part in parts):
            return None
        pixels = blended([part for part in parts if part is not None], over.shown)
        h, w, _ = pixels.shape
        found = (over.shown, QImage(pixels.data, w, h, 4 * w, QImage.Format.Format_RGBA8888_Premultiplied).copy())
        made[view] = found
    return found[1]


def blended(relevancies: list[NDArray[np.uint8]], prompts: Sequence[Prompt]) -> NDArray[np.uint8]:
    """(h, w, 4) premultiplied, as prompts.frag has it."""
    total = np.zeros((*relevancies[0].shape, 3), np.float32)
    weight = np.zeros(relevancies[0].shape, np.float32)
    most = np.zeros_like(weight)
    for relevancy, prompt in zip(relevancies, prompts, strict=True):
        r = relevancy.astype(np.float32) / 255
        s = np.clip((r - prompt.threshold) / max(prompt.softness, 1e-4), 0, 1)
        over = s * s * (3 - 2 * s) * (0.55 + 0.45 * r)
        total += over[..., None] * np.array(rgb(colormaps.prompt_colours()[prompt.colour]), np.float32)
        weight += over
        most = np.maximum(most, over)
    alpha = 0.85 * most
    out = np.concatenate([total / np.maximum(weight, 1e-4)[..., None] * alpha[..., None], alpha[..., None]], axis=2)
    return np.ascontiguousarray(np.round(255 * np.clip(out, 0, 1)).astype(np.uint8))
