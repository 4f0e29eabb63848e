"""Models in the format of ``transformers``, from the hub or a local folder: safetensors only, all checked."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engine.api.errors import WeightsError
from engine.encoders.weights import PICKLES, convert_hint, first_line


def load_pretrained(source: str, kinds: Mapping[str, Any], what: str, example: str, prefix: str) -> nn.Module:
    """A model in evaluation mode, every weight from the file.

    Args:
        source: a hub id, or a folder with config.json and model.safetensors.
        kinds: classes of ``transformers`` by the model type in config.json.
        what: the kind of model in a word, for messages.
        example: a hub id of one, for messages.
        prefix: of the encoder's name, for messages.

    Raises:
        WeightsError: nothing there, no network and not in the hub's cache, another kind of model, or damaged.
    """
    from transformers import AutoConfig

    folder = Path(source)
    if folder.is_dir():
        _check_folder(folder, kinds, what)
    log = logging.getLogger("transformers.modeling_utils")
    level = log.level
    try:
        log.setLevel(logging.ERROR)  # its table of missing keys becomes our error below
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in kinds:
            raise _another_kind(source, config.model_type, kinds, what)
        model, info = kinds[config.model_type].from_pretrained(
            source, config=config, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
    except WeightsError:
        raise
    except Exception as e:  # transformers raises whatever its parsers and the network library meet
        raise WeightsError(
            f"{what} weights cannot be loaded",
            path=source,
            found=first_line(e),
            expected=f"a hub id such as {example} that can be reached, or a folder with "
            "config.json and model.safetensors",
            mend=f"check the name and the network, or download the folder and give its path: {prefix}:PATH",
        ) from e
    finally:
        log.setLevel(level)
    lost = sorted([*info["missing_keys"], *(str(m) for m in info["mismatched_keys"])])
    if lost:
        raise WeightsError(
            f"the {what} weights are not whole",
            path=source,
            found=f"{len(lost)} tensors missing or of another shape (first: {lost[0]})",
            expected="every tensor that config.json speaks of",
            mend="download the folder again",
        )
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise WeightsError("the weights hold numbers that are not finite", path=source, mend="download them again")
    return model.eval().requires_grad_(False)


def _check_folder(folder: Path, kinds: Mapping[str, Any], what: str) -> None:
    """Raises:
    WeightsError: a folder that is not one, said more plainly than the library would.
    """
    config = folder / "config.json"
    try:
        kind = json.loads(config.read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError, RecursionError) as e:
        raise WeightsError(
            "not a folder of a transformers model",
            path=folder,
            found=f"no readable config.json ({first_line(e)})",
            expected="config.json and model.safetensors",
            mend="give the folder that save_pretrained or the hub's download made",
        ) from e
    if kind not in kinds:
        raise _another_kind(str(folder), kind, kinds, what)
    if not any(folder.glob("*.safetensors")):
        pickles = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICKLES)
        raise WeightsError(
            "pickled checkpoints are never opened, because opening one can run any code"
            if pickles
            else "the folder holds no weights",
            path=folder,
            found=pickles[0].name if pickles else "no .safetensors file",
            expected="model.safetensors",
            mend=convert_hint(folder / "model.bin").replace("model.bin", pickles[0].name)
            if pickles
            else "download the whole folder",
        )


def _another_kind(source: str, kind: object, kinds: Mapping[str, Any], what: str) -> WeightsError:
    return WeightsError(
        f"not a {what} model", path=source, found=f"model type {kind!r}", expected=" or ".join(kinds), mend="choose one"
    )
