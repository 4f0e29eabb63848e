"""What is seen of tasks, from the state alone."""

from __future__ import annotations

from dataclasses import replace

from app.resolve_annotate import annotate_view
from app.state import AppState
from app.task_view import TasksView
from app.view_state import LabelsOver


def tasks_view(state: AppState) -> TasksView:
    t = state.tasks
    live = t.learnt is not None and t.learnt.live
    return TasksView(
        state=t,
        job=next((j for j in state.jobs if live and t.learnt is not None and j.id == t.learnt.job_id), None),
        naming=next((j for j in state.jobs if t.naming and j.id == t.naming), None),
        enabled=task_actions(state),
        obstacle=_obstacle(state),
    )


def task_actions(state: AppState) -> frozenset[str]:
    """Names of what can be done with tasks now."""
    t = state.tasks
    enabled = {"tasks", "task_data", "task_load"}
    if t.learnt is not None and t.learnt.live:
        enabled.add("task_stop")
    elif t.setup.data:
        enabled.add("task_run")
    if t.head is not None:
        enabled.add("task_save")
    if not _obstacle(state):
        enabled.add("task_name")
    if t.named is not None and annotate_view(state).ready:
        enabled.add("task_keep")
    return frozenset(enabled)


def named_over(state: AppState, labels: LabelsOver) -> LabelsOver:
    """What lies over scene and photos: what the head says, if it is there and to be seen, else the labels."""
    t, volume = state.tasks, state.volume
    if t.over is None or not t.shown or state.annotate.tool is not None:
        return labels
    if volume is None or t.over.version != volume.version:
        return labels
    photos = state.annotate.photos
    current = all(p.version == t.over.version for p in photos.values())
    return replace(labels, marks=t.over, photos=photos if current else labels.photos)


def _obstacle(state: AppState) -> str:
    t = state.tasks
    if t.head is None:
        return "Learn from labelled scans, or load a saved head."
    if t.head.kind != "segment":
        return "This head names whole objects. One that was learnt from labelled scans names every voxel."
    if state.scene is None:
        return "Open a capture, and this head says what each voxel of it is."
    if not state.scene.views:
        return "Voxels are fitted to photos; this capture has none."
    if state.volume is None or any(j.live and not j.outlives for j in state.jobs):
        return "Wait until the scene is fitted and other work on it is done."
    return ""
