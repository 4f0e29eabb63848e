"""Encoders by vision transformers: DINOv2 from the Hugging Face hub or a folder, official ConDense ViT weights.

Both give the last layer's normalised patch tokens, brought to unit length: one cell per patch. The image's long side
is 448 px (32 patches of 14).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.encoders.hub import load_pretrained
from engine.encoders.image import ImageEncoder, unit_map
from engine.encoders.layout import check_image, to_tensor, working_size
from engine.encoders.mobilenet import normalise_image
from engine.encoders.vit import VisionTransformer, build_vit
from engine.encoders.weights import read_weights, tensors_id
from engine.storage import digest

LONG_SIDE = 448


class TransformerEncoder(ImageEncoder):
    """Patch tokens of a vision transformer; subclasses say how its blocks are walked."""

    def __init__(self, name: str, model: nn.Module, device: torch.device, dim: int, patch: int, depth: int) -> None:
        self.name = name
        self.dim = dim
        self.input_side = LONG_SIDE
        self.device = device
        self.patch = patch
        self.depth = depth
        self.id = f"{name.split(':')[0]}-{digest(tensors_id(model.state_dict()), str((LONG_SIDE, patch)))[:12]}"
        self.model = model.to(device).eval()

    def normalise(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) in [0, 1] to what the transformer was trained on: ImageNet's statistics."""
        return normalise_image(image)

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """(1, 3, H, W) normalised image; yields after each block and, at last, the patch tokens (1, N, dim)."""
        raise NotImplementedError

    def encode_slices(self, rgb: UInt8) -> Job[Float32]:
        """See ``ImageEncoder``; yields between blocks."""
        check_image(rgb)
        pixels = working_size(*rgb.shape[:2], self.input_side, self.patch)
        with torch.inference_mode():
            stages = self.stages(self.normalise(to_tensor(rgb, pixels, self.device)))
        for done in range(self.depth):
            with torch.inference_mode():
                next(stages)
            yield Progress(done + 1, self.depth, "layers")
        with torch.inference_mode():
            tokens = next(stages)
            rows, columns = pixels[0] // self.patch, pixels[1] // self.patch
            return unit_map(tokens.transpose(1, 2).reshape(1, self.dim, rows, columns))


class ConDenseEncoder(TransformerEncoder):
    """Official ConDense ViT-g/14 weights, or any DINOv2 state dict in the original naming.

    Args:
        name: as asked of the registry.
        file: the state dict as safetensors.
        device: where to compute.

    Raises:
        WeightsError: the file is missing, pickled, damaged or of another network.
    """

    def __init__(self, name: str, file: Path, device: torch.device) -> None:
        vit: VisionTransformer = build_vit(read_weights(file)[0], file)
        super().__init__(name, vit, device, vit.shape.dim, vit.shape.patch, vit.shape.depth)
        self._vit = vit

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """See ``TransformerEncoder``."""
        return self._vit.stages(image)


class Dinov2Encoder(TransformerEncoder):
    """DINOv2 (with or without registers) in the format of ``transformers``, from the hub or a local folder.

    Args:
        name: as asked of the registry.
        source: a hub id such as ``facebook/dinov2-small``, or a folder with config.json and model.safetensors.
        device: where to compute.

    Raises:
        WeightsError: nothing there, no network and not in the hub's cache, another kind of model, or damaged.
    """

    def __init__(self, name: str, source: str, device: torch.device) -> None:
        from transformers import Dinov2Model, Dinov2WithRegistersModel

        kinds = {"dinov2": Dinov2Model, "dinov2_with_registers": Dinov2WithRegistersModel}
        model = load_pretrained(source, kinds, "DINOv2", "facebook/dinov2-small", name.split(":")[0])
        config = model.config
        self._skip = 1 + int(getattr(config, "num_register_tokens", 0))
        super().__init__(name, model, device, config.hidden_size, config.patch_size, config.num_hidden_layers)

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """See ``TransformerEncoder``."""
        x = self.model.embeddings(image)
        for layer in self.model.encoder.layer:
            x = layer(x)
            x = x[0] if isinstance(x, tuple) else x  # a tuple before transformers 5
            yield x
        yield self.model.layernorm(x)[:, self._skip :]
