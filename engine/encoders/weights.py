"""Reading weights files: safetensors only, checked against the network before anything is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from engine.api.errors import WeightsError

_SAFETENSORS = "a whole .safetensors file"
_PICKLES = {".pth", ".pt", ".bin", ".ckpt", ".pkl"}
_CONVERT = "convert it where you trust its source: python -m engine.encoders.convert FILE OUT.safetensors"


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor of a safetensors file and its JSON metadata (the ``meta`` entry; {} without one).

    Raises:
        WeightsError: no such file, a pickled checkpoint, or a damaged file.
    """
    if not path.is_file():
        raise WeightsError(
            "there is no such weights file", path=path, expected=_SAFETENSORS, mend="check the path you gave"
        )
    if path.suffix.lower() in _PICKLES:
        raise WeightsError(
            "pickled checkpoints are never opened, because opening one can run any code",
            path=path,
            found=f"a {path.suffix} file",
            expected=_SAFETENSORS,
            mend=_CONVERT,
        )
    try:
        with safe_open(path, framework="pt") as f:
            meta = json.loads((f.metadata() or {}).get("meta", "{}"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, ValueError, RuntimeError) as e:
        raise WeightsError(
            "the weights file cannot be read",
            path=path,
            found=str(e).splitlines()[0] if str(e) else type(e).__name__,
            expected=_SAFETENSORS,
            mend="download or make the file again",
        ) from e
    if not isinstance(meta, dict):
        raise WeightsError("the weights file's metadata is not an object", path=path, found=type(meta).__name__)
    return tensors, meta


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Copy ``tensors`` into ``module``, name by name; nothing may be missing, left over, misshapen or not finite.

    Args:
        module: the network, on its device; its dtype is kept.
        tensors: name to tensor.
        path: the file they came from, for the message.
        what: the network in a few words, for the message.

    Raises:
        WeightsError: the tensors are not this network's.
    """
    own = module.state_dict()

    def refuse(found: str, expected: str) -> WeightsError:
        return WeightsError(
            f"these weights do not belong to {what}",
            path=path,
            found=found,
            expected=expected,
            mend="choose the file made for this encoder",
        )

    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        parts = [
            f"{len(names)} {word} (first: {names[0]})"
            for names, word in ((missing, "missing"), (extra, "unknown"))
            if names
        ]
        raise refuse("tensors " + ", ".join(parts), f"the {len(own)} tensors of {what}")
    for name, target in own.items():
        value = tensors[name]
        if value.shape != target.shape:
            raise refuse(f"{name} of shape {tuple(value.shape)}", f"shape {tuple(target.shape)}")
        if not value.is_floating_point():
            raise refuse(f"{name} of type {value.dtype}", "floating point numbers")
        if not bool(torch.isfinite(value).all()):
            raise WeightsError(
                "the weights hold numbers that are not finite",
                path=path,
                found=f"NaN or infinity in {name}",
                mend="download or make the file again",
            )
    module.load_state_dict({name: tensors[name].to(target.dtype) for name, target in own.items()})


def file_id(path: Path) -> str:
    """A short key of a file's content (16 hex digits): its size, its first and last MB and samples between.

    Sampling keeps this instant on files of several GB; training changes every weight, so samples see any change.
    """
    chunk = 1 << 20
    h = hashlib.sha256()
    size = path.stat().st_size
    h.update(size.to_bytes(8, "little"))
    with path.open("rb") as f:
        if size <= 64 * chunk:
            h.update(f.read())
        else:
            for i in range(32):
                f.seek((size - chunk) * i // 31)
                h.update(f.read(chunk))
    return h.hexdigest()[:16]
