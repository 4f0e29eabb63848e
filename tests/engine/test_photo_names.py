"""What photos say is gathered on the blocks that their cells show."""

from __future__ import annotations

import numpy as np
import pytest

from engine.api.camera import Camera, look_at
from engine.api.jobs import finish
from engine.captures.upright import quarter_turns
from engine.photo_names import CONTEXT, LEAST_CELLS, TEMPERATURE, cell_chances, gathered


def test_chances_are_probabilities_and_the_whole_photo_counts() -> None:
    found = cell_chances(np.array([[[0.0, 0.0], [4000.0, 0.0]]], np.float32))
    np.testing.assert_array_equal(found, [[[255, 0], [255, 0]]])
    lone = cell_chances(np.array([[[0.0, 0.0], [2.0, 0.0]]], np.float32))
    odds = np.exp((np.array([0.0, 2.0]) + CONTEXT * 1.0) / TEMPERATURE)  # the photo's mean is 1
    np.testing.assert_allclose(lone[0, :, 0], 255 * odds / (1 + odds), atol=0.51)
    assert (cell_chances(np.zeros((2, 2, 4), np.float32)) == 64).all()


def test_a_block_has_the_mean_of_the_cells_that_show_it() -> None:
    rng = np.random.default_rng(0)
    cells = {v: rng.integers(0, 256, (3, 4, 5)).astype(np.uint8) for v in (2, 7)}
    views = {v: rng.integers(-1, 6, (9, 8)) for v in (2, 7)}
    views[7][views[7] == 4] = -1
    found = finish(gathered(cells, views, 7))
    for block in range(7):
        seen = [
            cells[v][y * 3 // 9, x * 4 // 8].astype(float)
            for v in views
            for y in range(9)
            for x in range(8)
            if views[v][y, x] == block
        ]
        wanted = np.sum(seen, axis=0) / max(len(seen), LEAST_CELLS) if seen else np.zeros(5)
        np.testing.assert_allclose(found[block], wanted, atol=0.51)
    assert not found[6].any()


def test_a_block_that_one_cell_shows_is_less_sure() -> None:
    views = {0: np.full((2, 2), -1)}
    views[0][0, 0] = 1
    found = finish(gathered({0: np.full((2, 2, 1), 200, np.uint8)}, views, 2))
    assert found[:, 0].tolist() == [0, pytest.approx(200 / LEAST_CELLS, abs=1)]


def test_photos_of_which_nothing_is_seen() -> None:
    assert not finish(gathered({0: np.full((2, 2, 3), 9, np.uint8)}, {0: np.full((4, 4), -1)}, 2)).any()
    assert finish(gathered({}, {}, 2)).shape == (2, 0)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_photos_on_their_side_are_turned_upright(turns: int) -> None:
    camera = look_at([0, -5, 1], [0, 0, 1.3], [0, 0, 1], fov_y=40, width=60, height=40)
    c, s = round(np.cos(turns * np.pi / 2)), round(np.sin(turns * np.pi / 2))
    rolled = camera.c2w.copy()
    rolled[:3, :3] = rolled[:3, :3] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])  # the camera turns clockwise
    lying = Camera(camera.intrinsics, rolled, 60, 40)
    found = quarter_turns(lying, np.array([0.0, 0.0, 1.0]))
    upright = np.zeros((3, 3), int)
    upright[0, 1] = 1  # what is up
    # what is up in the world, in the lying photo's axes (x right, y down)
    x, y, _ = rolled[:3, :3].T @ np.array([0.0, 0.0, 1.0])
    photo = np.zeros((3, 3), int)
    photo[round(1 + y), round(1 + x)] = 1
    np.testing.assert_array_equal(np.rot90(photo, found), upright)


def test_a_photo_from_above_has_no_up() -> None:
    assert (
        quarter_turns(look_at([0, 0, 5], [0, 0, 0], [0, 1, 0], fov_y=40, width=9, height=9), np.array([0, 0, 1.0])) == 0
    )
