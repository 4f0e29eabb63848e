"""What Escape takes back, one step at a time. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.state import AppState


def step_back(s: AppState) -> dict[str, Any]:
    """The fields that change: message, pair of scenes, line that is drawn, suggestions and selection, place that is
    reviewed, tool, ruler, match, photo over the scene, large photo, look through a photo, answer of the repository."""
    if s.banner is not None:
        return {"banner": None}
    if s.repository.pair is not None:
        return {"repository": replace(s.repository, pair=None, aligned=None, aligning=0)}
    if s.annotate.draft:
        return {"annotate": replace(s.annotate, draft=())}
    if s.annotate.offer is not None or s.annotate.selection is not None:
        return {"annotate": replace(s.annotate, offer=None, selection=None, waiting=0)}
    if s.review.looked is not None:
        return {"review": replace(s.review, looked=None)}
    if s.annotate.tool is not None:
        return {"annotate": replace(s.annotate, tool=None)}
    if s.ruler.on:
        return {"ruler": replace(s.ruler, on=False, points_w=())}
    if s.query is not None or s.pinned is not None:
        return {"query": None, "pinned": None, "hover": None, "preview": None}
    if s.placed is not None:
        return {"placed": None}
    if s.single:
        return {"single": False}
    if s.through is not None:
        return {"through": None}
    if s.repository.page != "scenes":
        return {"repository": replace(s.repository, page="scenes")}
    return {}
