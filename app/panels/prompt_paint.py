"""Paints what prompts found over a photo."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app import colormaps
from app.canvas.look import rgb
from app.prompt_state import Prompt, PromptAnswer, blended
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
        pixels = painted([part for part in parts if part is not None], over.shown)
        h, w, _ = pixels.shape
        found = (over.shown, QImage(pixels.data, w, h, 4 * w, QImage.Format.Format_RGBA8888_Premultiplied).copy())
        made[view] = found
    return found[1]


def painted(relevancies: list[NDArray[np.uint8]], prompts: Sequence[Prompt]) -> NDArray[np.uint8]:
    """(h, w, 4) premultiplied, as prompts.frag has it."""
    table = [rgb(code) for code in colormaps.prompt_colours()]
    colour, most = blended(relevancies, prompts, [table[p.colour] for p in prompts])
    alpha = 0.85 * most[..., None]
    out = np.concatenate([colour * alpha, alpha], axis=-1)
    return np.ascontiguousarray(np.round(255 * np.clip(out, 0, 1)).astype(np.uint8))
