"""The fit on a tiny capture: what it reads, what it reports, what it does with odd captures. Bounded by steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.api.errors import CaptureError
from engine.api.jobs import Progress, finish
from engine.captures import Capture, Photo, View, open_capture
from engine.grid import FitSettings, RadianceGrid, fit_grid
from engine.grid.photos import plan_reading, spread
from engine.march import render_colour
from engine.metrics.psnr import psnr

SETTINGS = FitSettings(seconds=1e6, cells=30_000, voxels=20_000, steps=12)
HELD_OUT = 7


class Wrapped:
    """A capture whose reads are recorded, and whose photos and views may be changed."""

    def __init__(
        self,
        capture: Capture,
        change: Callable[[int, Photo], Photo] = lambda _, photo: photo,
        views: Callable[[View], View] = lambda view: view,
        bounded: bool | None = None,
    ) -> None:
        self.views = tuple(views(v) for v in capture.views)
        self.bounds_w = capture.bounds_w
        self.bounded = capture.bounded if bounded is None else bounded
        self.change = change
        self.reads: list[tuple[int, bool]] = []

    def read(self, i: int, max_side: int | None = None, depth: bool = False) -> Photo:
        self.reads.append((i, depth))
        return self.change(i, self.views[i].read(max_side, depth))


def without_depth(view: View) -> View:
    return replace(view, depth=None)


def fail(views: set[int]) -> Callable[[int, Photo], Photo]:
    def change(i: int, photo: Photo) -> Photo:
        if i in views:
            raise CaptureError("is damaged", mend="copy it again")
        return photo

    return change


@pytest.fixture
def capture(tiny_capture_dir: Path) -> Capture:
    capture = open_capture(tiny_capture_dir)
    assert [v.index for v in capture.views if v.held_out] == [HELD_OUT]
    return capture


def score(grid: RadianceGrid, capture: Capture, view: int) -> float:
    photo = capture.read(view)
    return psnr(render_colour(grid, photo.camera)[0], photo.rgb / 255)


def assert_same(a: RadianceGrid, b: RadianceGrid) -> None:
    for name in ("index", "rgb", "sigma", "background"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("views", [lambda v: v, without_depth], ids=["depth", "colour alone"])
def test_held_out_photos_leave_no_trace_in_the_grid(capture: Capture, views: Callable[[View], View]) -> None:
    def poison(i: int, photo: Photo) -> Photo:
        if i != HELD_OUT:
            return photo
        return replace(photo, rgb=255 - photo.rgb, depth_z=None, alpha=np.zeros(photo.rgb.shape[:2], np.uint8))

    clean, poisoned = Wrapped(capture, views=views), Wrapped(capture, poison, views=views)
    grid, other = finish(fit_grid(clean, SETTINGS)), finish(fit_grid(poisoned, SETTINGS))
    assert_same(grid, other)
    assert grid.meta["psnr"] > other.meta["psnr"]
    for i, depth in clean.reads:
        assert not (i == HELD_OUT and depth)
    assert [i for i, _ in clean.reads].count(HELD_OUT) == 1


def test_the_plan_leaves_out_held_out_views(capture: Capture) -> None:
    plan = plan_reading(capture)
    assert sorted(plan.order) == [0, 1, 2, 3, 4, 5, 6]
    small = plan_reading(capture, budget=1)
    assert len(small.order) == 1
    assert HELD_OUT not in small.order


@pytest.mark.parametrize("count", [1, 2, 7, 8, 33])
def test_the_order_of_reading_is_a_permutation_spread_over_the_views(count: int) -> None:
    order = spread(count)
    assert sorted(order) == list(range(count))
    if count >= 8:
        assert np.diff(sorted(order[:4])).max() <= count / 2


def test_the_same_seed_gives_the_same_grid_and_another_does_not(capture: Capture) -> None:
    grid = finish(fit_grid(capture, SETTINGS))
    assert_same(grid, finish(fit_grid(capture, SETTINGS)))
    other = finish(fit_grid(capture, replace(SETTINGS, seed=1)))
    assert other.rgb.shape != grid.rgb.shape or (other.rgb != grid.rgb).any()


def test_a_fit_reports_and_ends_with_its_score(capture: Capture) -> None:
    updates: list[tuple[RadianceGrid, float | None, float]] = []
    steps: list[Progress] = []
    wrapped = Wrapped(capture)
    grid = finish(fit_grid(wrapped, SETTINGS, on_update=lambda *u: updates.append(u)), steps.append)
    assert len(steps) > SETTINGS.steps
    assert all(p.unit == "s" and 0 <= p.done <= p.total == SETTINGS.seconds for p in steps)
    assert [p.done for p in steps] == sorted(p.done for p in steps)
    assert updates[-1][0] is grid
    assert updates[-1][1] == grid.meta["psnr"]
    assert [u[2] for u in updates] == sorted(u[2] for u in updates)
    assert set(grid.meta) == {"psnr", "curve", "seconds", "heldout", "skipped", "steps"}
    assert grid.meta["heldout"] == 1
    assert grid.meta["skipped"] == 0
    assert grid.meta["steps"] >= 0.9 * SETTINGS.steps
    assert grid.meta["curve"][-1][1] == pytest.approx(grid.meta["psnr"], abs=0.01)
    # every training photo was read for its depth, once; steps, not time, bound the reading
    assert sorted(wrapped.reads) == [(i, i != HELD_OUT) for i in range(8)]
    # the score is that of the grid as it renders and as it is stored
    assert grid.meta["psnr"] == pytest.approx(score(grid, capture, HELD_OUT), abs=0.1)


def test_a_fit_renders_what_was_photographed(capture: Capture) -> None:
    grid = finish(fit_grid(capture, SETTINGS))
    photo = capture.read(0)
    flat = np.broadcast_to(photo.rgb.mean(axis=(0, 1)) / 255, photo.rgb.shape)
    assert score(grid, capture, 0) > psnr(flat, photo.rgb / 255) + 3
    truth = capture.read(0, depth=True).depth_z
    depth_z = render_colour(grid, photo.camera)[2]
    both = (depth_z > 0) & (truth > 0)
    assert both.mean() > 0.3
    assert np.median(np.abs(depth_z - truth)[both]) < 2 * grid.spec.voxel


def test_more_steps_come_nearer(capture: Capture) -> None:
    few = finish(fit_grid(Wrapped(capture, views=without_depth), replace(SETTINGS, steps=4)))
    more = finish(fit_grid(Wrapped(capture, views=without_depth), replace(SETTINGS, steps=60)))
    assert (
        np.mean([score(more, capture, i) for i in range(7)]) > np.mean([score(few, capture, i) for i in range(7)]) + 1
    )


def test_a_capture_without_depth_is_fitted(capture: Capture) -> None:
    wrapped = Wrapped(capture, views=without_depth)
    grid = finish(fit_grid(wrapped, SETTINGS))
    assert len(grid.index) > 0
    assert not any(depth for _, depth in wrapped.reads)
    assert {i for i, _ in wrapped.reads} == set(range(8))


def median_depth_error(grid: RadianceGrid, capture: Capture) -> float:
    errors = []
    for view in capture.views:
        truth = capture.read(view.index, depth=True).depth_z
        depth_z = render_colour(grid, view.camera.fitted(max(truth.shape)))[2]
        errors.append(np.abs(depth_z - truth)[truth > 0])
    return float(np.median(np.concatenate(errors)))


def test_without_depth_surfaces_come_from_stereo(capture: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    views = Wrapped(capture, views=without_depth)
    few = replace(SETTINGS, steps=6)
    grid = finish(fit_grid(views, few))
    monkeypatch.setattr("engine.grid.fit.LEAST_KNOWN", 2.0)
    fog = finish(fit_grid(views, few))
    assert median_depth_error(grid, capture) < 2 * grid.spec.voxel
    assert median_depth_error(grid, capture) < median_depth_error(fog, capture) / 3


@pytest.mark.parametrize("kept", [1, 2])
def test_few_photos_without_depth_are_fitted_from_fog(capture: Capture, kept: int) -> None:
    apart = Wrapped(capture, views=lambda v: replace(without_depth(v), held_out=v.index not in (0, 4)[:kept]))
    grid = finish(fit_grid(apart, SETTINGS))
    assert len(grid.index) > 0
    assert grid.meta["psnr"] is not None


@pytest.mark.parametrize("bounded", [True, False])
def test_unbounded_scenes_get_shells(capture: Capture, bounded: bool) -> None:
    grid = finish(fit_grid(Wrapped(capture, bounded=bounded), SETTINGS))
    assert bool(grid.shells) == (not bounded)
    sizes = [np.ptp(g.spec.bounds_w, axis=0).max() for g in (grid, *grid.shells)]
    assert sizes == sorted(sizes)
    assert np.isfinite(render_colour(grid, capture.views[0].camera)[0]).all()


def test_alpha_means_a_white_background(capture: Capture) -> None:
    def cut_out(_: int, photo: Photo) -> Photo:
        alpha = np.zeros(photo.rgb.shape[:2], np.uint8)
        alpha[20:50, 30:70] = 255
        return replace(photo, alpha=alpha, rgb=np.where(alpha[..., None] > 0, photo.rgb, 0))

    wrapped = Wrapped(capture, cut_out, without_depth, bounded=True)
    grid = finish(fit_grid(wrapped, replace(SETTINGS, steps=40)))
    assert grid.background.shape == (1, 1, 3)
    assert (grid.background == 1).all()
    corner = render_colour(grid, capture.views[0].camera)[0][:8, :8]
    assert corner.mean() > 0.7  # black where it is transparent, but never learnt as such


def test_damaged_photos_are_passed_over(capture: Capture) -> None:
    grid = finish(fit_grid(Wrapped(capture, fail({0, 5})), SETTINGS))
    assert grid.meta["skipped"] == 2
    assert len(grid.index) > 0


def test_without_a_held_out_photo_there_is_no_score(capture: Capture) -> None:
    updates: list[float | None] = []
    damaged = Wrapped(capture, fail({HELD_OUT}))
    grid = finish(fit_grid(damaged, SETTINGS, on_update=lambda _grid, score, _seconds: updates.append(score)))
    assert grid.meta["psnr"] is None
    assert grid.meta["curve"] == []
    assert grid.meta["heldout"] == 0
    assert set(updates) == {None}
    assert_same(grid, finish(fit_grid(capture, SETTINGS)))


@pytest.mark.parametrize("views", [lambda v: v, without_depth], ids=["depth", "colour alone"])
def test_no_readable_photo_is_a_capture_error(capture: Capture, views: Callable[[View], View]) -> None:
    with pytest.raises(CaptureError, match="damaged"):
        finish(fit_grid(Wrapped(capture, fail(set(range(7))), views), SETTINGS))


def test_no_training_photo_is_a_capture_error(capture: Capture) -> None:
    with pytest.raises(CaptureError, match="no photo"):
        finish(fit_grid(Wrapped(capture, views=lambda v: replace(v, held_out=True)), SETTINGS))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_a_fit_can_be_cancelled_anywhere(capture: Capture, share: float) -> None:
    whole = 0
    for _ in fit_grid(capture, SETTINGS):
        whole += 1
    updates: list[float] = []
    job = fit_grid(capture, SETTINGS, on_update=lambda _grid, _psnr, seconds: updates.append(seconds))
    for _ in range(1 + int(share * whole)):
        next(job)
    job.close()
    seen = len(updates)
    with pytest.raises(StopIteration):
        next(job)
    assert len(updates) == seen
