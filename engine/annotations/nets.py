"""The four small networks of smart select: layers of products in numpy, quick enough for a click."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.api.errors import CacheError, WeightsError
from engine.api.scene import Float32
from engine.runtime import asset_path
from engine.storage import read_tensors, write_tensors

FORMAT = "condense-select/1"
NAMES = ("touch", "merge", "whole", "refine")
LAYERS = 3


@dataclass(frozen=True, eq=False)
class Net:
    """A perceptron with ReLUs and one sigmoid output.

    Attributes:
        mean, scale: (F,) of the inputs that it was trained on.
        layers: weights (in, out) and biases (out,).
    """

    mean: Float32
    scale: Float32
    layers: tuple[tuple[Float32, Float32], ...]

    def __call__(self, x: Float32) -> Float32:
        """(N, F) to (N,) in (0, 1)."""
        y = (x - self.mean) / self.scale
        for n, (weight, bias) in enumerate(self.layers):
            y = y @ weight + bias
            if n < len(self.layers) - 1:
                np.maximum(y, 0, out=y)
        return np.asarray(1 / (1 + np.exp(-np.clip(y[:, 0], -30, 30))), np.float32)

    @property
    def inputs(self) -> int:
        """F."""
        return len(self.mean)


@dataclass(frozen=True, eq=False)
class SelectNets:
    """What smart select has learnt.

    Attributes:
        touch: whether two voxels that touch are of one thing.
        merge: whether two regions that touch are of one thing.
        whole: how well a region of the tree covers the thing that was clicked (IoU).
        refine: the same of a selection that a further click would make.
    """

    touch: Net
    merge: Net
    whole: Net
    refine: Net

    def save(self, path: Path) -> None:
        """Raises:
        CacheError: the file cannot be written.
        """
        tensors: dict[str, NDArray[Any]] = {}
        for name in NAMES:
            net: Net = getattr(self, name)
            tensors |= {f"{name}.mean": net.mean, f"{name}.scale": net.scale}
            for n, (weight, bias) in enumerate(net.layers):
                tensors |= {f"{name}.weight.{n}": weight, f"{name}.bias.{n}": bias}
        write_tensors(path, tensors, {"format": FORMAT})


def nets_path() -> Path:
    """Of those that come along."""
    return asset_path("weights/select.safetensors")


def load_nets(path: Path, inputs: Sequence[int]) -> SelectNets:
    """What ``SelectNets.save`` wrote.

    Args:
        path: the file.
        inputs: how many features each is given.

    Raises:
        WeightsError: missing, damaged, or for other features.
    """
    try:
        tensors, meta = read_tensors(path)
        if meta.get("format") != FORMAT:
            raise ValueError(f"the format {meta.get('format')!r:.40}")
        return SelectNets(*(_net(tensors, name, n) for name, n in zip(NAMES, inputs, strict=True)))
    except (CacheError, KeyError, ValueError) as e:
        raise WeightsError(
            "is no file of smart select's weights", path=path, found=str(e), expected=f"the format '{FORMAT}'",
            mend="install the program anew, or train them: python -m engine.training.select",
        ) from e  # fmt: skip


def _net(tensors: Mapping[str, NDArray[Any]], name: str, inputs: int) -> Net:
    mean, scale = tensors[f"{name}.mean"], tensors[f"{name}.scale"]
    layers = tuple((tensors[f"{name}.weight.{n}"], tensors[f"{name}.bias.{n}"]) for n in range(LAYERS))
    width = inputs
    for weight, bias in layers:
        if weight.ndim != 2 or weight.shape[0] != width or bias.shape != (weight.shape[1],):
            raise ValueError(f"{name} of the shape {weight.shape}")
        width = weight.shape[1]
    every = [mean, scale, *(a for layer in layers for a in layer)]
    if mean.shape != (inputs,) or scale.shape != (inputs,) or width != 1 or any(a.dtype != np.float32 for a in every):
        raise ValueError(f"{name} is for {mean.shape} inputs, expected {inputs}")
    if not all(np.isfinite(a).all() for a in every) or (scale <= 0).any():
        raise ValueError(f"{name} holds numbers that make no sense")
    return Net(mean, scale, layers)
