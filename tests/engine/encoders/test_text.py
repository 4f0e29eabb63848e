"""The sentence encoder on a tiny random model in the format of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.api.errors import WeightsError
from engine.encoders.text import SentenceEncoder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer that knows seven words, saved as one from the hub is."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    out = tmp_path_factory.mktemp("sentences")
    words = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "red", "sofa", "green", "chair", "lamp"])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.model_max_length = 16
    fast.save_pretrained(out)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=16, **sizes)).save_pretrained(out)
    return out


def test_sentences_do_not_depend_on_their_neighbours_padding(folder: Path) -> None:
    encoder = SentenceEncoder(folder, CPU)
    alone = encoder.encode(["red sofa"])
    beside = encoder.encode(["red sofa", "green chair lamp red"])
    assert alone.shape == (1, 16)
    torch.testing.assert_close(alone[0], beside[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(beside.norm(dim=1), torch.ones(2))
    assert not torch.allclose(beside[0], beside[1], atol=0.05)


@pytest.mark.parametrize("text", ["", "🛋️", "كرسي", "sofa " * 500])
def test_odd_sentences_are_sentences(folder: Path, text: str) -> None:
    found = SentenceEncoder(folder, CPU).encode([text, "sofa"])
    assert torch.isfinite(found[1]).all()
    assert found.shape == (2, 16)


def test_folders_that_hold_no_encoder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no sentence encoder"):
        SentenceEncoder(tmp_path, CPU)
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(WeightsError, match="cannot be read"):
        SentenceEncoder(tmp_path, CPU)
