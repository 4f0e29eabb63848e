"""The image classifier: its padding, its dense form, its file, the conversion, and what it says of a real picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from engine.api.errors import QueryError, WeightsError
from engine.api.jobs import finish
from engine.encoders.classes import CELL, LONG_SIDES, ClassNetwork, Convolution, load_classes
from engine.prompting import classes_path
from engine.training.classes import convert, kinds_of
from engine.training.words import Sense


@pytest.mark.parametrize(
    ("side", "stride", "before", "after"), [(3, 1, 1, 1), (3, 2, 0, 1), (5, 1, 2, 2), (5, 2, 1, 2)]
)
def test_padding_is_tensorflows(side: int, stride: int, before: int, after: int) -> None:
    torch.manual_seed(0)
    layer = Convolution(2, 3, side, stride)
    x = torch.randn(1, 2, 12, 16)
    wanted = F.conv2d(F.pad(x, (before, after, before, after)), layer.weight, layer.bias, stride)
    torch.testing.assert_close(layer(x), wanted)
    assert layer(x).shape[2:] == (12 // stride, 16 // stride)


def small(names: int = 5) -> ClassNetwork:
    torch.manual_seed(1)
    return ClassNetwork([f"class {n}" for n in range(names)], [("thing",)] * names).eval()


def test_cells_average_to_the_whole_picture() -> None:
    network = small()
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        dense = network.classes(network(x).permute(0, 2, 3, 1)).mean(dim=(1, 2))
        torch.testing.assert_close(dense.softmax(dim=1), network.probabilities(x))


def test_maps_cover_the_photo() -> None:
    logits = finish(small().slices(np.zeros((90, 120, 3), np.uint8)))
    assert logits.shape == (LONG_SIDES[-1] * 3 // 4 // CELL, LONG_SIDES[-1] // CELL, 5)
    assert np.isfinite(logits).all()
    with pytest.raises(QueryError, match="RGB"):
        finish(small().slices(np.zeros((9, 9), np.uint8)))


def test_saved_and_read(tmp_path: Path) -> None:
    network, path = small(), tmp_path / "classes.safetensors"
    network.save(path, {"licence": "none"})
    back = load_classes(path)
    assert (back.names, back.kinds) == (network.names, network.kinds)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(back.probabilities(x), network.probabilities(x), atol=0.01, rtol=0.05)
    path.write_bytes(path.read_bytes()[:-99])
    with pytest.raises(WeightsError, match="cannot be read"):
        load_classes(path)
    with pytest.raises(WeightsError, match="image classifier"):
        load_classes(Path("assets/weights/words.safetensors"))


def test_published_weights_are_brought_over_with_their_normalisation() -> None:
    network, state = small(), {}
    g = torch.Generator().manual_seed(2)

    def layer(conv: str, norm: str, weight: torch.Tensor) -> None:
        outputs = len(weight)
        state[f"{conv}.weight"] = torch.randn(weight.shape, generator=g)
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{norm}.{name}"] = torch.rand(outputs, generator=g) + 0.5

    layer("_conv_stem", "_bn0", network.stem.weight)
    layer("_conv_head", "_bn1", network.top.weight)
    for n, block in enumerate(network.blocks):
        if block.expand is not None:
            layer(f"_blocks.{n}._expand_conv", f"_blocks.{n}._bn0", block.expand.weight)
        layer(f"_blocks.{n}._depthwise_conv", f"_blocks.{n}._bn1", block.depthwise.weight)
        layer(f"_blocks.{n}._project_conv", f"_blocks.{n}._bn2", block.project.weight)
    state["_fc.weight"], state["_fc.bias"] = torch.randn(5, 1280, generator=g), torch.randn(5, generator=g)
    tensors = convert(state)
    network.load_state_dict(tensors)
    x = torch.randn(2, 3, 8, 8)
    norm = {k: state[f"_bn0.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
    raw = F.conv2d(F.pad(x, (0, 1, 0, 1)), state["_conv_stem.weight"], None, 2)
    mean, var = norm["running_mean"], norm["running_var"]
    wanted = F.batch_norm(raw, mean, var, norm["weight"], norm["bias"], eps=1e-3)
    torch.testing.assert_close(network.stem(x), wanted, atol=1e-4, rtol=1e-4)


def test_kinds_climb_from_the_sense_that_is_meant() -> None:
    senses = {
        "1": Sense(("crane",), "a bird", 5, ("3",)),
        "2": Sense(("crane", "derrick"), "a machine", 6, ("4",)),
        "3": Sense(("bird",), "", 5, ()),
        "4": Sense(("machine", "device", "Machine"), "", 6, ()),
    }
    index = {"crane": ["1", "2"], "derrick": ["2"]}
    assert kinds_of("crane, derrick", index, senses) == ("crane", "derrick", "machine")
    assert kinds_of("crane", index, senses) == ("crane", "bird")
    assert kinds_of("unheard of", index, senses) == ()


def test_the_network_that_comes_along_knows_a_sofa() -> None:
    network = load_classes(classes_path())
    assert len(network.names) == 1000
    photo = sorted(Path("assets/demo/images").glob("*.jpg"))[20]
    logits = finish(network.slices(np.asarray(Image.open(photo))))
    sofa = network.names.index("studio couch, day bed")
    assert int((logits.argmax(axis=2) == sofa).sum()) > 20
    assert {"sofa", "furniture"} <= set(network.kinds[sofa])
