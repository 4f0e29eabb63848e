"""A sentence encoder in the format of ``transformers``, from which ``engine.training.words`` makes the embedded one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import WeightsError
from engine.encoders.weights import first_line


class SentenceEncoder:
    """t(s): mean of a BERT-like model's last tokens, of unit length, as sentence-transformers does it.

    Args:
        folder: of the model, in the format of ``transformers``: config.json, model.safetensors, tokenizer.json.
        device: where to compute.

    Raises:
        WeightsError: no such model there.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        from transformers import AutoModel, AutoTokenizer

        needed = ("config.json", "model.safetensors", "tokenizer.json")
        missing = [name for name in needed if not (folder / name).is_file()]
        if missing:
            raise WeightsError(
                "there is no sentence encoder",
                path=folder,
                found=f"no {', '.join(missing)}",
                expected="a folder in the format of transformers, such as all-MiniLM-L6-v2",
                mend="give the folder that holds config.json",
            )
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as e:
            raise WeightsError(
                "the sentence encoder cannot be read",
                path=folder,
                found=first_line(e),
                expected="a whole model in the format of transformers",
                mend="download it again",
            ) from e
        self._model.to(device).eval()
        self._device = device

    def encode(self, texts: Sequence[str]) -> Tensor:
        """(N, T) of unit length; empty texts are a sentence like any other."""
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self._device)
        with torch.no_grad():
            last = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None]
        return F.normalize((last * mask).sum(dim=1) / mask.sum(dim=1), dim=1)
