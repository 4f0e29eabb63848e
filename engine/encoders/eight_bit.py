"""Weights in 8 bits a number, to ship networks in a quarter of their size; they compute in float32 as ever."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SCALE = "#scale"
LEAST = 2_048
"""Numbers of a tensor for it to be worth it; smaller ones keep 16 bits."""


def packed(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """What to write: matrices and kernels (O, ...) as int8 with one scale for each output, the rest in float16."""
    out: dict[str, NDArray[np.generic]] = {}
    for name, value in tensors.items():
        x = value.detach().float().cpu()
        if x.ndim < 2 or x.numel() < LEAST:
            out[name] = x.half().numpy()
            continue
        scale = (x.flatten(1).abs().amax(dim=1) / 127).clamp(min=1e-12)
        out[name] = torch.round(x / scale.view(-1, *[1] * (x.ndim - 1))).to(torch.int8).numpy()
        out[name + SCALE] = scale.numpy()
    return out


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that ``packed`` wrote, as floats; others as they are.

    Raises:
        ValueError: scales that do not fit.
    """
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.endswith(SCALE):
            continue
        scale = tensors.get(name + SCALE)
        if scale is None:
            out[name] = value
        elif scale.shape != value.shape[:1] or value.dtype != torch.int8:
            raise ValueError(f"{name} of shape {tuple(value.shape)} with {tuple(scale.shape)} scales")
        else:
            out[name] = value.float() * scale.float().view(-1, *[1] * (value.ndim - 1))
    return out
