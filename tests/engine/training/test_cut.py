"""A backward pass in pieces gives the same gradients as one in one go."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.encoders.volume import VolumeConfig, VolumeEncoder
from engine.sparse import Pyramid, Voxels
from engine.training.cut import Cuts


def test_gradients_are_those_of_an_uncut_pass_even_where_a_tensor_is_used_twice() -> None:
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    x = torch.randn(5, 4)

    def loss(cut: Cuts | None) -> Tensor:
        a = torch.tanh(layers[0](x))
        a = a if cut is None else cut(a)
        b = torch.tanh(layers[1](a)) + a  # a skip
        b = b if cut is None else cut(b)
        return layers[2](b * a).square().sum()

    loss(None).backward()
    want = [p.grad.clone() for p in layers.parameters()]
    layers.zero_grad()
    cuts = Cuts()
    pieces = sum(1 for _ in cuts.backward(loss(cuts)))
    assert pieces == 3
    for p, g in zip(layers.parameters(), want, strict=True):
        torch.testing.assert_close(p.grad, g)


def test_the_volume_encoder_can_be_cut_between_its_blocks() -> None:
    torch.manual_seed(0)
    network = VolumeEncoder(VolumeConfig(dim=8, widths=(8, 8, 8)))
    index = torch.unique(torch.randint(0, 12, (300, 3)), dim=0)
    pyramid = Pyramid(Voxels.of([index]), network.levels)
    surface, image = torch.rand(len(index), 4), torch.randn(len(index), 8)
    weight = torch.randn(len(index), 8)
    (network(surface, image, pyramid).features * weight).sum().backward()
    want = {k: p.grad.clone() for k, p in network.named_parameters() if p.grad is not None}
    network.zero_grad()
    cuts = Cuts()
    slices = network.slices(surface, image, pyramid, cuts)
    count = 0
    try:
        while True:
            next(slices)
            count += 1
    except StopIteration as stop:
        change = stop.value
    pieces = sum(1 for _ in cuts.backward((change.onto(image).features * weight).sum()))
    assert count >= 6
    assert pieces >= 8
    assert want
    for k, p in network.named_parameters():
        if k in want:
            torch.testing.assert_close(p.grad, want[k], rtol=1e-4, atol=1e-5)


def test_what_needs_no_gradient_is_not_cut() -> None:
    x = torch.ones(2)
    assert Cuts()(x) is x
