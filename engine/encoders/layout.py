"""How an image meets a feature map: working sizes, padding and cutting.

A map of (h, w) covers the whole image of (H, W): pixel (x, y) is at map position (x / W * w, y / H * h), cell centres
at +0.5. So the working size is a multiple of the map's stride in both directions; the pad that a network needs lies
outside the map and is cut away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.api.errors import QueryError
from engine.api.scene import UInt8


def working_size(height: int, width: int, long_side: int, multiple: int) -> tuple[int, int]:
    """(height, width) nearest to the image's shape with its long side at ``long_side``, both multiples of ``multiple``.

    Small images are enlarged: a network's features depend on the scale it sees things at.
    """
    scale = long_side / max(height, width)
    return _multiple(height * scale, multiple), _multiple(width * scale, multiple)


def _multiple(side: float, multiple: int) -> int:
    return max(1, round(side / multiple)) * multiple


def to_tensor(rgb: UInt8, size: tuple[int, int], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 to (1, 3, *size) float32 in [0, 1], antialiased when it shrinks."""
    image = torch.tensor(rgb, device=device).permute(2, 0, 1)[None].float() / 255
    if image.shape[-2:] == size:
        return image
    return nn.functional.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)


def check_image(rgb: UInt8) -> None:
    """Raises:
    QueryError: not an RGB image of bytes with at least one pixel.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != "uint8" or rgb.size == 0:
        raise QueryError("not an RGB image", found=f"shape {rgb.shape}, {rgb.dtype}", expected="(H, W, 3) uint8")


def pad_mirrored(image: Tensor, margin: int, multiple: int) -> Tensor:
    """Pad (1, C, H, W) by ``margin`` at the left and top, at least as much at the right and bottom, to multiples.

    Mirroring hides the border from the network's zero padding. Where the pad is wider than the image, the image's
    mirror image is mirrored again.
    """
    index = []
    for size in image.shape[-2:]:
        total = -(-(size + 2 * margin) // multiple) * multiple
        i = torch.arange(-margin, total - margin, device=image.device)
        period = max(1, 2 * (size - 1))
        i = i.remainder(period)
        index.append(torch.where(i >= size, period - i, i))
    return image[:, :, index[0]][:, :, :, index[1]]
