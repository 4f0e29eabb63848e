"""Joint training: it learns, rests the head first, resumes exactly, and collapses without what keeps it from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.errors import WeightsError
from engine.api.jobs import finish
from engine.captures import Capture, open_capture
from engine.encoders.mobile import HypercolumnHead, embedded_head, embedded_trunk
from engine.encoders.volume import VolumeConfig
from engine.grid import RadianceGrid
from engine.storage import write_tensors
from engine.training.checkpoint import STATE_FILE, export, load_state, save_state
from engine.training.config import LossWeights, TrainConfig
from engine.training.rooms.grid import fused_grid
from engine.training.scenes import TrainScene, prepare
from engine.training.trainer import Trainer
from tests.conftest import write_tiny_capture

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    steps=24, bare=0.0, warm_up=4, correspondences=64, lift_views=3, pairs=12, volume=VolumeConfig(widths=(16, 16, 16))
)


@pytest.fixture(scope="module")
def head() -> HypercolumnHead:
    return embedded_head(CPU)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> TrainScene:
    folder = write_tiny_capture(tmp_path_factory.mktemp("training") / "tiny", width=160, height=120)
    capture = open_capture(folder)
    return prepared(capture, finish(fused_grid(capture, 40_000)), CPU)


def prepared(capture: Capture, grid: RadianceGrid, device: torch.device) -> TrainScene:
    found = finish(prepare(capture, embedded_trunk(device), CONFIG, device, grid))
    assert found is not None
    return found


def trained(config: TrainConfig, scene: TrainScene, head: HypercolumnHead, steps: int | None = None) -> Trainer:
    trainer = Trainer(config, [scene], head, None, CPU)
    finish(trainer.start())
    for _ in range(config.steps if steps is None else steps):
        finish(trainer.run_step())
    return trainer


def test_a_side_knows_its_own_photos_alone(scene: TrainScene, head: HypercolumnHead) -> None:
    pair = scene.pairs[0]
    mine, theirs = scene.speakers(*pair), scene.speakers(*pair[::-1])
    assert mine
    assert not set(mine) & set(theirs)
    assert not set(pair) & {*mine, *theirs}
    sides = finish(scene.sides(pair, 64, 8, head, np.random.default_rng(0), keep=True))
    assert sides is not None
    a, b = sides
    assert len(a.column) == len(b.column) == len(a.place) == len(a.bags.start)
    assert not torch.equal(a.image, b.image)


def test_losses_fall_and_consistency_rises(scene: TrainScene, head: HypercolumnHead) -> None:
    trainer = Trainer(replace(CONFIG, withheld=0.0, steps=36), [scene], head, None, CPU)
    finish(trainer.start())
    before = finish(trainer.measure([scene]))
    reports = [finish(trainer.run_step()) for _ in range(36)]
    after = finish(trainer.measure([scene]))
    assert np.mean([r.total for r in reports[-5:]]) < np.mean([r.total for r in reports[:5]]) - 0.3
    assert after["agreement"] > before["agreement"]
    assert after["variance_3d"] > 0.3


def test_a_scene_is_turned_and_mirrored_but_stays_itself(scene: TrainScene) -> None:
    rng = np.random.default_rng(0)
    index = torch.tensor(scene.grid.index).long()
    as_it_was, upright = 0, 0
    for _ in range(40):
        found = scene.turned(rng).levels[0].coords[:, 1:]
        assert int(found.min()) >= 0
        steps, before = (found[1:] - found[:-1]).abs(), (index[1:] - index[:-1]).abs()
        assert torch.equal(steps.sort(dim=1).values, before.sort(dim=1).values)
        as_it_was += torch.equal(found, index)
        upright += torch.equal(found[:, 2], index[:, 2])
    assert as_it_was < 15
    assert 22 <= upright < 40


def test_bare_voxels_first(scene: TrainScene, head: HypercolumnHead) -> None:
    trainer = Trainer(replace(CONFIG, bare=1.0, average=0.5, rate=5e-3), [scene], head, None, CPU)
    finish(trainer.start())
    before = finish(trainer.measure([scene]))
    reports = [finish(trainer.run_step()) for _ in range(CONFIG.steps)]
    assert all(set(r.terms) == {"lifted"} for r in reports)
    assert finish(trainer.measure([scene]))["geometry"] > before["geometry"] + 0.1
    assert torch.equal(trainer.head.bias, head.bias)


@pytest.mark.parametrize("frozen", [0.0, 1.0])
def test_photos_are_withheld_from_whole_steps(scene: TrainScene, head: HypercolumnHead, frozen: float) -> None:
    always = replace(CONFIG, withheld=1.0, frozen=frozen)
    trainer = Trainer(always, [scene], head, None, CPU)
    finish(trainer.start())
    report = finish(trainer.run_step())
    assert report.curves() == {"bare": report.terms["lifted"]}
    trainer = Trainer(replace(always, withheld=0.0), [scene], head, None, CPU)
    finish(trainer.start())
    assert {"lifted", "crossed", "score"} < set(finish(trainer.run_step()).terms)


def test_the_map_of_the_anchor_rests(scene: TrainScene, head: HypercolumnHead) -> None:
    trainer = trained(replace(CONFIG, frozen=0.0, head_rate=1.0), scene, head, steps=2)
    start = Trainer(CONFIG, [scene], head, None, CPU)
    finish(start.start())
    assert torch.equal(trainer.teller.weight, start.teller.weight)
    assert not torch.equal(trainer.head.bias, head.bias)


def test_the_head_rests_first_and_learns_then(scene: TrainScene, head: HypercolumnHead) -> None:
    half = trained(replace(CONFIG, frozen=0.5), scene, head, steps=CONFIG.steps // 2)
    assert torch.equal(half.head.bias, head.bias)
    finish(half.run_step())
    assert not torch.equal(half.head.bias, head.bias)
    frozen = trained(replace(CONFIG, head_rate=0.0), scene, head, steps=3)
    assert torch.equal(frozen.head.levels[0].weight, head.levels[0].weight)


def test_a_resumed_training_is_the_unbroken_one(scene: TrainScene, head: HypercolumnHead, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, frozen=0.3)
    whole = trained(config, scene, head)
    save_state(tmp_path, trained(config, scene, head, steps=3), {"data": ["tiny"]})
    state = load_state(tmp_path / STATE_FILE)
    assert (state.step, state.config, state.meta["data"]) == (3, config, ["tiny"])
    resumed = Trainer(state.config, [scene], head, None, CPU)
    resumed.restore(state.tensors, state.step)
    for _ in range(3):
        finish(resumed.run_step())
    want, found = whole.tensors(), resumed.tensors()
    assert want.keys() == found.keys()
    assert all(torch.equal(want[k], found[k]) for k in want)


def test_other_seeds_give_other_weights(scene: TrainScene, head: HypercolumnHead) -> None:
    first, other = (trained(replace(CONFIG, seed=s), scene, head, steps=2).tensors() for s in (0, 1))
    assert not all(torch.equal(first[k], other[k]) for k in first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_steps_on_cuda_are_those_on_the_cpu(scene: TrainScene, tmp_path: Path) -> None:
    capture = open_capture(write_tiny_capture(tmp_path / "tiny", width=160, height=120))
    config = replace(CONFIG, frozen=0.0)
    totals: list[list[float]] = []
    for device in (CPU, torch.device("cuda")):
        trainer = Trainer(config, [prepared(capture, scene.grid, device)], embedded_head(device), None, device)
        finish(trainer.start())
        totals.append([finish(trainer.run_step()).total for _ in range(4)])
    np.testing.assert_allclose(totals[1], totals[0], rtol=0.02)


def test_features_collapse_without_anchor_and_contrast(scene: TrainScene, head: HypercolumnHead) -> None:
    """The paper's claim: agreement alone is satisfied by constants."""
    alone = LossWeights(rendered=0, crossed=0, photo=0, agree=1, anchor=0, distil=0, lifted=0, score=0)
    config = replace(CONFIG, steps=25, frozen=0.0, head_rate=1.0, average=0.9, rate=5e-3, withheld=0.0)
    with_anchor = replace(config, weights=replace(alone, anchor=1.0, distil=0.5))
    bare, kept = (
        finish(trained(c, scene, head).measure([scene])) for c in (replace(config, weights=alone), with_anchor)
    )
    assert bare["variance_2d"] < 0.5 * kept["variance_2d"]


