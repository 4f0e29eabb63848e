"""CLIP and SigLIP by ``transformers``: photos cell by cell and free words in one space, so that any words will do.

Dense features are each patch's value in the last attention, taken through what follows it: for CLIP the last layer's
value and output projections, the last norm and the projection into the text space, without residual and MLP (MaskCLIP,
Zhou et al., ECCV 2022; F3RM, Shen et al., CoRL 2023, found this form the best); for SigLIP the same of its pooling
head, so that a cell's feature is what the pooled one would be if the head looked at that patch alone.

Sources: Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021; Zhai et
al., *Sigmoid Loss for Language Image Pre-Training*, ICCV 2023.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import WeightsError
from engine.api.scene import Float32
from engine.encoders.hub import load_pretrained
from engine.encoders.transformer import TransformerEncoder
from engine.encoders.weights import first_line

_STATISTICS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation of colours, RGB in [0, 1], that the models were trained with."""


class TextImageEncoder(TransformerEncoder):
    """Cells of photos and texts in one space.

    Args:
        name: as asked of the registry.
        source: a hub id such as ``openai/clip-vit-base-patch16`` or ``google/siglip2-base-patch16-224``, or a folder
            with config.json, model.safetensors and tokenizer.json.
        device: where to compute.

    Raises:
        WeightsError: nothing there, no network and not in the hub's cache, another kind of model, or damaged.
    """

    def __init__(self, name: str, source: str, device: torch.device) -> None:
        from transformers import AutoTokenizer, CLIPModel, SiglipModel

        prefix = name.split(":")[0]
        kinds = {"clip": CLIPModel, "siglip": SiglipModel}
        model = load_pretrained(source, kinds, "CLIP or SigLIP", "openai/clip-vit-base-patch16", prefix)
        self._kind = str(model.config.model_type)
        vision, text = model.config.vision_config, model.config.text_config
        self._longest = int(text.max_position_embeddings)
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source)
            one, other = self._tokens(["lamp", "chair"])["input_ids"]
            if max(int(one.max()), int(other.max())) >= text.vocab_size or one.equal(other):
                raise ValueError("its words are not those of the model")
        except Exception as e:  # transformers raises whatever its parsers and the network library meet
            raise WeightsError(
                "the tokenizer of a CLIP or SigLIP model cannot be loaded",
                path=Path(source),
                found=first_line(e),
                expected="tokenizer.json beside model.safetensors",
                mend="download the whole folder again",
            ) from e
        dim = int(model.config.projection_dim) if self._kind == "clip" else int(vision.hidden_size)
        super().__init__(name, model, device, dim, vision.patch_size, vision.num_hidden_layers)

    def normalise(self, image: Tensor) -> Tensor:
        """See ``TransformerEncoder``."""
        mean, deviation = (image.new_tensor(v).view(1, 3, 1, 1) for v in _STATISTICS[self._kind])
        return (image - mean) / deviation

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """See ``TransformerEncoder``."""
        vision = self.model.vision_model
        x = vision.embeddings(image, interpolate_pos_encoding=True)
        clip = self._kind == "clip"
        if clip:
            x = vision.pre_layrnorm(x)
        layers = list(vision.encoder.layers)
        for layer in layers[:-1] if clip else layers:
            x = layer(x, None)
            x = x[0] if isinstance(x, tuple) else x  # a tuple before transformers 5
            yield x
        if clip:
            last = layers[-1]
            x = last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(x[:, 1:])))
            yield x
            yield self.model.visual_projection(vision.post_layernorm(x))
            return
        head = vision.head
        rows = slice(2 * self.dim, None)  # of the values, after queries and keys
        value = F.linear(
            vision.post_layernorm(x), head.attention.in_proj_weight[rows], head.attention.in_proj_bias[rows]
        )
        x = head.attention.out_proj(value)
        yield x + head.mlp(head.layernorm(x))

    def encode_texts(self, texts: Sequence[str]) -> Float32:
        """(N, D) of unit length; longer texts are cut at what the model was trained on."""
        tokens = self._tokens(texts).to(self.device)
        with torch.inference_mode():
            found = self.model.text_model(**tokens).pooler_output
            if self._kind == "clip":
                found = self.model.text_projection(found)
            return F.normalize(found.float(), dim=1).cpu().numpy()

    def _tokens(self, texts: Sequence[str]):
        """SigLIP was trained on texts filled up to one length, and without a mask of what fills them."""
        clip = self._kind == "clip"
        padding = True if clip else "max_length"
        names = ["input_ids", "attention_mask"] if clip else ["input_ids"]
        found = self._tokenizer(
            list(texts), padding=padding, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        return type(found)({name: found[name] for name in names})
