"""Hypercolumns: what several depths of a network say at each place of an image (Hariharan et al., CVPR 2015).

Blocks of MobileNetV2, each brought to unit length. Raw: blocks 6, 10, 13 and 17 (strides 8, 16, 16, 32), 512 channels.
Ours: block 3 (stride 4) as well, and all but that a second time from the image enlarged by half. Places are relative
positions (x / W, y / H), the same at every size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.api.jobs import Job, Progress
from engine.api.scene import UInt8
from engine.encoders.layout import check_image, pad_mirrored, to_tensor, working_size
from engine.encoders.mobilenet import MobileNetV2, normalise_image
from engine.encoders.weights import load_module, read_weights, tensors_id

Taps = tuple[tuple[int, tuple[int, ...]], ...]
"""Per size at which the trunk looks at the image: its long side in pixels, and the blocks that are read."""

RAW: Taps = ((448, (6, 10, 13, 17)),)
OURS: Taps = ((448, (3, 6, 10, 13, 17)), (672, (6, 10, 13, 17)))
BLOCK_CHANNELS = {3: 24, 6: 32, 10: 64, 13: 96, 17: 320}
MARGIN = 16
"""Mirrored pixels around the image. On the living room they raise the recall within 2 % from .557 to .573."""

LONG_SIDE = 448
"""Working size of the image, pixels; the map's cells are counted on it."""

STRIDE = 4
"""Pixels of the working image to a cell of the map. Stride 8 would take a quarter of the memory, and lowers the recall
within 1 % from .316 to .262, within 2 % from .490 to .482."""

_MULTIPLE = 32  # the trunk's largest stride
_SLICE_BLOCKS = 3  # blocks between two yields


def channels(taps: Taps) -> tuple[int, ...]:
    """Channels of each level that a trunk with these taps gives."""
    return tuple(BLOCK_CHANNELS[block] for _, blocks in taps for block in blocks)


@dataclass(frozen=True, eq=False)
class Level:
    """One block's map of one image.

    Attributes:
        features: (1, C, a, b) of unit length along C, over the padded image.
        stride: pixels from sample to sample; sample i is taken to lie at the middle of its stride, i + 1/2. (Where
            its 3x3 windows are centred is the stride's first pixel, but so placed recall within 2 % falls by .026.)
        height, width: the image's size in pixels, without the padding.
    """

    features: Tensor
    stride: int
    height: int
    width: int

    def place(self, size: tuple[int, int]) -> Tensor:
        """Read the level, bilinearly, at the cells of an (h, w) map over the image: (1, C, h, w)."""
        (h, w), (a, b) = size, self.features.shape[2:]
        rows = self._weights((torch.arange(h) + 0.5) / h, self.height, a)
        columns = self._weights((torch.arange(w) + 0.5) / w, self.width, b)
        return rows @ (self.features @ columns.T)

    def sample(self, rel: Tensor) -> Tensor:
        """Read the level, bilinearly, at (N, 2) relative positions (x, y): (N, C) float32."""
        a, b = self.features.shape[2:]
        flat = self.features[0].flatten(1).T
        out = torch.zeros(len(rel), flat.shape[1], device=self.features.device)
        for row, row_weight in self._corners(rel[:, 1], self.height, a):
            for column, column_weight in self._corners(rel[:, 0], self.width, b):
                out += flat[row * b + column].float() * (row_weight * column_weight)[:, None]
        return out

    def _corners(self, rel: Tensor, pixels: int, samples: int) -> list[tuple[Tensor, Tensor]]:
        """(N,) relative positions along an axis to the two samples around each, (N,), and their weights (N,)."""
        position = (rel.double() * pixels + MARGIN) / self.stride - 0.5
        first = position.floor()
        out: list[tuple[Tensor, Tensor]] = []
        for sample, weight in ((first, 1 - (position - first)), (first + 1, position - first)):
            weight = torch.where((sample >= 0) & (sample < samples), weight, 0)
            place = sample.long().clamp(0, samples - 1)
            out.append((place.to(self.features.device), weight.float().to(self.features.device)))
        return out

    def _weights(self, rel: Tensor, pixels: int, samples: int) -> Tensor:
        """(N,) relative positions along an axis to (N, samples) linear interpolation weights."""
        rows = torch.arange(len(rel), device=self.features.device)
        out = self.features.new_zeros(len(rel), samples)
        for sample, weight in self._corners(rel, pixels, samples):
            out.index_put_((rows, sample), weight, accumulate=True)
        return out


class HypercolumnTrunk:
    """The MobileNetV2 trunk with its weights, giving the levels of an image.

    Args:
        file: the trunk's weights.
        device: where to compute.
        taps: what is read.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """

    def __init__(self, file: Path, device: torch.device, taps: Taps) -> None:
        self.device, self.taps = device, taps
        tensors, _ = read_weights(file)
        self.id = tensors_id(tensors)
        self._net = MobileNetV2()
        load_module(self._net, tensors, file, "the MobileNetV2 trunk")
        # Channels last: 1.5 times the speed on CPU.
        self._net.to(device, memory_format=torch.channels_last).eval()

    def levels(self, rgb: UInt8) -> Job[list[Level]]:
        """The levels of an image in the order of the taps, yielding between groups of blocks.

        Raises:
            QueryError: not an RGB image of bytes.
        """
        check_image(rgb)
        out: list[Level] = []
        for long_side, blocks in self.taps:
            height, width = working_size(*rgb.shape[:2], long_side, STRIDE)
            with torch.inference_mode():
                image = normalise_image(to_tensor(rgb, (height, width), self.device))
                image = pad_mirrored(image, MARGIN, _MULTIPLE).contiguous(memory_format=torch.channels_last)
                stages = self._net.stages(image)
            for _ in range(1 + max(blocks)):
                with torch.inference_mode():
                    n, x = next(stages)
                    if n in blocks:
                        unit = nn.functional.normalize(x, dim=1).contiguous()
                        out.append(Level(unit, self._net.strides[n], height, width))
                if n % _SLICE_BLOCKS == 0:
                    yield Progress(n, max(blocks), "layers")
        return out
