"""What the window shows of annotations, and what can be done, from the state alone."""

from __future__ import annotations

from app.annotate_state import OUTLINES, AnnotateState, Tool
from app.state import AppState
from app.view_state import AnnotateView, LabelsOver
from engine.api.annotating import PrepareAnnotating

HINTS: dict[Tool, str] = {
    "select": "Click a thing in the scene or in a photo",
    "brush": "Paint over the scene, or in a large photo",
    "lasso": "Draw around",
    "box": "Drag a rectangle around",
    "fill": "Click what is to be filled; Ctrl-click erases it",
    "polyline": "Click point after point; Shift-click does not snap to keypoints",
    "landmark": "Click a place; it snaps to a keypoint nearby",
    "note": "Click a place to write a note there",
}
TOOLS = tuple(f"annotate_{tool}" for tool in HINTS)


def labels_over(state: AppState) -> LabelsOver:
    """What lies over scene and photos."""
    a, volume = state.annotate, state.volume
    current = a.marks is not None and volume is not None and a.marks.version == volume.version
    layer = state.layers["labels"]
    if not current:
        return LabelsOver(volume, None, None, layer, {})
    return LabelsOver(volume, a.marks, a.lit, layer, a.photos, a.drawn)


def annotate_view(state: AppState) -> AnnotateView:
    """The panel and the bar."""
    a = state.annotate
    job = next((j for j in state.jobs if j.live and j.title == PrepareAnnotating.title), None)
    share = "" if job is None or not job.total else f" {job.done / job.total:.0%}"
    preparing = "" if job is None else f"{job.note or 'preparing'}{share}…"
    obstacle = _obstacle(state)
    return AnnotateView(a, not obstacle, obstacle, _hint(state), preparing)


def _obstacle(state: AppState) -> str:
    if state.scene is None:
        return "Open a capture first."
    if not state.scene.views:
        return "Labels are kept on voxels, which are fitted to photos; this capture has none."
    if state.volume is None or state.voxel_features is None:
        return "Wait until the scene is fitted and its photos are encoded."
    return ""


def _hint(state: AppState) -> str:
    """What the tool in hand, or what is lit, can be done with now."""
    a = state.annotate
    named = "" if a.given is None else f" as {a.given.name}"
    if a.offer is not None and a.offer.left:
        place = a.offer.total - len(a.offer.left) + 1
        score = a.offer.left[0].score
        which = f"{a.offer.title}: {place} of {a.offer.total}{f', {score:.2f}' if score < 1 else ''}"
        return f"{which} · Enter labels it{named} · Backspace refuses it"
    if a.waiting and a.selection is None:
        return "Looking for what is meant…"
    if a.selection is not None:
        count = f"{len(a.selection.rows):,} voxels"
        wheel = " · wheel: more or less" if a.selection.score is not None else ""
        return f"{count} · Enter labels them{named}{wheel} · Shift adds, Ctrl takes away · Delete erases"
    if a.tool is None:
        return ""
    if a.draft:
        count = "1 point" if len(a.draft) == 1 else f"{len(a.draft)} points"
        return (
            f"{count} · Enter or double-click ends the line · Backspace takes the last back · the first one closes it"
        )
    if a.tool in OUTLINES:
        depths = "all that is there (Shift+D: what shows)" if a.through else "what shows (Shift+D: all depths)"
        return f"{HINTS[a.tool]} {depths} · Shift selects, Ctrl erases · Esc cancels"
    return HINTS[a.tool] + (" · Shift selects, Ctrl erases · + − size" if a.tool == "brush" else "")


def annotate_actions(state: AppState) -> tuple[frozenset[str], frozenset[str]]:
    """Names of what can be done, and of what is ticked."""
    a = state.annotate
    enabled = {"annotate"}
    ready = not _obstacle(state)
    if ready:
        enabled |= {"annotate_class", "annotate_words", "classes_import", "annotations_import", *_tools(a)}
    if a.marks is not None:
        enabled |= {"labels"}
        if a.marks.things.palette:
            enabled |= {"classes_export"}
        if not a.marks.empty:
            enabled |= {"annotations_export"}
        if a.lit is not None or (a.class_in_hand is not None and a.marks.counts[a.class_id][0]):
            enabled |= {"annotate_alike"}
    if a.lit is not None:
        enabled |= {"annotate_label", "annotate_box_around"}
        if a.offer is None:
            enabled |= {"annotate_grow", "annotate_shrink", "annotate_erase"}
    checked = {f"annotate_{a.tool}"} if a.tool is not None else set[str]()
    return frozenset(enabled), frozenset(checked | ({"annotate_through"} if a.through else set()))


def _tools(a: AnnotateState) -> tuple[str, ...]:
    return (*TOOLS, "annotate_through") if not a.problem else ("annotate_select",)
