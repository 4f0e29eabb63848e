"""Messages: ids, keys, and that replies to one request stay apart."""

from __future__ import annotations

import numpy as np

from engine.api.replies import ViewFeatures
from engine.api.requests import FitGrid, LoadPhoto


def test_replies_to_one_request_are_different_keys() -> None:
    a, b = (ViewFeatures(id=7, encoder="e", view=v, rgb=np.zeros((1, 1, 3), np.uint8)) for v in (0, 1))
    assert len({a: "a", b: "b"}) == 2


def test_ids_grow_and_keys_tell_what_replaces_what() -> None:
    first, second = FitGrid(), FitGrid()
    assert second.id > first.id
    assert first.key == second.key
    assert LoadPhoto(view=0, max_side=64).key != LoadPhoto(view=1, max_side=64).key
