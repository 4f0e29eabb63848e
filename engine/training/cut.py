"""A backward pass in pieces, so that training gives way to a click between them.

``loss.backward()`` is one long call. Cut the forward pass with ``Cuts`` at places where a single tensor passes, and
each piece between two cuts has a backward pass of its own; run last to first they give the same gradients.
"""

from __future__ import annotations

from torch import Tensor

from engine.api.jobs import Job, Progress


class Cuts:
    """Where a computation was cut. One use: forward with cuts, then ``backward``."""

    def __init__(self) -> None:
        self._cuts: list[tuple[Tensor, Tensor]] = []

    def __call__(self, x: Tensor) -> Tensor:
        """``x`` with a cut before what follows. A piece must have no other output that is cut."""
        if not x.requires_grad:
            return x
        inner = x.detach().requires_grad_()
        self._cuts.append((x, inner))
        return inner

    def backward(self, loss: Tensor) -> Job[None]:
        """Add the gradients of ``loss`` to the leaves', piece by piece."""
        loss.backward()
        yield Progress(0, 0, "pieces")
        while self._cuts:
            x, inner = self._cuts.pop()
            if inner.grad is not None:
                x.backward(inner.grad)
            del x, inner
            yield Progress(0, 0, "pieces")
