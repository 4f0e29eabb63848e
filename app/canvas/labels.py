"""Brings labels, selection, boxes and landmarks onto a renderer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.canvas.renderer import Renderer
from app.canvas.visuals.markers import Mark
from app.view_state import CanvasView, LabelsOver
from engine.api.annotated import Things
from engine.api.annotations import LabelClass, OrientedBox

Float64 = NDArray[np.float64]
BOX_PX, LANDMARK_PX = 2.0, 11.0
UNKNOWN = (0.7, 0.7, 0.7, 1.0)
# corners of a box by the signs of its axes, x slowest; and which of them its edges join
_SIGNS = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if (_SIGNS[a] != _SIGNS[b]).sum() == 1])


def present_labels(r: Renderer, was: LabelsOver | None, new: CanvasView) -> None:
    """Touch only what differs from ``was``."""
    over = new.labels
    if over.marks is None or over.volume is None:
        if was is None or was.marks is not None:
            r.labels.clear()
            r.things.set_data([], [], (0, 0, 0, 0))
            r.landmarks.set_data([])
        return
    if was is None or was.marks is not over.marks or was.lit is not over.lit or was.volume is not over.volume:
        colours = over.marks.colours[:-1]
        nothing = over.lit is None and not over.marks.labelled
        if nothing:
            r.labels.clear()  # a frame costs less without it
        else:
            selected = np.zeros(len(colours), np.uint8) if over.lit is None else over.lit.mask[:-1]
            r.labels.set(over.volume, colours, selected)
    shown = over.layer.opacity if over.layer.visible else 0.0
    r.labels.set_style(opacity=shown * new.volume.layer.opacity, accent=r.look.accent)
    if was is None or was.marks is None or was.marks.things != over.marks.things or was.layer != over.layer:
        _things(r, over.marks.things if over.layer.visible else Things())


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


def class_rgba(palette: tuple[LabelClass, ...], class_id: int) -> tuple[float, float, float, float] | None:
    """The colour of things of a class; None where they are hidden."""
    found = next((c for c in palette if c.id == class_id), None)
    if found is None:
        return UNKNOWN
    red, green, blue = (v / 255 for v in found.rgb)
    return (red, green, blue, 1.0) if found.visible else None


def _things(r: Renderer, things: Things) -> None:
    start: list[Float64] = []
    end: list[Float64] = []
    rgba: list[tuple[float, float, float, float]] = []
    for box in things.boxes:
        colour = class_rgba(things.palette, box.class_id)
        if colour is not None:
            a, b = box_edges_w(box)
            start.append(a)
            end.append(b)
            rgba += [colour] * len(a)
    for line in things.polylines:
        colour = class_rgba(things.palette, line.class_id)
        points = np.array([*line.points_w, *(line.points_w[:1] if line.closed else ())])
        if colour is not None and len(points) > 1:
            start.append(points[:-1])
            end.append(points[1:])
            rgba += [colour] * (len(points) - 1)
    if rgba:
        r.things.set_data(np.concatenate(start), np.concatenate(end), rgba, BOX_PX)
    else:
        r.things.set_data([], [], (0, 0, 0, 0))
    coloured = [(m, class_rgba(things.palette, m.class_id)) for m in things.landmarks]
    marks = [Mark(m.pos_w, colour, LANDMARK_PX, True) for m, colour in coloured if colour is not None]
    notes = [Mark(n.pos_w, UNKNOWN, LANDMARK_PX, False) for n in things.notes if n.pos_w is not None]
    r.landmarks.set_data(marks + notes)
