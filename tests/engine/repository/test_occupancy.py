"""Cells by hand: a box in a room, seen from two sides, moved, turned into another world, and packed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from engine.api.camera import Camera, look_at
from engine.api.errors import RepositoryError
from engine.api.jobs import finish
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec
from engine.repository.align import LARGEST_PATCH, Alignment
from engine.repository.occupancy import (
    ACROSS,
    FREE,
    SOLID,
    UNKNOWN,
    Occupancy,
    contradictions,
    largest_patch,
    observed,
    pack_occupancy,
    unpack_occupancy,
    without_specks,
)

EXTENT_W = 6.0 * 3**0.5
"""Of a room of 6 x 6 x 6."""


def room_with_box(at: tuple[float, float]) -> RadianceGrid:
    """A floor of 6 x 6, and on it a box of 1.2 x 1.2 x 1.2 whose middle is at ``at``; voxels of 0.1, all opaque."""
    spec = GridSpec(np.zeros(3), 0.1, (60, 60, 60))
    centres = spec.to_world(np.indices(spec.dims).reshape(3, -1).T + 0.5)
    box = (np.abs(centres[:, :2] - at) < 0.6).all(axis=1) & (centres[:, 2] < 1.4)
    index = np.argwhere((box | (centres[:, 2] < 0.2)).reshape(spec.dims)).astype(np.int32)
    count = len(index)
    return RadianceGrid.of(spec, index, np.full((count, 3), 0.5), np.full(count, 12.0), np.zeros((1, 1, 3)))


def cameras() -> list[Camera]:
    """Four corners of the room, near its ceiling."""
    eyes = [(0.3, 0.3), (5.7, 0.3), (0.3, 5.7), (5.7, 5.7)]
    return [look_at((*e, 5.0), (3, 3, 0.5), (0, 0, 1), fov_y=62.0, width=160, height=120) for e in eyes]


@pytest.fixture(scope="module")
def boxes() -> tuple[Occupancy, Occupancy]:
    """The same room, its box here and there."""
    here, there = (finish(observed(room_with_box(at), cameras(), EXTENT_W)) for at in ((2.0, 2.0), (4.0, 3.4)))
    return here, there


def state_at(occupancy: Occupancy, pos_w: tuple[float, float, float]) -> int:
    at = np.linalg.inv(occupancy.to_w) @ [*pos_w, 1]
    return int(occupancy.states[tuple(np.floor(at[:3]).astype(int))])


def test_where_rays_end_is_solid_what_they_cross_is_free_and_the_inside_is_unknown(
    boxes: tuple[Occupancy, Occupancy],
) -> None:
    first, _ = boxes
    assert np.cbrt(np.linalg.det(first.to_w[:3, :3])) == pytest.approx(EXTENT_W / ACROSS)
    assert state_at(first, (2, 2, 1.39)) == SOLID  # the lid
    assert state_at(first, (4.5, 4.5, 0.15)) == SOLID  # the floor
    assert state_at(first, (3, 3, 2)) == FREE
    assert state_at(first, (2, 2, 0.7)) == UNKNOWN  # the middle of the box
    assert state_at(first, (2, 2, 5.9)) == UNKNOWN  # above every camera


def test_the_same_room_does_not_contradict_itself_wherever_it_lies(boxes: tuple[Occupancy, Occupancy]) -> None:
    first, _ = boxes
    elsewhere = np.eye(4)
    elsewhere[:3, :3] = 2.5 * Rotation.from_euler("xyz", (20, -50, 130), degrees=True).as_matrix()
    elsewhere[:3, 3] = 3, -40, 7
    assert not contradictions(first, first, np.eye(4)).any()
    assert not contradictions(first, first.moved(elsewhere), elsewhere).any()
    turned = finish(observed(room_with_box((2.0, 2.0)), cameras()[::-1], EXTENT_W * 1.13))  # other cells
    assert largest_patch(contradictions(first, turned, np.eye(4))) <= LARGEST_PATCH


def test_a_box_that_was_moved_contradicts_the_other_scan_where_it_was(boxes: tuple[Occupancy, Occupancy]) -> None:
    first, second = boxes
    elsewhere = np.eye(4)
    elsewhere[:3, :3] = 0.4 * Rotation.from_euler("xyz", (5, 15, -60), degrees=True).as_matrix()
    there = contradictions(first, second.moved(elsewhere), elsewhere)
    pos_w = (np.argwhere(there) + 0.5) @ first.to_w[:3, :3].T + first.to_w[:3, 3]
    assert largest_patch(there) > 3 * LARGEST_PATCH
    assert (np.abs(pos_w[:, :2] - 2) < 0.8).all()
    assert (pos_w[:, 2] < 1.6).all()


def test_what_nobody_saw_contradicts_nothing(boxes: tuple[Occupancy, Occupancy]) -> None:
    first, second = boxes
    blind = replace(second, states=np.zeros_like(second.states))
    assert not contradictions(first, blind, np.eye(4)).any()
    assert not contradictions(blind, first, np.eye(4)).any()
    assert largest_patch(np.zeros((3, 3, 3), np.bool_)) == 0
    far = np.eye(4)
    far[:3, 3] = 1e6
    assert not contradictions(first, second, far).any()


def test_a_scene_without_surfaces_is_unknown() -> None:
    spec = GridSpec(np.zeros(3), 0.1, (60, 60, 60))
    one = np.array([[3, 3, 3]], np.int32)
    clear = RadianceGrid.of(spec, one, np.zeros((1, 3)), np.zeros(1), np.zeros((1, 1, 3)))
    assert not finish(observed(clear, cameras(), EXTENT_W)).states.any()


def test_patches_are_counted_across_corners() -> None:
    cells = np.zeros((5, 5, 5), np.bool_)
    for cell in ((0, 0, 0), (1, 1, 1), (2, 2, 1), (4, 4, 4)):
        cells[cell] = True
    assert largest_patch(cells) == 3
    assert without_specks(cells, 2).sum() == 3
    assert not without_specks(cells, 2)[4, 4, 4]
    assert (without_specks(cells, 1) == cells).all()


@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 9)] * 3))
def test_packed_and_unpacked_is_the_same(seed: int, dims: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(seed)
    to_w = np.eye(4)
    to_w[:3, :3] = rng.uniform(0.01, 9) * Rotation.random(random_state=seed).as_matrix()
    to_w[:3, 3] = rng.normal(0, 1e5, 3)
    occupancy = Occupancy(rng.integers(0, 3, dims).astype(np.uint8), to_w)
    again = unpack_occupancy(pack_occupancy(occupancy))
    assert again is not None
    np.testing.assert_array_equal(again.states, occupancy.states)
    np.testing.assert_array_equal(again.to_w, to_w)
    assert unpack_occupancy(pack_occupancy(None)) is None


def test_damaged_bytes_are_told() -> None:
    good = pack_occupancy(Occupancy(np.full((3, 3, 3), SOLID, np.uint8), np.eye(4)))
    bad = Occupancy(np.full((3, 3, 3), 7, np.uint8), np.eye(4))
    flat = Occupancy(np.full((3, 3, 3), SOLID, np.uint8), np.diag([1.0, 1, 0, 1]))
    nowhere = Occupancy(np.full((3, 3, 3), SOLID, np.uint8), np.diag([np.nan, 1, 1, 1]))
    bomb = pack_occupancy(Occupancy(np.zeros((1 << 9, 1 << 9, 1 << 9), np.uint8), np.eye(4)))
    for packed in (good[:50], good[:-3], good[:102] + b"rubbish", bomb, *map(pack_occupancy, (bad, flat, nowhere))):
        with pytest.raises(RepositoryError, match="damaged"):
            unpack_occupancy(packed)


def test_space_and_keypoints_tell_what_was_moved() -> None:
    some = Alignment(np.eye(4), np.zeros((0, 2), np.int64), np.zeros(0, np.bool_), 1.0, 0, 70, 0.5, None)
    assert not some.changed
    assert some.count == 70
    assert some.confidence > 0.9
    assert replace(some, agreement=0.1).changed
    assert replace(some, agreement=0.1, patch=0).changed
    assert not replace(some, patch=LARGEST_PATCH).changed
    moved = replace(some, patch=LARGEST_PATCH + 1, inliers=np.ones(30, np.bool_))
    assert moved.changed
    assert moved.count == 70
    assert moved.confidence < 0.5
    assert replace(moved, beside=150).confidence > 0.9
    assert replace(moved, inliers=np.ones(90, np.bool_)).confidence > 0.9
    strange = replace(moved, beside=150, agreement=0.1)
    assert strange.count == 30
    assert strange.confidence < 0.5
