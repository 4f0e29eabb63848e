"""The embedded 3D encoder: a sparse U-Net from a grid's voxels to unit features and keypoint scores (our form).

What it sees of a voxel is its colour and opacity and, where photos exist, the lifted 2D feature. With one, the answer
is the lifted feature and a correction to it, f3 = normalise(lift + Delta); without, it is the correction alone. One
network serves both: in training the lifted features of a scene are withheld now and then (modality dropout).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.jobs import Job, Progress, finish
from engine.encoders.weights import foreign, load_module, read_weights
from engine.sparse import DownConv, Pyramid, SubmanifoldConv, UpConv
from engine.storage import write_tensors

SURFACE = 4
"""Channels of what every voxel has: colour and opacity."""

MOST_PARAMETERS = 1 << 28


@dataclass(frozen=True)
class VolumeConfig:
    """Size of a ``VolumeEncoder``.

    Attributes:
        dim: D, of the features that come in and go out.
        widths: channels of each level, the finest first.
        blocks: residual blocks a level, on the way down and on the way up.
    """

    dim: int = 64
    widths: tuple[int, ...] = (32, 64, 96, 128)
    blocks: int = 1

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> VolumeConfig:
        """From JSON.

        Raises:
            ValueError: not such a thing, or absurdly large.
        """
        config = cls(int(raw["dim"]), tuple(int(w) for w in raw["widths"]), int(raw["blocks"]))
        widest = max(config.widths, default=0)
        cost = 200 * widest * widest * max(1, config.blocks) * len(config.widths)
        if min((config.dim, config.blocks, *config.widths)) < 1 or not config.widths or config.dim > 4096:
            raise ValueError(f"sizes {raw}")
        if cost > MOST_PARAMETERS:
            raise ValueError(f"a network of about {cost} parameters")
        return config


class VolumeFeatures(NamedTuple):
    """``features`` (N, D) of unit length and ``score_logits`` (N,): sigmoid gives the keypoint score k3."""

    features: Tensor
    score_logits: Tensor


class VolumeChange(NamedTuple):
    """What the network adds: ``change`` (N, D), Delta, and ``score_logits`` (N,)."""

    change: Tensor
    score_logits: Tensor

    def onto(self, image: Tensor) -> VolumeFeatures:
        """f3 = normalise(lift + Delta), for lifted features (N, D)."""
        return VolumeFeatures(F.normalize(image.float() + self.change, dim=1), self.score_logits)


class _Block(nn.Module):
    """Pre-norm residual block of two submanifold convolutions; norms are per voxel, so scenes do not mix."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(out)
        self.conv1, self.conv2 = SubmanifoldConv(channels, out), SubmanifoldConv(out, out)
        self.shortcut = nn.Linear(channels, out) if channels != out else nn.Identity()

    def forward(self, x: Tensor, pyramid: Pyramid, level: int) -> Tensor:
        y = self.conv1(F.relu(self.norm1(x)), pyramid, level)
        return self.shortcut(x) + self.conv2(F.relu(self.norm2(y)), pyramid, level)


class VolumeEncoder(nn.Module):
    """E3: see the module."""

    def __init__(self, config: VolumeConfig | None = None) -> None:
        super().__init__()
        self.config = c = config or VolumeConfig()
        w, levels = c.widths, len(c.widths)
        self.surface = SubmanifoldConv(SURFACE, w[0], bias=True)
        self.image = nn.Linear(c.dim, w[0], bias=False)
        self.seen = nn.Parameter(torch.zeros(w[0]))
        self.down = nn.ModuleList([_stage(w[n], w[n], c.blocks) for n in range(levels)])
        self.narrow = nn.ModuleList([DownConv(w[n], w[n + 1]) for n in range(levels - 1)])
        self.widen = nn.ModuleList([UpConv(w[n + 1], w[n]) for n in range(levels - 1)])
        self.up = nn.ModuleList([_stage(w[n], w[n], c.blocks) for n in range(levels - 1)])
        self.norm = nn.LayerNorm(w[0])
        self.head = nn.Linear(w[0] + SURFACE, c.dim)
        self.score = nn.Linear(w[0], 1)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @property
    def levels(self) -> int:
        """How many levels of voxels a pyramid for it has."""
        return len(self.config.widths)

    def hidden(self) -> list[nn.Parameter]:
        """The matrices and kernels between the first layers and the last."""
        within = (self.down, self.narrow, self.widen, self.up)
        return [p for part in within for p in part.parameters() if p.ndim > 1]

    def forward(self, surface: Tensor, image: Tensor, pyramid: Pyramid) -> VolumeFeatures:
        """Encode the voxels of a batch.

        Args:
            surface: (N, 4) colour and opacity in [0, 1].
            image: (N, D) lifted features of unit length; rows of zeros where there are none.
            pyramid: of those voxels, with ``levels`` levels.
        """
        return finish(self.slices(surface, image, pyramid)).onto(image)

    def slices(
        self, surface: Tensor, image: Tensor, pyramid: Pyramid, cut: Callable[[Tensor], Tensor] = lambda x: x
    ) -> Job[VolumeChange]:
        """``forward``, up to the correction, yielding after each block; ``cut`` is applied to what a block gives."""
        done = Progress(0, 0, "layers")
        surface = 2 * surface - 1
        known = (image.abs().amax(dim=1, keepdim=True) > 0).to(image.dtype)
        x = cut(self.surface(surface, pyramid, 0) + self.image(image) + known * self.seen)
        yield done
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            for block in stage:
                x = cut(block(x, pyramid, level))
                yield done
            if level < self.levels - 1:
                skips.append(x)
                x = cut(self.narrow[level](x, pyramid, level))
        for level in reversed(range(self.levels - 1)):
            x = cut(self.widen[level](x, pyramid, level) + skips[level])
            for block in self.up[level]:
                x = cut(block(x, pyramid, level))
                yield done
        x = F.relu(self.norm(x))
        change = self.head(torch.cat([x, surface.to(x.dtype)], dim=1))
        return VolumeChange(change.float(), self.score(x)[:, 0].float())

    def save(self, path: Path, meta: Mapping[str, Any] | None = None) -> None:
        """Write the weights as fp16 safetensors with the configuration, atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        tensors = {name: t.detach().half().cpu().numpy() for name, t in self.state_dict().items()}
        write_tensors(path, tensors, {**(meta or {}), "volume": asdict(self.config)})


def _stage(channels: int, out: int, blocks: int) -> nn.ModuleList:
    return nn.ModuleList([_Block(channels if n == 0 else out, out) for n in range(blocks)])


def load_volume_encoder(path: Path) -> VolumeEncoder:
    """Read what ``VolumeEncoder.save`` wrote.

    Raises:
        WeightsError: no such file, or not these weights.
    """
    tensors, meta = read_weights(path)
    try:
        config = VolumeConfig.of(meta["volume"])
    except (KeyError, TypeError, ValueError) as e:
        found = json.dumps(meta)[:120] if "volume" not in meta else str(e)
        expected, mend = "the configuration of one in the file's metadata", "choose a file that this program trained"
        raise foreign("a volume encoder", path, found, expected, mend) from e
    with torch.device("meta"):
        network = VolumeEncoder(config)
    load_module(network, tensors, path, "a volume encoder")
    return network.eval()
