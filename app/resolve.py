"""From state to what is seen, purely: ``resolve(AppState) -> ViewState``."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

from app.clip import Box
from app.resolve_actions import actions, obstacle, training_actions
from app.resolve_annotate import annotate_view
from app.resolve_prompts import prompts_found, prompts_over, prompts_view
from app.resolve_repository import placed_view, repository_view
from app.resolve_review import review_view, reviewed
from app.resolve_tasks import named_over, tasks_view
from app.state import COMPARING, Answer, AppState, Layer, Query
from app.training_state import BUILT_IN, encoder_title
from app.view_state import (
    CanvasView,
    Cell,
    FrustaView,
    HeatView,
    ImagesView,
    KeypointsView,
    LayersView,
    MatchesView,
    MatchMark,
    MatchRow,
    MatchTable,
    PhotoView,
    SingleView,
    StatusView,
    TrainingView,
    ViewState,
    VolumeView,
)
from engine.api.camera import Camera
from engine.api.replies import ViewMatch
from engine.api.requests import PixelSource


def active_answer(state: AppState) -> Answer | None:
    """What is shown: the preview under the pointer, else the pinned answer; none while something is annotated."""
    if state.annotate.tool is not None:
        return None
    return state.preview or state.pinned


def resolve(state: AppState) -> ViewState:
    """All that the window shows, from the state alone."""
    answer = active_answer(state)
    heat = answer if answer is not None and answer.volume is not None and state.volume is not None else None
    cells = _cells(state, answer)
    features = state.voxel_features
    if features is not None and (state.volume is None or features.version != state.volume.version):
        features = None
    colouring = state.colouring if state.colouring == "colour" or features is not None else "colour"
    single = next((c for c in cells if c.info.index == state.selected), None) if state.single else None
    bounds = None if answer is None else answer.bounds
    prompts, labels = prompts_over(state), named_over(state, reviewed(state))
    keypoints = _keypoints(state)
    return ViewState(
        title=_title(state),
        page=_page(state),
        canvas=CanvasView(
            scene=state.scene,
            volume=VolumeView(state.volume, colouring, features, state.layers["volume"], state.cutaway, _clip(state)),
            heat=HeatView(heat, state.layers["heat"], state.threshold),
            prompts=prompts,
            labels=labels,
            tool=state.annotate.tool,
            keypoints=keypoints,
            points=_points_layer(state),
            frusta=FrustaView(state.layers["frusta"], state.selected, _mutual(answer), state.through),
            thumbnails=state.thumbnails,
            photo=_photo(state),
            matches=_matches(state, answer),
            grid=state.layers["grid"],
            ruler=state.ruler,
            through=_camera(state, state.through) if state.placed is None else state.placed.camera,
            fly=state.fly,
            theme=state.theme,
        ),
        images=ImagesView(
            _sorted(cells, state), state.panel_mode, state.sort, state.threshold, bounds, prompts, labels
        ),
        single=SingleView(
            single,
            _other(state, single),
            None if state.selected is None else state.photos.get(state.selected),
            state.panel_mode,
            state.threshold,
            keypoints,
            prompts,
            labels,
        ),
        matches=_table(state, answer),
        prompts=prompts_view(state),
        layers=LayersView(
            state.layers,
            _usable(state, heat),
            colouring,
            frozenset({"colour"} if features is None else {"colour", "features", "spread"}),
            state.threshold,
            bounds,
            state.cutaway,
            state.clip,
            keypoints,
        ),
        jobs=state.jobs,
        training=_training(state),
        banner=state.banner,
        status=_status(state),
        actions=actions(state, colouring),
        recent=state.recent,
        bookmarks=state.bookmarks,
        ruler=state.ruler,
        repository=repository_view(state),
        placed=placed_view(state),
        annotate=annotate_view(state),
        review=review_view(state),
        tasks=tasks_view(state),
        encoders=_encoders(state),
        theme=state.theme,
    )


def _title(state: AppState) -> str:
    name = _opening(state) or (None if state.scene is None else state.scene.name)
    return "ConDense Studio" if name is None else f"{name} — ConDense Studio"


def _page(state: AppState) -> Literal["empty", "canvas", "pair"]:
    if state.repository.pair is not None:
        return "pair"
    return "empty" if state.scene is None and state.opening is None else "canvas"


def _opening(state: AppState) -> str | None:
    return None if state.opening is None else f"Opening {Path(state.opening).name or state.opening}…"


def _points_layer(state: AppState) -> Layer:
    """Until there is a volume, points stand in for it."""
    layer = state.layers["points"]
    return Layer(True, layer.opacity) if state.volume is None else layer


def _keypoints(state: AppState) -> KeypointsView:
    layer, volume, named = state.layers["keypoints"], state.volume, state.named
    return KeypointsView(
        found=state.keypoints if layer.visible else None,
        count=state.keypoint_count,
        colouring=state.keypoint_colouring,
        opacity=layer.opacity,
        prompts=prompts_found(state),
        volume=volume,
        named=named if volume is not None and named is not None and named.version == volume.version else None,
    )


def _other(state: AppState, cell: Cell | None) -> tuple[Cell, str, str] | None:
    kept = state.kept_features
    if kept is None or cell is None or state.panel_mode not in ("features", *COMPARING):
        return None
    i = cell.info.index
    left = replace(cell, features=kept.features.get(i), compared=kept.compared.get(i), match=None, source_px=None)
    return left, kept.title, _encoder(state)


def _clip(state: AppState) -> Box | None:
    return None if state.scene is None else state.clip.box_w(state.scene.bounds_w)


def _camera(state: AppState, view: int | None) -> Camera | None:
    if state.scene is None or view is None:
        return None
    return next((v.camera for v in state.scene.views if v.index == view), None)


def _photo(state: AppState) -> PhotoView:
    photo = None
    if state.through is not None:
        photo = state.photos.get(state.through) or state.thumbnails.get(state.through)
    return PhotoView(state.through, photo, state.layers["photo"], state.placed)


def _mutual(answer: Answer | None) -> frozenset[int]:
    return frozenset() if answer is None else frozenset(m.view for m in answer.reply.matches if m.mutual)


def _query(state: AppState) -> Query | None:
    return state.hover if state.preview is not None else (state.query or state.hover)


def _pending(query: Query, answer: Answer | None) -> bool:
    """Whether ``answer`` is not the one to ``query``."""
    return answer is None or (answer.reply.id != query.id and not query.again)


def _matches(state: AppState, answer: Answer | None) -> MatchesView:
    query = _query(state)
    layer = state.layers["matches"]
    if query is not None and _pending(query, answer):
        return MatchesView(query.pos_w, True, (), layer.visible)
    if answer is None:
        return MatchesView(None, False, (), layer.visible)
    r = answer.reply
    marks = tuple(MatchMark(m.view, m.pos_w, m.x, m.y, m.mutual) for m in r.matches)
    return MatchesView(r.source_pos_w or (query.pos_w if query else None), False, marks, layer.visible)


def _cells(state: AppState, answer: Answer | None) -> tuple[Cell, ...]:
    if state.scene is None:
        return ()
    query = _query(state)
    old = query is not None and _pending(query, answer)
    best = {} if answer is None or old else {m.view: m for m in answer.reply.matches}
    source = query.source if query is not None else None
    out: list[Cell] = []
    for info in state.scene.views:
        i = info.index
        here = isinstance(source, PixelSource) and source.view == i
        out.append(
            Cell(
                info,
                state.thumbnails.get(i),
                state.view_features.get(i),
                state.compared.get(i),
                answer if answer is not None and i in answer.reply.view_heat else None,
                best.get(i),
                (source.x, source.y) if here and isinstance(source, PixelSource) else None,
                i == state.selected,
            )
        )
    return tuple(out)


def _sorted(cells: tuple[Cell, ...], state: AppState) -> tuple[Cell, ...]:
    if state.sort == "index":
        return cells
    if state.panel_mode in COMPARING:  # those that agree least first
        return tuple(sorted(cells, key=lambda c: (_agreement(c), c.info.index)))
    # the source first, then mutual matches, then by score
    return tuple(
        sorted(
            cells,
            key=lambda c: (
                c.source_px is None,
                c.match is None or not c.match.mutual,
                -(c.match.score if c.match else -2.0),
                c.info.index,
            ),
        )
    )


def _agreement(cell: Cell) -> float:
    found = None if cell.compared is None else cell.compared.mean
    return math.inf if found is None else found


def _table(state: AppState, answer: Answer | None) -> MatchTable:
    if state.scene is None or answer is None:
        waiting = state.query is not None
        return MatchTable((), state.selected, "Looking…" if waiting else "Click a pixel or a point of the scene.")
    names = {v.index: v.name for v in state.scene.views}
    rows = tuple(
        MatchRow(m.view, names.get(m.view, str(m.view)), m.score, m.mutual, _error(m)) for m in answer.reply.matches
    )
    mutual = sum(r.mutual for r in rows)
    query = _query(state)
    if query is not None and _pending(query, answer):
        return MatchTable(rows, state.selected, "Looking…")
    summary = f"{mutual} of {len(rows)} views agree both ways · {answer.reply.milliseconds:.0f} ms"
    return MatchTable(rows, state.selected, summary)


def _error(m: ViewMatch) -> float | None:
    return None if m.true_px is None else math.hypot(m.x - m.true_px[0], m.y - m.true_px[1])


def _usable(state: AppState, heat: Answer | None) -> frozenset[str]:
    out: set[str] = set()
    if state.scene is not None:
        out |= {"grid"}
        if state.scene.points is not None or state.volume is not None:
            out.add("points")
        if state.scene.views:
            out |= {"frusta", "matches"}
    if state.volume is not None:
        out.add("volume")
    if heat is not None:
        out.add("heat")
    if state.prompted is not None:
        out.add("prompts")
    if state.annotate.marks is not None or state.tasks.over is not None:
        out.add("labels")
    if state.voxel_features is not None:
        out.add("keypoints")
    if state.through is not None or state.placed is not None:
        out.add("photo")
    return frozenset(out)


def _status(state: AppState) -> StatusView:
    s = state.scene
    views = "" if s is None or not s.views else f"{len(s.views)} photos"
    capture = "" if s is None else " · ".join(p for p in (s.format, views) if p)
    quality = "" if state.psnr is None else f"{state.psnr:.1f} dB held out"
    voxels = "" if state.volume is None else f"{len(state.volume.index):,} voxels"
    device = "loading engine…" if state.device is None else state.device
    encoder = "" if state.scene is None or state.encoder == BUILT_IN else f"features: {_encoder(state)}"
    return StatusView(capture, quality, voxels, encoder, device, _opening(state) or state.notice)


def _encoders(state: AppState) -> tuple[tuple[str, ...], str]:
    """Those that can be chosen, with the one in use among them, and the one in use."""
    if state.scene is None:
        return (), state.encoder
    own = () if state.encoder in state.encoders else (state.encoder,)
    return (*state.encoders, *own), state.encoder


def _encoder(state: AppState) -> str:
    return encoder_title(state.encoder, None if state.weights is None else state.weights.folder)


def _training(state: AppState) -> TrainingView:
    t = state.training
    names = {} if state.scene is None else {v.index: v.name for v in state.scene.views}
    of_it = t is not None and state.voxel_features is not None and state.voxel_features.id == t.job_id
    return TrainingView(
        obstacle=obstacle(state),
        training=t,
        job=None if t is None else next((j for j in state.jobs if j.id == t.job_id), None),
        steps=state.train_steps,
        afresh=state.train_afresh,
        enabled=training_actions(state),
        encoder=_encoder(state),
        foreign=state.encoder != BUILT_IN,
        leftover=of_it and t is not None and not t.live,
        photo="" if t is None or t.preview is None else names.get(t.preview.view, ""),
    )
