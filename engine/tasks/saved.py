"""A classifier as a file: the encoder, the head, and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.encoders.weights import first_line, foreign, load_module, read_weights
from engine.storage import write_tensors
from engine.tasks.classifier import ShapeClassifier
from engine.tasks.folders import MOST_CLASSES

FORMAT = "condense-classifier-1"


class Saved(NamedTuple):
    """A classifier and the names of its K classes."""

    network: ShapeClassifier
    names: tuple[str, ...]


def save_classifier(path: Path, network: ShapeClassifier, names: Sequence[str], meta: Mapping[str, Any]) -> None:
    """Write it as float32 safetensors, atomically.

    Raises:
        CacheError: the file cannot be written.
    """
    about = {**meta, "format": FORMAT, "names": list(names), "volume": asdict(network.encoder.config)}
    write_tensors(path, {k: t.detach().cpu().numpy() for k, t in network.state_dict().items()}, about)


def load_classifier(path: Path) -> Saved:
    """Read what ``save_classifier`` wrote.

    Raises:
        WeightsError: no such file, or not these weights.
    """
    tensors, meta = read_weights(path)
    try:
        if meta["format"] != FORMAT:
            raise ValueError(f"format {str(meta['format'])[:60]}, this program reads {FORMAT}")
        config, names = VolumeConfig.of(meta["volume"]), tuple(str(n) for n in meta["names"])
        if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) != len(names):
            raise ValueError(f"{len(names)} classes")
    except (KeyError, TypeError, ValueError) as e:
        mend = "choose a file that condense task classify --save wrote"
        raise foreign("a classifier of objects", path, first_line(e), "its classes and sizes", mend) from e
    with torch.device("meta"):
        network = ShapeClassifier(VolumeEncoder(config), len(names))
    load_module(network, tensors, path, "a classifier of objects")
    return Saved(network.eval(), names)
