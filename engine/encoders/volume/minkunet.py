"""The official ConDense 3D backbone, MinkUNet14, on our sparse convolutions, and the loading of its weights.

Architecture as published with the paper's code: a 3^3 stem to 32 channels, three strided stages of 64, 128 and 256 with
three residual blocks each, two transposed stages back to 128 and 64, and a 1x1 output at half the resolution. Kernels
are laid out as MinkowskiEngine has them: (offset, in, out), x fastest; 1x1 kernels without stride are (in, out).
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.errors import WeightsError
from engine.encoders.weights import load_module, read_weights
from engine.sparse import Pyramid, StridedConv, SubmanifoldConv, UpConv

LEVELS = 4
STAGES = ((32, 64), (64, 128), (128, 256))
BLOCKS = 3


class BatchNorm(nn.Module):
    """``nn.BatchNorm1d`` without its count of batches, which is of no use with a constant momentum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training)


class _Norm(nn.Module):
    """Batch norm over voxels, under the name that MinkowskiEngine's state dicts have it by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(x)


class _PointConv(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(channels, out) * math.sqrt(2 / channels))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.kernel


class _Block(nn.Module):
    """Two 3^3 convolutions and a shortcut; ``stride`` 2 leads to the next level."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = StridedConv(channels, out) if stride == 2 else SubmanifoldConv(channels, out)
        self.bn1 = _Norm(out)
        self.conv2 = SubmanifoldConv(out, out)
        self.bn2 = _Norm(out)
        shortcut = nn.ModuleList([StridedConv(channels, out, 1), _Norm(out)])
        self.downsample = shortcut if stride == 2 else None

    def forward(self, x: Tensor, pyramid: Pyramid, level: int) -> Tensor:
        """From ``level``, or, with a stride, from ``level - 1``, to ``level``."""
        source = level if self.downsample is None else level - 1
        y = torch.relu(self.bn1(self.conv1(x, pyramid, source)))
        y = self.bn2(self.conv2(y, pyramid, level))
        if self.downsample is not None:
            conv, norm = self.downsample
            x = norm(conv(x, pyramid, source))
        return torch.relu(y + x)


class MinkUNet14(nn.Module):
    """The network; parameters are named as in the published state dict."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = nn.ModuleList([SubmanifoldConv(channels, 32), _Norm(32)])
        for n, (a, b) in enumerate(STAGES, start=1):
            blocks = [_Block(a if k == 0 else b, b, 2 if k == 0 else 1) for k in range(BLOCKS)]
            setattr(self, f"layer{n}", nn.ModuleList(blocks))
        self.conv2 = nn.ModuleList([UpConv(256, 128), _Norm(128)])
        self.conv3 = nn.ModuleList([UpConv(128, 64), _Norm(64)])
        self.conv4 = _PointConv(64, out)

    @property
    def channels(self) -> int:
        """Of the input."""
        return int(self.conv1[0].kernel.shape[1])

    def forward(self, x: Tensor, pyramid: Pyramid) -> Tensor:
        """(N, C) on the finest of four levels to (M, D) on the second, whose voxels are twice as wide."""
        conv, norm = self.conv1
        x = torch.relu(norm(conv(x, pyramid, 0)))
        for level in range(1, LEVELS):
            for block in getattr(self, f"layer{level}"):
                x = block(x, pyramid, level)
        for level, (conv, norm) in ((2, self.conv2), (1, self.conv3)):
            x = torch.relu(norm(conv(x, pyramid, level)))
        return self.conv4(x)


def load_minkunet(path: Path) -> MinkUNet14:
    """Read the published weights, converted to safetensors; input and output widths are read off them.

    Raises:
        WeightsError: no such file, a pickled one (with how to convert it), or not these weights.
    """
    tensors, _ = read_weights(path)
    tensors = {name.removeprefix("module."): t for name, t in tensors.items()}
    tensors = {name: t for name, t in tensors.items() if not name.endswith("num_batches_tracked")}
    first, last = tensors.get("conv1.0.kernel"), tensors.get("conv4.kernel")
    if first is None or last is None or first.ndim != 3 or last.ndim != 2:
        raise WeightsError(
            "these weights do not belong to MinkUNet14",
            path=path,
            found=", ".join(sorted(tensors)[:3]) or "no tensors",
            expected="conv1.0.kernel (27, in, 32) and conv4.kernel (64, out)",
            mend="choose the 3D backbone of the official ConDense weights",
        )
    with torch.device("meta"):
        network = MinkUNet14(first.shape[1], last.shape[1])
    load_module(network, tensors, path, "MinkUNet14")
    return network.eval()
