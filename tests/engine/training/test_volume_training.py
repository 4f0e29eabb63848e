"""Training the 3D encoder: it learns, withholding works, the same seed gives the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.api.errors import QueryError
from engine.api.jobs import finish
from engine.captures import open_capture
from engine.encoders import load_encoder
from engine.encoders.volume import VolumeConfig, VolumeEncoder, load_volume_encoder
from engine.training.volume import Arguments, TrainScene, main, pair_loss, prepare, train
from tests.conftest import write_tiny_capture

CPU = torch.device("cpu")
SMALL = VolumeConfig(widths=(16, 16, 16))


@pytest.fixture(scope="module")
def args(tmp_path_factory: pytest.TempPathFactory) -> Arguments:
    folder = tmp_path_factory.mktemp("training")
    capture = write_tiny_capture(folder / "tiny", width=160, height=120)
    return Arguments(
        [capture], folder / "v.safetensors", steps=30, cells=40_000, fit_seconds=2, device="cpu", config=SMALL
    )


@pytest.fixture(scope="module")
def scene(args: Arguments) -> TrainScene:
    found = finish(prepare(open_capture(args.data[0]), load_encoder("default", CPU), args, CPU))
    assert found is not None
    return found


def test_a_side_knows_its_own_photos_alone(scene: TrainScene) -> None:
    pair = scene.pairs[0]
    sides = scene.sides(pair, np.random.default_rng(0))
    assert sides is not None
    a, b = sides
    assert a.photo.shape == b.photo.shape == (int(a.met.sum()), 64)
    assert a.place.shape == (len(a.photo), 2)
    assert not torch.equal(a.image, b.image)
    torch.testing.assert_close(a.photo.norm(dim=1), torch.ones(len(a.photo)))


def test_the_loss_falls_and_gradients_reach_the_network(scene: TrainScene, args: Arguments) -> None:
    def held(network: VolumeEncoder) -> float:
        rng = np.random.default_rng(9)
        with torch.no_grad():
            values = [
                pair_loss(network, scene, sides, (False, True), args.anchor)
                for pair in scene.pairs[:6]
                if (sides := scene.sides(pair, rng)) is not None
            ]
        return float(torch.stack(values).mean())

    torch.manual_seed(args.seed)
    before = held(VolumeEncoder(SMALL).eval())
    after = held(finish(train([scene], args, CPU)))
    assert after < before - 0.1


def test_the_same_seed_gives_the_same_weights(scene: TrainScene, args: Arguments) -> None:
    short = replace(args, steps=4)
    first, second, other = (finish(train([scene], a, CPU)).state_dict() for a in (short, short, replace(short, seed=1)))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_the_command_writes_weights_with_their_provenance(args: Arguments) -> None:
    main(replace(args, steps=2))
    assert load_volume_encoder(args.out).config == SMALL
    from engine.encoders.weights import read_weights

    meta = read_weights(args.out)[1]
    assert meta["data"] == ["tiny"]
    assert meta["settings"]["steps"] == 2
    assert meta["encoder"].startswith("default")


def test_captures_that_share_nothing_are_an_error(args: Arguments, tmp_path: Path) -> None:
    alone = write_tiny_capture(tmp_path / "alone", views=1)
    with pytest.raises(QueryError, match="share enough"):
        main(replace(args, data=[alone]))
