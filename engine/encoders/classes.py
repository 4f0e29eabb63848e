"""What each place of a photo is called: an image classifier's classes, at every cell instead of once for the image.

The network is EfficientNet-Lite0 (Tan and Le, ICML 2019; the Lite form by Google has no squeeze-and-excitation and
ReLU6), trained on ImageNet-1k. Its last layer is linear in the mean over all cells, so applied to each cell it says
what speaks for a class there (class activation maps; Zhou et al., CVPR 2016). ``engine.training.classes`` makes the
weights of published ones, batch normalisation folded in, in 8 bits a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.jobs import Job, Progress, finish
from engine.api.scene import Float32, UInt8
from engine.encoders.eight_bit import packed, unpacked
from engine.encoders.layout import check_image, to_tensor, working_size
from engine.encoders.weights import first_line, foreign, load_module, read_weights
from engine.runtime import without_gradient
from engine.storage import write_tensors

STAGES = (
    (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)  # fmt: skip
"""Per stage: expansion, output channels, blocks, stride of the first block, side of the kernel (table 1)."""
STEM, TOP = 32, 1280
MEAN, SPREAD = 127 / 255, 128 / 255
"""Colours are brought to about [-1, 1]."""
STRIDE = 32
LONG_SIDES = (320, 512)
"""Working sizes, pixels; what the network says at each is added. Small things are seen at the larger one alone."""
CELL = 16
"""Pixels of the larger working image to a cell of the map."""
_SLICE_BLOCKS = 4  # blocks between two yields


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's padding: what is missing for ceil(size / stride) outputs, the odd pixel after."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, side, stride, groups=groups)
        reach = max(0, side - stride)
        self._pad = (reach // 2, reach - reach // 2) * 2

    def forward(self, input: Tensor) -> Tensor:
        """(B, inputs, h, w) of even sides to (B, outputs, h / stride, w / stride)."""
        return super().forward(F.pad(input, self._pad))


class Block(nn.Module):
    """Expand by 1x1, filter each channel, project linearly; add the input where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, side: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = Convolution(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = Convolution(hidden, hidden, side, stride, hidden)
        self.project = Convolution(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) to (B, outputs, h / stride, w / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return x + y if self.residual else y


class ClassNetwork(nn.Module):
    """Photos to logits over classes, cell by cell.

    Args:
        names: of the classes, each its synonyms with commas between, as ImageNet has them.
        kinds: of each class what it is a kind of, the nearest first, such as ("cat", "feline", "animal").
    """

    def __init__(self, names: Sequence[str], kinds: Sequence[Sequence[str]]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.kinds = tuple(tuple(k) for k in kinds)
        self.stem = Convolution(3, STEM, 3, 2)
        blocks: list[nn.Module] = []
        channels = STEM
        for expansion, outputs, count, first_stride, side in STAGES:
            for i in range(count):
                blocks.append(Block(channels, outputs, first_stride if i == 0 else 1, expansion, side))
                channels = outputs
        self.blocks = nn.ModuleList(blocks)
        self.top = Convolution(channels, TOP, 1)
        self.classes = nn.Linear(TOP, len(names))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], sides multiples of 32, to the (B, 1280, H / 32, W / 32) map under the classifier."""
        return finish(self._map(x))

    def under(self, x: Tensor) -> Job[Tensor]:
        """(B, 3, H, W) whole pictures in [0, 1], sides multiples of 32, to (B, 1280): what the classifier is linear
        in. Yields between groups of blocks."""
        return (yield from self._map(x)).mean(dim=(2, 3))

    def probabilities(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) whole pictures in [0, 1] to (B, K)."""
        return self.classes(finish(self.under(x))).softmax(dim=1)

    def slices(self, rgb: UInt8) -> Job[Float32]:
        """(h, w, K) logits of an (H, W, 3) photo; yields between groups of blocks.

        Raises:
            QueryError: not an RGB image.
        """
        check_image(rgb)
        device = self.classes.weight.device
        height, width = working_size(*rgb.shape[:2], LONG_SIDES[-1], STRIDE)
        size = (height // CELL, width // CELL)
        total = torch.zeros(1, len(self.names), *size, device=device)
        for side in LONG_SIDES:
            x = to_tensor(rgb, working_size(*rgb.shape[:2], side, STRIDE), device)
            logits = yield from without_gradient(self._logits(x))
            total += F.interpolate(logits, size, mode="bilinear", align_corners=False) / len(LONG_SIDES)
        return total[0].permute(1, 2, 0).cpu().numpy()

    def _logits(self, x: Tensor) -> Job[Tensor]:
        top = yield from self._map(x)
        return self.classes(top.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def _map(self, x: Tensor) -> Job[Tensor]:
        x = x.contiguous(memory_format=torch.channels_last)  # a third faster on CPUs
        x = F.relu6(self.stem((x - MEAN) / SPREAD), inplace=True)
        for n, block in enumerate(self.blocks):
            x = block(x)
            if n % _SLICE_BLOCKS == 0:
                yield Progress(n, len(self.blocks), "blocks")
        return F.relu6(self.top(x), inplace=True)

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        """Write it in 8 bits, atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        kinds = list(dict.fromkeys(k for some in self.kinds for k in some))
        place = {k: n for n, k in enumerate(kinds)}
        told = {"names": self.names, "kinds": kinds, "kinds_of": [[place[k] for k in some] for some in self.kinds]}
        write_tensors(path, packed(self.state_dict()), {**meta, **told})


def load_classes(path: Path) -> ClassNetwork:
    """Read what ``ClassNetwork.save`` wrote.

    Raises:
        WeightsError: no such file, or not these weights.
    """
    tensors, meta = read_weights(path)
    try:
        names, listed = [str(n) for n in meta["names"]], [str(k) for k in meta["kinds"]]
        kinds = [[listed[int(k)] for k in some] for some in meta["kinds_of"]]
        if not 0 < len(names) == len(kinds):
            raise ValueError(f"{len(names)} names, {len(kinds)} kinds")
        floats = unpacked(tensors)
    except (KeyError, TypeError, ValueError, IndexError) as e:
        made_by = "choose a file that python -m engine.training.classes wrote"
        raise foreign("an image classifier", path, first_line(e), "its classes", made_by) from e
    with torch.device("meta"):
        network = ClassNetwork(names, kinds)
    load_module(network, floats, path, "an image classifier")
    return network.eval()
