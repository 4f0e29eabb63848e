"""What each voxel is called: a 3D encoder and a classifier over a vocabulary of names (our form).

``engine.training.names`` makes it of the pre-trained 3D encoder, fine-tuned on rooms whose things are named. It knows
its own vocabulary and nothing else; ``engine.queries.prompt`` brings other words to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.api.jobs import Job
from engine.encoders.eight_bit import packed, unpacked
from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.encoders.weights import first_line, foreign, load_module, read_weights
from engine.sparse import Pyramid
from engine.storage import write_tensors

MOST_NAMES = 1 << 14


class NameNetwork(nn.Module):
    """Voxels to logits over names: softmax(W f3 + b), f3 the 3D encoder's features of unit length, times a scale.

    Args:
        config: size of the 3D encoder.
        names: the vocabulary.
    """

    def __init__(self, config: VolumeConfig, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.volume = VolumeEncoder(config)
        self.classes = nn.Linear(config.dim, len(names))
        self.scale = nn.Parameter(torch.full((1,), 10.0))

    def slices(
        self, surface: Tensor, image: Tensor, pyramid: Pyramid, cut: Callable[[Tensor], Tensor] = lambda x: x
    ) -> Job[Tensor]:
        """Logits (N, K); arguments as of ``VolumeEncoder.slices``."""
        change = yield from self.volume.slices(surface, image, pyramid, cut)
        return self.classes(self.scale * change.onto(image).features)

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        """Write it in 8 bits with the vocabulary and the configuration, atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        made = {**meta, "names": list(self.names), "volume": asdict(self.volume.config)}
        write_tensors(path, packed(self.state_dict()), made)


def load_names(path: Path) -> NameNetwork:
    """Read what ``NameNetwork.save`` wrote.

    Raises:
        WeightsError: no such file, or not these weights.
    """
    tensors, meta = read_weights(path)
    try:
        config, names = VolumeConfig.of(meta["volume"]), [str(n) for n in meta["names"]]
        if not 0 < len(names) <= MOST_NAMES or len(set(names)) != len(names):
            raise ValueError(f"{len(names)} names")
        floats = unpacked(tensors)
    except (KeyError, TypeError, ValueError) as e:
        made_by = "choose a file that python -m engine.training.names wrote"
        raise foreign("a naming network", path, first_line(e), "its vocabulary and sizes", made_by) from e
    with torch.device("meta"):
        network = NameNetwork(config, names)
    load_module(network, floats, path, "a naming network")
    return network.eval()
