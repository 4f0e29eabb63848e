"""Sparse convolutions: each output row gathers its inputs, and one matrix product does the rest.

Chunks of (rows, K C) fit the cache. The backward of a gather would be a scatter, whose races make sums differ from run
to run; through the map seen from the inputs it is a gather as well. Accumulation is in float32 whatever the inputs are.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from engine.sparse.maps import ConvMap, Pyramid, TreeMap

CHUNK_NUMBERS = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Gathered numbers at a time."""


def _chunks(rows: Tensor, channels: int) -> list[slice]:
    limit = CHUNK_NUMBERS.get(rows.device.type, 1 << 24)
    step = max(64, limit // max(1, rows.shape[1] * channels))
    return [slice(s, min(s + step, len(rows))) for s in range(0, len(rows), step)]


def _padded(x: Tensor) -> Tensor:
    """With a row of zeros for what is missing."""
    return torch.cat([x, x.new_zeros(1, x.shape[1])])


def _gather(padded: Tensor, rows: Tensor) -> Tensor:
    """(n, K C) of (n, K) rows."""
    return padded.index_select(0, rows.reshape(-1)).view(len(rows), -1)


def _product(x: Tensor, weight: Tensor, rows: Tensor) -> Tensor:
    """Sum over k of x[rows[:, k]] @ weight[k]: (N, C), (K, C, D), (M, K) to (M, D)."""
    padded, flat = _padded(x), weight.reshape(-1, weight.shape[2])
    out = x.new_empty(len(rows), weight.shape[2])
    for part in _chunks(rows, x.shape[1]):
        torch.mm(_gather(padded, rows[part]), flat, out=out[part])
    return out


def _weight_gradient(x: Tensor, grad: Tensor, rows: Tensor) -> Tensor:
    """(K, C, D) of the product above."""
    padded = _padded(x)
    dtype = torch.promote_types(x.dtype, torch.float32)
    total = torch.zeros(rows.shape[1] * x.shape[1], grad.shape[1], dtype=dtype, device=x.device)
    for part in _chunks(rows, x.shape[1]):
        total += _gather(padded, rows[part]).t() @ grad[part]
    return total.view(rows.shape[1], x.shape[1], grad.shape[1])


class GatherConv(Function):
    """y[m] = sum over k of x[rows[m, k]] @ w[k]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rows: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, rows, back)
        return _product(x, weight, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, rows, back = ctx.saved_tensors
        grad = grad.contiguous()
        dx = _product(grad, weight.transpose(1, 2), back) if ctx.needs_input_grad[0] else None
        dw = _weight_gradient(x, grad, rows).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return dx, dw, None, None


class _Down(Function):
    """2^3 with stride 2: a parent gathers its children; backward, each child reads its own part of the parent's."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, child: Tensor, slot: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, child, slot)
        return _product(x, weight, child)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, child, slot = ctx.saved_tensors
        grad = grad.contiguous()
        dx = _spread(grad, weight.transpose(1, 2), slot) if ctx.needs_input_grad[0] else None
        dw = _weight_gradient(x, grad, child).to(weight.dtype) if ctx.needs_input_grad[1] else None
        return dx, dw, None, None


class _Up(Function):
    """Transposed 2^3 with stride 2: each child takes its part of the parent's; the mirror of ``_Down``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, child: Tensor, slot: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, child)
        return _spread(x, weight, slot)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight, child = ctx.saved_tensors
        grad = grad.contiguous()
        dx = _product(grad, weight.transpose(1, 2), child) if ctx.needs_input_grad[0] else None
        dw = None
        if ctx.needs_input_grad[1]:
            dw = _weight_gradient(grad, x, child).transpose(1, 2).to(weight.dtype)
        return dx, dw, None, None


def _spread(x: Tensor, weight: Tensor, slot: Tensor) -> Tensor:
    """(M, C) parents, (8, C, D) weights to the (N, D) children at ``slot``."""
    flat = weight.permute(1, 0, 2).reshape(x.shape[1], -1)
    return (x @ flat).view(-1, weight.shape[2]).index_select(0, slot)


def _cast(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """As autocast would, which does not look into functions of one's own."""
    kind = x.device.type
    if torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        return x.to(dtype), weight.to(dtype)
    return x, weight


class _Conv(nn.Module):
    """A kernel (K, C, D), and a bias if asked for."""

    def __init__(self, channels: int, out: int, offsets: int, bias: bool) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(offsets, channels, out) * math.sqrt(2 / (offsets * channels)))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def _biased(self, y: Tensor) -> Tensor:
        return y if self.bias is None else y + self.bias.to(y.dtype)

    def _mapped(self, x: Tensor, m: ConvMap) -> Tensor:
        return self._biased(GatherConv.apply(*_cast(x, self.kernel), m.rows, m.back))


class SubmanifoldConv(_Conv):
    """3^3 from the voxels of a level to the same voxels (Graham et al., 2018)."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__(channels, out, 27, bias)

    def forward(self, x: Tensor, pyramid: Pyramid, level: int) -> Tensor:
        """(N, C) to (N, D)."""
        return self._mapped(x, pyramid.within(level))


class StridedConv(_Conv):
    """``size``^3 with stride 2, to the voxels of the next coarser level; kernels of 3 overlap."""

    def __init__(self, channels: int, out: int, size: int = 3, bias: bool = False) -> None:
        super().__init__(channels, out, size**3, bias)
        self.size = size

    def forward(self, x: Tensor, pyramid: Pyramid, level: int) -> Tensor:
        """(N, C) of ``level`` to (M, D) of ``level + 1``."""
        return self._mapped(x, pyramid.strided(level, self.size))


class DownConv(_Conv):
    """2^3 with stride 2, which overlaps nowhere and is cheaper than ``StridedConv``."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__(channels, out, 8, bias)

    def forward(self, x: Tensor, pyramid: Pyramid, level: int) -> Tensor:
        """(N, C) of ``level`` to (M, D) of ``level + 1``."""
        tree = pyramid.tree(level)
        return self._biased(_Down.apply(*_cast(x, self.kernel), tree.child, tree.slot))


class UpConv(_Conv):
    """Transposed 2^3 with stride 2, back to the voxels of the next finer level."""

    def __init__(self, channels: int, out: int, bias: bool = False) -> None:
        super().__init__(channels, out, 8, bias)

    def forward(self, x: Tensor, pyramid: Pyramid, level: int) -> Tensor:
        """(M, C) of ``level + 1`` to (N, D) of ``level``."""
        tree: TreeMap = pyramid.tree(level)
        return self._biased(_Up.apply(*_cast(x, self.kernel), tree.child, tree.slot))
