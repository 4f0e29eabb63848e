"""Scenes made up of random keypoints."""

from __future__ import annotations

import numpy as np

from engine.repository.record import NamedPlace, SceneRecord, encode
from engine.repository.scenes import SceneStore

DIM = 64


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    values = rng.normal(size=(count, DIM)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def record(
    seed: int, keypoints: int = 64, weights: str = "w", places: tuple[NamedPlace, ...] = (), fingerprint: str = ""
) -> SceneRecord:
    rng = np.random.default_rng(seed)
    return SceneRecord(
        fingerprint=fingerprint or f"print-{seed}",
        name=f"room {seed}",
        path=f"/rooms/{seed}",
        weights=weights,
        pos_w=rng.uniform(-2, 2, (keypoints, 3)).astype(np.float32),
        codes=encode(unit(rng, keypoints)),
        extent_w=6.9,
        places=places,
        thumbnail=b"jpeg",
        cameras=np.tile(np.eye(4, dtype=np.float32), (3, 1, 1)),
    )


def consistent(store: SceneStore) -> bool:
    """Whether each scene has the words of its descriptors and its names, and nothing else has any."""
    book = store.codebook()
    assert book is not None
    ids = [row.id for row in store.rows()]
    words = {id: w.tolist() for id, w in store.postings(0, 1 << 40)}
    names = {p.name for id in ids for p in store.load(id).places}
    expected = sorted((id, p.name) for id in ids for p in store.load(id).places)
    assert sorted((n.id, n.name) for n in store.named(names)) == expected
    return words == {id: book.words(codes).tolist() for id, codes in store.codes(ids)}
