"""A process among others, by Lightning Fabric: gloo between CPUs, NCCL between GPUs.

Gradients are added once a step, in one piece. DistributedDataParallel would add them while the backward pass runs, but
it must see the forward pass of a whole module, and here both run in pieces (``engine.training.cut``). The networks have
one to two million parameters, so there is nothing to hide: 7 MB a step.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch import distributed as dist

from engine.api.errors import ResourceError
from engine.training.share import Share

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PATIENCE = timedelta(minutes=3)
"""How long a process waits for another in the midst of a training: the first one measures and writes meanwhile."""
PREPARATION = timedelta(hours=6)
"""The same before the first step: one machine may take longer to encode the photos than another."""


class FabricShare(Share):
    """See ``Share``.

    Args:
        fabric: launched.
    """

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self.rank, self.size = fabric.global_rank, fabric.world_size
        self._group: dist.ProcessGroup | None = None

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._fabric.device

    def add(self, tensors: Iterable[Tensor]) -> None:
        """As ``Share.add``; the tensors are of one device and type."""
        found = list(tensors)
        flat = torch.cat([t.reshape(-1) for t in found])
        with _told():
            self._fabric.strategy.all_reduce(flat, group=self._together(), reduce_op="sum")
        for tensor, part in zip(found, flat.split([t.numel() for t in found]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """As ``Share.follow``."""
        with _told():
            for tensor in tensors:
                dist.broadcast(tensor, src=0, group=self._together())

    def _together(self) -> dist.ProcessGroup:
        """The processes, once all of them are ready to train; from then on patience is short."""
        if self._group is None:
            self._fabric.barrier()
            self._group = dist.new_group(timeout=PATIENCE)
        return self._group


def join(name: str, devices: int, nodes: int) -> FabricShare:
    """Find the other processes; the launcher's environment variables say where they are.

    Args:
        name: ``auto``, ``cpu`` or ``cuda``.
        devices: processes on each machine, a device each.
        nodes: machines.

    Raises:
        ResourceError: Fabric is not installed, there are not so many devices, or the others cannot be reached.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import DDPStrategy
    except ImportError as e:
        mend = 'pip install "condense-studio[distributed]"'
        raise ResourceError("training on several devices needs Lightning Fabric", found=str(e), mend=mend) from e
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    kind = accelerator(name, devices)
    strategy = DDPStrategy(process_group_backend="gloo" if kind == "cpu" else "nccl", timeout=PREPARATION)
    with _told():
        fabric = Fabric(accelerator=kind, devices=devices, num_nodes=nodes, strategy=strategy)
        fabric.launch()
    return FabricShare(fabric)


def accelerator(name: str, devices: int) -> str:
    """``cpu`` or ``cuda``, for so many processes on this machine.

    Raises:
        ResourceError: there are not so many GPUs, or the device is another.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if gpus else "cpu"
    if name not in ("cpu", "cuda"):
        raise ResourceError("is no kind of device", found=f"--device {name}", expected="auto, cpu or cuda")
    if name == "cuda" and gpus < devices:
        mend = f"give --devices {gpus}, or --device cpu" if gpus else "give --device cpu"
        raise ResourceError("there are not so many GPUs", found=str(gpus), expected=f"--devices {devices}", mend=mend)
    return name


@contextmanager
def _told() -> Iterator[None]:
    """Errors of the connection as ones that the user can act on."""
    try:
        yield
    except (RuntimeError, ValueError) as e:
        raise ResourceError(
            "another process of this training is gone, or has been silent for too long",
            found=str(e).strip().splitlines()[0][:200] if str(e).strip() else type(e).__name__,
            mend="the checkpoint is whole: give the same command with --resume, with as many devices as there are now",
        ) from e
