"""The embedded encoders: MobileNetV2 hypercolumns (``raw``) and our 64-d head on them (``default``).

A hypercolumn (Hariharan et al., CVPR 2015) stacks, at each cell, what several depths of a network say there. Blocks
6, 10, 13 and 17 (strides 8, 16, 16, 32), each brought to unit length, give 512 channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.encoders.image import ImageEncoder, unit_map
from engine.encoders.layout import check_image, pad_mirrored, to_tensor, working_size
from engine.encoders.mobilenet import MobileNetV2, normalise_image
from engine.encoders.weights import load_module, read_weights, tensors_id
from engine.runtime import asset_path
from engine.storage import digest

BLOCKS = (6, 10, 13, 17)
CHANNELS = (32, 64, 96, 320)
DIM = 64
LONG_SIDE = 448
STRIDE = 4
MARGIN = 16
"""Mirrored pixels around the image: 2 % more recall at a fifth more time than leaving the border to zero padding."""

TRUNK_FILE = "weights/mobilenetv2.safetensors"
HEAD_FILE = "weights/condense2d.safetensors"


class HypercolumnHead(nn.Module):
    """Linear map of a hypercolumn to ``dim`` channels, one 1x1 convolution per level.

    Linear maps commute with interpolation, so each level is projected at its own resolution and only ``dim`` channels
    are enlarged: the same result as on the 512-d hypercolumn, at a fraction of its cost.
    """

    def __init__(self, dim: int = DIM) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(c, dim, 1, bias=False) for c in CHANNELS)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int], stride: int) -> Tensor:
        """Unit-length levels (1, C_l, a_l, b_l) of ``BLOCKS`` to (1, dim, h, w), not yet of unit length."""
        x = self.bias.view(1, -1, 1, 1)
        for project, level, level_stride in zip(self.levels, levels, (8, 16, 16, 32), strict=True):
            x = x + place(project(level), level_stride, size, stride)
        return x


def place(level: Tensor, level_stride: int, size: tuple[int, int], stride: int) -> Tensor:
    """Read a level of the padded image at the cells of the map: (1, C, a, b) to (1, C, h, w)."""
    scale = level_stride // stride
    x = nn.functional.interpolate(level, scale_factor=scale, mode="bilinear", align_corners=False)
    first = MARGIN // stride
    return x[:, :, first : first + size[0], first : first + size[1]]


class MobileEncoder(ImageEncoder):
    """MobileNetV2 hypercolumns, raw or through a head.

    Args:
        name: as asked of the registry.
        device: where to compute.
        trunk_file: the trunk's weights.
        head_file: the head's weights; None for the raw 512-d hypercolumn.
        long_side: working size of the image, pixels.

    Raises:
        WeightsError: a file is missing, damaged or of another network.
    """

    def __init__(
        self,
        name: str,
        device: torch.device,
        trunk_file: Path,
        head_file: Path | None,
        long_side: int = LONG_SIDE,
    ) -> None:
        self.name = name
        self.device = device
        self.input_side = long_side
        self.trunk, parts = MobileNetV2(), []
        tensors, _ = read_weights(trunk_file)
        load_module(self.trunk, tensors, trunk_file, "the MobileNetV2 trunk")
        parts.append(tensors_id(tensors))
        self.trunk.to(device).eval()
        self.head = None
        if head_file is not None:
            self.head = HypercolumnHead()
            tensors, _ = read_weights(head_file)
            load_module(self.head, tensors, head_file, "the 64-d feature head")
            parts.append(tensors_id(tensors))
            self.head.to(device).eval()
        self.dim = DIM if head_file is not None else sum(CHANNELS)
        self.id = f"{name}-{digest(*parts, str((long_side, STRIDE, MARGIN)))[:12]}"

    def encode_slices(self, rgb: UInt8) -> Job[Float32]:
        """See ``ImageEncoder``; yields between groups of blocks."""
        check_image(rgb)
        pixels = working_size(*rgb.shape[:2], self.input_side, STRIDE)
        size = (pixels[0] // STRIDE, pixels[1] // STRIDE)
        with torch.inference_mode():
            x = pad_mirrored(normalise_image(to_tensor(rgb, pixels, self.device)), MARGIN, 32)
            stages = self.trunk.stages(x)
        levels: list[Tensor] = []
        for done in range(1 + len(self.trunk.blocks)):
            with torch.inference_mode():
                n, x = next(stages)
                if n in BLOCKS:
                    levels.append(nn.functional.normalize(x, dim=1))
            if n % 3 == 0:
                yield Progress(done, 18, "layers")
        with torch.inference_mode():
            if self.head is None:
                parts = [place(v, s, size, STRIDE) for v, s in zip(levels, (8, 16, 16, 32), strict=True)]
                return unit_map(torch.cat(parts, dim=1))
            return unit_map(self.head(levels, size, STRIDE))


def load_raw(device: torch.device) -> MobileEncoder:
    """The untrained 512-d hypercolumn."""
    return MobileEncoder("raw", device, asset_path(TRUNK_FILE), None)


def load_default(device: torch.device) -> MobileEncoder:
    """Our embedded 64-d encoder."""
    return MobileEncoder("default", device, asset_path(TRUNK_FILE), asset_path(HEAD_FILE))
