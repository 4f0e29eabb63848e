"""Which part of a label texture is uploaded again."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.canvas.dense import LEAST_BLOCK, blocks, box_of, rows_within
from engine.api.scene import Volume


@given(st.integers(0, 1 << 30), st.booleans())
def test_rows_of_a_block_are_those_inside_it(seed: int, in_order: bool) -> None:
    rng = np.random.default_rng(seed)
    index = np.unique(rng.integers(0, 12, (int(rng.integers(1, 300)), 3)), axis=0).astype(np.int32)
    if not in_order:
        index = index[rng.permutation(len(index))]
    volume = Volume(np.zeros(3), 0.1, (12, 12, 12), index, np.zeros((len(index), 4), np.uint8), 1)
    box = box_of(volume)
    at = rng.integers(0, np.array(box.dims))
    size = rng.integers(1, np.array(box.dims) - at + 1)
    rows, *place = rows_within(box, at, size)
    local = index - box.lo - at
    expected = np.flatnonzero(((local >= 0) & (local < size)).all(axis=1))
    assert sorted(rows.tolist()) == expected.tolist()
    np.testing.assert_array_equal(np.stack(place, axis=1), local[rows])


@given(st.integers(0, 1 << 30))
def test_blocks_hold_every_place_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 400, (int(rng.integers(1, 5)), 3))
    places = np.unique(np.concatenate([c + rng.integers(0, 20, (50, 3)) for c in centres]), axis=0)
    found = blocks(places)
    held = np.array([((places >= lo) & (places < lo + size)).all(axis=1) for lo, size in found])
    assert held.sum(axis=0).tolist() == [1] * len(places)
    whole = int(np.prod(places.max(axis=0) + 1 - places.min(axis=0)))
    assert sum(int(np.prod(size)) for _, size in found) <= max(whole, LEAST_BLOCK)


def test_what_lies_far_apart_is_uploaded_apart() -> None:
    places = np.concatenate([np.full((1, 3), 2), np.full((1, 3), 300)])
    assert [(lo.tolist(), size.tolist()) for lo, size in blocks(places)] == [([2] * 3, [1] * 3), ([300] * 3, [1] * 3)]
