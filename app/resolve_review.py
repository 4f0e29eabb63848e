"""What is seen of a review, and what can be done, from the state alone."""

from __future__ import annotations

from dataclasses import replace

from app.resolve_annotate import labels_over
from app.resolve_repository import here
from app.review_view import ReviewView
from app.state import AppState
from app.view_state import LabelsOver


def review_view(state: AppState) -> ReviewView:
    """The panel."""
    a, r = state.annotate, state.review
    views = (None, None) if r.looked is None else r.looked.views
    first, second = (None if v is None else state.photos.get(v) or state.thumbnails.get(v) for v in views)
    if a.marks is None:
        obstacle = "Nothing is annotated yet: press F4, and name a class to begin with."
    else:
        obstacle = ""
    return ReviewView(r, a.review, a.marks, state.scene, a.photos, (first, second), obstacle, a.writable)


def reviewed(state: AppState) -> LabelsOver:
    """What lies over scene and photos: how two annotators differ, while that is looked at, and the place that is."""
    over, r = labels_over(state), state.review
    if not r.open or over.marks is None:
        return over
    comparing = r.page == "compare" and r.marks is not None and r.marks.version == over.marks.version
    marks = r.marks if comparing else over.marks
    lit = over.lit if over.lit is not None or r.looked is None else r.looked.lit
    return over if marks is over.marks and lit is over.lit else replace(over, marks=marks, lit=lit)


def review_actions(state: AppState) -> frozenset[str]:
    """Names of what can be done now."""
    a = state.annotate
    if a.marks is None:
        return frozenset()
    enabled = {"annotate_review", "review_compare"}
    if not a.problem:
        enabled |= {"review_unlabelled", "review_conflicts"}
    if a.photos:
        enabled.add("review_photo")
    known = a.class_in_hand is not None and bool(a.lit is not None or a.marks.counts[a.class_id][0])
    if known and any(s.there and s.key != here(state) for s in state.repository.scenes or ()):
        enabled.add("review_carry")
    return frozenset(enabled)