def test_exported_weights_load_and_say_where_they_come_from(
    scene: TrainScene, head: HypercolumnHead, tmp_path: Path
) -> None:
    from engine.encoders.mobile import load_head
    from engine.encoders.volume import load_volume_encoder
    from engine.encoders.weights import read_weights

    trunk = embedded_trunk(CPU)
    files = export(tmp_path, trained(CONFIG, scene, head, steps=1), trunk, {"data": ["tiny"]})
    assert load_volume_encoder(files[1]).config == CONFIG.volume
    load_head(files[0], CPU)
    for file in files:
        meta = read_weights(file)[1]
        assert (meta["data"], meta["steps"], meta["trunk"]) == (["tiny"], 1, trunk.id)


@pytest.mark.parametrize("damage", ["missing", "text", "other", "steps", "nan"])
def test_damaged_states_are_refused_by_name(
    scene: TrainScene, head: HypercolumnHead, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / STATE_FILE
    meta = {"format": 1, "step": 1, "config": CONFIG.to_json()}
    match damage:
        case "text":
            path.write_text("hello")
        case "other":
            write_tensors(path, {"a": np.zeros(3, np.float32)}, {})
        case "steps":
            write_tensors(path, {"a": np.zeros(3, np.float32)}, {**meta, "step": 99_999})
        case "nan":
            write_tensors(path, {"a": np.full(3, np.nan, np.float32)}, meta)
    with pytest.raises(WeightsError, match=STATE_FILE):
        load_state(path)


def test_a_state_of_another_network_is_refused(scene: TrainScene, head: HypercolumnHead) -> None:
    tensors = Trainer(CONFIG, [scene], head, None, CPU).tensors()
    other = Trainer(replace(CONFIG, volume=VolumeConfig(widths=(8, 8, 8))), [scene], head, None, CPU)
    with pytest.raises(ValueError, match="size mismatch"):
        other.restore(tensors, 1)
