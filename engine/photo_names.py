"""What photos say places are called: an image classifier's classes at every cell, gathered on the blocks they show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.api.jobs import Job, Progress, told_as
from engine.api.scene import Float32, UInt8
from engine.captures.upright import quarter_turns

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.encoders.classes import ClassNetwork

NOTE = "naming photos"
MOST_PHOTOS = 48
"""Photos that are asked, spread over the capture: each takes about half a second."""
PHOTO_SIDE = 512
TEMPERATURE = 2.0
"""Of the classes at a cell: the network was taught whole images, and is too sure of what it sees of parts."""
CONTEXT = 1.0
"""Weight of the whole photo's logits beside a cell's own: what is there at all is likelier at each place."""
LEAST_CELLS = 4
"""A block that fewer cells show is that much less sure."""


def cell_chances(logits: Float32) -> UInt8:
    """A photo's (a, b, K) logits to 255 times the probabilities."""
    x = (logits + CONTEXT * logits.mean(axis=(0, 1))) / TEMPERATURE
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.round(255 * x / x.sum(axis=-1, keepdims=True)).astype(np.uint8)


def asked_photos(capture: Capture) -> list[int]:
    """The views whose photos are asked."""
    places = np.unique(np.linspace(0, len(capture.views) - 1, MOST_PHOTOS).round().astype(int))
    return [capture.views[n].index for n in places] if capture.views else []


def read_cells(capture: Capture, network: ClassNetwork, known: dict[int, UInt8]) -> Job[None]:
    """Ask the photos that are not in ``known`` yet, which holds (a, b, K) per view; it is filled as they are done.

    Raises:
        CaptureError: a photo cannot be read.
    """
    todo = [view for view in asked_photos(capture) if view not in known]
    for done, view in enumerate(todo):
        told = Progress(done, len(todo), "photos", NOTE)
        yield told
        turns = quarter_turns(capture.views[view].camera, capture.up_w)
        slices = network.slices(np.ascontiguousarray(np.rot90(capture.read(view, max_side=PHOTO_SIDE).rgb, turns)))
        logits = yield from told_as(slices, told)
        known[view] = np.ascontiguousarray(np.rot90(cell_chances(logits), -turns))


def gathered(cells: Mapping[int, UInt8], views: Mapping[int, NDArray[np.int64]], blocks: int) -> Job[UInt8]:
    """(W, K) the mean over the photos' cells that show a block.

    Args:
        cells: per view (a, b, K), 255 times the probabilities of the classes.
        views: per view (h, w), the block that each of its cells shows, -1 for none.
        blocks: W.
    """
    count = np.zeros(blocks, np.int64)
    total = np.zeros((blocks, next(iter(cells.values())).shape[2] if cells else 0), np.float32)
    for done, view in enumerate(cells):
        yield Progress(done, len(cells), "photos", NOTE)
        _gather(total, count, views[view], cells[view])
    total /= np.maximum(count, LEAST_CELLS)[:, None]
    return np.asfortranarray(np.round(total).astype(np.uint8))


def _gather(total: Float32, count: NDArray[np.int64], rows: NDArray[np.int64], chances: UInt8) -> None:
    """Add one photo's (a, b, K) to ``total`` (W, K), by the blocks that its (h, w) cells show."""
    (h, w), (a, b) = rows.shape, chances.shape[:2]
    place = (np.arange(h) * a // h)[:, None] * b + (np.arange(w) * b // w)[None]
    shown = rows >= 0
    pairs, times = np.unique(rows[shown] * (a * b) + place[shown], return_counts=True)
    if not len(pairs):
        return
    block, cell = pairs // (a * b), pairs % (a * b)
    flat = chances.reshape(a * b, -1)
    starts = np.flatnonzero(np.r_[True, np.diff(block) > 0])
    ends = np.r_[starts[1:], len(block)]
    for part in np.array_split(np.arange(len(starts)), 1 + len(starts) // 512):  # a few MB at a time
        lo, hi = starts[part[0]], ends[part[-1]]
        weighted = flat[cell[lo:hi]] * times[lo:hi, None].astype(np.float32)
        total[block[starts[part]]] += np.add.reduceat(weighted, starts[part] - lo, axis=0)
    np.add.at(count, block, times)
