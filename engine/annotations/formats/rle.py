"""COCO's run-length masks: runs of 0 and 1 in turn, column by column, as lists or as its compressed text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]


def to_runs(mask: Bool) -> list[int]:
    """(h, w) to the lengths of its runs; the first is of 0, and may be empty."""
    flat = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], ends, [len(flat)]])).tolist()
    return [0, *runs] if len(flat) and flat[0] else runs


def of_runs(runs: list[int], height: int, width: int) -> Bool:
    """The inverse of ``to_runs``.

    Raises:
        ValueError: the runs do not fill the image.
    """
    length = np.array(runs, np.int64)
    if (length < 0).any() or length.sum() != height * width:
        raise ValueError(f"runs of {int(length.sum())} pixels for {height} × {width}")
    values = np.arange(len(length)) % 2 == 1
    return np.repeat(values, length).reshape((height, width), order="F")


def runs_of_text(text: str) -> list[int]:
    """The runs of COCO's compressed text: numbers of 5 bits a letter, from the fourth on less the one before the last.

    Raises:
        ValueError: the text is no such runs.
    """
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            if at >= len(text) or not 48 <= ord(text[at]) < 112 or shift > 60:
                raise ValueError("runs that are cut off or damaged")
            bits = ord(text[at]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            at += 1
            shift += 5
            if not more and bits & 0x10:
                value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
