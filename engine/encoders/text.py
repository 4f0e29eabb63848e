"""Words and features in one space: t(s), a sentence encoder, and g, the map of 64-d features into it.

``engine.training.text`` trains g against a sentence encoder such as all-MiniLM-L6-v2 (Apache-2.0; 384-d). It then says
what a thing is called, within the names it was taught; it is not CLIP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from engine.api.errors import WeightsError
from engine.encoders.weights import first_line, foreign, load_module, read_weights
from engine.storage import write_tensors

HIDDEN = 128


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


class TextHead(nn.Module):
    """g: features (..., D) of unit length to (..., T) of unit length: a linear map and a small correction to it."""

    def __init__(self, dim: int, text_dim: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.line = nn.Linear(dim, text_dim)
        self.bend = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, text_dim))
        nn.init.zeros_(self.bend[2].weight)
        nn.init.zeros_(self.bend[2].bias)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return F.normalize(self.line(features) + self.bend(features), dim=-1)

    def save(self, path: Path, meta: Mapping[str, Any]) -> None:
        """Write as fp16 safetensors with ``meta``, atomically.

        Raises:
            CacheError: the file cannot be written.
        """
        tensors = {name: t.detach().half().cpu().numpy() for name, t in self.state_dict().items()}
        sizes = [self.line.in_features, self.line.out_features, self.bend[0].out_features]
        write_tensors(path, tensors, {**meta, "text_head": sizes})


def load_text_head(path: Path) -> tuple[TextHead, dict[str, Any]]:
    """Read what ``TextHead.save`` wrote, and its metadata.

    Raises:
        WeightsError: no such file, or not these weights.
    """
    tensors, meta = read_weights(path)
    try:
        dim, text_dim, hidden = (int(x) for x in meta["text_head"])
        if not all(0 < x <= 1 << 14 for x in (dim, text_dim, hidden)):
            raise ValueError(f"sizes {meta['text_head']}")
    except (KeyError, TypeError, ValueError) as e:
        made_by = "choose a file that python -m engine.training.text wrote"
        raise foreign("a text head", path, first_line(e), "its sizes in the file's metadata", made_by) from e
    with torch.device("meta"):
        head = TextHead(dim, text_dim, hidden)
    load_module(head, tensors, path, "a text head")
    return head.eval(), meta
