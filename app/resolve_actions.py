"""What can be done now, from the state alone."""

from __future__ import annotations

from app.resolve_annotate import annotate_actions
from app.resolve_repository import repository_actions
from app.resolve_review import review_actions
from app.resolve_tasks import task_actions
from app.state import AppState, Colouring
from app.stepping import step_back
from app.training_state import TRAINED
from app.view_state import ActionsView
from engine.api.requests import FitGrid


def obstacle(state: AppState) -> str:
    """What stands in the way of a training, as an instruction; "" when nothing does."""
    if state.scene is None:
        return "Open a capture first."
    if not state.scene.views:
        return "This capture has no photos to learn from."
    if any(j.live and j.title == FitGrid.title for j in state.jobs):
        return "Wait until the scene is fitted."
    if state.volume is None:
        return "Fit the scene first."
    return ""


def training_actions(state: AppState) -> frozenset[str]:
    t = state.training
    if t is not None and t.live:
        return frozenset({"train_pause", "train_stop"})
    enabled: set[str] = set() if obstacle(state) else {"train"}
    if state.scene is not None and state.scene.views:
        enabled |= {"load_weights", "built_in_weights"}
        if state.weights is not None:
            used = state.weights_used and state.encoder == TRAINED + state.weights.folder
            enabled |= {"save_weights"} if used else {"save_weights", "use_weights"}
    return frozenset(enabled)


def actions(state: AppState, colouring: Colouring) -> ActionsView:
    enabled = {
        "open",
        "open_file",
        "open_demo",
        "theme",
        "shortcuts",
        "commands",
        "quit",
        "fullscreen",
        "panels",
        "training",
        "open_session",
    }
    enabled |= training_actions(state) | repository_actions(state) | review_actions(state) | task_actions(state)
    enabled |= {name for name, count in (("undo", state.undoable), ("redo", state.redoable)) if count}
    if state.tasks.over is not None:
        enabled.add("labels")
    annotating, checked_tools = annotate_actions(state)
    enabled |= annotating
    checked: set[str] = set(checked_tools)
    if state.scene is not None:
        enabled |= {
            "home",
            "top",
            "front",
            "side",
            "fly",
            "cutaway",
            "clip",
            "ruler",
            "screenshot",
            "points",
            "grid",
            "close_capture",
            "ask",
            "look_for",
            "bookmark",
        }
        enabled |= {"copy_camera", "paste_camera", "save_session"}
        if not state.scene.views:
            enabled.add("photograph")
        if state.scene.views:
            enabled |= {"next_view", "previous_view", "single", "look_through", "frusta", "matches", "fit", "encode"}
            enabled |= {"refit", "mode_photo", "mode_features", "mode_heat", "sort"}
    if state.volume is not None:
        enabled |= {"volume", "colour", "heat", "prompts"}
        if state.voxel_features is not None:
            enabled |= {
                "features",
                "spread",
                "keypoints",
                "mode_scene",
                "mode_agreement",
                "save_agreement",
                "keep_features",
            }
    if state.prompts or state.draft:
        enabled.add("clear_prompts")
    if state.prompted is not None and any(f.regions for f in state.prompted.reply.found):
        enabled.add("ask_like")
    if state.ruler.on and state.ruler.points_w:
        enabled.add("ruler_back")
    if len(state.bookmarks) > 1:
        enabled.add("flight")
    if state.keypoints is not None:
        enabled.add("save_keypoints")
    if step_back(state):
        enabled.add("clear")
    if any(j.live for j in state.jobs):
        enabled.add("cancel_jobs")
    if state.through is not None or state.placed is not None:
        enabled.add("photo")
    checked |= {name for name, layer in state.layers.items() if layer.visible}
    checked |= {colouring, f"mode_{state.panel_mode}"}
    for name, on in (
        ("fly", state.fly), ("cutaway", state.cutaway), ("single", state.single),
        ("clip", state.clip.on), ("keep_features", state.kept_features is not None), ("ruler", state.ruler.on),
        ("train_pause", state.training is not None and state.training.paused),
        ("look_through", state.through is not None), ("sort", state.sort == "score"),
    ):  # fmt: skip
        if on:
            checked.add(name)
    return ActionsView(frozenset(enabled), frozenset(checked))
