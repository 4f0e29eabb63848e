"""Brings labels, selection, boxes and landmarks onto a renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from app.boxes import UNKNOWN, Rgb, class_rgb, segments_w
from app.canvas.renderer import Renderer
from app.canvas.visuals.markers import Mark
from app.canvas.visuals.segments import SegmentsVisual
from app.view_state import CanvasView, LabelsOver
from engine.api.annotated import Things

BOX_PX, LINE_PX, LANDMARK_PX, POINT_PX = 2.0, 3.0, 11.0, 6.0


def present_labels(r: Renderer, was: LabelsOver | None, new: CanvasView) -> None:
    """Touch only what differs from ``was``."""
    over = new.labels
    if over.marks is None or over.volume is None:
        if was is None or was.marks is not None:
            r.labels.clear()
            r.things.set_data([], [], (0, 0, 0, 0))
            r.traces.set_data([], [], (0, 0, 0, 0))
            for marks in (r.landmarks, r.corners):
                marks.set_data([])
        return
    if was is None or was.marks is not over.marks or was.lit is not over.lit or was.volume is not over.volume:
        colours = over.marks.colours[:-1]
        selected = np.zeros(len(colours), np.uint8) if over.lit is None else over.lit.mask[:-1]
        r.labels.set(over.volume, colours, selected)
        r.labels.nothing = over.lit is None and not over.marks.labelled
    shown = over.layer.opacity if over.layer.visible else 0.0
    r.labels.set_style(opacity=shown * new.volume.layer.opacity, accent=r.look.accent)
    others = was is None or was.marks is None or was.marks.things != over.marks.things or was.layer != over.layer
    if others:
        _things(r, over.marks.things if over.layer.visible else Things())
    if others or was is None or was.draft != over.draft:
        _lines(r, over, over.marks.things)


def _lines(r: Renderer, over: LabelsOver, things: Things) -> None:
    """Lines and their points, and the one that is being drawn."""
    lines = (*(things.polylines if over.layer.visible else ()), *(() if over.draft is None else (over.draft,)))
    _segments(r.traces, Things(palette=things.palette, polylines=lines), LINE_PX)
    marks: list[Mark] = []
    for line in lines:
        size = LANDMARK_PX if line is over.draft else POINT_PX
        if (rgb := class_rgb(things.palette, line.class_id)) is not None:
            marks += [Mark(pos_w, _rgba(rgb), size, True) for pos_w in line.points_w]
    r.corners.set_data(marks)


def _segments(visual: SegmentsVisual, things: Things, width: float) -> None:
    found = segments_w(things)
    if found:
        rgba = [_rgba(rgb) for start, _, rgb in found for _ in start]
        start_w, end_w = (np.concatenate([part[n] for part in found]) for n in (0, 1))
        visual.set_data(start_w, end_w, rgba, width)
    else:
        visual.set_data([], [], (0, 0, 0, 0))


def _things(r: Renderer, things: Things) -> None:
    _segments(r.things, replace(things, polylines=()), BOX_PX)
    marks: list[Mark] = []
    for landmark in things.landmarks:
        if (rgb := class_rgb(things.palette, landmark.class_id)) is not None:
            marks.append(Mark(landmark.pos_w, _rgba(rgb), LANDMARK_PX, True))
    marks += [Mark(n.pos_w, _rgba(UNKNOWN), LANDMARK_PX, False) for n in things.notes if n.pos_w is not None]
    r.landmarks.set_data(marks)


def _rgba(rgb: Rgb) -> tuple[float, float, float, float]:
    return rgb[0] / 255, rgb[1] / 255, rgb[2] / 255, 1.0
