"""Bare geometry on bare geometry: the motion is found, the same every time, and nonsense is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from engine.api.errors import RepositoryError
from engine.repository.geometric import align_points

PAIR = Path(__file__).parents[4] / "shared/data/3dmatch_pair_geotransformer"


def furnished(seed: int) -> np.ndarray:
    """(N, 3) points on a floor, two walls and some boxes and balls."""
    rng = np.random.default_rng(seed)
    parts = [rng.uniform([0, 0, 0], [4, 3, 0], (6000, 3)), rng.uniform([0, 0, 0], [0, 3, 2.4], (4000, 3))]
    parts.append(rng.uniform([0, 0, 0], [4, 0, 2.4], (5000, 3)))
    for _ in range(7):
        lo, size = rng.uniform([0.3, 0.3, 0], [3.4, 2.4, 0.01]), rng.uniform(0.2, 0.9, 3)
        box = rng.uniform(0, 1, (1500, 3))
        side = rng.integers(3, size=1500)
        box[np.arange(1500), side] = rng.integers(2, size=1500)
        ball = rng.normal(size=(600, 3))
        parts += [lo + box * size, lo + [0, 0, size[2] + 0.15] + 0.15 * ball / np.linalg.norm(ball, axis=1)[:, None]]
    return np.concatenate(parts)


def test_a_part_is_found_in_the_whole() -> None:
    rng = np.random.default_rng(0)
    whole = furnished(1)
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = Rotation.from_euler("xyz", [20, -35, 140], degrees=True).as_matrix(), [3, -1, 2]
    part = whole[whole[:, 0] < 3] + rng.normal(0, 0.004, (int((whole[:, 0] < 3).sum()), 3))
    source = (part - motion[:3, 3]) @ motion[:3, :3]  # the inverse of the motion, applied
    found = align_points(source, whole)
    assert found is not None
    assert Rotation.from_matrix(found.a_to_b[:3, :3].T @ motion[:3, :3]).magnitude() < np.deg2rad(1)
    assert np.linalg.norm(source @ found.a_to_b[:3, :3].T + found.a_to_b[:3, 3] - part, axis=1).mean() < 0.03
    assert found.overlap > 0.95
    again = align_points(source, whole)
    assert again is not None
    np.testing.assert_allclose(found.a_to_b, again.a_to_b, atol=1e-9)  # Open3D sums in any order


@pytest.mark.parametrize(
    ("points", "told"), [(np.zeros((5, 3)), "too little geometry"), (np.zeros((500, 3)), "no extent")]
)
def test_what_cannot_be_aligned_is_told(points: np.ndarray, told: str) -> None:
    with pytest.raises(RepositoryError, match=told):
        align_points(furnished(0), points)


@pytest.mark.data
@pytest.mark.skipif(not PAIR.is_dir(), reason="the real captures are not beside the checkout")
def test_two_real_scans_of_a_room() -> None:
    a, b, truth = (np.load(PAIR / f"{name}.npy").astype(np.float64) for name in ("src", "ref", "gt"))
    found = align_points(a, b)
    assert found is not None
    assert Rotation.from_matrix(found.a_to_b[:3, :3].T @ truth[:3, :3]).magnitude() < np.deg2rad(3)
    off = a @ (found.a_to_b[:3, :3] - truth[:3, :3]).T + found.a_to_b[:3, 3] - truth[:3, 3]
    assert np.linalg.norm(off, axis=1).mean() < 0.1
