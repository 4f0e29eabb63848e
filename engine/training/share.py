"""How the processes of one training divide its work: each takes some draws of every step, and gradients are added.

The random numbers of a draw come from the seed, the step and the draw's place in the batch, never from the process that
makes it; so any number of processes trains on the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


class Share:
    """One process's part; this one is alone, and ``engine.training.fabric`` has others.

    Attributes:
        rank: place of the process, from 0; the first one logs and writes.
        size: how many there are.
    """

    rank = 0
    size = 1

    def draws(self, batch: int) -> range:
        """Places in a batch that are this process's to draw."""
        return range(self.rank, batch, self.size)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Make each tensor the sum over all processes, in place.

        Raises:
            ResourceError: another process is gone, or has been silent for too long.
        """

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Take over the first process's values, in place.

        Raises:
            ResourceError: as ``add``.
        """


ALONE = Share()
