"""The MobileNetV2 trunk: a light convolutional network whose inner maps make good dense features.

Source: Sandler et al., *MobileNetV2: Inverted Residuals and Linear Bottlenecks*, CVPR 2018, table 2.
Batch normalisation is folded into the convolutions when the weights are converted (``engine.training.trunk``),
so that this is the inference form: every convolution has a bias and there are no running statistics.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""ImageNet colour statistics that the trunk expects, RGB in [0, 1]."""

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Per stage: expansion, output channels, blocks, stride of the first block (table 2 of the paper)."""


class InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project linearly; add the input where shapes allow."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.expand = nn.Conv2d(channels_in, hidden, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden)
        self.project = nn.Conv2d(hidden, channels_out, 1)
        self.residual = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels_in, h, w) to (B, channels_out, ceil(h / stride), ceil(w / stride))."""
        y = x
        if self.expand is not None:
            y = nn.functional.relu6(self.expand(y), inplace=True)
        y = nn.functional.relu6(self.depthwise(y), inplace=True)
        y = self.project(y)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """Stem and the 17 inverted residual blocks, without the classifier.

    A sample of block n's map at index i was computed around the input pixel whose centre is at
    ``stride * i + 0.5``: a 3x3 convolution of stride 2 and padding 1 keeps pixel 0 at the centre of its first window.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        blocks: list[nn.Module] = []
        self.channels: list[int] = [32]
        self.strides: list[int] = [2]
        for expansion, channels, count, first_stride in STAGES:
            for i in range(count):
                stride = first_stride if i == 0 else 1
                blocks.append(InvertedResidual(self.channels[-1], channels, stride, expansion))
                self.channels.append(channels)
                self.strides.append(self.strides[-1] * stride)
        self.blocks = nn.ModuleList(blocks)

    def stages(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """(B, 3, H, W) normalised image; yields (0, stem map), then (n, map of block n) for n = 1 … 17."""
        x = nn.functional.relu6(self.stem(x), inplace=True)
        yield 0, x
        for n, block in enumerate(self.blocks, start=1):
            x = block(x)
            yield n, x


def normalise_image(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] to the trunk's input statistics."""
    mean = rgb.new_tensor(MEAN).view(3, 1, 1)
    std = rgb.new_tensor(STD).view(3, 1, 1)
    return (rgb - mean) / std
