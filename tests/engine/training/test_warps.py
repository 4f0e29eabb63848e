"""Two looks at a photo: where pixels go, and that light leaves them there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.training.warps import relit, warped_pair


def dots() -> np.ndarray:
    """A photo of dots of distinct colours on grey."""
    photo = np.full((525, 700, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(60):
        centre = rng.uniform([20, 20], [680, 505])
        cv2.circle(photo, tuple(int(c) for c in centre), 9, tuple(int(c) for c in rng.integers(0, 256, 3)), -1)
    return cv2.GaussianBlur(photo, (0, 0), 1.5)


@pytest.mark.parametrize("seed", range(6))
def test_pixels_go_where_the_homography_says(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.training.warps.relit", lambda image, rng: image)
    pair = warped_pair(dots(), np.random.default_rng(seed))
    assert pair.a.shape == pair.b.shape in ((336, 448, 3), (448, 336, 3))
    height, width = pair.a.shape[:2]
    pos = np.random.default_rng(1).uniform(4, [width - 4, height - 4], (3000, 2))
    to = pair.transfer(pos)
    inside = ((to > 4) & (to < [width - 4, height - 4])).all(axis=1)
    assert inside.mean() > 0.15

    def read(image: np.ndarray, at: np.ndarray) -> np.ndarray:
        x, y = (at.T - 0.5).astype(np.float32)
        return cv2.remap(image, x[:, None], y[:, None], cv2.INTER_LINEAR)[:, 0].astype(float)

    a, b = read(pair.a, pos[inside]), read(pair.b, to[inside])
    assert np.abs(a - b).mean() < 2.0
    # A pixel off would be seen: the dots' edges are sharp.
    off = np.abs(a - read(pair.b, to[inside] + [2.0, 0])).mean()
    assert off > 2 * np.abs(a - b).mean()


def test_the_same_seed_gives_the_same_pair() -> None:
    one, two = (warped_pair(dots(), np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one.b, two.b)
    np.testing.assert_array_equal(one.a_to_b, two.a_to_b)


@pytest.mark.parametrize("shape", [(40, 60, 3), (1200, 300, 3), (8, 900, 3)])
def test_photos_of_any_shape(shape: tuple[int, int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.isfinite(warped_pair(photo, np.random.default_rng(0)).a_to_b).all()


def test_other_light_keeps_the_order_of_greys() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(64, axis=0)
    changed = 0
    for seed in range(8):
        lit = relit(ramp, np.random.default_rng(seed))
        column = lit.astype(float).mean(axis=(0, 2))
        assert np.corrcoef(column, np.arange(256))[0, 1] > 0.9
        changed += np.abs(column - np.arange(256)).mean() > 5
    assert changed >= 5
