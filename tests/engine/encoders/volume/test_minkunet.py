"""MinkUNet14 from a random state dict of the published shapes, beside a dense evaluation of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import WeightsError
from engine.encoders.volume import load_minkunet
from engine.sparse import Pyramid, Voxels

SIDE, CHANNELS, OUT = 16, 4, 5


def random_weights(seed: int = 0) -> dict[str, Tensor]:
    """By name and shape as MinkowskiEngine would save the published network."""
    g = torch.Generator().manual_seed(seed)
    out: dict[str, Tensor] = {}

    def kernel(name: str, *shape: int) -> None:
        fan = shape[-2] * (shape[0] if len(shape) == 3 else 1)
        out[f"{name}.kernel"] = torch.randn(shape, generator=g) * (2 / fan) ** 0.5

    def norm(name: str, n: int) -> None:
        out[f"{name}.bn.weight"] = 1 + 0.2 * torch.randn(n, generator=g)
        out[f"{name}.bn.bias"] = 0.2 * torch.randn(n, generator=g)
        out[f"{name}.bn.running_mean"] = 0.2 * torch.randn(n, generator=g)
        out[f"{name}.bn.running_var"] = 0.5 + torch.rand(n, generator=g)
        out[f"{name}.bn.num_batches_tracked"] = torch.tensor(7)

    kernel("conv1.0", 27, CHANNELS, 32)
    norm("conv1.1", 32)
    before = 32
    for stage, width in enumerate((64, 128, 256), start=1):
        for block in range(3):
            name = f"layer{stage}.{block}"
            kernel(f"{name}.conv1", 27, before if block == 0 else width, width)
            norm(f"{name}.bn1", width)
            kernel(f"{name}.conv2", 27, width, width)
            norm(f"{name}.bn2", width)
            if block == 0:
                kernel(f"{name}.downsample.0", 1, before, width)
                norm(f"{name}.downsample.1", width)
        before = width
    kernel("conv2.0", 8, 256, 128)
    norm("conv2.1", 128)
    kernel("conv3.0", 8, 128, 64)
    norm("conv3.1", 64)
    kernel("conv4", 64, OUT)
    return out


def dense_minkunet(w: dict[str, Tensor], x: Tensor, masks: list[Tensor]) -> Tensor:
    """On (1, C, X, Y, Z) zero where no voxel is; ``masks`` per level say where there are any."""
    w = {k: t.double() for k, t in w.items()}

    def conv(x: Tensor, name: str, size: int, stride: int, level: int) -> Tensor:
        k = w[f"{name}.kernel"].view(size, size, size, *w[f"{name}.kernel"].shape[-2:]).permute(4, 3, 2, 1, 0)
        return F.conv3d(x, k, stride=stride, padding=size // 2) * masks[level]

    def norm(x: Tensor, name: str, level: int) -> Tensor:
        p = [w[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *p, training=False, eps=1e-5) * masks[level]

    x = norm(conv(x, "conv1.0", 3, 1, 0), "conv1.1", 0).relu()
    for level in (1, 2, 3):
        for block in range(3):
            name, stride = f"layer{level}.{block}", 2 if block == 0 else 1
            y = norm(conv(x, f"{name}.conv1", 3, stride, level), f"{name}.bn1", level).relu()
            y = norm(conv(y, f"{name}.conv2", 3, 1, level), f"{name}.bn2", level)
            if block == 0:
                x = norm(conv(x, f"{name}.downsample.0", 1, 2, level), f"{name}.downsample.1", level)
            x = (x + y).relu()
    for name, level in (("conv2", 2), ("conv3", 1)):
        k = w[f"{name}.0.kernel"].view(2, 2, 2, *w[f"{name}.0.kernel"].shape[-2:]).permute(3, 4, 2, 1, 0)
        x = norm(F.conv_transpose3d(x, k, stride=2) * masks[level], f"{name}.1", level).relu()
    return torch.einsum("bcxyz,cd->bdxyz", x, w["conv4.kernel"])


def test_a_published_state_dict_gives_what_a_dense_evaluation_gives(tmp_path: Path) -> None:
    weights = random_weights()
    save_file(weights, tmp_path / "mink.safetensors")
    network = load_minkunet(tmp_path / "mink.safetensors").double()
    assert network.channels == CHANNELS
    g = torch.Generator().manual_seed(1)
    index = torch.nonzero(torch.rand(SIDE, SIDE, SIDE, generator=g) < 0.15)
    pyramid = Pyramid(Voxels.of([index]), 4)
    x = torch.randn(len(index), CHANNELS, generator=g, dtype=torch.float64)

    grid = torch.zeros(SIDE, SIDE, SIDE, CHANNELS, dtype=torch.float64)
    grid[tuple(index.T)] = x
    masks = []
    for level, voxels in enumerate(pyramid.levels):
        mask = torch.zeros(*[SIDE >> level] * 3, dtype=torch.float64)
        mask[tuple(voxels.coords[:, 1:].T)] = 1
        masks.append(mask)
    expected = dense_minkunet(weights, grid.permute(3, 0, 1, 2)[None], masks)
    at = pyramid.levels[1].coords[:, 1:]
    torch.testing.assert_close(network(x, pyramid), expected[0].permute(1, 2, 3, 0)[tuple(at.T)])


def test_names_of_a_parallel_run_are_taken_too(tmp_path: Path) -> None:
    save_file({f"module.{k}": t for k, t in random_weights().items()}, tmp_path / "mink.safetensors")
    assert load_minkunet(tmp_path / "mink.safetensors").conv4.kernel.shape == (64, OUT)


@pytest.mark.parametrize("change", ["missing", "shape", "other"])
def test_other_weights_are_refused(tmp_path: Path, change: str) -> None:
    weights = random_weights()
    if change == "missing":
        del weights["layer2.1.conv1.kernel"]
    elif change == "shape":
        weights["layer3.0.conv1.kernel"] = torch.zeros(27, 128, 128)
    else:
        weights = {"patch_embed.proj.weight": torch.zeros(3, 3)}
    path = tmp_path / "mink.safetensors"
    save_file(weights, path)
    with pytest.raises(WeightsError, match=r"mink\.safetensors"):
        load_minkunet(path)


def test_a_pickled_file_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "mink.pth").write_bytes(b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(WeightsError, match="never opened"):
        load_minkunet(tmp_path / "mink.pth")
