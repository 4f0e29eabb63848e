"""Where the engine runs: device, threads, seeds, shipped assets."""

from __future__ import annotations

import importlib.resources
import os
import random
from pathlib import Path
from typing import TypeVar

import numba
import numpy as np
import torch

from engine.api.errors import ResourceError
from engine.api.jobs import Job

T = TypeVar("T")


def asset_path(name: str) -> Path:
    """The path of a shipped file in ``assets/``; whether it exists is the caller's to ask."""
    return Path(str(importlib.resources.files("assets") / name))


def resolve_device(name: str = "auto") -> torch.device:
    """``auto``: CUDA if there is one, else the CPU; any name torch knows otherwise.

    Raises:
        ResourceError: the device asked for is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as e:
        raise ResourceError(
            f"device '{name}' cannot be used", found=str(e).splitlines()[0], mend="use --device auto"
        ) from e
    return device


def set_threads(count: int | None = None) -> int:
    """Set numba's and torch's thread counts (None: all cores this process may use) and return the count.

    Unless a count is given torch gets one fewer: its OpenMP barriers wait for the slowest thread, so with anything else
    running a convolution on all of two cores took 23 times as long as on one (1,600 ms for 70 ms a photo).
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch_count = count or max(1, available - 1)
    count = max(1, min(count or available, available))
    torch.set_num_threads(min(torch_count, available))
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    return count


def seed_all(seed: int) -> None:
    """Seed Python, numpy and torch (every device)."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries still read the global state
    torch.manual_seed(seed)


def without_gradient(job: Job[T]) -> Job[T]:
    """``job``, computed without a graph; the switch is the thread's, so it is back on between slices."""
    while True:
        try:
            with torch.no_grad():
                progress = next(job)
        except StopIteration as stop:
            return stop.value
        yield progress
