"""Weights in 8 bits come back nearly as they were."""

from __future__ import annotations

import pytest
import torch

from engine.encoders.eight_bit import SCALE, packed, unpacked


def test_there_and_back() -> None:
    rng = torch.Generator().manual_seed(0)
    big = torch.randn(40, 9, 3, 3, generator=rng) * torch.logspace(-3, 2, 40).view(-1, 1, 1, 1)
    big[3] = 0
    small, bias = torch.randn(4, 4, generator=rng), torch.randn(4096, generator=rng)
    written = packed({"big": big, "small": small, "bias": bias})
    assert {k: v.dtype.name for k, v in written.items()} == {
        "big": "int8", "big" + SCALE: "float32", "small": "float16", "bias": "float16",
    }  # fmt: skip
    back = unpacked({k: torch.from_numpy(v) for k, v in written.items()})
    step = big.flatten(1).abs().amax(dim=1) / 127
    assert ((back["big"] - big).abs().flatten(1).amax(dim=1) <= 0.501 * step + 1e-9).all()
    torch.testing.assert_close(back["small"].float(), small, atol=2e-3, rtol=1e-3)
    assert set(back) == {"big", "small", "bias"}


def test_scales_must_fit() -> None:
    tensors = {"x": torch.zeros(3, 2, dtype=torch.int8), "x" + SCALE: torch.ones(2)}
    with pytest.raises(ValueError, match="scales"):
        unpacked(tensors)
