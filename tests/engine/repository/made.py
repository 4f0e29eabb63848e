"""Scenes made up of random keypoints."""

from __future__ import annotations

import numpy as np

from engine.repository.record import NamedPlace, SceneRecord, encode

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
