"""DINOv2 in the transformers format: tiny random models saved by the library itself, and folders that are not one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from engine.api.errors import WeightsError
from engine.encoders import load_encoder

CPU = torch.device("cpu")
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "image_size": 56,
    "patch_size": 14,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    Dinov2Model(Dinov2Config(**SIZES)).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_tokens_are_the_librarys_own(folder: Path, rgb: np.ndarray) -> None:
    encoder = load_encoder(f"dinov2:{folder}", CPU)
    features = encoder.encode(rgb)
    assert features.shape == (24, 32, 64)
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    image = torch.nn.functional.interpolate(image, (336, 448), mode="bilinear", antialias=True)
    image = (image - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    with torch.inference_mode():
        tokens = Dinov2Model.from_pretrained(folder).eval()(image).last_hidden_state[0, 1:].numpy()
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    np.testing.assert_allclose(features.reshape(-1, 64), tokens, atol=2e-5)


def test_registers_are_not_patches(tmp_path: Path, rgb: np.ndarray) -> None:
    torch.manual_seed(0)
    Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SIZES, num_register_tokens=3)).save_pretrained(tmp_path)
    assert load_encoder(f"dinov2:{tmp_path}", CPU).encode(rgb).shape == (24, 32, 64)


def test_the_id_follows_the_weights(folder: Path) -> None:
    first = load_encoder(f"dinov2:{folder}", CPU).id
    assert load_encoder(f"dinov2:{folder}", CPU).id == first
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.bias"] += 1
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_encoder(f"dinov2:{folder}", CPU).id != first


def refused(source: Path | str) -> WeightsError:
    with pytest.raises(WeightsError) as e:
        load_encoder(f"dinov2:{source}", CPU)
    assert str(source) in e.value.text()
    assert e.value.mend
    return e.value


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    error = refused(folder)
    assert error.found == "pytorch_model.bin"
    assert "weights_only=True" in str(error.mend)


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no .safetensors" in str(refused(folder).found)


def test_truncated_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(folder)


def test_missing_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "layernorm.weight" in str(refused(folder).found)


def test_not_finite(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["layernorm.weight"][3] = float("inf")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "finite" in refused(folder).what


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"model_type": "vit"}', '{"hidden_size": 5}', "[" * 100_000])
def test_config_of_something_else(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    refused(folder)


def test_config_that_contradicts_the_weights(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 128}))
    refused(folder)


def test_empty_folder(tmp_path: Path) -> None:
    assert "config.json" in str(refused(tmp_path).found)


def test_hub_without_network() -> None:
    refused("condense-tests/no-such-model")
