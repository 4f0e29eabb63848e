"""Features of voxels at every level, voxels and their labels, both segmenters, and their resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.tasks import classify as classifying
from engine.tasks import finetune as tuning
from engine.tasks import segment as segmenting
from engine.tasks.classify import Labels, Run, iou_of
from engine.tasks.pointnet import COLUMN, PointNet, PointNetSegmenter
from engine.tasks.predicting import upright
from engine.tasks.saved import Saved, load_head, save_head
from engine.tasks.scans import NONE, Points, Scan, Scans, scan_of
from engine.tasks.segment import chances_of, segment
from engine.tasks.segmenter import SeenScan
from engine.tasks.shapes import ShapeVoxels
from engine.tasks.taps import tapped, tapped_dim

from .made_scans import KINDS, scene

TINY = VolumeConfig(dim=4, widths=(4, 6, 8), blocks=1)
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenting, "BATCH_VOXELS", 600)


def tiny(*_: object) -> VolumeEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VolumeEncoder(TINY).eval()


def scans(count: int = 4) -> Scans:
    rng, names = np.random.default_rng(0), {n: k for k, n in enumerate(KINDS)}
    found = tuple(scan_of(str(n), Points(*scene(rng, 120), KINDS, 0.2), names, "scene") for n in range(count))
    return Scans(KINDS, found, np.arange(count) >= count - 1, "scene", (), (), "key")


def test_a_voxel_has_the_rows_of_all_that_it_lies_in() -> None:
    """Voxels 0 and 1 share a parent, 4 has another, and all lie in one of the third level."""
    encoder = tiny()
    some = ShapeVoxels(torch.tensor([[0, 0, 0], [1, 0, 0], [2, 0, 0]]), torch.rand(3, 4), 3)
    with torch.no_grad():
        taps = finish(tapped(encoder, [some]))
    rows = taps.of_voxels()
    assert rows.shape == (3, tapped_dim(TINY)) == (3, 8 + 6 + 4 + 4)
    deep, middle, fine, said = (x for x, _ in taps.levels)
    torch.testing.assert_close(rows[:, :8], deep.expand(3, -1))
    torch.testing.assert_close(rows[:, 8:14], middle[[0, 0, 1]])
    torch.testing.assert_close(rows[:, 14:], torch.cat([fine, said], dim=1))


def test_voxels_colours_and_labels_by_hand() -> None:
    pos = np.array([[0, 0, 0], [0.1, 0, 0], [1, 0, 0], [0, 1, 2]], np.float32)
    rgb = np.array([[0, 0, 0], [255, 0, 0], [9, 9, 9], [51, 51, 51]], np.uint8)
    scan = Scan("a", pos, rgb, np.array([1, 1, NONE, 0], np.int16), 1.0)
    seen = SeenScan.of(scan)
    assert seen.index.tolist() == [[0, 0, 0], [0, 1, 2], [1, 0, 0]]
    assert seen.row.tolist() == [0, 0, 2, 1]
    np.testing.assert_allclose(seen.surface[0], [0.5, 0, 0, 1])
    assert seen.labels(scan.label, 2).tolist() == [1, 0, NONE]
    turned = seen.turned(turn=1)
    assert turned.index.tolist() == [[1, 0, 0], [0, 0, 2], [1, 1, 0]]  # (x, y) to (1 - y, x)
    assert turned.own == 3


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_turned_scans_keep_their_voxels(seed: int) -> None:
    seen = SeenScan.of(scans(1).scans[0])
    for turn in range(4):
        index = seen.turned(turn=turn).index
        assert len(index.unique(dim=0)) == len(seen.index)
        assert index[:, 2].tolist() == seen.index[:, 2].tolist()
    some = seen.turned(np.random.default_rng(seed))
    assert len(some.index.unique(dim=0)) == len(seen.index)
    assert int(some.index.min()) >= 0
    assert bool(((some.surface >= 0) & (some.surface <= 1)).all())


def test_four_quarter_turns_are_a_whole_one() -> None:
    seen = SeenScan.of(scans(1).scans[0])
    once = seen.turned(turn=1)
    again = SeenScan(once.index.numpy(), seen.surface, seen.row)
    assert again.turned(turn=1).index.tolist() == seen.turned(turn=2).index.tolist()
    assert SeenScan(again.turned(turn=1).index.numpy(), seen.surface, seen.row).turned(turn=2).index.tolist() == (
        seen.index.tolist()
    )


def test_pointnet_takes_the_maximum_of_each_group() -> None:
    torch.manual_seed(0)
    net = PointNet(3).eval()
    x = torch.randn(5, 3)
    group = torch.tensor([0, 1, 0, 1, 1])
    near, whole = net(x, group, 2)
    assert near.shape == (5, 64)
    far = net.far(near)
    torch.testing.assert_close(whole, torch.stack([far[[0, 2]].amax(dim=0), far[[1, 3, 4]].amax(dim=0)]))


def test_pointnet_sees_columns_of_a_scene_one_by_one() -> None:
    """A point in another column changes nothing; in the same one, it does."""
    torch.manual_seed(0)
    net = PointNetSegmenter(2, "scene").eval()
    far, near = (torch.tensor([[0, 0, 0], [at, 0, 0], [3 * COLUMN, 0, 5]]) for at in (COLUMN, COLUMN - 1))
    tint = torch.rand(3, 4)
    with torch.no_grad():
        alone = finish(net.logits([ShapeVoxels(far[[0, 2]], tint[[0, 2]], 2)]))[0]
        a, b = (finish(net.logits([ShapeVoxels(i, tint, 3)]))[0] for i in (far, near))
    torch.testing.assert_close(alone, a)
    assert not torch.allclose(alone, b)


@pytest.mark.parametrize("init", ["scratch", "pointnet"])
def test_learns_a_floor_from_a_post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, init: str) -> None:
    monkeypatch.setattr(segmenting, "initial", tiny)
    data = scans()
    seen = [SeenScan.of(s) for s in data.scans]
    run = Run(init, "finetune", Labels.of("100%"), 0, 30 if init == "scratch" else 60)
    found = finish(segment(data, seen, run, CPU, tmp_path))
    assert found.miou > 0.8
    assert found.iou.shape == (2,)
    assert not list((tmp_path).rglob("state-*"))

    save_head(tmp_path / "h.safetensors", Saved(found.network, KINDS, "scene", False), {})
    again = load_head(tmp_path / "h.safetensors")
    assert (again.segments, again.grain, again.colour) == (True, "scene", False)
    a, b = (finish(chances_of(n, seen[0])) for n in (found.network, again.network))
    np.testing.assert_allclose(a, b, atol=1e-5)
    np.testing.assert_allclose(a.sum(axis=1), 1, atol=1e-5)


def test_probe_learns_from_few_labels_and_no_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenting, "initial", tiny)
    data = scans()
    data = replace(data, scans=tuple(replace(s, rgb=np.full_like(s.rgb, 180)) for s in data.scans))
    seen = [SeenScan.of(s) for s in data.scans]
    found = finish(segment(data, seen, Run("scratch", "probe", Labels.of("10-shot"), 0), CPU, tmp_path))
    assert found.miou > 0.6


def test_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmenting, "initial", tiny)
    monkeypatch.setattr(tuning, "EVERY", 3)
    data = scans()
    seen = [SeenScan.of(s) for s in data.scans]
    run = Run("scratch", "finetune", Labels.of("10%"), 4, 8)
    whole = finish(segment(data, seen, run, CPU, tmp_path / "whole"))
    job = segment(data, seen, run, CPU, tmp_path / "stopped")
    for progress in job:
        if progress.unit == "steps" and progress.done >= 4:
            job.close()
    assert list((tmp_path / "stopped").rglob("state-*"))
    done: list[int] = []
    resumed = finish(
        segment(data, seen, run, CPU, tmp_path / "stopped"),
        lambda p: done.append(p.done) if p.unit == "steps" else None,
    )
    assert min(done) == 3
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)
    assert resumed.miou == pytest.approx(whole.miou, abs=0.01)


def test_a_pointnet_is_not_probed(tmp_path: Path) -> None:
    data = scans()
    with pytest.raises(QueryError, match="nothing to be probed"):
        finish(segment(data, [], Run("pointnet", "probe", Labels.of("1%"), 0), CPU, tmp_path))
    with pytest.raises(QueryError, match="nothing to be probed"):
        classifying.classifier_of(Run("pointnet", "probe", Labels.of("1%"), 0), 2, CPU)


def test_intersection_over_union_by_hand() -> None:
    """Three of the first right, one of it taken for the second: 3 / 4 and 2 / 3; the third is nowhere."""
    assert iou_of(np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])).tolist() == [0.75, 2 / 3, 0]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1, -1])
def test_upright_turns_without_mirroring(axis: int, sign: int) -> None:
    up = np.zeros(3)
    up[axis] = sign
    turn = upright(np.eye(3), up).T
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn @ up, [0, 0, 1])
