"""CLIP and SigLIP in the transformers format: tiny random models and tokenizers saved by the libraries themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from engine.api.errors import WeightsError
from engine.encoders import load_encoder
from engine.encoders.clip import TextImageEncoder
from tests.tiny_clip import save_tokenizer, tiny_clip, tiny_siglip

CPU = torch.device("cpu")


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def loaded(name: str) -> TextImageEncoder:
    encoder = load_encoder(name, CPU)
    assert isinstance(encoder, TextImageEncoder)
    return encoder


def test_texts_of_clip_are_the_librarys_own(tmp_path: Path) -> None:
    encoder = loaded(f"clip:{tiny_clip(tmp_path)}")
    assert encoder.dim == 24
    model = CLIPModel.from_pretrained(tmp_path).eval()
    tokens = encoder._tokenizer(["red sofa", "lamp"], padding=True, return_tensors="pt")
    with torch.inference_mode():
        whole = model(**tokens, pixel_values=torch.zeros(1, 3, 32, 32))
    np.testing.assert_allclose(encoder.encode_texts(["red sofa", "lamp"]), whole.text_embeds.numpy(), atol=1e-5)


def test_cells_of_siglip_pool_to_the_librarys_own(tmp_path: Path) -> None:
    """A uniform photo: all patches' values differ by position alone; with positions off, pooled and cell are one."""
    folder = tiny_siglip(tmp_path)
    encoder = loaded(f"siglip:{folder}")
    encoder.model.vision_model.embeddings.position_embedding.weight.zero_()
    image = torch.full((1, 3, 32, 32), 0.3)
    with torch.inference_mode():
        *_, cells = encoder.stages(image)
        pooled = encoder.model.vision_model(image).pooler_output
    np.testing.assert_allclose(cells[0, 0].numpy(), pooled[0].numpy(), atol=1e-5)


def test_texts_of_siglip_are_the_librarys_own(tmp_path: Path) -> None:
    folder = tiny_siglip(tmp_path)
    encoder = loaded(f"siglip:{folder}")
    model = SiglipModel.from_pretrained(folder).eval()
    tokens = encoder._tokenizer(["lamp"], padding="max_length", max_length=16, return_tensors="pt")
    with torch.inference_mode():
        whole = model(input_ids=tokens["input_ids"], pixel_values=torch.zeros(1, 3, 32, 32))
    np.testing.assert_allclose(encoder.encode_texts(["lamp"]), whole.text_embeds.numpy(), atol=1e-5)


@pytest.mark.parametrize("make", [tiny_clip, tiny_siglip])
def test_a_map_covers_the_photo(make, tmp_path: Path, rgb: np.ndarray) -> None:
    encoder = loaded(f"clip:{make(tmp_path)}")
    features = encoder.encode(rgb)
    assert features.shape == (42, 56, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(features, axis=2), 1, atol=1e-5)
    assert (encoder.encode(rgb) == features).all()


@pytest.mark.parametrize("make", [tiny_clip, tiny_siglip])
@pytest.mark.parametrize("text", ["", "👾🛋️", "كرسي أحمر", "chair " * 5_000, "\x00"])
def test_any_text_has_a_vector(make, text: str, tmp_path: Path) -> None:
    found = loaded(f"clip:{make(tmp_path)}").encode_texts([text])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_no_tokenizer(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(WeightsError, match="tokenizer") as e:
        load_encoder(f"clip:{folder}", CPU)
    assert str(folder) in e.value.text()


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = tiny_clip(tmp_path)
    save_tokenizer(folder, extra=500)
    with pytest.raises(WeightsError, match="tokenizer"):
        load_encoder(f"clip:{folder}", CPU)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    from transformers import Dinov2Config

    Dinov2Config().save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match="not a CLIP or SigLIP model"):
        load_encoder(f"clip:{tmp_path}", CPU)


def test_hub_without_network() -> None:
    with pytest.raises(WeightsError) as e:
        load_encoder("siglip:condense-tests/no-such-model", CPU)
    assert "condense-tests/no-such-model" in e.value.text()
    assert "siglip:PATH" in str(e.value.mend)


def test_configs_are_told_apart() -> None:
    assert (CLIPConfig().model_type, SiglipConfig().model_type) == ("clip", "siglip")
