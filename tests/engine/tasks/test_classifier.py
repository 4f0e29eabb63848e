"""Pooled features, the logistic head, fine-tuning and its resume, and the file of a classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from engine.api.errors import QueryError, WeightsError
from engine.api.jobs import finish
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.sparse import Pyramid, Voxels
from engine.tasks import classify as classifying
from engine.tasks import finetune as tuning
from engine.tasks.classifier import BATCH_VOXELS, ShapeClassifier, _pool, batches, features, pooled
from engine.tasks.classify import LEAST_STEPS, MOST_STEPS, POINTNET, SLOWER, Labels, predicted, steps_for
from engine.tasks.finetune import Rates, finetune
from engine.tasks.pointnet import PointNetClassifier
from engine.tasks.probe import PENALTY, fit_logistic
from engine.tasks.saved import Saved, load_head, save_head
from engine.tasks.shapes import Shape, ShapeVoxels, shape_of, voxels_of
from engine.tasks.taps import tapped_dim

TINY = VolumeConfig(dim=4, widths=(4, 6, 8), blocks=1)


def shapes(count: int) -> list[Shape]:
    """Long ones and round ones by turns."""
    rng = np.random.default_rng(3)
    stretch = [np.array([1, 1, 8]), np.array([1, 1, 1])]
    return [shape_of(rng.normal(size=(80, 3)) * stretch[n % 2], np.full((80, 3), 90, np.uint8)) for n in range(count)]


def tiny() -> VolumeEncoder:
    torch.manual_seed(0)
    return VolumeEncoder(TINY).eval()


def test_pooled_features_by_hand() -> None:
    """Of one voxel, means and maxima are its own values: those after the stem, three blocks down with two ways between,
    and two blocks up, each after its way; then what the encoder says."""
    encoder = tiny()
    one = ShapeVoxels(torch.zeros(1, 3, dtype=torch.long), torch.full((1, 4), 0.8), 1)
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        got = finish(pooled(encoder, [one]))[0]
        pyramid = Pyramid(Voxels.of([one.index]), 3)
        said = finish(encoder.slices(one.surface, torch.zeros(1, 4), pyramid, lambda x: seen.append(x) or x)).change
    assert len(seen) == 10
    assert len(got) == 2 * tapped_dim(TINY) == 2 * (8 + 6 + 4 + 4)
    want = [seen[5], seen[5], seen[7], seen[7], seen[9], seen[9], said, said]
    torch.testing.assert_close(got, torch.cat(want, dim=1)[0])


def test_the_floor_is_seen_and_not_pooled() -> None:
    """Of two voxels far apart, no coarse voxel holding both, the second only changes what is said of the first when it
    is near enough to be seen."""
    encoder = tiny()
    alone = ShapeVoxels(torch.zeros(1, 3, dtype=torch.long), torch.full((1, 4), 0.8), 1)
    far, near = (ShapeVoxels(torch.tensor([[0, 0, 0], [at, 0, 0]]), torch.full((2, 4), 0.8), 1) for at in (800, 1))
    with torch.no_grad():
        a, b, c = (finish(pooled(encoder, [s]))[0] for s in (alone, far, near))
    torch.testing.assert_close(a, b)
    assert not torch.allclose(a, c)


def test_pooling_keeps_objects_apart() -> None:
    """Mean (1 + 3) / 2 and maximum 3 of the first, the second's own value."""
    x, of = torch.tensor([[1.0], [7.0], [3.0]]), torch.tensor([0, 1, 0])
    assert _pool(x, of, 2).tolist() == [[2.0, 3.0], [7.0, 7.0]]


def test_features_do_not_depend_on_the_batch() -> None:
    encoder, some = tiny(), [voxels_of(s) for s in shapes(5)]
    together = finish(features(encoder, some))
    alone = torch.cat([finish(features(encoder, [s])) for s in some])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_batches_keep_the_order_and_the_bound() -> None:
    sizes = [5000, 8000, 4000, 20_000, 10]
    some = [ShapeVoxels(torch.zeros(n, 3, dtype=torch.long), torch.zeros(n, 4), n) for n in sizes]
    assert [[len(s.index) for s in b] for b in batches(some)] == [[5000], [8000, 4000], [20_000], [10]]
    assert BATCH_VOXELS == 12_000


def test_logistic_regression_is_at_its_only_minimum() -> None:
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(40, 3)), np.arange(40) % 3
    w, b = fit_logistic(x.astype(np.float32), label, 3, np.ones(3))
    weight = 1 / np.bincount(label)[label] / 3

    def cost(w: np.ndarray, b: np.ndarray) -> float:
        said = log_softmax(x @ w.T + b, axis=1)[np.arange(40), label]
        return float(-weight @ said + PENALTY / 2 * (w**2).sum())

    least = cost(w, b)
    for _ in range(50):
        assert cost(w + 0.03 * rng.normal(size=w.shape), b + 0.03 * rng.normal(size=b.shape)) > least


