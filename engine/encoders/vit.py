"""The DINOv2 vision transformer in plain torch, sized by its state dict: how official ConDense weights are laid out.

Sources: Oquab et al., *DINOv2*, TMLR 2024; Darcet et al., *Vision Transformers Need Registers*, ICLR 2024. ConDense's
published 2D branch (``condense_vitg14``) is a DINOv2 ViT-g/14 in that project's naming: ``patch_embed.proj``,
``cls_token``, ``pos_embed``, ``blocks.N.{norm1, attn.qkv, attn.proj, ls1.gamma, norm2, mlp.{w12, w3} or {fc1, fc2},
ls2.gamma}``, ``norm``. Training checkpoints put ``teacher.backbone.`` before the names and a chunk number before N.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from engine.api.errors import WeightsError
from engine.encoders.weights import load_module

HEAD_DIM = 64
"""Channels of one attention head in every DINOv2 size."""
NORM_EPS = 1e-6

_PREFIXES = ("teacher.backbone.", "backbone.", "module.", "model.")
_UNUSED = {"mask_token"}  # stands for hidden patches in training
_BLOCK = re.compile(r"blocks\.(?:\d+\.)?(\d+)\.(.+)")


@dataclass(frozen=True)
class ViTShape:
    """What a state dict's shapes say of its network.

    Attributes:
        dim: channels of a token.
        depth: number of blocks.
        patch: pixels of a patch's side.
        grid: patches along a side of the square that the position encodings were trained on.
        registers: extra tokens between the class token and the patches.
        hidden: channels within the MLP.
        gated: SwiGLU instead of GELU.
    """

    dim: int
    depth: int
    patch: int
    grid: int
    registers: int
    hidden: int
    gated: bool


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.heads = max(1, dim // HEAD_DIM)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) to the same."""
        b, n, dim = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(b, n, dim))


class Mlp(nn.Module):
    """Two layers with GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to the same."""
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class SwiGlu(nn.Module):
    """``w3(silu(a) * b)`` with (a, b) = w12(x): Shazeer, *GLU Variants Improve Transformer*, 2020."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(dim, 2 * hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to the same."""
        a, b = self.w12(x).chunk(2, dim=-1)
        return self.w3(nn.functional.silu(a) * b)


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) to the same."""
        return x * self.gamma


class Block(nn.Module):
    """Attention and MLP, each normalised before, scaled after, and added to its input."""

    def __init__(self, dim: int, hidden: int, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim)
        self.ls1 = LayerScale(dim)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = SwiGlu(dim, hidden) if gated else Mlp(dim, hidden)
        self.ls2 = LayerScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, dim) to the same."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, H / patch * W / patch, dim), row by row."""
        return self.proj(image).flatten(2).transpose(1, 2)


class VisionTransformer(nn.Module):
    """DINOv2's transformer, to its last patch tokens."""

    def __init__(self, shape: ViTShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = PatchEmbed(shape.dim, shape.patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.grid**2, shape.dim))
        if shape.registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, shape.registers, shape.dim))
        self.blocks = nn.ModuleList(Block(shape.dim, shape.hidden, shape.gated) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.dim, eps=NORM_EPS)

    def positions(self, rows: int, columns: int) -> Tensor:
        """(1, rows * columns, dim) position encodings of the patches, bicubic from the trained square."""
        n = self.shape.grid
        trained = self.pos_embed[:, 1:]
        if (rows, columns) == (n, n):
            return trained
        square = trained.view(1, n, n, -1).permute(0, 3, 1, 2)
        fitted = nn.functional.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return fitted.flatten(2).transpose(1, 2)

    def stages(self, image: Tensor) -> Iterator[Tensor]:
        """(1, 3, H, W) normalised image, sides multiples of the patch; yields the tokens after each block and, at
        last, the normalised patch tokens (1, H / patch * W / patch, dim)."""
        rows, columns = image.shape[2] // self.shape.patch, image.shape[3] // self.shape.patch
        x = self.patch_embed(image) + self.positions(rows, columns)
        first = [self.cls_token + self.pos_embed[:, :1]]
        if self.shape.registers:
            first.append(self.register_tokens)
        x = torch.cat([*first, x], dim=1)
        for block in self.blocks:
            x = block(x)
            yield x
        yield self.norm(x)[:, 1 + self.shape.registers :]


def plain_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's tensors under their plain names: prefixes and chunk numbers taken off, what is not used left out.

    Where a checkpoint holds several networks, the first prefix of ``_PREFIXES`` that leads to a ``cls_token`` is it.
    """
    prefix = next((p for p in _PREFIXES if f"{p}cls_token" in tensors), "")
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if not name.startswith(prefix):
            continue
        plain = name.removeprefix(prefix)
        block = _BLOCK.fullmatch(plain)
        if block:
            plain = f"blocks.{int(block[1])}.{block[2]}"
        if plain not in _UNUSED:
            out[plain] = value
    return out


def read_shape(tensors: Mapping[str, Tensor], path: Path) -> ViTShape:
    """The network's sizes, from a state dict with plain names.

    Raises:
        WeightsError: not a DINOv2 state dict; names ``path``.
    """

    def refuse(found: str, expected: str) -> WeightsError:
        return WeightsError(
            "not the weights of a DINOv2 or ConDense vision transformer",
            path=path,
            found=found,
            expected=expected,
            mend="give the 2D backbone's own file (condense_vitg14 or dinov2_vit*14_pretrain), as safetensors",
        )

    def sizes(name: str, count: int) -> tuple[int, ...]:
        if name not in tensors:
            raise refuse(f"no tensor {name}", "DINOv2's names, such as blocks.0.attn.qkv.weight")
        if tensors[name].dim() != count:
            raise refuse(f"{name} of shape {tuple(tensors[name].shape)}", f"{count} dimensions")
        return tuple(tensors[name].shape)

    dim, _, patch, _ = sizes("patch_embed.proj.weight", 4)
    positions = sizes("pos_embed", 3)[1]
    grid = round(max(0, positions - 1) ** 0.5)
    if grid < 1 or grid**2 + 1 != positions:
        raise refuse(f"{positions} position encodings", "one, and a square number of them")
    if dim < HEAD_DIM or dim % HEAD_DIM:
        raise refuse(f"{dim} channels", f"a multiple of {HEAD_DIM}")
    numbers = {int(m[1]) for m in map(_BLOCK.fullmatch, tensors) if m}
    if numbers != set(range(len(numbers))):
        raise refuse(f"{len(numbers)} blocks numbered up to {max(numbers)}", "blocks numbered from 0 without gaps")
    gated = "blocks.0.mlp.w12.weight" in tensors
    hidden = sizes("blocks.0.mlp.w3.weight", 2)[1] if gated else sizes("blocks.0.mlp.fc1.weight", 2)[0]
    registers = sizes("register_tokens", 3)[1] if "register_tokens" in tensors else 0
    return ViTShape(dim, len(numbers), patch, grid, registers, hidden, gated)


def build_vit(tensors: Mapping[str, Tensor], path: Path) -> VisionTransformer:
    """The network that a state dict belongs to, with its weights, on the CPU.

    Raises:
        WeightsError: the tensors are not a whole DINOv2 state dict.
    """
    plain = plain_names(tensors)
    shape = read_shape(plain, path)
    with torch.device("meta"):
        vit = VisionTransformer(shape)
    load_module(vit, plain, path, f"a {shape.depth}-block, {shape.dim}-channel DINOv2 transformer")
    return vit.eval()
