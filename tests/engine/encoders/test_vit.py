"""The plain vision transformer against transformers' Dinov2 with the same weights, and files that are not one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel

from engine.api.errors import WeightsError
from engine.encoders import load_encoder
from engine.encoders.vit import build_vit, plain_names

CPU = torch.device("cpu")
SIZES = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "mlp_ratio": 2,
    "image_size": 56,
    "patch_size": 14,
}


def oracle(swiglu: bool = False, registers: int = 0) -> torch.nn.Module:
    torch.manual_seed(3)
    if registers:
        config = Dinov2WithRegistersConfig(**SIZES, use_swiglu_ffn=swiglu, num_register_tokens=registers)
        model = Dinov2WithRegistersModel(config)
    else:
        model = Dinov2Model(Dinov2Config(**SIZES, use_swiglu_ffn=swiglu))
    with torch.no_grad():
        for p in model.parameters():  # the defaults leave scales at one and biases at zero
            p.add_(0.1 * torch.randn_like(p))
    return model.eval()


def official(model: torch.nn.Module) -> dict[str, Tensor]:
    """The model's weights in DINOv2's own naming, written out by hand."""
    s = model.state_dict()
    out = {
        "cls_token": s["embeddings.cls_token"],
        "mask_token": s["embeddings.mask_token"],
        "pos_embed": s["embeddings.position_embeddings"],
        "patch_embed.proj.weight": s["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": s["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": s["layernorm.weight"],
        "norm.bias": s["layernorm.bias"],
    }
    if "embeddings.register_tokens" in s:
        out["register_tokens"] = s["embeddings.register_tokens"]
    for n in range(model.config.num_hidden_layers):
        a, b = f"encoder.layer.{n}", f"blocks.{n}"
        attention = {k.split(".")[-2]: k.rpartition(".")[0] for k in s if k.startswith(f"{a}.attention.")}
        query, key, value = (next(v for k, v in attention.items() if k[0] == c) for c in "qkv")
        output = next(v for k, v in attention.items() if k[0] not in "qkv")
        for part in ("weight", "bias"):
            out[f"{b}.attn.qkv.{part}"] = torch.cat([s[f"{x}.{part}"] for x in (query, key, value)])
            out[f"{b}.attn.proj.{part}"] = s[f"{output}.{part}"]
            out[f"{b}.norm1.{part}"] = s[f"{a}.norm1.{part}"]
            out[f"{b}.norm2.{part}"] = s[f"{a}.norm2.{part}"]
            if model.config.use_swiglu_ffn:
                gate, up, down = (s[f"{a}.mlp.{x}_proj.{part}"] for x in ("gate", "up", "down"))
                out[f"{b}.mlp.w12.{part}"], out[f"{b}.mlp.w3.{part}"] = torch.cat([gate, up]), down
            else:
                out[f"{b}.mlp.fc1.{part}"] = s[f"{a}.mlp.fc1.{part}"]
                out[f"{b}.mlp.fc2.{part}"] = s[f"{a}.mlp.fc2.{part}"]
        out[f"{b}.ls1.gamma"] = s[f"{a}.layer_scale1.lambda1"]
        out[f"{b}.ls2.gamma"] = s[f"{a}.layer_scale2.lambda1"]
    return {k: v.clone().contiguous() for k, v in out.items()}


@pytest.mark.parametrize(("swiglu", "registers"), [(False, 0), (True, 0), (True, 4)])
@pytest.mark.parametrize("size", [(56, 56), (70, 98)])
def test_same_tokens_as_transformers(swiglu: bool, registers: int, size: tuple[int, int]) -> None:
    model = oracle(swiglu, registers)
    vit = build_vit(official(model), Path("x.safetensors"))
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        *blocks, tokens = vit.stages(image)
        expected = model(image).last_hidden_state[:, 1 + registers :]
    assert len(blocks) == 3
    # With registers the library enlarges position encodings with antialiasing; the square needs none.
    if registers and size != (56, 56):
        assert tokens.shape == expected.shape
    else:
        torch.testing.assert_close(tokens, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def state() -> dict[str, Tensor]:
    return official(oracle(swiglu=True))


def test_encodes_an_image_of_any_shape(state: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "condense_vitg14.safetensors"
    save_file(state, file)
    encoder = load_encoder(f"condense-vitg:{file}", CPU)
    rgb = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    features = encoder.encode(rgb)
    assert encoder.dim == 128
    assert features.shape == (21, 32, 128)  # 448 x 299 px, to the nearest multiple of 14
    np.testing.assert_allclose(np.linalg.norm(features, axis=2), 1, atol=1e-5)
    np.testing.assert_array_equal(features, encoder.encode(rgb))
    assert sum(1 for _ in encoder.encode_slices(rgb)) == 3  # gives way after every block


@pytest.mark.parametrize("prefix", ["teacher.backbone.", "module.", ""])
def test_training_checkpoints_name_the_same_network(state: dict[str, Tensor], prefix: str) -> None:
    chunked = {}
    for name, value in state.items():
        chunked[prefix + name.replace("blocks.", "blocks.0.", 1)] = value
    if prefix:
        chunked["student.backbone.cls_token"] = torch.zeros(1)
        chunked["teacher.dino_head.mlp.0.weight"] = torch.zeros(1)
    plain = plain_names(chunked)
    assert plain.keys() == state.keys() - {"mask_token"}
    build_vit(chunked, Path("x.safetensors"))


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda s: s.pop("blocks.1.attn.qkv.weight"), "1 missing (first: blocks.1.attn.qkv.weight)"),
        (lambda s: s.pop("patch_embed.proj.weight"), "no tensor patch_embed.proj.weight"),
        (lambda s: s.update({"head.weight": torch.zeros(3)}), "1 unknown (first: head.weight)"),
        (lambda s: s.update({"blocks.99999999.ls1.gamma": torch.zeros(128)}), "numbered up to 99999999"),
        (lambda s: s.update({"pos_embed": torch.zeros(1, 16, 128)}), "16 position encodings"),
        (lambda s: s.update({"pos_embed": torch.zeros(17, 128)}), "shape (17, 128)"),
        (lambda s: s.update({"norm.bias": torch.full((128,), float("nan"))}), "NaN or infinity in norm.bias"),
        (lambda s: s.update({"norm.bias": torch.zeros(128, dtype=torch.int32)}), "torch.int32"),
        (
            lambda s: s.update({"blocks.2.mlp.w3.weight": torch.zeros(7, 128)}),
            "blocks.2.mlp.w3.weight of shape (7, 128)",
        ),
    ],
)
def test_other_weights_are_refused_by_name(state: dict[str, Tensor], tmp_path: Path, damage, found: str) -> None:
    damage(state)
    file = tmp_path / "other.safetensors"
    save_file(state, file)
    with pytest.raises(WeightsError) as e:
        load_encoder(f"condense-vitg:{file}", CPU)
    assert found in str(e.value.found)
    assert str(file) in e.value.text()
    assert e.value.mend
