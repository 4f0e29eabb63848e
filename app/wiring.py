"""Which signal of the window's parts goes where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.clip import Clip

if TYPE_CHECKING:
    from app.window import Window


def wire(window: Window) -> None:
    """Connect canvas, panels and controller."""
    c, canvas = window.controller, window.canvas
    canvas.point_clicked.connect(window.annotate.point_clicked)
    canvas.pixel_clicked.connect(window.annotate.pixel_clicked)
    canvas.view_clicked.connect(c.look_through)
    canvas.left_view.connect(c.leave_view)
    canvas.point_hovered.connect(window.hover.point)
    canvas.pixel_hovered.connect(window.hover.pixel)
    canvas.hover_ended.connect(window.hover.end)
    window.images.grid.pixel_clicked.connect(window.annotate.grid_clicked)
    window.images.pane.pixel_clicked.connect(window.annotate.pane_clicked)
    for source in (window.images.grid, window.images.pane):
        source.pixel_hovered.connect(window.hover.pixel)
        source.hover_ended.connect(window.hover.end)
    window.images.grid.in_sight.connect(c.want_thumbnails)
    window.images.grid.opened.connect(window.open_large)
    window.images.pane.closed.connect(lambda: c.set_single(False))
    window.images.mode_chosen.connect(window.choose_mode)
    window.images.sort_toggled.connect(lambda: window.trigger("sort"))
    window.images.single_toggled.connect(lambda: window.trigger("single"))
    window.layers.visible_toggled.connect(c.toggle_layer)
    window.layers.opacity_moved.connect(window.set_opacity)
    window.layers.colouring_chosen.connect(window.choose_colouring)
    window.layers.threshold_moved.connect(c.set_threshold)
    window.layers.clip.toggled.connect(lambda: window.trigger("clip"))
    window.layers.clip.moved.connect(window.marks.move_clip)
    window.layers.clip.reset.connect(lambda: c.set(clip=Clip(on=True)))
    window.layers.cutaway_toggled.connect(lambda: window.trigger("cutaway"))
    window.layers.keypoint_count_moved.connect(c.keypoints.show_best)
    window.layers.keypoint_colouring_chosen.connect(c.keypoints.colour_by)
    window.jobs.cancelled.connect(c.jobs.cancel)
    window.training.asked.connect(window.trigger)
    window.training.steps_chosen.connect(c.training.choose_steps)
    window.training.afresh_chosen.connect(c.training.choose_afresh)
    window.matches.view_chosen.connect(c.select)
    window.matches.view_opened.connect(c.look_through)
    for at_work in (window.ask_bar.typed, window.ask_bar.entered, window.ask_bar.threshold_moved, canvas.moved):
        at_work.connect(window.bridge.give_way)
    canvas.measured.connect(window.marks.lengthen_ruler)
    window.ruler_bar.shortened.connect(window.marks.shorten_ruler)
    window.ruler_bar.calibrated.connect(window.marks.calibrate_ruler)
    window.ruler_bar.ended.connect(window.marks.toggle_ruler)
    window.ask_bar.begun.connect(c.prompts.ready)
    window.ask_bar.typed.connect(c.prompts.type)
    window.ask_bar.entered.connect(c.prompts.enter)
    window.ask_bar.removed.connect(c.prompts.remove)
    window.ask_bar.threshold_moved.connect(c.prompts.set_threshold)
    window.ask_bar.softness_moved.connect(c.prompts.set_softness)
    window.found.region_chosen.connect(window.show_region)
    window.found.like_asked.connect(c.prompts.look_like)
    window.repository.wire()
    window.annotate.wire()
    window.review.wire()
    window.tasks.wire()
    window.banner.dismissed.connect(lambda: c.set(banner=None))
    window.empty.open_asked.connect(window.dialogs.open_capture)
    window.empty.demo_asked.connect(window.open_demo)
    window.empty.recent_chosen.connect(c.open)
