"""A process that writes to a repository and says what it has done, to be killed at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from engine.repository.codebook import Codebook
from engine.repository.record import NamedPlace, SceneRecord, encode
from engine.repository.scenes import SceneStore
from engine.repository.store import open_store
from tests.engine.repository.made import record, unit


def scene(seed: int) -> SceneRecord:
    """A scene that tells its number in all of its parts."""
    name = NamedPlace(f"thing {seed % 5}", 0.5, (0.0, 0.0, 0.0))
    return record(seed, keypoints=96, places=(name, NamedPlace("room", 0.9, (0.0, 1.0, 0.0))))


def put_index(store: SceneStore, seed: int) -> None:
    """Another codebook in the place of the one that is there."""
    store.put_index(Codebook(encode(unit(np.random.default_rng(seed), 64)), 1), {})


def write(folder: Path, log: Path, first: int, last: int) -> None:
    """Add scenes ``first`` to ``last``, take some out again, and now and then make the index anew.

    A line "+n" in ``log``: scene n was added; "?n": it is about to be taken out; "-n": it was.
    """
    with log.open("ab", buffering=0) as told:
        store = open_store(folder, make=True)
        os.write(told.fileno(), b"\n")  # it is open
        for seed in range(first, last):
            id = store.add(scene(seed))
            os.write(told.fileno(), f"+{seed}\n".encode())
            if seed % 7 == 3:
                os.write(told.fileno(), f"?{seed}\n".encode())
                store.remove(id)
                os.write(told.fileno(), f"-{seed}\n".encode())
            if seed % 23 == 5:
                put_index(store, seed)
