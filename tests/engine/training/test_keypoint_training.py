"""Training of the keypoint head: each loss by hand, pairs that know their truth, and the command end to end."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from engine.api.jobs import finish
from engine.captures import open_capture
from engine.encoders.image import ImageEncoder
from engine.keypoints.detect import keypoints_2d
from engine.keypoints.network import KeypointNet, load_keypoints
from engine.training import keypoints as training
from engine.training.keypoint_losses import (
    matching_loss,
    outcome_loss,
    sample_map,
    teacher_loss,
    window_cross_entropy,
)
from engine.training.keypoint_pairs import Look, LookPair, Transfer, depth_looks, drawing, warped_looks


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine convolutions on all cores take many times as long as on one."""
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)


class Coarse(ImageEncoder):
    """Mean colours of cells, in place of a real encoder."""

    name, id, dim, input_side = "coarse", "coarse", 3, 448

    def encode_slices(self, rgb):  # type: ignore[no-untyped-def]
        yield from ()
        h, w = rgb.shape[0] // 8, rgb.shape[1] // 8
        cells = rgb[: h * 8, : w * 8].reshape(h, 8, w, 8, 3).mean(axis=(1, 3)) - 128.0
        return (cells / np.maximum(np.linalg.norm(cells, axis=2, keepdims=True), 1e-6)).astype(np.float32)


