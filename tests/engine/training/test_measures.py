"""The measures that must notice a collapse, by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from engine.training.measures import centred_cosine, measure, point_recall, variance


def test_variance_is_zero_for_a_constant_and_one_for_opposites() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert variance(x) == 0
    assert variance(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == 1


def test_a_constant_agrees_in_raw_cosine_but_not_in_the_centred_one() -> None:
    torch.manual_seed(0)
    x = F.normalize(torch.randn(200, 8) * 0.01 + torch.eye(8)[0], dim=1)
    y = F.normalize(torch.randn(200, 8) * 0.01 + torch.eye(8)[0], dim=1)
    assert float((x * y).sum(dim=1).mean()) > 0.99
    assert abs(centred_cosine(x, y)) < 0.15
    assert centred_cosine(x, x) == pytest.approx(1, abs=1e-4)


def test_recall_counts_answers_within_two_hundredths_of_the_diagonal() -> None:
    features = torch.eye(4)
    place = torch.tensor([[0.1, 0.1], [0.11, 0.1], [0.5, 0.5], [0.9, 0.9]])
    assert point_recall(features, features, place) == 1
    swapped = features[[1, 0, 3, 2]]  # the first two are confused with a near place, the last two with a far one
    assert point_recall(features, swapped, place) == 0.5


def test_a_collapsed_pair_shows_in_every_measure_but_raw_cosine() -> None:
    constant = F.normalize(torch.ones(16, 4), dim=1)
    place = torch.rand(16, 2, generator=torch.Generator().manual_seed(0))
    found = measure((constant, constant), (constant, constant), (place, place))
    assert found["variance_3d"] == pytest.approx(0, abs=1e-6)
    assert found["agreement"] == pytest.approx(0, abs=1e-3)
    assert found["recall_3d"] < 0.2
