"""Training the naming network, on scenes made by hand, and making the table of words from a tiny WordNet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from engine.api.errors import CaptureError
from engine.api.jobs import finish
from engine.encoders.names import NameNetwork
from engine.encoders.volume import VolumeConfig
from engine.training.names import Arguments, chances, labels_of, measure, train, vocabulary
from engine.training.voxels import VoxelScene
from engine.training.words import Sense, chosen_senses, read_senses, retrofit

ARGUMENTS = Arguments([], Path(), Path(), steps=120, rate=1e-2, bare=0.5, seed=0)


def scene(number: int) -> VoxelScene:
    """A red thing and a blue one, somewhere, on a grey floor that nothing names."""
    rng = np.random.default_rng(number)
    floor = [(x, y, 0) for x in range(12) for y in range(12)]
    a, b = rng.integers(0, 8, 2), rng.integers(0, 8, 2)
    red = [(a[0] + x, a[1] + y, 1) for x in range(4) for y in range(4)]
    blue = [(b[0] + x, b[1] + y, 3) for x in range(4) for y in range(4)]
    index = torch.tensor(np.array(floor + red + blue))
    rgb = [[0.5] * 3] * len(floor) + [[0.9, 0.1, 0.1]] * 16 + [[0.1, 0.1, 0.9]] * 16
    surface = torch.cat([torch.tensor(rgb), torch.ones(len(index), 1)], dim=1)
    thing = torch.tensor([-1] * len(floor) + [1] * 16 + [0] * 16)
    said = F.normalize(torch.randn(len(index), 8, generator=torch.Generator().manual_seed(number)), dim=1)
    return VoxelScene(f"scene {number}", index, surface, said, "e", ("lamp", "sofa"), thing)


def test_it_learns_what_things_are_called() -> None:
    scenes = [scene(n) for n in range(4)]
    names = vocabulary(scenes, 2)
    assert names == ["lamp", "sofa"]
    torch.manual_seed(0)
    network = NameNetwork(VolumeConfig(dim=8, widths=(8, 8), blocks=1), names)
    before = finish(measure(network.eval(), [scene(9)]))
    trained = finish(train(network.train(), scenes, ARGUMENTS, torch.device("cpu")))
    after = finish(measure(trained, [scene(9)]))
    assert after["pointing"] == 1.0
    assert after["voxels"] > 0.95 > before["voxels"]
    assert after["chance"] == 0.091
    assert finish(measure(trained, [scene(9)], bare=True))["pointing"] == 1.0
    found = finish(chances(trained, scene(9)))
    torch.testing.assert_close(found.sum(1), torch.ones(len(found)))


def test_the_same_seed_learns_the_same() -> None:
    weights: list[torch.Tensor] = []
    for _ in range(2):
        torch.manual_seed(0)
        network = NameNetwork(VolumeConfig(dim=8, widths=(8, 8), blocks=1), ["lamp", "sofa"])
        few = Arguments([], Path(), Path(), steps=3)
        weights.append(finish(train(network, [scene(0)], few, torch.device("cpu"))).classes.weight)
    assert torch.equal(*weights)


def test_names_that_are_rare_or_nowhere_are_not_learnt() -> None:
    one = scene(0)
    hidden = VoxelScene("h", one.index, one.surface, one.said, "e", ("lamp", "sofa"), torch.full_like(one.thing, -1))
    assert vocabulary([one, hidden], 1) == ["lamp", "sofa"]
    assert vocabulary([one, hidden], 2) == []
    assert labels_of(one, ["sofa"]).unique().tolist() == [-1, 0]


NOUNS = """  1 licence lines begin with two blanks
00000001 03 n 01 entity 0 000 | that which is
00000002 06 n 02 sofa 0 couch 0 001 @ 00000003 n 0000 | an upholstered seat for more than one person; "a red sofa"
00000003 06 n 01 seat 0 001 @ 00000001 n 0000 | furniture that is designed for sitting on
00000004 06 n 01 WC 0 001 @ 00000003 n 0000 | a toilet in England
00000005 18 n 01 Turkey 0 000 | a country
00000006 07 n 01 texture 0 000 | the feel of a surface
"""
INDEX = """  1 licence
couch n 1 1 @ 1 0 00000002
entity n 1 0 1 1 00000001
seat n 1 1 @ 1 0 00000003
sofa n 1 1 @ 1 0 00000002
texture n 1 0 1 1 00000006
turkey n 1 0 1 0 00000005
wc n 1 1 @ 1 0 00000004
"""


def wordnet(folder: Path) -> Path:
    (folder / "data.noun").write_text(NOUNS)
    (folder / "index.noun").write_text(INDEX)
    (folder / "index.adj").write_text("red a 1 0 1 1 00000009\nrare a 1 0 1 0 00000010\n")
    (folder / "cntlist.rev").write_text("texture%1:07:00:: 1 4\nentity%1:03:00:: 1 1\nred%3:00:00:: 1 9\n")
    return folder


def test_the_words_for_what_can_be_seen_are_chosen(tmp_path: Path) -> None:
    chosen, senses = chosen_senses(wordnet(tmp_path))
    assert chosen == {
        "couch": ("00000002",), "seat": ("00000003",), "sofa": ("00000002",), "texture": ("00000006",),
        "wc": ("00000004",), "red": (),
    }  # fmt: skip
    assert senses["00000002"] == Sense(
        ("sofa", "couch"), "an upholstered seat for more than one person", 6, ("00000003",)
    )


def test_what_is_no_wordnet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match=r"data\.noun"):
        chosen_senses(tmp_path)
    (tmp_path / "data.noun").write_text("00000001 06 n zz word\n")
    with pytest.raises(CaptureError, match=r"data\.noun"):
        read_senses(tmp_path / "data.noun")


def test_retrofitting_draws_synonyms_together() -> None:
    own = np.eye(3, dtype=np.float32)
    none = np.empty(0, np.int64)
    found = retrofit(own, [(np.array([1]), none), (np.array([0]), none), (none, none)])
    np.testing.assert_allclose(found[2], [0, 0, 1], atol=1e-6)
    assert found[0] @ found[1] > 0.8
    assert found[0][0] > found[0][1]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