def photo(seed: int = 0, side: int = 240) -> np.ndarray:
    blocks = np.random.default_rng(seed).integers(0, 256, (side // 12, side // 12, 3), dtype=np.uint8)
    return np.kron(blocks, np.ones((12, 12, 1), np.uint8))


def test_the_maximum_moves_to_where_it_should_be() -> None:
    logits = torch.zeros(20, 30, requires_grad=True)
    where = torch.tensor([[12.7, 8.3]])
    flat = window_cross_entropy(logits, where)
    assert flat.item() == pytest.approx(np.log(81), rel=1e-5)
    for _ in range(200):
        (g,) = torch.autograd.grad(window_cross_entropy(logits, where), logits)
        logits = (logits - 5 * g).detach().requires_grad_()
    assert window_cross_entropy(logits, where) < 0.6 * flat
    pos, _ = keypoints_2d(logits, 1)
    np.testing.assert_allclose(pos, [[12.7, 8.3]], atol=0.25)
    at_border = window_cross_entropy(logits, torch.tensor([[1.0, 1.0]]))
    assert at_border.item() == 0
    at_border.backward()


def test_scores_become_the_chance_of_success() -> None:
    logits = torch.zeros(4, 4)
    logits[1, 2] = 3.0
    px = torch.tensor([[2.5, 1.5]])
    assert outcome_loss(logits, px, torch.ones(1)).item() == pytest.approx(np.log1p(np.exp(-3)), rel=1e-4)
    assert outcome_loss(logits, px, torch.zeros(1)).item() == pytest.approx(np.log1p(np.exp(3)), rel=1e-4)
    assert outcome_loss(logits, px[:0], torch.zeros(0)).item() == 0


def test_the_teacher_weighs_as_much_as_the_rest() -> None:
    logits = torch.zeros(40, 40)
    px = torch.tensor([[20.5, 20.5]])
    assert teacher_loss(logits, px).item() == pytest.approx(2 * np.log(2), rel=1e-5)
    logits[22, 22] = 50.0  # beside the keypoint: not asked
    assert teacher_loss(logits, px).item() == pytest.approx(2 * np.log(2), rel=1e-5)
    logits[20, 20] = 50.0
    assert teacher_loss(logits, px).item() == pytest.approx(np.log(2), rel=1e-5)


def test_matching_by_hand() -> None:
    true = torch.tensor([[0.0, 0.0], [50.0, 0.0]])
    right = 20 * torch.eye(2)
    assert matching_loss(right, true, true).item() == pytest.approx(0, abs=1e-6)
    assert matching_loss(right.flip(1), true, true).item() == pytest.approx(20, rel=1e-5)
    twins = torch.tensor([[0.0, 0.0], [0.0, 0.0], [50.0, 0.0]])
    split = matching_loss(torch.tensor([[20.0, 20.0, 0.0]]), true[:1], twins)
    assert split.item() == pytest.approx(np.log(2), rel=1e-4)


def test_maps_are_read_at_relative_places() -> None:
    features = torch.zeros(2, 4, 8)
    features[0, :, :4], features[1, :, 4:] = 2.0, 3.0
    f = sample_map(features, torch.tensor([[0.1, 0.5], [0.9, 0.1]]))
    torch.testing.assert_close(f, torch.eye(2))


def test_pairs_know_where_things_are(tiny_capture_dir: Path) -> None:
    rng = np.random.default_rng(0)
    made = finish(depth_looks(open_capture(tiny_capture_dir), Coarse(), 3, rng))
    made += finish(warped_looks([photo()], Coarse(), 3, rng))
    assert [p.kind for p in made] == ["depth"] * 3 + ["photos"] * 3
    for pair in made:
        h, w = pair.a.rgb.shape[:2]
        assert h % 8 == 0
        assert w % 8 == 0
        at = rng.uniform(0, [w, h], (300, 2))
        there, seen = pair.there(at)
        assert seen.mean() > 0.2
        back, again = pair.back(there[seen])
        assert again.mean() > 0.8
        # Depth of 96 pixels, read at 448, is right to a pixel or two.
        assert np.median(np.linalg.norm(back - at[seen], axis=1)) < (3 if pair.kind == "depth" else 1e-6)


def peaks(pair: LookPair, shift: float) -> tuple[training.Side, training.Side]:
    """Sides whose keypoints are the same surface points, those of b ``shift`` pixels off."""
    h, w = pair.a.rgb.shape[:2]
    at = np.stack(np.meshgrid(np.arange(20.5, w - 20, 30), np.arange(20.5, h - 20, 30)), axis=-1).reshape(-1, 2)
    there, seen = pair.there(at)
    zero = torch.zeros(h, w, requires_grad=True)
    local = torch.zeros(32, h // 4, w // 4)
    a = training.Side(zero, local, pair.a.features.float(), at[seen], np.zeros(seen.sum(), bool), at[seen])
    b = training.Side(
        torch.zeros(h, w, requires_grad=True),
        local,
        pair.b.features.float(),
        at,
        np.zeros(len(at), bool),
        there[seen] + shift,
    )
    return a, b


def test_outcomes_follow_the_geometry() -> None:
    (pair,) = finish(warped_looks([photo()], Coarse(), 1, np.random.default_rng(1)))
    net = KeypointNet()
    *_, repeated, _ = training.one_way(net, *peaks(pair, 0.0), pair.there)
    assert repeated == 1
    *_, repeated, matched = training.one_way(net, *peaks(pair, 9.0), pair.there)
    assert repeated == 0
    assert matched == 0


def test_flat_places_are_flat() -> None:
    assert len(np.unique(drawing(np.random.default_rng(0)).reshape(-1, 3), axis=0)) > 3
    image = torch.zeros(3, 40, 40)
    image[:, :, 20:] = 0.5
    c = training.contrast(image)
    assert c[20, 5] == 0
    assert c[20, 20] == pytest.approx(0.25, abs=0.01)
    assert (c[:, 35] < training.FLAT).all()


def half_noise(seed: int) -> LookPair:
    """Two cuts of one picture, the second 4 pixels to the right; their lower halves are noise, each its own."""
    rng = np.random.default_rng(seed)
    whole = photo(seed, side=144)
    cuts = [whole[:128, x : x + 128].copy() for x in (0, 4)]
    for cut in cuts:
        cut[64:] = rng.integers(0, 256, (64, 128, 3), dtype=np.uint8)
    a, b = (Look(cut, torch.zeros(3, 16, 16)) for cut in cuts)

    def moved(by: float) -> Transfer:
        return lambda p: (p + np.array([by, 0]), (p[:, 0] + by >= 0) & (p[:, 0] + by < 128))

    return LookPair(a, b, moved(-4), moved(4), "photos")


def test_what_is_not_found_again_loses_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "KEPT", 60)
    monkeypatch.setattr(training, "TRIED", 160)
    seen, unseen = [half_noise(n) for n in range(4)], half_noise(9)
    torch.manual_seed(0)
    net = KeypointNet()

    def in_the_picture() -> float:
        with torch.inference_mode():
            logits, _ = net(torch.from_numpy(unseen.a.rgb).permute(2, 0, 1)[None] / 255)
        return float((keypoints_2d(logits[0], 40)[0][:, 1] < 64).mean())

    found, share = training.validate(net, [unseen], 0)[0], in_the_picture()
    finish(training.train(net, seen, training.Arguments(data=[], steps=120, seeding=0)))
    assert training.validate(net, [unseen], 0)[0] > found + 0.3
    assert in_the_picture() > share + 0.3


def test_shards_of_rooms_are_captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shard-0000.safetensors").touch()

    class Ref:
        def __init__(self, n: int) -> None:
            self.name = f"room {n}"

        def load(self) -> None:
            return None

    monkeypatch.setattr(training, "open_shards", lambda path: [Ref(n) for n in range(9)])
    assert [s.name for s in training.open_sources(tmp_path, 3)] == ["room 0", "room 4", "room 8"]
    assert len(training.open_sources(tmp_path, 99)) == 9


def test_the_command_writes_a_head_that_loads(
    tiny_capture_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(photo()).save(folder / "a.png")
    monkeypatch.setattr(training, "load_encoder", lambda name, device: Coarse())
    out = tmp_path / "weights" / "keypoints.safetensors"
    args = training.Arguments(data=[tiny_capture_dir, folder], out=out, steps=3, seeding=1, warps=2, pairs=2)
    training.main(args)
    assert "found again" in capsys.readouterr().out
    assert out.stat().st_size < 500_000
    head = load_keypoints(torch.device("cpu"), out)
    assert len(head.detect(photo(), 20).rel) == 20
    with safe_open(out, "pt") as f:
        meta = f.metadata()["meta"]
    for word in ("tiny", "pictures", "seed", "found_again", "licence", "coarse", "made_by"):
        assert word in meta
    on = tmp_path / "on.safetensors"
    training.main(dataclasses.replace(args, data=[folder], start=out, out=on, steps=1, seeding=0, rate=0.0, warps=1))
    torch.testing.assert_close(load_file(on)["score.weight"], load_file(out)["score.weight"])
