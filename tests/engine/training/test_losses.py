"""The terms of the joint training, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from engine.training.config import LossWeights
from engine.training.losses import ViewSample, dense_terms, lifted_term, score_term, weighted


def sample(marched: torch.Tensor, photo: torch.Tensor) -> ViewSample:
    column = F.normalize(torch.ones(len(marched), 3), dim=1)
    place = torch.linspace(0, 1, len(marched))[:, None].expand(-1, 2)
    return ViewSample(marched, photo, column, column, column, place)


def test_what_agrees_costs_nothing_and_opposites_cost_two() -> None:
    e = torch.eye(4)
    same = dense_terms(sample(e, e), sample(e, e))
    assert same["agree"] == pytest.approx(0, abs=1e-6)
    assert same["anchor"] == same["distil"] == pytest.approx(0, abs=1e-6)
    opposite = dense_terms(sample(e, -e), sample(e, -e))
    assert opposite["agree"] == pytest.approx(2)
    assert opposite["crossed"] > same["crossed"] + 1
    assert opposite["rendered"] == pytest.approx(same["rendered"])


def test_voxels_are_pulled_only_where_photos_speak_and_photos_never() -> None:
    features = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), dim=1).requires_grad_()
    lifted = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    loss = lifted_term(features, lifted)
    assert loss.item() == pytest.approx(0.5)  # mean of 0 and 1; nothing is known of the third
    loss.backward()
    assert features.grad is not None
    assert not features.grad[2].any()
    assert features.grad[1].any()
    assert lifted.grad is None


def test_scores_are_taken_from_the_photo() -> None:
    photo = torch.tensor([1.0, 0.0], requires_grad=True)
    marched = torch.tensor([0.5, 0.0], requires_grad=True)
    loss = score_term(marched, photo)
    assert loss.item() == pytest.approx(math.log(2) / 2, abs=1e-4)
    loss.backward()
    assert photo.grad is None
    assert marched.grad is not None
    assert marched.grad[0] < 0


def test_weights_choose_the_terms() -> None:
    terms = {"agree": torch.tensor(2.0), "anchor": torch.tensor(math.nan), "lifted": torch.tensor(3.0)}
    assert float(weighted(terms, LossWeights(agree=0.5, anchor=0, lifted=2))) == pytest.approx(7)
