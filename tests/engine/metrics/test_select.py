"""Simulated clicks and labels seen in other photos, on scenes whose truth is known by construction."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from engine.annotations.regions import Voxels
from engine.annotations.select import Click
from engine.annotations.surface import touching
from engine.api.camera import Camera, look_at
from engine.api.jobs import finish
from engine.captures.capture import Photo
from engine.metrics.select import KnownRoom, clicked, first_click, iou, next_click
from engine.metrics.strokes import discs_elsewhere, seen_elsewhere
from engine.training.rooms.grid import fused_grid
from tests.conftest import cast_cube_on_plane
from tests.engine.annotations.made import cuboid, solid


def known() -> KnownRoom:
    """A bar of 12 x 2 x 2 voxels: thing 1 is x < 7, thing 2 x >= 9, unknown between."""
    grid = solid(cuboid((2, 2, 2), (14, 4, 4)))
    x = grid.index[:, 0] - 2
    ids = np.where(x < 7, 1, np.where(x >= 9, 2, 0)).astype(np.int64)
    count = len(ids)
    nothing = np.zeros((count, 3), np.float32)
    voxels = Voxels(grid, nothing, nothing[:, 0], nothing[:, 0], nothing, np.eye(3)[2])
    return KnownRoom("bar", grid, ids, (1, 2), voxels, np.arange(count), finish(touching(grid)))


def x_of(room: KnownRoom, click: Click | None) -> int:
    assert click is not None
    return int(room.grid.index[click.row, 0]) - 2


def test_the_first_click_is_in_the_middle_and_the_next_where_most_is_wrong() -> None:
    room = known()
    x = room.grid.index[:, 0] - 2
    assert x_of(room, first_click(room, 1)) == 3
    missing = next_click(room, x < 3, 1)
    assert x_of(room, missing) in (4, 5)
    assert missing is not None
    assert missing.positive
    # three too many on the right, two missing on the left; the unknown is nobody's fault
    too_much = next_click(room, (x >= 2) & (x < 12), 1)
    assert x_of(room, too_much) == 10
    assert too_much is not None
    assert not too_much.positive
    assert next_click(room, x < 9, 1) is None


def test_a_method_is_asked_again_until_nothing_is_wrong() -> None:
    room = known()
    asked: list[int] = []

    def learns(clicks: list[Click]) -> np.ndarray:
        asked.append(len(clicks))
        return room.ids == 1 if len(clicks) > 1 else room.grid.index[:, 0] - 2 < 3

    assert clicked(room, 1, learns) == [pytest.approx(3 / 7), 1.0, 1.0]
    assert asked == [1, 2]
    assert clicked(room, 1, lambda _: room.ids >= 0) == [pytest.approx(7 / 10)] * 3
    assert iou(np.zeros(3, np.bool_), np.zeros(3, np.bool_)) == 0


@dataclass
class CubeRoom:
    """The cube on its floor as a room: thing 1 is the cube, 2 the floor."""

    cameras: list[Camera]
    name: str = "cube"
    bounds_w = np.array([[-2.2, -2.2, -0.2], [2.2, 2.2, 1.2]])
    bounded = True

    @property
    def views(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(index=i, camera=c, held_out=False, has_depth=True) for i, c in enumerate(self.cameras)]

    def read(self, i: int, max_side: int | None = None, depth: bool = False) -> Photo:
        del max_side, depth
        rgb, z = cast_cube_on_plane(self.cameras[i])
        return Photo(self.cameras[i], rgb, depth_z=z)

    def object_ids(self, i: int) -> np.ndarray:
        camera = self.cameras[i]
        z = cast_cube_on_plane(camera)[1]
        pos = camera.unproject(camera.pixel_grid(), z.ravel())
        cube = (np.abs(pos[:, :2]) < 0.501).all(axis=1) & (pos[:, 2] > 1e-4)
        return np.where(z.ravel() > 0, np.where(cube, 1, 2), 0).astype(np.uint8).reshape(z.shape)


def test_a_label_made_in_one_photo_is_seen_in_the_others() -> None:
    cameras = [
        look_at([3 * np.cos(a), 3 * np.sin(a), 1.8], [0, 0, 0.4], [0, 0, 1], fov_y=50, width=160, height=120)
        for a in np.arange(6) * np.pi / 3
    ]
    room = CubeRoom(cameras)
    grid = finish(fused_grid(room, 120_000))
    found = finish(seen_elsewhere(room, grid, [1]))  # type: ignore[arg-type]  # what it needs of a room
    assert 3 <= len(found) <= 5
    shared, whole = np.array(found).T
    assert shared.min() > 0.6  # where both look along a side
    assert shared.mean() > 0.8
    # from behind, only the top was seen
    assert whole.min() < 0.6 < whole.max()


def test_discs_lie_where_depth_puts_them() -> None:
    cameras = [
        look_at([3 * np.cos(a), 3 * np.sin(a), 1.8], [0, 0, 0.4], [0, 0, 1], fov_y=50, width=160, height=120)
        for a in np.arange(6) * np.pi / 9
    ]
    room = CubeRoom(cameras)
    grid = finish(fused_grid(room, 120_000))
    found = finish(discs_elsewhere(room, grid, np.random.default_rng(0), count=30))  # type: ignore[arg-type]  # as above
    assert len(found) > 15
    assert np.mean(found) > 0.75
