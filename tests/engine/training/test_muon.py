"""Muon: updates are orthogonal, and small problems are solved."""

from __future__ import annotations

import pytest
import torch

from engine.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(40, 12), (12, 40), (16, 16), (9, 1)])
def test_singular_values_move_near_to_one_and_directions_stay(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator)
    found = orthogonal(x)
    values = torch.linalg.svdvals(found)
    assert found.shape == shape
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    aligned = u.T @ found @ vt.T  # diagonal, if the singular directions are those of x
    torch.testing.assert_close(aligned, torch.diag(aligned.diagonal()), atol=1e-4, rtol=0)
    assert (aligned.diagonal() > 0).all()


def test_scale_of_a_gradient_does_not_matter_and_none_moves_nothing() -> None:
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(orthogonal(x), orthogonal(1000 * x))
    assert torch.equal(orthogonal(torch.zeros(4, 3)), torch.zeros(4, 3))


def test_first_step_by_hand() -> None:
    # of 2 e_1 e_1^T: the iteration takes its singular value 1 (after scaling) to s, five times s <- A s + B s^3 + C s^5
    s = 1.0
    for _ in range(5):
        s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
    p = torch.nn.Parameter(torch.ones(4, 3))
    p.grad = torch.zeros(4, 3)
    p.grad[0, 0] = 2.0
    Muon([p], lr=0.1, weight_decay=0.5).step()
    expected = torch.full((4, 3), 1 - 0.1 * 0.5)
    expected[0, 0] -= 0.1 * 0.2 * 4**0.5 * s
    torch.testing.assert_close(p.detach(), expected)


def test_kernels_are_matrices_of_all_their_offsets() -> None:
    generator = torch.Generator().manual_seed(1)
    gradient = torch.randn(27, 4, 6, generator=generator)
    kernel, matrix = (torch.nn.Parameter(torch.zeros(shape)) for shape in ((27, 4, 6), (108, 6)))
    for p in (kernel, matrix):
        p.grad = gradient.reshape(p.shape)
        Muon([p]).step()
    torch.testing.assert_close(kernel.detach().reshape(108, 6), matrix.detach())


def test_a_badly_scaled_regression_is_solved() -> None:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(256, 16, generator=generator) * torch.logspace(0, -2, 16)
    truth = torch.randn(16, 8, generator=generator)
    weight = torch.nn.Parameter(torch.zeros(16, 8))
    optimiser = Muon([weight], lr=0.2, weight_decay=0.0)
    first = last = 0.0
    for step in range(400):
        for group in optimiser.param_groups:
            group["lr"] = 0.2 * (1 - step / 400)
        optimiser.zero_grad()
        loss = (inputs @ weight - inputs @ truth).square().mean()
        loss.backward()
        optimiser.step()
        first, last = (float(loss.detach()) if step == 0 else first), float(loss.detach())
    assert last < 1e-3 * first
