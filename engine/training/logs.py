"""A training's curves, for TensorBoard and other readers of its event files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from tensorboardX import SummaryWriter

from engine.api.errors import CacheError
from engine.training.trainer import StepReport


class TrainLog:
    """Writes losses and measures into ``folder``; a context manager.

    Raises:
        CacheError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = SummaryWriter(str(folder))
        except OSError as e:
            raise CacheError("cannot be written", path=folder, found=str(e), mend="choose another --out") from e

    def __enter__(self) -> TrainLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def step(self, report: StepReport) -> None:
        """The losses of a step."""
        for name, value in report.curves().items():
            self._writer.add_scalar(f"loss/{name}", value, report.step)

    def measures(self, step: int, measures: Mapping[str, Any]) -> None:
        """What was measured after a step."""
        for name, value in measures.items():
            self._writer.add_scalar(f"consistency/{name}", value, step)
