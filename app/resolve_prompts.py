"""What the window shows of prompts, from the state alone."""

from __future__ import annotations

from app.prompt_state import Prompt, added
from app.state import AppState
from app.view_state import PromptRow, PromptsOver, PromptsView
from engine.api.replies import PromptFound

NAMED = 0.92
"""Cosine from which on a prompt and a name are the same word to the reader."""


def prompts_over(state: AppState) -> PromptsOver:
    """What lies over scene and photos; a match that is shown goes first, and so does annotating."""
    layer = state.layers["prompts"]
    covered = state.pinned is not None or state.preview is not None or state.annotate.tool is not None
    return PromptsOver(None, (), layer) if covered or not layer.visible else prompts_found(state)


def prompts_found(state: AppState) -> PromptsOver:
    """What was found, whether it shows or not."""
    layer, answer = state.layers["prompts"], state.prompted
    if answer is None or state.volume is None or answer.volume is not state.volume:
        return PromptsOver(None, (), layer)
    shown = tuple(p for p in _all(state) if not p.negative and p.text in answer.by_text)
    return PromptsOver(answer, shown, layer)


def prompts_view(state: AppState) -> PromptsView:
    """The bar and the panel."""
    answer = state.prompted
    rows: list[PromptRow] = []
    for p in _all(state):
        found = None if answer is None else answer.by_text.get(p.text)
        current = found is not None and answer is not None and answer.volume is state.volume
        message = "not this" if p.negative else _message(state, p, found if current else None)
        regions = found.regions if current and found is not None and found.best >= p.threshold else ()
        rows.append(PromptRow(p, message, None if found is None or p.negative else found.best, regions))
    named = state.named is not None and state.volume is not None and state.named.version == state.volume.version
    vocabulary = state.named.vocabulary if named and state.named is not None else ()
    usable = state.scene is not None and state.repository.pair is None
    return PromptsView(tuple(rows), _hint(state, named), vocabulary, state.prompt_history, usable)


def _all(state: AppState) -> tuple[Prompt, ...]:
    return added(state.prompts, state.draft, draft=True)


def _hint(state: AppState, named: bool) -> str:
    """What stands in the way, or what the words stand on."""
    if state.scene is None:
        return "Open a capture first."
    if named and state.named is not None:
        if state.named.open_words:
            return f"Any words will do, in the space of {state.named.open_words}."
        ground = "photos and geometry" if state.named.photos else "geometry alone"
        return f"It knows {len(state.named.vocabulary)} names of things in rooms and words like them, by {ground}."
    if not state.naming:
        return "The scene has no names yet; Enter has it named."
    if any(j.live and not j.outlives for j in state.jobs):
        return "The scene is named as soon as it is fitted and its photos are encoded."
    return "Naming the scene…" if state.voxel_features is not None else "Encode the photos first."


def _message(state: AppState, prompt: Prompt, found: PromptFound | None) -> str:
    """How it went, in a few words."""
    if found is None:
        return "looking…" if state.named is not None else "waiting"
    if found.trouble:
        return found.trouble
    if not found.known:
        like = f"; did you mean {', '.join(found.spelled)}?" if found.spelled else ""
        return f"no word of this is known{like}"
    near = ", ".join(name for name, _ in found.nearest)
    if not found.within:
        return f"not in its vocabulary; nearest: {near}"
    if not found.regions:
        return f"nothing here looks like that (best {found.best:.2f})"
    name, cosine = found.nearest[0] if found.nearest else ("", 1.0)
    taken = "" if cosine >= NAMED else f"as “{name}”, "
    count = len(found.regions)
    places = "1 place" if count == 1 else f"{count} places"
    missed = f", without “{found.unknown[0]}”" if found.unknown else ""
    return f"{taken}{places}, best {found.best:.2f}{missed}"
