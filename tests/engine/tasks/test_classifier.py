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
from engine.tasks import finetune as tuning
from engine.tasks.classifier import BATCH_VOXELS, ShapeClassifier, _pool, batches, features, pooled, pooled_dim
from engine.tasks.classify import Labels
from engine.tasks.finetune import finetune, steps_for
from engine.tasks.probe import PENALTY, fit_logistic
from engine.tasks.saved import load_classifier, save_classifier
from engine.tasks.shapes import Shape, ShapeVoxels, shape_of, voxels_of

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
    and two blocks up, each after its way."""
    encoder = tiny()
    one = ShapeVoxels(torch.zeros(1, 3, dtype=torch.long), torch.full((1, 4), 0.5))
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        got = finish(pooled(encoder, [one]))[0]
        pyramid = Pyramid(Voxels.of([one.index]), 3)
        finish(encoder.slices(one.surface, torch.zeros(1, 4), pyramid, lambda x: seen.append(x) or x))
    assert len(seen) == 10
    assert len(got) == pooled_dim(TINY) == 2 * (8 + 6 + 4)
    want = [seen[5], seen[5], seen[7], seen[7], seen[9], seen[9]]
    torch.testing.assert_close(got, torch.cat(want, dim=1)[0])


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
    some = [ShapeVoxels(torch.zeros(n, 3, dtype=torch.long), torch.zeros(n, 4)) for n in sizes]
    assert [[len(s.index) for s in b] for b in batches(some)] == [[5000], [8000, 4000], [20_000], [10]]
    assert BATCH_VOXELS == 12_000


def test_logistic_regression_is_at_its_only_minimum() -> None:
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(40, 3)), np.arange(40) % 3
    w, b = fit_logistic(x, label, 3)
    weight = 1 / np.bincount(label)[label] / 3

    def cost(w: np.ndarray, b: np.ndarray) -> float:
        said = log_softmax(x @ w.T + b, axis=1)[np.arange(40), label]
        return float(-weight @ said + PENALTY / 2 * (w**2).sum())

    least = cost(w, b)
    for _ in range(50):
        assert cost(w + 0.03 * rng.normal(size=w.shape), b + 0.03 * rng.normal(size=b.shape)) > least


def test_logistic_regression_separates() -> None:
    x = np.array([[-2.0], [-1.5], [1.5], [2.0], [2.5]])
    w, b = fit_logistic(x, np.array([0, 0, 1, 1, 1]), 2)
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
    assert [steps_for(n) for n in (1, 10_000_000)] == [tuning.LEAST_STEPS, tuning.MOST_STEPS]


def test_fine_tuning_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "BATCH", 8)
    monkeypatch.setattr(tuning, "RATE", 5e-3)
    some, network = shapes(8), ShapeClassifier(tiny(), 2)
    label = np.arange(8) % 2
    losses = finish(finetune(network, some, label, 30, 0, tmp_path / "s.safetensors"))
    assert losses[0] == pytest.approx(np.log(2), abs=1e-4)  # of a head of zeros
    assert np.mean(losses[-5:]) < 0.85 * losses[0]


def test_fine_tuning_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "EVERY", 3)
    monkeypatch.setattr(tuning, "BATCH", 4)
    some, label, state = shapes(6), np.arange(6) % 2, tmp_path / "state.safetensors"
    whole = ShapeClassifier(tiny(), 2)
    losses = finish(finetune(whole, some, label, 8, 5, tmp_path / "other.safetensors"))

    stopped = ShapeClassifier(tiny(), 2)
    job = finetune(stopped, some, label, 8, 5, state)
    for progress in job:
        if progress.done >= 4:
            job.close()
    assert state.is_file()
    resumed = ShapeClassifier(tiny(), 2)
    again = finish(finetune(resumed, some, label, 8, 5, state))
    assert again == pytest.approx(losses, abs=1e-6)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_a_damaged_state_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "BATCH", 4)
    state = tmp_path / "state.safetensors"
    state.write_bytes(b"not a state")
    losses = finish(finetune(ShapeClassifier(tiny(), 2), shapes(4), np.arange(4) % 2, 2, 0, state))
    assert len(losses) == 2


def test_saved_classifier_says_the_same(tmp_path: Path) -> None:
    network = ShapeClassifier(tiny(), 2).requires_grad_(False)
    network.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    save_classifier(tmp_path / "head.safetensors", network, ["long", "round"], {})
    saved = load_classifier(tmp_path / "head.safetensors")
    assert saved.names == ("long", "round")
    some = [voxels_of(s) for s in shapes(3)]
    torch.testing.assert_close(finish(saved.network.logits(some)), finish(network.logits(some)))


def test_other_files_are_no_classifier(tmp_path: Path) -> None:
    tiny().save(tmp_path / "encoder.safetensors")
    with pytest.raises(WeightsError, match="classifier of objects"):
        load_classifier(tmp_path / "encoder.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_classifier(tmp_path / "cut.safetensors")
