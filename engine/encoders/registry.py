"""Encoders by name."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.api.errors import WeightsError
from engine.encoders.image import ImageEncoder
from engine.encoders.mobile import load_default, load_raw, load_trained
from engine.encoders.transformer import ConDenseEncoder, Dinov2Encoder

_HUB = ("dinov2", "clip", "siglip")
_EMBEDDED = {"default": load_default, "raw": load_raw}


def encoder_names() -> tuple[str, ...]:
    """The encoders that are always there; ``dinov2:…`` and the like take weights of yours."""
    return tuple(_EMBEDDED)


def load_encoder(name: str, device: torch.device) -> ImageEncoder:
    """An encoder by name.

    Args:
        name: ``default`` (embedded, 64-d), ``raw`` (the embedded trunk's 512-d hypercolumn), ``condense:FOLDER`` (what
            ``condense train`` wrote), ``dinov2:WHICH`` (a hub id such as facebook/dinov2-small, or a local folder in
            the transformers format), ``clip:WHICH`` or ``siglip:WHICH`` (the same of CLIP and SigLIP, which take any
            words for prompts), ``condense-vitg:FILE`` (official ConDense or DINOv2 ViT weights as safetensors).
        device: where to compute.

    Raises:
        WeightsError: no such encoder, or its weights are missing, damaged or of another network.
    """
    if name in _EMBEDDED:
        return _EMBEDDED[name](device)
    kind, _, source = name.partition(":")
    if source and kind == "condense":
        return load_trained(name, Path(source), device)
    if source and kind == "dinov2":
        return Dinov2Encoder(name, source, device)
    if source and kind in ("clip", "siglip"):
        from engine.encoders.clip import TextImageEncoder

        return TextImageEncoder(name, source, device)
    if source and kind == "condense-vitg":
        return ConDenseEncoder(name, Path(source), device)
    raise WeightsError(
        f"there is no encoder '{name}'",
        expected=", ".join(
            [*_EMBEDDED, *(f"{k}:HUB_ID_OR_FOLDER" for k in _HUB), "condense:FOLDER", "condense-vitg:FILE.safetensors"]
        ),
        mend="choose one of these with --encoder",
    )
