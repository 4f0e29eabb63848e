"""Training of smart select, on a few scenes made by hand: it learns there, and is the same again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.annotations.nets import load_nets
from engine.annotations.select import INPUTS, select_voxels
from engine.annotations.surface import touching
from engine.api.errors import CaptureError
from engine.api.jobs import finish
from engine.metrics.select import KnownRoom
from engine.training.select import fitted, train
from tests.engine.annotations.test_smart_select import CAMERAS, furnished


def rooms(count: int) -> list[KnownRoom]:
    """The same furniture with features and colours of its own in each."""
    out: list[KnownRoom] = []
    for n in range(count):
        grid, what, image = furnished()
        image = np.roll(image, n, axis=1)
        some = np.ones(len(what), np.float32)
        voxels, block = finish(select_voxels(grid, image, 0 * some, some, CAMERAS, np.array([0.0, 0, 1])))
        ids = what.astype(np.int64) + 1
        ids[(what == 3) & (grid.index[:, 2] > 10)] = 5  # stands on the cupboard, and looks the same
        out.append(KnownRoom(f"room {n}", grid, ids, (2, 3, 4, 5), voxels, block, finish(touching(grid))))
    return out


def test_a_network_learns_and_is_the_same_again() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 5)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.float64)
    samples = [(x, y, np.ones(2000))]
    net = fitted(samples, 0, 300, hidden=16)
    assert ((net(x) > 0.5) == (y > 0.5)).mean() > 0.9
    again = fitted(samples, 0, 300, hidden=16)
    assert net(x).tolist() == again(x).tolist()


@pytest.mark.slow
def test_it_learns_to_select_things(tmp_path: Path) -> None:
    told: list[str] = []
    nets = train(rooms(6), 0, 100, told.append)
    *_, last = told
    after = json.loads(last.split(": ")[1])
    assert after[-1] > after[0] > 0.5
    nets.save(tmp_path / "select.safetensors")
    load_nets(tmp_path / "select.safetensors", INPUTS)
    with pytest.raises(CaptureError, match="too few rooms"):
        train(rooms(1), 0, 10, told.append)
