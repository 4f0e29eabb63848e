"""Encoders by vision transformers: DINOv2 from the Hugging Face hub or a folder, official ConDense ViT weights.

Both give the last layer's normalised patch tokens, brought to unit length: one cell per patch. The image's long side
is 448 px (32 patches of 14).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.api.errors import WeightsError
from engine.api.jobs import Job, Progress
from engine.api.scene import Float32, UInt8
from engine.encoders.image import ImageEncoder, unit_map
from engine.encoders.layout import check_image, to_tensor, working_size
from engine.encoders.mobilenet import normalise_image
from engine.encoders.vit import VisionTransformer, build_vit
from engine.encoders.weights import PICKLES, convert_hint, first_line, read_weights, tensors_id
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

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """(1, 3, H, W) normalised image; yields after each block and, at last, the patch tokens (1, N, dim)."""
        raise NotImplementedError

    def encode_slices(self, rgb: UInt8) -> Job[Float32]:
        """See ``ImageEncoder``; yields between blocks."""
        check_image(rgb)
        pixels = working_size(*rgb.shape[:2], self.input_side, self.patch)
        with torch.inference_mode():
            stages = self.stages(normalise_image(to_tensor(rgb, pixels, self.device)))
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
        model = load_dinov2(source)
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


def load_dinov2(source: str) -> nn.Module:
    """A ``Dinov2Model`` or ``Dinov2WithRegistersModel`` in evaluation mode, every weight from the file.

    Raises:
        WeightsError: see ``Dinov2Encoder``.
    """
    from transformers import AutoConfig, Dinov2Model, Dinov2WithRegistersModel

    kinds = {"dinov2": Dinov2Model, "dinov2_with_registers": Dinov2WithRegistersModel}
    folder = Path(source)
    if folder.is_dir():
        _check_folder(folder, kinds)
    log = logging.getLogger("transformers.modeling_utils")
    level = log.level
    try:
        log.setLevel(logging.ERROR)  # its table of missing keys becomes our error below
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in kinds:
            raise _another_kind(source, config.model_type, kinds)
        model, info = kinds[config.model_type].from_pretrained(
            source, config=config, use_safetensors=True, output_loading_info=True, dtype=torch.float32
        )
    except WeightsError:
        raise
    except Exception as e:  # transformers raises whatever its parsers and the network library meet
        raise WeightsError(
            "DINOv2 weights cannot be loaded",
            path=source,
            found=first_line(e),
            expected="a hub id such as facebook/dinov2-small that can be reached, or a folder with "
            "config.json and model.safetensors",
            mend="check the name and the network, or download the folder and give its path: dinov2:PATH",
        ) from e
    finally:
        log.setLevel(level)
    lost = sorted([*info["missing_keys"], *(str(m) for m in info["mismatched_keys"])])
    if lost:
        raise WeightsError(
            "the DINOv2 weights are not whole",
            path=source,
            found=f"{len(lost)} tensors missing or of another shape (first: {lost[0]})",
            expected="every tensor that config.json speaks of",
            mend="download the folder again",
        )
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters()):
        raise WeightsError("the weights hold numbers that are not finite", path=source, mend="download them again")
    return model.eval().requires_grad_(False)


def _check_folder(folder: Path, kinds: dict[str, type]) -> None:
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
        raise _another_kind(str(folder), kind, kinds)
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


def _another_kind(source: str, kind: object, kinds: dict[str, type]) -> WeightsError:
    return WeightsError(
        "not a DINOv2 model", path=source, found=f"model type {kind!r}", expected=" or ".join(kinds), mend="choose one"
    )
