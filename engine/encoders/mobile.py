"""The embedded encoders: MobileNetV2 hypercolumns (``raw``) and our 64-d head on them (``default``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.api.jobs import Job
from engine.api.scene import Float32, UInt8
from engine.encoders.hypercolumn import CHANNELS, LONG_SIDE, STRIDE, HypercolumnTrunk, Level
from engine.encoders.image import ImageEncoder, unit_map
from engine.encoders.layout import working_size
from engine.encoders.weights import load_module, read_weights, tensors_id
from engine.runtime import asset_path
from engine.storage import digest

DIM = 64

TRUNK_FILE = "weights/mobilenetv2.safetensors"
HEAD_FILE = "weights/condense2d.safetensors"


class HypercolumnHead(nn.Module):
    """Linear map of the levels to ``dim`` channels, one 1x1 convolution per level.

    Linear maps commute with interpolation, so each level is projected at its own resolution and only ``dim`` channels
    are enlarged: the same result as on the whole hypercolumn, at a fraction of its cost.
    """

    def __init__(self, dim: int = DIM) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(c, dim, 1, bias=False) for c in CHANNELS)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, levels: Sequence[Level], size: tuple[int, int]) -> Tensor:
        """The levels of an image to (1, dim, h, w), not yet of unit length."""
        x = self.bias.view(1, -1, 1, 1)
        for project, level in zip(self.levels, levels, strict=True):
            projected = Level(project(level.features), level.stride, level.height, level.width)
            x = x + projected.place(size)
        return x


class MobileEncoder(ImageEncoder):
    """MobileNetV2 hypercolumns, raw or through a head.

    Args:
        name: as asked of the registry.
        device: where to compute.
        trunk_file: the trunk's weights.
        head_file: the head's weights; None for the raw 512-d hypercolumn.

    Raises:
        WeightsError: a file is missing, damaged or of another network.
    """

    def __init__(self, name: str, device: torch.device, trunk_file: Path, head_file: Path | None) -> None:
        self.name = name
        self.trunk = HypercolumnTrunk(trunk_file, device)
        self.head = None
        self.dim = sum(CHANNELS)
        parts = [self.trunk.id]
        if head_file is not None:
            self.head = HypercolumnHead()
            self.dim = DIM
            tensors, _ = read_weights(head_file)
            load_module(self.head, tensors, head_file, "the 64-d feature head")
            self.head.to(device).eval()
            parts.append(tensors_id(tensors))
        self.input_side = LONG_SIDE
        self.id = f"{name}-{digest(*parts, str((LONG_SIDE, STRIDE)))[:12]}"

    def encode_slices(self, rgb: UInt8) -> Job[Float32]:
        """See ``ImageEncoder``; yields between groups of blocks."""
        levels = yield from self.trunk.levels(rgb)
        height, width = working_size(*rgb.shape[:2], LONG_SIDE, STRIDE)
        size = (height // STRIDE, width // STRIDE)
        with torch.inference_mode():
            if self.head is None:
                return unit_map(torch.cat([level.place(size) for level in levels], dim=1))
            return unit_map(self.head(levels, size))


def load_raw(device: torch.device) -> MobileEncoder:
    """The untrained 512-d hypercolumn."""
    return MobileEncoder("raw", device, asset_path(TRUNK_FILE), None)


def load_default(device: torch.device) -> MobileEncoder:
    """Our embedded 64-d encoder."""
    return MobileEncoder("default", device, asset_path(TRUNK_FILE), asset_path(HEAD_FILE))
