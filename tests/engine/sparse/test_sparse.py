"""Sparse convolutions beside dense ones, their gradients, and where voxels are found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from engine.sparse import DownConv, Pyramid, StridedConv, SubmanifoldConv, UpConv, Voxels, coarsen, voxels
from engine.sparse.maps import offsets

SIDE = 8


def some_voxels(seed: int = 0, share: float = 0.3, batch: int = 2) -> Voxels:
    g = torch.Generator().manual_seed(seed)
    return Voxels.of([torch.nonzero(torch.rand(SIDE, SIDE, SIDE, generator=g) < share) for _ in range(batch)])


def some_features(v: Voxels, channels: int, seed: int = 1) -> Tensor:
    return torch.randn(len(v), channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dense(v: Voxels, x: Tensor, side: int) -> Tensor:
    """(B, C, side, side, side), zero where no voxel is."""
    out = x.new_zeros(v.batch, side, side, side, x.shape[1])
    out[tuple(v.coords.T)] = x
    return out.permute(0, 4, 1, 2, 3)


def at(v: Voxels, grid: Tensor) -> Tensor:
    """The (N, C) values of a dense grid at voxels."""
    return grid.permute(0, 2, 3, 4, 1)[tuple(v.coords.T)]


def dense_kernel(kernel: Tensor, size: int) -> Tensor:
    """(K, C, D) with x fastest to conv3d's (D, C, x, y, z)."""
    return kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)


def test_offsets_have_x_fastest() -> None:
    assert offsets(3, torch.device("cpu"))[:4].tolist() == [[-1, -1, -1], [0, -1, -1], [1, -1, -1], [-1, 0, -1]]
    assert offsets(2, torch.device("cpu")).tolist()[:3] == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("table", [True, False])
def test_submanifold_is_the_dense_convolution_at_the_voxels(table: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not table:
        monkeypatch.setattr(voxels, "TABLE_CELLS", 0)
    v = some_voxels()
    x = some_features(v, 5)
    conv = SubmanifoldConv(5, 7, bias=True).double()
    nn.init.normal_(conv.bias)
    expected = F.conv3d(dense(v, x, SIDE), dense_kernel(conv.kernel, 3), conv.bias, padding=1)
    torch.testing.assert_close(conv(x, Pyramid(v, 1), 0), at(v, expected))


@pytest.mark.parametrize("size", [1, 3])
def test_strided_is_the_dense_convolution_with_stride_two(size: int) -> None:
    v = some_voxels()
    x, p = some_features(v, 4), Pyramid(v, 2)
    conv = StridedConv(4, 6, size).double()
    expected = F.conv3d(dense(v, x, SIDE), dense_kernel(conv.kernel, size), stride=2, padding=size // 2)
    torch.testing.assert_close(conv(x, p, 0), at(p.levels[1], expected))


def test_down_and_up_are_dense_convolutions_of_two() -> None:
    v = some_voxels()
    x, p = some_features(v, 4), Pyramid(v, 2)
    down, up = DownConv(4, 6).double(), UpConv(6, 3).double()
    y = down(x, p, 0)
    expected = F.conv3d(dense(v, x, SIDE), dense_kernel(down.kernel, 2), stride=2)
    torch.testing.assert_close(y, at(p.levels[1], expected))
    kernel = dense_kernel(up.kernel, 2).transpose(0, 1)  # conv_transpose3d has (C, D, ...)
    expected = F.conv_transpose3d(dense(p.levels[1], y, SIDE // 2), kernel, stride=2)
    torch.testing.assert_close(up(y, p, 0), at(v, expected))


@pytest.mark.parametrize("kind", ["submanifold", "strided", "down", "up"])
def test_gradients(kind: str) -> None:
    v = some_voxels(share=0.06)
    p = Pyramid(v, 2)
    layer = {
        "submanifold": SubmanifoldConv(2, 3), "strided": StridedConv(2, 3), "down": DownConv(2, 3), "up": UpConv(2, 3),
    }[kind].double()  # fmt: skip
    x = some_features(p.levels[1] if kind == "up" else v, 2).requires_grad_()
    kernel = layer.kernel.detach().clone().requires_grad_()

    def run(x: Tensor, kernel: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"kernel": kernel}, (x, p, 0))

    assert torch.autograd.gradcheck(run, (x, kernel))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    v = some_voxels(share=0.6)
    conv, p = SubmanifoldConv(4, 4).double(), Pyramid(v, 1)
    x = some_features(v, 4).requires_grad_()
    whole = conv(x, p, 0)
    whole.square().sum().backward()
    expected = x.grad, conv.kernel.grad
    monkeypatch.setattr("engine.sparse.conv.CHUNK_NUMBERS", {"cpu": 1})
    again = x.detach().clone().requires_grad_()
    conv.kernel.grad = None
    parts = conv(again, p, 0)
    parts.square().sum().backward()
    torch.testing.assert_close(parts, whole)
    torch.testing.assert_close((again.grad, conv.kernel.grad), expected)


def test_grids_of_a_batch_do_not_touch() -> None:
    both = some_voxels()
    conv, p = SubmanifoldConv(3, 3).double(), Pyramid(both, 1)
    x = some_features(both, 3)
    together = conv(x, p, 0)
    for b in range(2):
        mine = p.batch == b
        alone = Pyramid(Voxels.of([both.coords[mine, 1:]]), 1)
        torch.testing.assert_close(conv(x[mine], alone, 0), together[mine])


def test_the_same_sums_each_time() -> None:
    v = some_voxels(share=0.5)
    conv, p = SubmanifoldConv(16, 16), Pyramid(v, 1)
    grads = []
    for _ in range(3):
        x = some_features(v, 16).float().requires_grad_()
        conv.kernel.grad = None
        conv(x, p, 0).square().sum().backward()
        grads.append((x.grad, conv.kernel.grad))
    for x_grad, w_grad in grads[1:]:
        assert torch.equal(x_grad, grads[0][0])
        assert torch.equal(w_grad, grads[0][1])


def test_mixed_precision_is_near_full_precision() -> None:
    v = some_voxels()
    conv, p = SubmanifoldConv(16, 8), Pyramid(v, 1)
    x = some_features(v, 16).float().requires_grad_()
    full = conv(x, p, 0)
    with torch.autocast("cpu", torch.bfloat16):
        half = conv(x, p, 0)
        half.float().square().sum().backward()
    assert half.dtype == torch.bfloat16
    assert conv.kernel.grad is not None
    assert conv.kernel.grad.dtype == torch.float32
    assert float((half.float() - full).detach().norm() / full.detach().norm()) < 0.02


@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 3), min_size=1, max_size=60, unique=True), st.integers(0, 1))
@settings(deadline=None, max_examples=60)
def test_rows_are_found_by_table_and_by_search(places: list[tuple[int, int, int]], use_table: int) -> None:
    v = Voxels.of([torch.tensor(places)])
    if not use_table:
        v.__dict__["_table"] = None
    ask = torch.cat([v.coords, v.coords + torch.tensor([0, 1, 0, 0]), torch.tensor([[0, 99, 0, 0]])])
    known = {tuple(c): n for n, c in enumerate(v.coords.tolist())}
    expected = [known.get(tuple(c), len(v)) for c in ask.tolist()]
    assert v.rows(ask).tolist() == expected


