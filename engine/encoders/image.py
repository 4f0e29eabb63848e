"""What every 2D encoder does: an RGB image to a map of unit features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.api.jobs import Job, finish
from engine.api.scene import Float32, UInt8


class ImageEncoder(ABC):
    """An image encoder E2: (H, W, 3) uint8 to (h, w, D) float32 of unit length.

    The map covers exactly the image: pixel (x, y) of W x H is at map position (x / W * w, y / H * h), with cell
    centres at +0.5. The same image, weights and device always give the same map.

    Attributes:
        name: as asked of the registry.
        id: name and a hash of weights and settings; a cached map belongs to one id.
        dim: D.
        input_side: photos are best read with their long side at this many pixels; larger ones are only shrunk.
        volume_file: weights of the 3D encoder that was trained with this one; None: there is none.
    """

    name: str
    id: str
    dim: int
    input_side: int
    volume_file: Path | None = None

    @abstractmethod
    def encode_slices(self, rgb: UInt8) -> Job[Float32]:
        """Encode one (H, W, 3) image, yielding between layers so that other work can go first.

        Raises:
            QueryError: not an RGB image of bytes.
        """

    def encode_turned(self, rgb: UInt8, turns: int) -> Job[Float32]:
        """The map (h, w, D) of a photo that is upright after so many quarter turns anticlockwise (``np.rot90``), as it
        lies: what an encoder says of a thing changes with how that lies."""
        features = yield from self.encode_slices(np.ascontiguousarray(np.rot90(rgb, turns)))
        return np.ascontiguousarray(np.rot90(features, -turns))

    def encode(self, rgb: UInt8) -> Float32:
        """Encode one image in one go: (H, W, 3) uint8 to (h, w, D) float32."""
        return finish(self.encode_slices(rgb))


def unit_map(features: Tensor) -> Float32:
    """(1, D, h, w) to a numpy (h, w, D) whose vectors have unit length (zero stays zero)."""
    with torch.inference_mode():
        chw = torch.nn.functional.normalize(features[0].float(), dim=0)
        return chw.permute(1, 2, 0).contiguous().cpu().numpy()
