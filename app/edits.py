"""What the user has set on the open capture: undo goes back to it, a session file keeps it. Plain data."""

from __future__ import annotations

from dataclasses import dataclass, fields

from app.bookmarks import Bookmark
from app.clip import WHOLE, Clip
from app.prompt_state import Prompt
from app.ruler import NONE, Ruler
from app.state import AppState, Colouring, KeypointColouring, Layer, PanelMode, Sort
from engine.api.requests import PixelSource, PointSource

Pos = tuple[float, float, float]


@dataclass(frozen=True)
class Edits:
    """Fields of the state of the same names, but for ``match`` and ``match_pos_w``, what was clicked and where it lies
    in the scene, and ``layers``, which are pairs of name and layer."""

    match: PixelSource | PointSource | None = None
    match_pos_w: Pos | None = None
    prompts: tuple[Prompt, ...] = ()
    layers: tuple[tuple[str, Layer], ...] = ()
    colouring: Colouring = "colour"
    threshold: float = 0.4
    cutaway: bool = True
    clip: Clip = WHOLE
    ruler: Ruler = NONE
    panel_mode: PanelMode = "photo"
    sort: Sort = "index"
    keypoint_count: int = 1024
    keypoint_colouring: KeypointColouring = "score"
    bookmarks: tuple[Bookmark, ...] = ()


PLAIN = tuple(f.name for f in fields(Edits) if f.name not in ("match", "match_pos_w", "layers"))


def edits_of(state: AppState) -> Edits:
    """What is set now."""
    query = state.query
    return Edits(
        match=None if query is None else query.source,
        match_pos_w=None if query is None else query.pos_w,
        layers=tuple(state.layers.items()),
        **{name: getattr(state, name) for name in PLAIN},
    )


def changed(a: Edits, b: Edits) -> tuple[str, ...]:
    """Names of the fields in which two differ. Where a click lies in the scene follows from the click."""
    return tuple(f.name for f in fields(Edits) if f.name != "match_pos_w" and getattr(a, f.name) != getattr(b, f.name))