def test_coarsening_floors_below_zero() -> None:
    v = Voxels.of([torch.tensor([[-1, 0, 3], [-2, 1, 2], [4, -3, 0]])])
    assert coarsen(v).coords.tolist() == [[0, -1, 0, 1], [0, 2, -2, 0]]


def test_no_voxels_at_all() -> None:
    v = Voxels.of([torch.zeros(0, 3, dtype=torch.long)])
    p = Pyramid(v, 3)
    x = torch.zeros(0, 4)
    y = DownConv(4, 5)(SubmanifoldConv(4, 4)(x, p, 0), p, 0)
    assert UpConv(5, 4)(y, p, 0).shape == (0, 4)


@pytest.mark.parametrize(
    "index",
    [[], [torch.zeros(3, 2, dtype=torch.long)], [torch.zeros(3, 3)], [torch.tensor([[1 << 30, 0, 0]])],
     [torch.tensor([[1, 2, 3], [1, 2, 3]])]],
)  # fmt: skip
def test_bad_voxels_are_refused(index: list[Tensor]) -> None:
    with pytest.raises(ValueError, match=r"voxel|integers"):
        Voxels.of(index)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_agrees_with_the_cpu() -> None:
    v = some_voxels(share=0.5)
    layers = [SubmanifoldConv(8, 8), StridedConv(8, 8), DownConv(8, 8)]
    x = some_features(v, 8).float()
    on_gpu = Voxels(v.coords.cuda(), v.batch)
    for layer in layers:
        expected = layer(x, Pyramid(v, 2), 0)
        found = layer.to("cuda")(x.to("cuda"), Pyramid(on_gpu, 2), 0)
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)


def test_a_lone_voxel_feels_its_own_weight_alone() -> None:
    conv = SubmanifoldConv(1, 1)
    with torch.no_grad():
        conv.kernel[:] = torch.arange(27.0).view(27, 1, 1)
    v = Voxels.of([torch.tensor([[5, 5, 5]]), torch.tensor([[5, 5, 6], [6, 5, 6]])])
    found = conv(torch.ones(3, 1), Pyramid(v, 1), 0)
    # the centre is number 13, its neighbours along x 12 and 14
    np.testing.assert_allclose(found.detach().numpy()[:, 0], [13, 13 + 14, 13 + 12])
