"""Points in perspective: where they land, which is in front, what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtGui import QImage

from app.panels.pair_view import blended
from app.panels.point_paint import paint_points, tinted
from engine.api.camera import look_at
from engine.api.repository import AlignedPoints

CAMERA = look_at(
    [0, 0, 4], [0, 0, 0], [0, 1, 0], fov_y=53.13, width=81, height=81
)  # 4 units are 40.5 px from the middle


def points(pos_w: list[list[float]], facing_w: list[list[float]], spacing_w: float = 0.2) -> AlignedPoints:
    pos, facing = (np.array(v, np.float32).reshape(-1, 3) for v in (pos_w, facing_w))
    return AlignedPoints(pos, None, facing, spacing_w, np.zeros(len(pos), np.bool_))


def test_the_nearest_is_in_front_where_it_projects() -> None:
    up = [0.0, 0.0, 1.0]
    some = points([[0, 0, 0], [0, 0, 2], [1, 0, 0]], [up, up, up])
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    for order in ([0, 1, 2], [2, 1, 0]):
        swapped = replace(some, pos_w=some.pos_w[order], facing_w=some.facing_w[order])
        out = paint_points(swapped, rgb[order], CAMERA)
        assert out[40, 40].tolist() == [0, 255, 0, 255]
        assert out[40, 60].tolist() == [0, 0, 255, 255]  # x = 40.5 + 81 * 1 / 4
        assert out[40, 52, 3] == 0
        assert (out[..., :3] != [255, 0, 0]).any(axis=2).all()  # the red one is hidden


def test_surfaces_seen_from_behind_and_points_behind_the_camera_are_left_out() -> None:
    some = points([[0, 0, 0], [0, 0, 9], [1, 0, 0]], [[0, 0, -1], [0, 0, -1], [1, 0, 0]])
    rgb = np.full((3, 3), 9, np.uint8)
    assert not paint_points(some, rgb, CAMERA).any()
    assert paint_points(some, rgb, CAMERA, facing=False)[40, 40, 3] == 255
    empty = points([], [])
    assert not paint_points(empty, np.zeros((0, 3), np.uint8), CAMERA).any()


def test_in_a_hurry_there_are_fewer_and_larger() -> None:
    x = np.linspace(-1, 1, 100)
    line = points([[at, 0.0, 0.0] for at in x], [[0.0, 0.0, 1.0]] * 100, 0.05)
    rgb = np.arange(300, dtype=np.uint16).reshape(100, 3).astype(np.uint8)
    whole, quick = paint_points(line, rgb, CAMERA), paint_points(line, rgb, CAMERA, most=10)
    assert len(np.unique(quick[quick[..., 3] > 0], axis=0)) == 10
    assert quick[40, 22:60, 3].all()  # no gaps all the same
    assert (quick[..., 3] > 0).sum() > (whole[..., 3] > 0).sum()


def test_tints_keep_light_and_dark_apart() -> None:
    grey = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)
    dark, light = tinted(grey, (200, 100, 0), 2)
    assert dark.tolist() == [50, 25, 0]
    assert light.tolist() == [230, 115, 0]
    assert tinted(None, (200, 100, 0), 3).tolist() == [[200, 100, 0]] * 3


def test_blending_is_a_mean_where_both_are_and_half_where_one_is() -> None:
    a, b = (QImage(2, 1, QImage.Format.Format_RGBA8888) for _ in range(2))
    a.fill(0x00000000)
    b.fill(0x00000000)
    a.setPixelColor(0, 0, "#ff0000")
    b.setPixelColor(0, 0, "#0000ff")
    b.setPixelColor(1, 0, "#0000ff")
    out = blended(a, b, 0.5)
    both, one = out.pixelColor(0, 0), out.pixelColor(1, 0)
    assert abs(both.red() - 127) <= 2
    assert abs(both.blue() - 127) <= 2
    assert both.alpha() >= 253
    assert abs(one.alpha() - 127) <= 2
    assert blended(a, b, 0.0).pixelColor(0, 0).red() == 255
