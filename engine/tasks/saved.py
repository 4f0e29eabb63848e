"""What was learnt, as a file: the network, and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.encoders.weights import first_line, foreign, load_module, read_weights
from engine.storage import write_tensors
from engine.tasks.classifier import ShapeClassifier
from engine.tasks.folders import MOST_CLASSES
from engine.tasks.pointnet import PointNetClassifier, PointNetSegmenter
from engine.tasks.scans import Grain
from engine.tasks.segmenter import VoxelSegmenter

FORMAT = "condense-head-2"
Network = ShapeClassifier | PointNetClassifier | VoxelSegmenter | PointNetSegmenter


class Saved(NamedTuple):
    """A network, the names of its K classes and, of scans, how fine it sees them and whether in colour."""

    network: Network
    names: tuple[str, ...]
    grain: Grain = "object"
    colour: bool = True

    @property
    def segments(self) -> bool:
        """Whether it names points, not objects."""
        return isinstance(self.network, VoxelSegmenter | PointNetSegmenter)


def save_head(path: Path, saved: Saved, meta: Mapping[str, Any]) -> None:
    """Write it as float32 safetensors, atomically.

    Raises:
        CacheError: the file cannot be written.
    """
    network = saved.network
    volume = None
    if isinstance(network, ShapeClassifier | VoxelSegmenter):
        volume = asdict(network.encoder.config)
    about = {
        **meta,
        "format": FORMAT,
        "names": list(saved.names),
        "volume": volume,
        "task": "segment" if saved.segments else "classify",
        "grain": saved.grain,
        "colour": saved.colour,
        "looks": isinstance(network, ShapeClassifier) and network.looks,
    }
    write_tensors(path, {k: t.detach().cpu().numpy() for k, t in network.state_dict().items()}, about)


def load_head(path: Path) -> Saved:
    """Read what ``save_head`` wrote.

    Raises:
        WeightsError: no such file, or not these weights.
    """
    tensors, meta = read_weights(path)
    what = "a head of condense task"
    try:
        if meta["format"] != FORMAT:
            raise ValueError(f"format {str(meta['format'])[:60]}, this program reads {FORMAT}")
        names = tuple(str(n) for n in meta["names"])
        if not 2 <= len(names) <= MOST_CLASSES or len(set(names)) != len(names):
            raise ValueError(f"{len(names)} classes")
        if meta["task"] not in ("classify", "segment") or meta["grain"] not in ("scene", "object"):
            raise ValueError(f"a head for {str(meta['task'])[:60]} of {str(meta['grain'])[:60]}")
        config = None if meta["volume"] is None else VolumeConfig.of(meta["volume"])
        grain: Grain = meta["grain"]
        with torch.device("meta"):
            network = _network(meta["task"] == "segment", config, len(names), grain, bool(meta.get("looks")))
    except (KeyError, TypeError, ValueError) as e:
        mend = "choose a file that condense task classify or segment --save wrote"
        raise foreign(what, path, first_line(e), "its classes and sizes", mend) from e
    load_module(network, tensors, path, what)
    return Saved(network.eval(), names, grain, bool(meta["colour"]))


def _network(segments: bool, config: VolumeConfig | None, classes: int, grain: Grain, looks: bool) -> Network:
    if config is None:
        return PointNetSegmenter(classes, grain) if segments else PointNetClassifier(classes)
    encoder = VolumeEncoder(config)
    return VoxelSegmenter(encoder, classes) if segments else ShapeClassifier(encoder, classes, looks)
