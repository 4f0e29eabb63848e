"""The ruler: lengths between points that were clicked. Knows no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

Pos = tuple[float, float, float]
MOST = 200


@dataclass(frozen=True)
class Ruler:
    """A line through points of the scene.

    Attributes:
        on: clicks lay down points, rather than asking where else something is.
        points_w: world units.
        scale: of a world unit in ``unit``, once a true length was given.
        unit: what lengths are told in; "": the capture's own.
    """

    on: bool = False
    points_w: tuple[Pos, ...] = ()
    scale: float = 1.0
    unit: str = ""

    def with_point(self, pos_w: Pos) -> Ruler:
        return replace(self, points_w=(*self.points_w, pos_w)[:MOST])

    def without_last(self) -> Ruler:
        return replace(self, points_w=self.points_w[:-1])

    @property
    def lengths(self) -> tuple[float, ...]:
        """Of each stretch."""
        pairs = zip(self.points_w, self.points_w[1:], strict=False)
        return tuple(self.scale * math.dist(a, b) for a, b in pairs)

    def calibrated(self, true: float, unit: str) -> Ruler:
        """With the last stretch so long in truth; itself where that cannot be."""
        last = self.lengths[-1] if self.lengths else 0.0
        if last <= 0 or not math.isfinite(true) or true <= 0:
            return self
        return replace(self, scale=self.scale * true / last, unit=unit)

    def text(self) -> str:
        """What is told of it."""
        if not self.points_w:
            return "Click two points of the scene to measure between them."
        if len(self.points_w) == 1:
            return "Click the next point."
        unit = self.unit or "units"
        each, total = self.lengths, sum(self.lengths)
        if len(each) == 1:
            return f"{_number(total)} {unit}"
        return f"{' + '.join(_number(x) for x in each)} = {_number(total)} {unit}"


def _number(x: float) -> str:
    """Three digits or so, without an exponent where that reads well."""
    return f"{x:.3g}" if 1e-3 <= x < 1e3 or x == 0 else f"{x:.4g}"


NONE = Ruler()
