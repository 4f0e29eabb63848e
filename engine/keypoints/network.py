"""The 2D branch's keypoint head k2: a small network that scores every pixel, and tells near places apart.

Our form: the feature encoder's layers are too coarse to place a corner, so the head has its own. Like SuperPoint
(DeTone et al., 2018) and XFeat (Potje et al., CVPR 2024) it works at strides 2, 4 and 8 and brings the scores back to
the full size by a pixel shuffle; like both it also gives local descriptors, at stride 4, which are meant to stand
beside the encoder's features: those know what is there, these where exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engine.api.scene import Float32, UInt8
from engine.encoders.hypercolumn import LONG_SIDE
from engine.encoders.layout import check_image, to_tensor, working_size
from engine.encoders.weights import load_module, read_weights, tensors_id
from engine.keypoints.detect import RADIUS_PX, keypoints_2d
from engine.queries.bank import sample_many
from engine.runtime import asset_path

WEIGHTS_FILE = "weights/keypoints2d.safetensors"
LOCAL_DIM = 32
LOCAL_STRIDE = 4
MULTIPLE = 8
"""The working image's sides are multiples of the network's largest stride."""


class KeypointNet(nn.Module):
    """RGB to score logits and local descriptors.

    ``balance`` is how much the local cosine weighs beside the encoder's, both as logits of InfoNCE: learned.
    """

    def __init__(self, widths: tuple[int, int, int] = (16, 32, 64), dim: int = LOCAL_DIM) -> None:
        super().__init__()
        a, b, c = widths
        self.stage2 = nn.Sequential(_conv(3, a, 2), _conv(a, a))
        self.stage4 = nn.Sequential(_conv(a, b, 2), _conv(b, b))
        self.stage8 = nn.Sequential(_conv(b, c, 2), _conv(c, c), _conv(c, c))
        self.from8 = nn.Conv2d(c, b, 1)
        self.merge4 = _conv(b, b)
        self.from4 = nn.Conv2d(b, a, 1)
        self.merge2 = _conv(a, a)
        self.score = nn.Conv2d(a, 4, 1)
        self.local = nn.Conv2d(b, dim, 1)
        self.balance = nn.Parameter(torch.tensor([10.0, 10.0]))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, H, W) in [0, 1], sides multiples of 8, to logits (N, H, W) and unit local (N, dim, H/4, W/4)."""
        # As bright and as contrasted as any other: exposure says nothing of corners.
        mean = image.mean(dim=(1, 2, 3), keepdim=True)
        spread = (image - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        x2 = self.stage2((image - mean) / (spread + 0.02))
        x4 = self.stage4(x2)
        y4 = self.merge4(x4 + _enlarged(self.from8(self.stage8(x4))))
        y2 = self.merge2(x2 + _enlarged(self.from4(y4)))
        logits = nn.functional.pixel_shuffle(self.score(y2), 2)[:, 0]
        return logits, nn.functional.normalize(self.local(y4), dim=1)


def _conv(cin: int, cout: int, stride: int = 1) -> nn.Sequential:
    # Replicated borders: zeros would look like an edge.
    conv = nn.Conv2d(cin, cout, 3, stride, 1, padding_mode="replicate")
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(conv, nn.ReLU(inplace=True))


def _enlarged(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


@dataclass(frozen=True, eq=False)
class Keypoints2D:
    """Keypoints of one image, the best first.

    Attributes:
        rel: (N, 2) x / W and y / H.
        score: (N,) in [0, 1].
        local: (N, LOCAL_DIM) unit local descriptors.
    """

    rel: NDArray[np.float64]
    score: Float32
    local: Float32


class KeypointDetector:
    """``KeypointNet`` with its weights, on images.

    Args:
        net: trained.
        device: where to compute.
        id: of the weights.
    """

    def __init__(self, net: KeypointNet, device: torch.device, id: str = "") -> None:
        self.net = net.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.device, self.id = device, id

    @torch.inference_mode()
    def maps(self, rgb: UInt8) -> tuple[Tensor, Tensor]:
        """(H, W, 3) uint8 to logits (h, w) at the working size and unit local descriptors (h/4, w/4, LOCAL_DIM).

        Raises:
            QueryError: not an RGB image of bytes.
        """
        check_image(rgb)
        height, width, _ = rgb.shape
        image = to_tensor(rgb, working_size(height, width, LONG_SIDE, MULTIPLE), self.device)
        logits, local = self.net(image.contiguous(memory_format=torch.channels_last))
        return logits[0].float(), local[0].float().permute(1, 2, 0)

    def scores(self, rgb: UInt8) -> Float32:
        """k2: (H, W, 3) uint8 to (h, w) scores in [0, 1] at the working size."""
        return self.maps(rgb)[0].sigmoid().cpu().numpy()

    def detect(self, rgb: UInt8, count: int, radius: int = RADIUS_PX) -> Keypoints2D:
        """At most ``count`` keypoints of an image, none within ``radius`` working pixels of a better one."""
        logits, local = self.maps(rgb)
        pos, score = keypoints_2d(logits, count, radius)
        rel = pos / [logits.shape[1], logits.shape[0]]
        return Keypoints2D(rel, score, sample_many(local.cpu().numpy(), rel).astype(np.float32))

    def joined(self, features: Float32, local: Float32) -> Float32:
        """One unit descriptor (N, D + LOCAL_DIM) of the encoder's unit features (N, D) and local descriptors.

        Its cosine is the mean of the two, weighted as training found best.
        """
        weight = self.net.balance.detach().clamp(min=0).cpu().numpy()
        share = np.sqrt(weight / max(float(weight.sum()), 1e-6))
        return np.concatenate([features * share[0], local * share[1]], axis=1).astype(np.float32)


def load_keypoints(device: torch.device, path: Path | None = None) -> KeypointDetector:
    """The detector with the shipped weights, or those of a file.

    Raises:
        WeightsError: the file is missing, damaged or of another network.
    """
    path = path or asset_path(WEIGHTS_FILE)
    tensors, _ = read_weights(path)
    net = KeypointNet()
    load_module(net, tensors, path, "the keypoint head")
    return KeypointDetector(net, device, tensors_id(tensors))
