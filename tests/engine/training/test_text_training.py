"""Training of the map to text: it names what it was taught, transfers by likeness of words, and points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.api.errors import ResourceError, WeightsError
from engine.api.jobs import finish
from engine.training.classifier import ImageClassifier
from engine.training.text import Arguments, Crops, Named, Question, pointing, spoken, train

WORDS = ["sofa", "lamp", "table", "plant"]
CENTRES = F.normalize(torch.randn(len(WORDS), 16, generator=torch.Generator().manual_seed(3)), dim=1)


class FakeSentences:
    """Words are unit vectors; a couch is nearly a sofa."""

    def encode(self, texts: Sequence[str]) -> Tensor:
        known = {spoken(w): torch.eye(8)[i] for i, w in enumerate(WORDS)}
        known[spoken("couch")] = F.normalize(torch.eye(8)[0] + 0.3 * torch.eye(8)[5], dim=0)
        return torch.stack([known[t] for t in texts])


def features_of(word: str, count: int, seed: int) -> Tensor:
    noise = 0.06 * torch.randn(count, 16, generator=torch.Generator().manual_seed(seed))
    return F.normalize(CENTRES[WORDS.index(word)] + noise, dim=1)


def questions(name: str) -> list[Question]:
    """Scenes of four quarters, a word each; ``name`` is asked for in the first's place."""
    out = []
    for seed in range(6):
        quarters = torch.stack([features_of(w, 9, 10 + seed) for w in WORDS])
        view = quarters.view(2, 2, 3, 3, 16).permute(0, 2, 1, 3, 4).reshape(6, 6, 16)
        there = np.zeros((6, 6), bool)
        there[:3, :3] = True
        out.append(Question(view.numpy(), name, there))
    return out


@pytest.fixture
def named() -> Named:
    counts = {"sofa": 30, "lamp": 400, "table": 200, "plant": 50}  # rare names count as much as frequent ones
    parts = [features_of(w, n, i) for i, (w, n) in enumerate(counts.items())]
    return Named(torch.cat(parts), [w for w, n in counts.items() for _ in range(n)])


def arguments(**changes: Any) -> Arguments:
    return Arguments(rooms=[], text=Path("none"), out=Path("none"), steps=300, rate=1e-2, **changes)


def test_names_and_their_like_are_pointed_at(named: Named) -> None:
    text = FakeSentences()
    head = finish(train(named, None, text, arguments()))
    for name in ("sofa", "couch"):
        found = pointing(head, questions(name), text)
        assert found.accuracy == 1
        assert (found.chance, found.count) == (0.25, 6)
    again = finish(train(named, None, text, arguments()))
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters(), strict=True))


def test_crops_teach_what_no_room_names(named: Named) -> None:
    text = FakeSentences()
    unnamed = Named(named.features[:230], named.names[:230])  # sofa and lamp alone
    pictures = torch.cat([features_of("plant", 80, 7), features_of("table", 80, 8)])
    targets = text.encode([spoken("plant")] * 80 + [spoken("table")] * 80)
    both = Crops(pictures, targets, text.encode([spoken(w) for w in ("plant", "table")]))
    head = finish(train(unnamed, both, text, arguments()))
    with torch.inference_mode():
        said = head(features_of("plant", 20, 9)) @ text.encode([spoken(w) for w in WORDS]).T
    assert (said.argmax(dim=1) == WORDS.index("plant")).all()


def test_nothing_to_ask() -> None:
    head = finish(train(Named(features_of("sofa", 30, 0), ["sofa"] * 30), None, FakeSentences(), arguments()))
    assert pointing(head, [], FakeSentences()) == (0, 0, 0)


def test_a_classifier_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "net.tflite"
    file.write_bytes(b"nonsense")
    with pytest.raises((ResourceError, WeightsError)):
        ImageClassifier(file)
