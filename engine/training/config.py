"""What a training is made of, in one file: read from JSON, written into every checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engine.api.errors import CaptureError
from engine.encoders.volume import VolumeConfig


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of ``engine.training.losses``; zero leaves a term out."""

    rendered: float = 0.25
    """InfoNCE between the features marched into the two views of a pair."""
    crossed: float = 1.0
    """InfoNCE between one view's marched feature and the other's 2D feature, both ways."""
    photo: float = 0.5
    """InfoNCE between the 2D features of the two views; counts once the 2D branch learns."""
    agree: float = 1.0
    """1 - cos of the marched and the 2D feature of one pixel (the paper's consistency)."""
    anchor: float = 0.5
    """1 - cos of a linear map of the 2D feature and the frozen trunk's hypercolumn."""
    distil: float = 0.25
    """The same for the marched feature."""
    lifted: float = 1.0
    """1 - cos of a voxel's feature and what the photos of both views' sides say of it."""
    score: float = 0.2
    """Cross-entropy of the marched and the 2D keypoint score."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training."""

    steps: int = 1500
    """Steps of gradient descent."""
    batch: int = 1
    """Draws in a step (pairs of views, or scenes of bare voxels), over all devices together."""
    rate: float = 2e-3
    """Learning rate of the 3D branch after the warm-up; falls to zero along a cosine."""
    kernel_rate: float = 2.5
    """Share of ``rate`` at which the kernels of the 3D branch learn, by Muon; all else learns by AdamW."""
    head_rate: float = 0.05
    """Share of ``rate`` at which the 2D head learns."""
    frozen: float = 0.5
    """Share of the steps, at the start, during which the 2D head rests: a frozen teacher first."""
    bare: float = 0.4
    """Share of the steps, at the start, that are spent on bare voxels: no photos, towards what all photos say."""
    warm_up: int = 50
    """Steps over which the rate rises."""
    withheld: float = 0.3
    """How often later steps are spent on bare voxels too (modality dropout)."""
    average: float = 0.995
    """Decay of the running average of the weights, which is what is kept."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    correspondences: int = 192
    """True correspondences of a step."""
    lift_views: int = 6
    """Photos that speak for a side in one step, drawn from those that may."""
    pairs: int = 60
    """Pairs of views of each capture."""
    cells: int = 150_000
    """Cells of the grids that are made for training."""
    validate_every: int = 100
    """Steps between measurements of consistency."""
    seed: int = 0
    """Of everything random."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Of the losses."""
    volume: VolumeConfig = field(default_factory=VolumeConfig)
    """Size of the 3D network."""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> TrainConfig:
        """From plain data; keys that are missing keep their defaults.

        Raises:
            ValueError: an unknown key, a value of another type, or one out of range.
        """
        known = {f.name: f for f in dataclasses.fields(cls)}
        unknown = sorted(set(raw) - set(known))
        if unknown:
            raise ValueError(f"unknown settings {unknown}")
        values: dict[str, Any] = {k: v for k, v in raw.items() if k not in ("weights", "volume")}
        if "weights" in raw:
            values["weights"] = _weights(raw["weights"])
        if "volume" in raw:
            values["volume"] = VolumeConfig.of({**asdict(VolumeConfig()), **raw["volume"]})
        default = cls()
        for name, value in values.items():
            if name in ("weights", "volume"):
                continue
            whole = isinstance(getattr(default, name), int)
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise ValueError(f"{name} is {value!r}, expected a {'whole ' if whole else ''}number")
            if not 0 <= value < 1e9:
                raise ValueError(f"{name} is {value}")
        config = cls(**values)
        positive = config.steps > 0 and config.batch > 0 and config.rate > 0 and config.correspondences >= 8
        if not (positive and config.average < 1):
            raise ValueError("steps, batch, rate and correspondences must be positive, average below one")
        return config


def _weights(raw: Any) -> LossWeights:
    if not isinstance(raw, Mapping) or set(raw) - {f.name for f in dataclasses.fields(LossWeights)}:
        raise ValueError(f"weights {raw!r}")
    values = {str(k): float(v) for k, v in raw.items()}
    if not all(0 <= v < 1e6 for v in values.values()):
        raise ValueError(f"weights {values}")
    return LossWeights(**values)


def read_config(path: Path) -> TrainConfig:
    """Read a JSON file.

    Raises:
        CaptureError: missing, not JSON, or not such settings.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("not an object")
        return TrainConfig.of(raw)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        raise CaptureError(
            "is no training configuration",
            path=path,
            found=f"{type(e).__name__}: {e}"[:200],
            expected="a JSON object with settings such as steps, rate, seed",
            mend="leave --config out for the defaults, or mend the file",
        ) from e
