"""Tiny random CLIP and SigLIP models with a tokenizer, saved as the hub has them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

WORDS = ("lamp", "sofa", "chair", "red", "object", "things", "stuff", "texture", "a")
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**TOWER, "image_size": 32, "patch_size": 8}


def save_tokenizer(folder: Path, extra: int = 0) -> None:
    """A word-level tokenizer; ``extra``: so many more words before those that are used."""
    special = ["<unk>", "<s>", *(f"w{n}" for n in range(extra)), "<pad>", "</s>"]
    vocabulary = {w: n for n, w in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("<s>", vocabulary["<s>"]), ("</s>", vocabulary["</s>"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )
    fast.save_pretrained(folder)


def tiny_clip(folder: Path) -> Path:
    """Fill ``folder`` with a CLIP of 24 channels."""
    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": 16, "max_position_embeddings": 16, "eos_token_id": 3, "bos_token_id": 1}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def tiny_siglip(folder: Path) -> Path:
    """Fill ``folder`` with a SigLIP of 32 channels."""
    torch.manual_seed(0)
    text = {**TOWER, "vocab_size": 16, "max_position_embeddings": 16, "projection_size": 32}
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    save_tokenizer(folder)
    return folder
