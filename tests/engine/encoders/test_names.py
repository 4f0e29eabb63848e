"""The naming network: what it says, and that it comes back from a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.api.errors import WeightsError
from engine.api.jobs import finish
from engine.encoders.names import NameNetwork, load_names
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.runtime import asset_path
from engine.sparse import Pyramid, Voxels

CONFIG = VolumeConfig(dim=6, widths=(8, 8), blocks=1)


def voxels() -> tuple[torch.Tensor, torch.Tensor, Pyramid]:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, 6, (40, 3), generator=generator).unique(dim=0)
    surface = torch.rand(len(index), 4, generator=generator)
    image = torch.nn.functional.normalize(torch.randn(len(index), 6, generator=generator), dim=1)
    return surface, image, Pyramid(Voxels.of([index]), 2)


def test_logits_are_a_linear_map_of_the_encoders_features(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NameNetwork(CONFIG, ["chair", "table", "wall"]).eval()
    surface, image, pyramid = voxels()
    with torch.no_grad():
        found = finish(network.slices(surface, image, pyramid))
        features = network.volume(surface, image, pyramid).features
        torch.testing.assert_close(found, network.classes(10 * features))
    network.save(tmp_path / "n.safetensors", {"rooms": 3})
    back = load_names(tmp_path / "n.safetensors")
    assert back.names == ("chair", "table", "wall")
    with torch.no_grad():
        again = finish(back.slices(surface, image, pyramid))
    torch.testing.assert_close(again, found, atol=0.05, rtol=0.02)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    VolumeEncoder(CONFIG).save(tmp_path / "v.safetensors", {})
    with pytest.raises(WeightsError, match="naming network"):
        load_names(tmp_path / "v.safetensors")
    NameNetwork(CONFIG, ["chair", "chair"]).save(tmp_path / "n.safetensors", {})
    with pytest.raises(WeightsError, match="2 names"):
        load_names(tmp_path / "n.safetensors")
    with pytest.raises(WeightsError):
        load_names(tmp_path / "missing.safetensors")


def test_the_one_that_comes_along_is_small_and_knows_furniture() -> None:
    path = asset_path("weights/names.safetensors")
    assert path.stat().st_size < 8e6
    assert {"chair", "sofa", "table", "lamp", "floor", "wall"} <= set(load_names(path).names)
