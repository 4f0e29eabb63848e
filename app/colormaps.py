"""Perceptually uniform colour maps as lookup tables, and how cosines become heat."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np
from cmap import Colormap
from numpy.typing import NDArray

from engine.api.replies import MatchReply

UInt8 = NDArray[np.uint8]
HEAT, SPREAD, SCORE, AGREEMENT = "inferno", "viridis", "plasma", "viridis"
SAMPLED = 512  # cosines per map that the median is taken of


@cache
def table(name: str) -> UInt8:
    """(256, 3) uint8 of a map from the ``cmap`` catalogue."""
    rgba = np.asarray(Colormap(name)(np.linspace(0, 1, 256)))
    out = np.round(rgba[:, :3] * 255).astype(np.uint8)
    out.setflags(write=False)
    return out


def heat_table() -> UInt8:
    """Inferno without its black and its palest end: every step of it stands out from a dimmed photo."""
    return _part(HEAT, 0.28, 0.97)


def score_table() -> UInt8:
    """Plasma without its dark end, which a room's shadows would swallow."""
    return _part(SCORE, 0.25, 1.0)


@cache
def _part(name: str, low: float, high: float) -> UInt8:
    full = np.asarray(Colormap(name)(np.linspace(low, high, 256)))
    out = np.round(full[:, :3] * 255).astype(np.uint8)
    out.setflags(write=False)
    return out


@cache
def prompt_colours() -> tuple[str, ...]:
    """``#rrggbb`` of the prompts: Okabe and Ito's, which the colour-blind tell apart too, without its two dark ones."""
    return tuple(c.hex[:7] for c in Colormap("okabeito").iter_colors() if c.hex[:7] not in ("#000000", "#0072B2"))


def heat_range(reply: MatchReply) -> tuple[float, float]:
    """Cosines that map to heat 0 and 1: the median of all, and the highest.

    Features differ in how high the cosine of unrelated things is, so a fixed range would drown one encoder's answer
    and hide another's.
    """
    parts = [heat.ravel()[:: max(1, heat.size // SAMPLED)] for heat in _all(reply)]
    if not parts:
        return 0.0, 1.0
    whole = np.concatenate(parts)
    whole = whole[np.isfinite(whole)]
    if len(whole) == 0:
        return 0.0, 1.0
    low = float(np.median(whole))
    high = float(max(float(heat.max()) for heat in _all(reply)))
    return low, max(high, low + 1e-3)


def to_heat(cosine: NDArray[np.float32], bounds: tuple[float, float]) -> UInt8:
    """Cosines to 0..255 heat; what is not finite is 0."""
    low, high = bounds
    if not np.isfinite(cosine.sum()):
        cosine = np.nan_to_num(cosine, nan=low, posinf=high, neginf=low)
    scaled = cosine * np.float32(255 / (high - low))
    scaled += np.float32(0.5 - low * 255 / (high - low))
    return np.clip(scaled, 0, 255, out=scaled).astype(np.uint8)


def agreement_colours(cosine: NDArray[np.float32]) -> UInt8:
    """(h, w) cosines from 0 to 1 as (h, w, 3), black where unknown."""
    known = np.isfinite(cosine)
    level = (np.clip(np.where(known, cosine, 0), 0, 1) * 255).astype(np.uint8)
    return np.where(known[..., None], table(AGREEMENT)[level], np.uint8(0))


def _all(reply: MatchReply) -> Iterable[NDArray[np.float32]]:
    if reply.voxel_heat is not None and reply.voxel_heat.size:
        yield reply.voxel_heat
    yield from (heat for heat in reply.view_heat.values() if heat.size)
