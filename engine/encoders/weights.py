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

WHOLE = "a whole .safetensors file"
PICKLES = {".pth", ".pt", ".bin", ".ckpt", ".pkl"}


def convert_hint(path: Path) -> str:
    """How a user turns a pickled state dict into safetensors, by torch's tensors-only loader, outside this program."""
    out = path.with_suffix(".safetensors").name
    return (
        'convert it once, if you trust where it comes from: python -c "import torch, safetensors.torch as s; '
        f"d = torch.load('{path.name}', map_location='cpu', weights_only=True); "
        f"s.save_file({{k: v.clone().contiguous() for k, v in d.items()}}, '{out}')\""
    )


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor of a safetensors file and its JSON metadata (the ``meta`` entry; {} without one).

    Raises:
        WeightsError: no such file, a pickled checkpoint, or a damaged file.
    """
    if not path.is_file():
        raise WeightsError("there is no such weights file", path=path, expected=WHOLE, mend="check the path")
    if path.suffix.lower() in PICKLES:
        raise WeightsError(
            "pickled checkpoints are never opened, because opening one can run any code",
            path=path,
            found=f"a {path.suffix} file",
            expected=WHOLE,
            mend=convert_hint(path),
        )
    try:
        with safe_open(path, framework="pt") as f:
            meta = json.loads((f.metadata() or {}).get("meta", "{}"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118 - not a dict
    except (OSError, SafetensorError, ValueError, RuntimeError, RecursionError) as e:
        raise WeightsError(
            "the weights file cannot be read",
            path=path,
            found=first_line(e),
            expected=WHOLE,
            mend="download or make the file again",
        ) from e
    return tensors, meta if isinstance(meta, dict) else {}


def load_module(module: nn.Module, tensors: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Give ``module`` the ``tensors`` as float32, name by name; none missing, left over, misshapen or not finite.

    Args:
        module: the network; may be on the meta device, so that no memory is spent on values to be replaced.
        tensors: name to tensor.
        path: the file they came from, for the message.
        what: the network in a few words, for the message.

    Raises:
        WeightsError: the tensors are not this network's.
    """
    own = module.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    if missing or extra:
        both = ((missing, "missing"), (extra, "unknown"))
        parts = [f"{len(names)} {word} (first: {names[0]})" for names, word in both if names]
        raise foreign(what, path, "tensors " + ", ".join(parts), f"the {len(own)} tensors of {what}")
    for name, target in own.items():
        value = tensors[name]
        if value.shape != target.shape:
            raise foreign(what, path, f"{name} of shape {tuple(value.shape)}", f"shape {tuple(target.shape)}")
        if not value.is_floating_point():
            raise foreign(what, path, f"{name} of type {value.dtype}", "floating point numbers")
        if not bool(torch.isfinite(value).all()):
            raise WeightsError(
                "the weights hold numbers that are not finite",
                path=path,
                found=f"NaN or infinity in {name}",
                mend="download or make the file again",
            )
    module.load_state_dict({name: tensors[name].float() for name in own}, assign=True)
    module.requires_grad_(False)


def foreign(
    what: str, path: Path, found: str, expected: str, mend: str = "choose the file made for this encoder"
) -> WeightsError:
    """The refusal of a file whose weights are not those of ``what``."""
    return WeightsError(f"these weights do not belong to {what}", path=path, found=found, expected=expected, mend=mend)


def tensors_id(tensors: Mapping[str, Tensor]) -> str:
    """A short key of weights by content (16 hex digits): names, shapes and up to 4,096 values of each tensor.

    The values are spread over the tensor, so that a file of several GB takes a moment; training changes every tensor.
    """
    h = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().reshape(-1)
        some = value[:: max(1, len(value) // 4096)].float().cpu().contiguous()
        h.update(f"{name}{tuple(tensors[name].shape)}".encode())
        h.update(some.numpy().tobytes())
    return h.hexdigest()[:16]


def first_line(e: BaseException) -> str:
    """The first line of an exception's message, or its type."""
    return str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
