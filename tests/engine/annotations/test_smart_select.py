"""Smart select: the tree of regions against a slow way of making it, clicks on a scene made by hand, suggestions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.annotations.baseline import AlikeGrower
from engine.annotations.nets import Net, SelectNets, load_nets
from engine.annotations.region_sums import (
    BORDER,
    MERGE_FEATURES,
    PAIR_FEATURES,
    described,
    merge_features,
    set_features,
    voxel_sums,
)
from engine.annotations.regions import RegionTree, Voxels, region_tree
from engine.annotations.select import (
    INPUTS,
    THRESHOLD,
    Click,
    SelectScene,
    levels,
    load_select_nets,
    select_scene,
    select_voxels,
    selected_rows,
    smart_select,
)
from engine.annotations.suggest import alike, example_of
from engine.annotations.surface import normals, seen_from, touching
from engine.api.camera import look_at
from engine.api.errors import AnnotationError, WeightsError
from engine.api.jobs import finish
from engine.grid.radiance import RadianceGrid
from tests.engine.annotations.made import cuboid, solid

RNG = np.random.default_rng(0)
LOOKS = RNG.normal(size=(4, 8)).astype(np.float32)
LOOKS /= np.linalg.norm(LOOKS, axis=1, keepdims=True)
CAMERAS = [
    look_at([1.6 + 3 * np.cos(a), 1.6 + 3 * np.sin(a), 3.0], [1.6, 1.6, 0.6], [0, 0, 1], fov_y=50, width=64, height=48)
    for a in np.linspace(0, 6, 6)
]


def shell(lo: tuple[int, int, int], hi: tuple[int, int, int]) -> np.ndarray:
    """The outer layer of a box without its underside."""
    index = cuboid(lo, hi)
    inner = ((index > np.array(lo)) & (index < np.array(hi) - 1)).all(axis=1) | (
        (index[:, 2] == lo[2]) & (index[:, :2] > np.array(lo)[:2]).all(1) & (index[:, :2] < np.array(hi)[:2] - 1).all(1)
    )
    return index[~inner]


def furnished() -> tuple[RadianceGrid, np.ndarray, np.ndarray]:
    """A floor with two chests alike and one taller cupboard: the grid, what each voxel is of (0 to 3), and features."""
    parts = [
        cuboid((0, 0, 0), (32, 32, 1)), shell((4, 4, 1), (11, 11, 7)), shell((20, 4, 1), (27, 11, 7)),
        shell((8, 20, 1), (14, 29, 20)),
    ]  # fmt: skip
    index = np.concatenate(parts)
    what = np.concatenate([np.full(len(p), n) for n, p in enumerate(parts)])
    order = np.lexsort(index.T[::-1])
    grid = solid(index)
    what = what[order]
    colour = np.array([[0.5, 0.5, 0.5], [0.8, 0.2, 0.2], [0.8, 0.2, 0.2], [0.2, 0.3, 0.8]])[what]
    grid = RadianceGrid.of(grid.spec, grid.index, colour, grid.tau, grid.background)
    looks = LOOKS[np.array([0, 1, 1, 2])[what]] + 0.15 * np.random.default_rng(1).normal(size=(len(what), 8))
    return grid, what, (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def ready() -> tuple[SelectScene, np.ndarray]:
    grid, what, image = furnished()
    some = np.ones(len(what), np.float32)
    up = np.array([0.0, 0, 1])
    return finish(select_scene(grid, image, 0 * some, some, CAMERAS, up, load_select_nets())), what


def middle(grid: RadianceGrid, rows: np.ndarray) -> int:
    centres = grid.index[rows] + 0.5
    return int(rows[((centres - centres.mean(axis=0)) ** 2).sum(axis=1).argmin()])


def iou(rows: np.ndarray, truth: np.ndarray) -> float:
    found = np.zeros(len(truth), np.bool_)
    found[rows] = True
    return float((found & truth).sum() / (found | truth).sum())


def test_one_click_takes_the_whole_thing_and_not_its_twin(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, what = ready
    for thing in (1, 2, 3):
        found = smart_select(scene, [Click(middle(scene.grid, np.flatnonzero(what == thing)))])
        assert iou(found.rows, what == thing) > 0.8
        assert found.threshold == THRESHOLD
        assert set(found.rows) <= set(np.flatnonzero(found.score >= THRESHOLD))


def test_the_wheel_goes_through_nested_selections(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, what = ready
    clicks = [Click(middle(scene.grid, np.flatnonzero(what == 3)))]
    found = smart_select(scene, clicks)
    before: set[int] = set()
    sizes = set()
    for threshold in np.linspace(1, 0.01, 30):
        rows = set(selected_rows(scene.grid, found.score, clicks, threshold).tolist())
        assert before <= rows
        assert clicks[0].row in rows
        before = rows
        sizes.add(len(rows))
    assert len(sizes) > 3
    assert len(before) == len(what)


def test_a_positive_click_adds_and_a_negative_one_takes_away(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, what = ready
    first, second = (Click(middle(scene.grid, np.flatnonzero(what == n))) for n in (1, 3))
    alone = smart_select(scene, [first])
    assert second.row not in alone.rows
    both = smart_select(scene, [first, second])
    assert {first.row, second.row} <= set(both.rows)
    assert not np.isin(np.flatnonzero(what == 2), both.rows).any()
    less = smart_select(scene, [first, second, Click(second.row + 1, False)])
    assert second.row in less.rows
    assert second.row + 1 not in less.rows
    taken = int(alone.rows[0])
    away = smart_select(scene, [first, Click(taken, False)])
    assert first.row in away.rows
    assert taken not in away.rows


def test_clicks_in_one_small_region_divide_it(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, _ = ready
    region = scene.tree.region[scene.block]
    size = np.bincount(region)
    a, *_, b = np.flatnonzero(region == int(size.argmax()))
    found = smart_select(scene, [Click(int(a)), Click(int(b), False)])
    assert a in found.rows
    assert b not in found.rows


def test_clicks_that_make_no_sense_are_told(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, what = ready
    for clicks in ([], [Click(0, False)], [Click(0)] * 65):
        with pytest.raises(AnnotationError, match="nothing to select by"):
            smart_select(scene, clicks)
    with pytest.raises(AnnotationError, match="no voxel"):
        smart_select(scene, [Click(len(what))])


def test_what_is_alike_is_suggested(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, what = ready
    example = example_of(scene, np.flatnonzero(what == 1))
    found = alike(scene, [example], taken=what == 1)
    assert iou(found[0].rows, what == 2) > 0.8
    assert all(s.score <= found[0].score for s in found)
    assert not np.isin(np.flatnonzero(what == 1), found[0].rows).any()
    with pytest.raises(AnnotationError, match="no example"):
        example_of(scene, [])


# -- the tree ---------------------------------------------------------------------------------------------------------


def test_the_tree_is_that_of_plain_recomputation(ready: tuple[SelectScene, np.ndarray]) -> None:
    """Sums, borders and what each node holds, made anew for each node from its voxels and pairs."""
    tree = ready[0].tree
    assert sorted(tree.place.tolist()) == list(range(tree.small))
    single = voxel_sums(
        tree.voxels.pos, tree.voxels.grid.rgb, tree.voxels.upright_normal, tree.voxels.image, tree.voxels.weight > 0
    )
    for node in range(0, len(tree.parent), 3):
        holds = tree.holds([node])[0]
        np.testing.assert_allclose(tree.sums[node], single[holds[tree.region]].sum(axis=0), atol=1e-3)
        a, b = holds[tree.pairs].T
        np.testing.assert_allclose(tree.outer[node], tree.border[a ^ b].sum(axis=0), atol=1e-6)
        np.testing.assert_allclose(tree.inner[node], tree.border[a & b].sum(axis=0), atol=1e-6)
    for small in range(0, tree.small, 5):
        above = tree.above(small)
        nested = tree.holds(above)
        assert (nested[1:] | ~nested[:-1]).all()
        assert nested[:, small].all()


def constant(inputs: int, column: int, slope: float) -> Net:
    """1 where a feature is large."""
    weight = np.zeros((inputs, 1), np.float32)
    weight[column] = slope
    one = (np.eye(1, dtype=np.float32), np.zeros(1, np.float32))
    return Net(np.zeros(inputs, np.float32), np.ones(inputs, np.float32), ((weight, np.zeros(1, np.float32)), one, one))


def test_a_strange_scene_has_a_tree_too() -> None:
    """Two voxels that touch nothing; and one voxel alone."""
    for index in ([[1, 1, 1], [9, 9, 9]], [[5, 5, 5]]):
        grid = solid(np.array(index))
        count = len(index)
        image = np.zeros((count, 8), np.float32)
        nothing = np.zeros(count, np.float32)
        scene = finish(
            select_scene(grid, image, nothing, nothing, CAMERAS, np.array([0.0, 1.0, 0.0]), load_select_nets())
        )
        assert smart_select(scene, [Click(0)]).rows.tolist() == [0]
        assert isinstance(scene.tree, RegionTree)


def test_features_do_not_hang_on_unit_frame_or_fineness() -> None:
    """The same scene in a frame with another axis up and another unit: the same features to rounding."""
    grid, _, image = furnished()
    some = np.ones(len(image), np.float32)
    normal = np.tile(np.array([0, 0, 1], np.float32), (len(image), 1))
    a = Voxels(grid, image, some, some, normal, np.array([0.0, 0.0, 1.0]))
    turned = solid(grid.index[:, [1, 2, 0]], voxel=7.0)  # x to z, y to x, z to y
    rows = turned.lut[tuple(grid.index[:, [1, 2, 0]].T)]
    back = np.argsort(rows)
    b = Voxels(turned, image[back], some, some, np.tile(np.array([0, 1, 0], np.float32), (len(image), 1)), np.eye(3)[1])
    sums = [
        voxel_sums(v.pos, np.zeros_like(v.normal), v.upright_normal, v.image, v.weight > 0).sum(axis=0) for v in (a, b)
    ]
    one, two = (described(s[None], a.usual) for s in sums)
    for name in ("count", "extent", "agreed", "flat", "seen"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-5)
    assert one.centre[0, 2] == pytest.approx(two.centre[0, 2])
    assert abs(one.normal[0, 2]) == pytest.approx(1)
    assert abs(two.normal[0, 2]) == pytest.approx(1)


def test_numbers_of_features_are_those_of_the_networks() -> None:
    sums = np.abs(np.random.default_rng(0).normal(size=(3, 28))) + 1
    border = np.ones((3, BORDER))
    assert merge_features(sums, sums, border, 1.0).shape == (3, MERGE_FEATURES)
    assert set_features(sums, border, border, 1.0).shape[0] == 3
    np.testing.assert_allclose(
        merge_features(sums, 2 * sums, border, 1.0), merge_features(2 * sums, sums, border, 1.0), rtol=1e-5
    )


def test_levels_by_hand() -> None:
    holds = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]], np.bool_)
    score = levels(holds, 1)
    assert score.tolist() == pytest.approx([1.0, 0.55, 0.45, 0.0])
    assert levels(holds, 0)[0] >= THRESHOLD > levels(holds, 0)[1]
    assert levels(holds, 2)[2] >= THRESHOLD


def test_large_scenes_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.annotations import select

    grid, what, image = furnished()
    monkeypatch.setattr(select, "MOST", 900)
    some = np.ones(len(what), np.float32)
    voxels, block = finish(select_voxels(grid, image, 0 * some, some, CAMERAS, np.array([0.0, 0, 1])))
    assert len(voxels.grid.index) <= 900 < len(grid.index)
    np.testing.assert_allclose(np.linalg.norm(voxels.image, axis=1), 1, atol=1e-5)
    assert voxels.weight.sum() == pytest.approx(len(what))
    scene = SelectScene(grid, block, finish(region_tree(voxels, load_select_nets())), load_select_nets())
    found = smart_select(scene, [Click(middle(grid, np.flatnonzero(what == 3)))])
    assert iou(found.rows, what == 3) > 0.6
    assert found.score.shape == what.shape


def test_surfaces_face_the_cameras() -> None:
    grid, what, _ = furnished()
    towards = finish(seen_from(grid, CAMERAS))
    normal = finish(normals(grid, towards))
    np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
    open_floor = (what == 0) & (grid.index[:, :2] > 13).all(axis=1) & (grid.index[:, 0] > 16)
    assert normal[open_floor, 2].min() > 0.9
    edges = finish(touching(grid))
    assert len(np.unique(edges, axis=0)) == len(edges)
    assert np.abs(grid.index[edges[:, 0]] - grid.index[edges[:, 1]]).max() == 1
    corner = grid.lut[0, 0, 0]
    assert (edges == corner).any(axis=1).sum() == 3


def test_the_baseline_stays_on_its_side(ready: tuple[SelectScene, np.ndarray]) -> None:
    scene, what = ready
    edges = finish(touching(scene.grid))
    grower = AlikeGrower(scene.grid, edges, scene.tree.voxels.normal)
    click = Click(middle(scene.grid, np.flatnonzero(what == 3)))
    alone = grower.grow([click])
    assert alone[click.row]
    against = grower.grow([click, Click(middle(scene.grid, np.flatnonzero(what == 0)), False)])
    assert not (against & ~alone).any()
    assert not against[what == 0].all()


# -- weights ----------------------------------------------------------------------------------------------------------


def test_weights_are_saved_and_checked(tmp_path: Path) -> None:
    nets = load_select_nets()
    path = tmp_path / "select.safetensors"
    nets.save(path)
    again = load_nets(path, INPUTS)
    x = np.random.default_rng(0).normal(size=(5, PAIR_FEATURES)).astype(np.float32)
    assert again.touch(x).tolist() == nets.touch(x).tolist()
    assert ((nets.touch(x) >= 0) & (nets.touch(x) <= 1)).all()
    assert len(set(nets.touch(x).tolist())) > 1
    with pytest.raises(WeightsError, match="smart select"):
        load_nets(path, (13, *INPUTS[1:]))
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="smart select"):
        load_nets(path, INPUTS)
    broken = constant(PAIR_FEATURES, 0, np.inf)
    SelectNets(broken, nets.merge, nets.whole, nets.refine).save(path)
    with pytest.raises(WeightsError, match="make no sense"):
        load_nets(path, INPUTS)
