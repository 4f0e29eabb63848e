"""Tools on voxels: growing, flooding, boxes, snapping, strokes in photos, and suggestions, on shapes made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.annotations.boxes import axes_of, corners_w, fit_box, inside_box
from engine.annotations.places import VoxelPlaces
from engine.annotations.snap import snapped
from engine.annotations.strokes import brush, lasso, lifted, over, rectangle, seen_mask, seen_values, view_hits
from engine.annotations.suggest import meant
from engine.annotations.tools import around, connected, flood, flood_alike, grown, shrunk, unlabelled_parts
from engine.api.camera import Camera, look_at
from engine.api.errors import AnnotationError
from engine.api.jobs import finish
from engine.grid.coarse import coarsened
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec
from engine.naming import NamedScene
from tests.engine.annotations.made import cuboid, solid

BLOCK = solid(cuboid((10, 10, 10), (15, 15, 15)))


def rows_of(grid: RadianceGrid, index: np.ndarray) -> list[int]:
    rows = grid.lut[tuple(index.T)]
    assert (rows >= 0).all()
    return sorted(rows.tolist())


def test_growing_and_shrinking_by_hand() -> None:
    middle = rows_of(BLOCK, cuboid((12, 12, 12), (13, 13, 13)))
    assert grown(BLOCK, middle).tolist() == rows_of(BLOCK, cuboid((11, 11, 11), (14, 14, 14)))
    assert grown(BLOCK, middle, 2).tolist() == rows_of(BLOCK, cuboid((10, 10, 10), (15, 15, 15)))
    inner = rows_of(BLOCK, cuboid((10, 10, 10), (13, 13, 13)))
    # three sides lie on the rim, which is no border
    assert shrunk(BLOCK, inner).tolist() == rows_of(BLOCK, cuboid((10, 10, 10), (12, 12, 12)))
    assert shrunk(BLOCK, grown(BLOCK, middle)).tolist() == middle
    for steps in (0, 65):
        with pytest.raises(AnnotationError, match="so many steps"):
            grown(BLOCK, middle, steps)


def test_flooding_stays_within_label_and_likeness() -> None:
    grid = solid(np.concatenate([cuboid((2, 2, 2), (8, 4, 4)), cuboid((9, 2, 2), (12, 4, 4))]))
    labels, instances = np.zeros(len(grid.index), np.uint16), np.zeros(len(grid.index), np.uint32)
    wall = grid.index[:, 0] == 4
    labels[wall] = 3
    seed = rows_of(grid, np.array([[2, 2, 2]]))[0]
    assert flood(grid, labels, instances, seed).tolist() == rows_of(grid, cuboid((2, 2, 2), (4, 4, 4)))
    parts = unlabelled_parts(grid, labels)
    assert [len(p) for p in parts] == [12, 12, 8]
    # colours follow the place: one step along x is 1/32
    like = flood_alike(grid, seed, 2.5 / 32, only=~wall)
    assert grid.index[like].max(axis=0)[0] == 3
    everything = np.ones(len(grid.index), np.bool_)
    assert len(connected(grid, everything, [seed])) == 24
    assert len(connected(grid, ~wall, np.flatnonzero(wall))) == 0


def test_an_upright_box_fits_a_turned_thing_exactly() -> None:
    """A slab along the diagonal of the floor: voxels (i, i), (i, i + 1) for i in 0..9, three high."""
    i = np.arange(10)
    flat = np.concatenate([np.stack([i, i], 1), np.stack([i, i + 1], 1)])
    index = np.concatenate([np.column_stack([flat, np.full(len(flat), k)]) for k in range(3)])
    places = VoxelPlaces(GridSpec(np.array([1.0, 2.0, 3.0]), 0.5, (16, 16, 16)), index.astype(np.int32))
    box = fit_box(places, np.arange(len(index)), (0, 0, 2.0), id=4, class_id=2, instance=9)
    assert (box.id, box.class_id, box.instance) == (4, 2, 9)
    x = axes_of(box)[:, 0]
    assert abs(abs(x[0]) - np.sqrt(0.5)) < 1e-3
    np.testing.assert_allclose(axes_of(box)[:, 2], [0, 0, 1], atol=1e-9)
    centres = places.centres_w
    assert inside_box(box, centres).all()
    along, across = sorted(box.size_w[:2], reverse=True)
    assert along == pytest.approx((9.5 * np.sqrt(2) + 1) * 0.5, rel=0.01)
    assert across == pytest.approx((np.sqrt(0.5) + 1) * 0.5, rel=0.01)
    assert box.size_w[2] == pytest.approx(1.5)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_any_box_holds_its_voxels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = np.unique(rng.integers(0, 12, (int(rng.integers(1, 30)), 3)), axis=0).astype(np.int32)
    places = VoxelPlaces(GridSpec(rng.normal(size=3), 0.2, (12, 12, 12)), index)
    up = rng.normal(size=3)
    for way in (up, None):
        box = fit_box(places, np.arange(len(index)), way, id=1, class_id=0)
        assert inside_box(box, places.centres_w).all()
        assert np.linalg.det(axes_of(box)) == pytest.approx(1)
        assert inside_box(box, corners_w(box) * 0.999 + np.array(box.centre_w) * 0.001).all()
    with pytest.raises(AnnotationError, match="nothing to fit"):
        fit_box(places, [], up, id=1, class_id=0)


def test_landmarks_snap_to_the_strong_keypoint_nearby() -> None:
    keypoints = np.array([[0, 0, 0], [0.3, 0, 0], [5, 0, 0]], np.float32)
    score = np.array([0.1, 0.9, 1.0], np.float32)
    assert snapped((0.1, 0, 0), keypoints, score, 1.0) == 1
    assert snapped((0.0, 0, 0), keypoints, score, 0.25) == 0
    assert snapped((2.5, 0, 0), keypoints, score, 1.0) is None


# -- strokes ----------------------------------------------------------------------------------------------------------


def scene() -> tuple[RadianceGrid, Camera, Camera]:
    """A cube of 6 before a wall, seen from the front and from the side."""
    wall = cuboid((4, 26, 4), (28, 28, 28))
    cube = cuboid((12, 10, 12), (18, 16, 18))
    grid = solid(np.concatenate([wall, cube]))
    centre = np.array([1.5, 1.3, 1.5])
    front = look_at(centre + np.array([0, -4, 0]), centre, (0, 0, 1), fov_y=40, width=320, height=240)
    side = look_at(centre + np.array([-4, -1.5, 0.3]), centre, (0, 0, 1), fov_y=40, width=320, height=240)
    return grid, front, side


def test_a_lasso_takes_the_first_surface_and_not_what_is_behind() -> None:
    grid, front, side = scene()
    hits = finish(view_hits(grid, front))
    corners = np.array([[1.2, 1.0, 1.2], [1.8, 1.0, 1.2], [1.8, 1.0, 1.8], [1.2, 1.0, 1.8]])
    outline, _ = front.project(corners)
    mask = lasso(front, outline)
    rows = lifted(hits, mask)
    chosen = grid.index[rows]
    assert (chosen[:, 1] < 16).all()
    assert {tuple(i) for i in cuboid((12, 10, 12), (18, 11, 18)).tolist()} <= {tuple(i) for i in chosen.tolist()}
    assert (chosen[:, 1] <= 12).all()
    # in the other view the front face alone is lit
    there = finish(view_hits(grid, side))
    lit = seen_mask(there, rows)
    assert lit.any()
    hit = grid.index[there.rows[lit]]
    assert (hit[:, 1] <= 12).all()
    back = seen_mask(hits, rows)
    assert (back & mask).sum() / (back | mask).sum() > 0.9


def test_an_outline_over_the_scene_takes_what_shows_or_all_depths() -> None:
    grid, front, _ = scene()
    depth_z = np.zeros((240, 320), np.float32)
    depth_z[:, :] = 4 + 1.3  # the wall's face at y = 2.6, from 4 before the cube's middle at 1.3
    outline, _ = front.project(np.array([[1.2, 1.0, 1.2], [1.8, 1.0, 1.2], [1.8, 1.0, 1.8], [1.2, 1.0, 1.8]]))
    x, y = outline.min(axis=0), outline.max(axis=0)
    depth_z[int(x[1]) : int(y[1]) + 1, int(x[0]) : int(y[0]) + 1] = 4 - 0.3  # the cube's face at y = 1.0
    mask = lasso(front, outline)
    face = {tuple(i) for i in cuboid((12, 10, 12), (18, 11, 18)).tolist()}
    shown = grid.index[finish(over(grid, front, depth_z, mask))]
    assert face <= {tuple(i) for i in shown.tolist()}
    assert shown[:, 1].max() == 11  # 1.5 voxels behind the face
    deep = grid.index[finish(over(grid, front, depth_z, mask, through=True))]
    assert face <= {tuple(i) for i in deep.tolist()}
    assert set(deep[:, 1].tolist()) == {10, 11, 12, 13, 14, 15, 26, 27}
    clip_w = np.array([[0, 0, 0], [3.2, 2.0, 3.2]])
    assert grid.index[finish(over(grid, front, depth_z, mask, through=True, clip_w=clip_w))][:, 1].max() == 15
    # what lies before the surface that shows was cut away; where nothing shows, nothing is meant
    depth_z[:] = 4 + 1.3
    assert set(grid.index[finish(over(grid, front, depth_z, mask))][:, 1].tolist()) == {26, 27}
    assert grid.index[finish(over(grid, front, depth_z, mask, through=True))][:, 1].min() == 26
    depth_z[:] = 0
    assert not len(finish(over(grid, front, depth_z, mask)))
    assert not len(finish(over(grid, front, depth_z, mask, through=True)))


def test_rendered_values_are_those_of_the_voxel_in_front() -> None:
    grid, front, _ = scene()
    hits = finish(view_hits(grid, front))
    depth = grid.index[:, 1].astype(np.int32)
    seen = seen_values(hits, depth, -1)
    assert seen[120, 160] == 10
    assert set(np.unique(seen)) >= {-1, 26}
    assert hits.depth_z[120, 160] == pytest.approx(3.7 + 0.05, abs=0.1)
    assert hits.pixels.sum() == (hits.rows >= 0).sum()


def test_masks_by_hand() -> None:
    camera = look_at((0, -1, 0), (0, 0, 0), (0, 0, 1), fov_y=50, width=20, height=10)
    box = rectangle(camera, (3.0, 2.0), (6.0, 4.0))
    assert sorted(zip(*map(list, np.nonzero(box)), strict=True)) == [(r, c) for r in (2, 3) for c in (3, 4, 5)]
    triangle = lasso(camera, [(2, 1), (12, 1), (2, 9)])
    assert triangle[2, 3]
    assert not triangle[8, 11]
    dot = brush(camera, [(10.5, 5.5)], 2)
    assert dot[5, 10]
    assert 9 <= dot.sum() <= 21
    line = brush(camera, [(2, 5.5), (18, 5.5)], 1)
    assert line[5, 3:17].all()
    assert not line[8].any()
    for wrong in (lambda: lasso(camera, [(1, 1), (2, 2)]), lambda: brush(camera, [(np.nan, 1)], 2)):
        with pytest.raises(AnnotationError, match="no line of pixels"):
            wrong()
    with pytest.raises(AnnotationError, match="no size"):
        brush(camera, [(1, 1)], 0)


def test_words_mean_places_of_voxels() -> None:
    """Two blocks of the coarse grid that touch are one place; a lonely block is noise."""
    fine = solid(cuboid((0, 0, 0), (16, 2, 2)), dims=(32, 32, 32))
    coarse = coarsened(fine, 10)
    relevancy = np.array([0.9, 0.8, 0.7, 0.1, 0.1, 0.1, 0.1, 0.6], np.float32)
    named = NamedScene(fine, coarse.grid, coarse.parent, (), {})
    named.answered["sofa", ()] = (None, relevancy)  # type: ignore[assignment]  # only the relevancy is looked at
    (found,) = meant(named, "sofa")
    assert found.score == pytest.approx(0.8)
    assert sorted(set(fine.index[found.rows, 0].tolist())) == list(range(6))
    assert meant(named, "sofa", threshold=0.95) == []


@settings(max_examples=40)
@given(st.integers(0, 1 << 30), st.floats(0.2, 4.0), st.integers(1, 4))
def test_around_points_is_what_a_search_of_all_voxels_finds(seed: int, radius: float, steps: int) -> None:
    rng = np.random.default_rng(seed)
    index = np.unique(rng.integers(0, 14, (260, 3)), axis=0)
    grid = solid(index)
    centres = grid.spec.to_world(grid.index + 0.5)
    at = centres[rng.integers(len(centres), size=3)] + rng.uniform(-0.4, 0.4, (3, 3)) * grid.spec.voxel
    radius_w = radius * grid.spec.voxel
    away = np.linalg.norm(centres[:, None] - at, axis=2)
    inside = (away <= max(radius_w, 0.9 * grid.spec.voxel)).any(axis=1)
    expected = connected(grid, inside, away.argmin(axis=0))
    assert around(grid, at, radius_w).tolist() == expected.tolist()
    spread = grown(grid, expected, steps)
    touch = np.abs(grid.index[:, None] - grid.index[None]).max(axis=2) <= 1
    on = np.zeros(len(index), np.bool_)
    on[expected] = True
    for _ in range(steps):
        on = touch[:, on].any(axis=1)
    assert spread.tolist() == np.flatnonzero(on).tolist()
    for _ in range(steps):
        on = on & ~touch[:, ~on].any(axis=1)
    assert shrunk(grid, spread, steps).tolist() == np.flatnonzero(on).tolist()