def test_logistic_regression_separates() -> None:
    x = np.array([[-2.0], [-1.5], [1.5], [2.0], [2.5]])
    w, b = fit_logistic(x.astype(np.float32), np.array([0, 0, 1, 1, 1]), 2, np.ones(2))
    assert (x @ w.T + b).argmax(axis=1).tolist() == [0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("text", "count"), [("100%", (20, 10)), ("10%", (2, 1)), ("1%", (1, 1)), ("5-shot", (5, 5)), ("15-shot", (15, 10))]
)
def test_labels_are_kept_for_each_class(text: str, count: tuple[int, int]) -> None:
    label = np.array([0] * 20 + [1] * 10 + [0])
    among = np.arange(30)
    chosen = Labels.of(text).chosen(label, among, 0)
    assert tuple(np.bincount(label[chosen])) == count
    assert set(chosen) <= set(among)
    assert chosen.tolist() == Labels.of(text).chosen(label, among, 0).tolist()


@pytest.mark.parametrize("text", ["0%", "101%", "ten", "0-shot", "-5%", "5shot", ""])
def test_other_labels_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match="no share of labels"):
        Labels.of(text)


def test_steps_are_bounded() -> None:
    assert [steps_for("scratch", n) for n in (1, 10_000_000)] == [LEAST_STEPS, MOST_STEPS]
    assert steps_for(POINTNET, 1) == SLOWER * LEAST_STEPS


def loss_of(network: ShapeClassifier | PointNetClassifier, some: list[Shape], label: np.ndarray):
    return classifying._loss(network, some, label)


FAST = Rates(1e-2, 5e-3, 5e-3)


@pytest.mark.parametrize("kind", ["encoder", "pointnet"])
def test_fine_tuning_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(classifying, "BATCH", 8)
    torch.manual_seed(0)
    some, network = shapes(8), ShapeClassifier(tiny(), 2) if kind == "encoder" else PointNetClassifier(2)
    label = np.arange(8) % 2
    steps = 30 if kind == "encoder" else 150  # its running means need longer
    losses = finish(finetune(network, loss_of(network, some, label), FAST, steps, 0, tmp_path / "s.safetensors"))
    if kind == "encoder":
        assert losses[0] == pytest.approx(np.log(2), abs=1e-4)  # of a head of zeros
    assert np.mean(losses[-5:]) < 0.85 * losses[0]
    assert (finish(predicted(network, some)).argmax(axis=1) == label).mean() > 0.8
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("kind", ["encoder", "pointnet"])
def test_fine_tuning_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(tuning, "EVERY", 3)
    monkeypatch.setattr(classifying, "BATCH", 4)
    some, label, state = shapes(6), np.arange(6) % 2, tmp_path / "state.safetensors"

    def fresh() -> ShapeClassifier | PointNetClassifier:
        torch.manual_seed(0)
        return ShapeClassifier(tiny(), 2) if kind == "encoder" else PointNetClassifier(2)

    whole = fresh()
    losses = finish(finetune(whole, loss_of(whole, some, label), FAST, 8, 5, tmp_path / "other.safetensors"))
    stopped = fresh()
    job = finetune(stopped, loss_of(stopped, some, label), FAST, 8, 5, state)
    for progress in job:
        if progress.done >= 4:
            job.close()
    assert state.is_file()
    resumed = fresh()
    again = finish(finetune(resumed, loss_of(resumed, some, label), FAST, 8, 5, state))
    assert again == pytest.approx(losses, abs=1e-5)
    assert not state.exists()
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_a_damaged_state_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifying, "BATCH", 4)
    state = tmp_path / "state.safetensors"
    state.write_bytes(b"not a state")
    network = ShapeClassifier(tiny(), 2)
    losses = finish(finetune(network, loss_of(network, shapes(4), np.arange(4) % 2), FAST, 2, 0, state))
    assert len(losses) == 2


@pytest.mark.parametrize("kind", ["encoder", "pointnet"])
def test_saved_head_says_the_same(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(1)
    network = (ShapeClassifier(tiny(), 2) if kind == "encoder" else PointNetClassifier(2)).requires_grad_(False).eval()
    for p in network.parameters():
        p.add_(0.1 * torch.randn(p.shape))
    save_head(tmp_path / "head.safetensors", Saved(network, ("long", "round")), {})
    saved = load_head(tmp_path / "head.safetensors")
    assert saved.names == ("long", "round")
    assert not saved.segments
    np.testing.assert_allclose(
        finish(predicted(saved.network, shapes(3))), finish(predicted(network, shapes(3))), atol=1e-5
    )


def test_other_files_are_no_head(tmp_path: Path) -> None:
    tiny().save(tmp_path / "encoder.safetensors")
    with pytest.raises(WeightsError, match="a head of condense task"):
        load_head(tmp_path / "encoder.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_head(tmp_path / "cut.safetensors")
