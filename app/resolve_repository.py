"""What is seen of the repository, from the state alone."""

from __future__ import annotations

from dataclasses import dataclass

from app.repository_state import Placed, RepositoryState
from app.state import AppState, Job
from engine.api.repository import AddCaptures, FindDuplicates, SceneCard


@dataclass(frozen=True)
class RepositoryView:
    """The panel.

    Attributes:
        state: of the repository.
        here: key of the open capture's scene, if it is there.
        adding: the job that adds captures, while one runs; ``looking``: the one that looks for duplicates.
        usable: whether it can be asked.
        capture: name of the open capture, if it could be added.
        enabled: names of the repository's actions that can be done now.
    """

    state: RepositoryState
    here: str | None
    adding: Job | None
    looking: Job | None
    usable: bool
    capture: str | None
    enabled: frozenset[str]

    def note(self, scene: SceneCard) -> tuple[str, bool]:
        """The line under a scene's name, and whether it is a warning."""
        if not scene.there:
            return "capture is gone", True
        older = [d.a if d.b == scene.key else d.b for d in self.state.decisions
                 if d.decision == "duplicate" and scene.key in (d.a, d.b)]  # fmt: skip
        order = [s.key for s in self.state.scenes or ()]
        for key in older:
            other = self.state.scene(key)
            if other is not None and order.index(key) < order.index(scene.key):
                return f"duplicate of {other.name}", True
        return f"{scene.keypoints} keypoints", False


@dataclass(frozen=True)
class PlacedView:
    """The bar above a photo that lies over the scene; ``opacity`` of the photo."""

    placed: Placed | None
    opacity: float


def here(state: AppState) -> str | None:
    """Key of the open capture's scene in the repository, if it is there."""
    return None if state.scene is None else state.repository.at(state.scene.path)


def repository_view(state: AppState) -> RepositoryView:
    enabled = repository_actions(state)
    addable = state.scene is not None and "repository_add" in enabled
    return RepositoryView(
        state=state.repository,
        here=here(state),
        adding=_live(state, AddCaptures.title),
        looking=_live(state, FindDuplicates.title),
        usable=bool(state.repository.scenes),
        capture=state.scene.name if addable and state.scene is not None else None,
        enabled=enabled,
    )


def placed_view(state: AppState) -> PlacedView:
    layer = state.layers["photo"]
    return PlacedView(state.placed, layer.opacity if layer.visible else 0.0)


def repository_actions(state: AppState) -> frozenset[str]:
    """Names of the repository's actions that can be done now."""
    r = state.repository
    enabled = {"repository", "repository_open", "repository_make"}
    if r.scenes is None:
        return frozenset(enabled)
    if r.writable:
        enabled.add("repository_add_more")
        ready = state.scene is not None and bool(state.scene.views) and here(state) is None
        if ready and not any(j.live and not j.outlives for j in state.jobs):
            enabled.add("repository_add")
        if r.selected is not None:
            enabled.add("repository_remove")
    if r.scenes:
        enabled |= {"repository_photo", "repository_words"}
    if len(r.scenes) > 1:
        enabled.add("repository_duplicates")
        if r.selected is not None or here(state) is not None:
            enabled.add("repository_alike")
    return frozenset(enabled)


def _live(state: AppState, title: str) -> Job | None:
    return next((j for j in state.jobs if j.live and j.title == title), None)
