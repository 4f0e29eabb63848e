"""The sparse U-Net: what it may and may not depend on, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import WeightsError
from engine.encoders.volume import VolumeConfig, VolumeEncoder, load_volume_encoder
from engine.sparse import Pyramid, Voxels

SMALL = VolumeConfig(dim=6, widths=(8, 12, 16))


def network(seed: int = 0) -> VolumeEncoder:
    torch.manual_seed(seed)
    net = VolumeEncoder(SMALL)
    torch.nn.init.normal_(net.head.weight)  # so that the correction is not small
    return net.eval()


def scene(seed: int = 0, side: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels (N, 3), their surface (N, 4), image features (N, 6)."""
    g = torch.Generator().manual_seed(seed)
    index = torch.nonzero(torch.rand(side, side, side, generator=g) < 0.25)
    surface = torch.rand(len(index), 4, generator=g)
    return index, surface, F.normalize(torch.randn(len(index), 6, generator=g), dim=1)


@torch.no_grad()
def run(net: VolumeEncoder, index: Tensor, surface: Tensor, image: Tensor) -> Tensor:
    return net(surface, image, Pyramid(Voxels.of([index]), net.levels)).features


def test_features_have_unit_length_and_scores_one_value_a_voxel() -> None:
    index, surface, image = scene()
    out = network()(surface, image, Pyramid(Voxels.of([index]), 3))
    torch.testing.assert_close(out.features.norm(dim=1), torch.ones(len(index)))
    assert out.score_logits.shape == (len(index),)


def test_the_order_of_voxels_does_not_matter() -> None:
    net, (index, surface, image) = network(), scene()
    order = torch.randperm(len(index), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(
        run(net, index[order], surface[order], image[order]), run(net, index, surface, image)[order]
    )


def test_a_shift_by_whole_coarse_voxels_does_not_matter() -> None:
    net, (index, surface, image) = network(), scene()
    there = run(net, index + torch.tensor([4, -8, 12]), surface, image)
    torch.testing.assert_close(there, run(net, index, surface, image))


def test_scenes_of_a_batch_do_not_mix() -> None:
    net, a, b = network(), scene(0), scene(1)
    both = Pyramid(Voxels.of([a[0], b[0]]), net.levels)
    with torch.no_grad():
        out = net(torch.cat([a[1], b[1]]), torch.cat([a[2], b[2]]), both).features
    torch.testing.assert_close(out[: len(a[0])], run(net, *a))
    torch.testing.assert_close(out[len(a[0]) :], run(net, *b))


def test_before_training_a_lifted_feature_stays_about_what_it_is() -> None:
    torch.manual_seed(0)
    net, (index, surface, image) = VolumeEncoder(SMALL).eval(), scene()
    assert float((run(net, index, surface, image) * image).sum(dim=1).mean()) > 0.95


def test_geometry_alone_gives_features_too_and_gradients_reach_everything() -> None:
    net, (index, surface, image) = network(), scene()
    alone = run(net, index, surface, torch.zeros_like(image))
    torch.testing.assert_close(alone.norm(dim=1), torch.ones(len(index)))
    assert float(alone.std(dim=0).mean()) > 0.05
    out = net(surface, image, Pyramid(Voxels.of([index]), 3))
    (out.features[:, 0].sum() + out.score_logits.sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


def test_a_saved_network_comes_back(tmp_path: Path) -> None:
    net, s = network(), scene()
    net.save(tmp_path / "v.safetensors", {"steps": 7})
    again = load_volume_encoder(tmp_path / "v.safetensors")
    assert again.config == SMALL
    assert not any(p.requires_grad for p in again.parameters())
    torch.testing.assert_close(run(again, *s), run(net, *s), atol=2e-2, rtol=0)  # fp16


@pytest.mark.parametrize(
    "meta",
    [{}, {"volume": 3}, {"volume": {"dim": 6}}, {"volume": {"dim": 0, "widths": [8], "blocks": 1}},
     {"volume": {"dim": 6, "widths": [100000, 8], "blocks": 1}}, {"volume": {"dim": 6, "widths": [], "blocks": 1}}],
)  # fmt: skip
def test_a_file_without_a_sound_configuration_is_refused(tmp_path: Path, meta: dict[str, object]) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "v.safetensors", metadata={"meta": json.dumps(meta)})
    with pytest.raises(WeightsError, match=r"v\.safetensors"):
        load_volume_encoder(tmp_path / "v.safetensors")


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    net = network()
    tensors = {k: t.clone() for k, t in net.state_dict().items()}
    tensors["head.weight"] = torch.zeros(6, 99)
    meta = {"volume": {"dim": 6, "widths": [8, 12, 16], "blocks": 1}}
    save_file(tensors, tmp_path / "v.safetensors", metadata={"meta": json.dumps(meta)})
    with pytest.raises(WeightsError, match=r"head\.weight"):
        load_volume_encoder(tmp_path / "v.safetensors")


def test_the_shipped_size_is_small_enough() -> None:
    assert sum(p.numel() for p in VolumeEncoder().parameters()) * 2 <= 8_000_000  # bytes as fp16


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_agrees_with_the_cpu_forward_and_backward() -> None:
    index, surface, image = scene()
    found: list[tuple[Tensor, Tensor]] = []
    for device in ("cpu", "cuda"):
        net = network().to(device)
        pyramid = Pyramid(Voxels.of([index.to(device)]), net.levels)
        out = net(surface.to(device), image.to(device), pyramid)
        (out.features[:, 0].sum() + out.score_logits.sum()).backward()
        found.append((out.features.detach().cpu(), net.surface.kernel.grad.cpu()))  # type: ignore[union-attr]
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-2, atol=1e-2 * float(found[0][1].abs().max()))
