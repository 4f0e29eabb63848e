"""Boxes and lines of annotations as segments in the world. Plain data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.api.annotated import Things
from engine.api.annotations import LabelClass, OrientedBox

Float64 = NDArray[np.float64]
Rgb = tuple[int, int, int]
UNKNOWN: Rgb = (178, 178, 178)
# corners of a box by the signs of its axes, x slowest; and which of them its edges join
_SIGNS = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if (_SIGNS[a] != _SIGNS[b]).sum() == 1])


def box_edges_w(box: OrientedBox) -> tuple[Float64, Float64]:
    """Starts and ends (12, 3) of a box's edges."""
    corners = np.array(box.centre_w) + (_SIGNS * box.size_w) @ rotation(box.rotation).T
    return corners[_EDGES[:, 0]], corners[_EDGES[:, 1]]


def rotation(q: tuple[float, float, float, float]) -> Float64:
    """(3, 3) of a unit quaternion (w, x, y, z)."""
    w, x, y, z = q
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def class_rgb(palette: tuple[LabelClass, ...], class_id: int) -> Rgb | None:
    """The colour of things of a class, grey where there is no such class any more; None where they are hidden."""
    found = next((c for c in palette if c.id == class_id), None)
    if found is None:
        return UNKNOWN
    return found.rgb if found.visible else None


def segments_w(things: Things) -> list[tuple[Float64, Float64, Rgb]]:
    """Of each box and polyline that shows: starts and ends (N, 3), and its colour."""
    out: list[tuple[Float64, Float64, Rgb]] = []
    for box in things.boxes:
        if (rgb := class_rgb(things.palette, box.class_id)) is not None:
            out.append((*box_edges_w(box), rgb))
    for line in things.polylines:
        points = np.array([*line.points_w, *(line.points_w[:1] if line.closed else ())])
        if (rgb := class_rgb(things.palette, line.class_id)) is not None and len(points) > 1:
            out.append((points[:-1], points[1:], rgb))
    return out
