"""resolve() is pure: the same state gives the same view, and nothing that does not fit is shown."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from fakes import FakeEngine, pseudo_features, room_scene, room_volume

from app.colormaps import heat_range
from app.resolve import resolve
from app.state import Answer, AppState, Query
from engine.api.replies import VoxelFeatures
from engine.api.requests import MatchQuery, PixelSource


def answered(engine: FakeEngine) -> AppState:
    request = MatchQuery(source=PixelSource(2, 320.0, 300.0))
    reply = engine.match(request)
    return AppState(
        scene=engine.scene,
        volume=engine.volume,
        query=Query(request.id, request.source, False, None),
        pinned=Answer(reply, heat_range(reply), engine.volume),
    )


def test_equal_states_resolve_to_equal_views() -> None:
    state = answered(FakeEngine(count=8))
    assert resolve(state) == resolve(replace(state))


def test_the_empty_state_shows_nothing_but_how_to_begin() -> None:
    view = resolve(AppState())
    assert view.page == "empty"
    assert view.images.cells == ()
    assert "open" in view.actions.enabled
    assert "fit" not in view.actions.enabled
    assert view.status.device == "loading engine…"


def test_heat_stays_in_the_scene_until_a_newer_volume_has_its_own() -> None:
    state = answered(FakeEngine(count=8))
    assert resolve(state).canvas.heat.answer is state.pinned
    assert resolve(replace(state, volume=room_volume(version=2))).canvas.heat.answer is state.pinned


def test_heat_whose_volume_is_not_known_is_not_shown_in_the_scene() -> None:
    state = answered(FakeEngine(count=8))
    assert state.pinned is not None
    view = resolve(replace(state, pinned=replace(state.pinned, volume=None)))
    assert view.canvas.heat.answer is None
    assert all(c.answer is not None for c in view.images.cells)  # the photos' heat holds all the same


def test_a_new_question_keeps_the_heat_before_it_but_none_of_its_matches() -> None:
    state = answered(FakeEngine(count=8))
    view = resolve(replace(state, query=Query(10**9, PixelSource(1, 5.0, 5.0), False, None)))
    assert view.canvas.heat.answer is state.pinned
    assert view.canvas.matches.pending
    assert view.canvas.matches.marks == ()
    assert all(c.match is None for c in view.images.cells)
    assert view.matches.summary == "Looking…"


def test_features_need_their_own_volume() -> None:
    volume = room_volume(0.1)
    n = len(volume.index)
    features = VoxelFeatures(
        id=1, encoder="default", version=1, rgb=pseudo_features(volume.centres_w()), spread=np.zeros(n, np.float32)
    )
    state = AppState(scene=room_scene(8), volume=volume, voxel_features=features, colouring="features")
    assert resolve(state).canvas.volume.colouring == "features"
    other = replace(state, volume=replace(volume, version=2))
    assert resolve(other).canvas.volume.colouring == "colour"
    assert resolve(other).layers.colourings == frozenset({"colour"})


def test_sorting_by_score_puts_source_then_mutual_matches_first() -> None:
    state = replace(answered(FakeEngine(count=8)), sort="score")
    cells = resolve(state).images.cells
    assert cells[0].info.index == 2
    mutual = [c.match.mutual for c in cells[1:] if c.match is not None]
    assert mutual == sorted(mutual, reverse=True)


def test_errors_are_distances_to_the_truth() -> None:
    view = resolve(answered(FakeEngine(count=8)))
    known = [r.error_px for r in view.matches.rows if r.mutual]
    assert known
    assert all(e is not None and abs(e - 3.0) < 1e-6 for e in known)


def test_a_pending_query_shows_its_mark_and_no_old_matches() -> None:
    state = answered(FakeEngine(count=8))
    newer = Query(10**9, PixelSource(1, 5.0, 5.0), False, (1.0, 2.0, 0.5))
    m = resolve(replace(state, query=newer, pinned=None)).canvas.matches
    assert m.pending
    assert m.source_w == (1.0, 2.0, 0.5)
    assert m.marks == ()


def test_points_stand_in_until_there_is_a_volume() -> None:
    state = AppState(scene=room_scene(8))
    assert not state.layers["points"].visible
    assert resolve(state).canvas.points.visible
    assert not resolve(replace(state, volume=room_volume(0.1))).canvas.points.visible


def test_mappings_are_frozen() -> None:
    assert isinstance(AppState().layers, MappingProxyType)
