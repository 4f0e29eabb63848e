"""Intents become requests and state; replies become state; a changed state reaches only the views it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from app import colormaps
from app.comparison import ComparisonDesk
from app.geometry import GeometryDesk
from app.history import History
from app.job_desk import JobDesk
from app.keypoints import KeypointsDesk
from app.photo_loader import PHOTO_SIDE, PhotoLoader
from app.ports import Desk, Outbox, View
from app.prompts import PromptsDesk
from app.resolve import resolve
from app.state import Answer, AppState, Banner, Colouring, PanelMode, Query, Store, fresh, with_item
from app.stepping import step_back
from app.training import TrainingDesk
from app.view_state import ViewState
from engine.api.replies import (
    CaptureOpened,
    EngineReady,
    Failed,
    JobCancelled,
    MatchReply,
    Notice,
    PhotoLoaded,
    Region,
    Reply,
    ViewFeatures,
    VolumeUpdated,
    VoxelFeatures,
)
from engine.api.requests import EncodeViews, FitGrid, HoverQuery, MatchQuery, OpenCapture, PixelSource, PointSource

Pos = tuple[float, float, float]
STALE_MS = 400


class Controller:
    """The window's logic. Knows neither Qt nor GL.

    Args:
        outbox: takes requests.
        state: what to begin with.
        auto: fit and encode as soon as a capture is open.
        surface: finds the scene point of a photo's pixel on the canvas's copy of the volume, for the mark that shows
            before the engine has answered.
        later: calls something in so many milliseconds.
        on_found: is told where the best place for a prompt is that was entered.
    """

    def __init__(
        self,
        outbox: Outbox,
        state: AppState,
        *,
        auto: bool = True,
        surface: Callable[[int, float, float], Pos | None] | None = None,
        on_opened: Callable[[str], None] | None = None,
        later: Callable[[int, Callable[[], None]], None] | None = None,
        on_found: Callable[[Region], None] | None = None,
    ) -> None:
        self.store = Store(state)
        self.auto = auto
        self.surface = surface
        self._on_opened = on_opened
        self._later = later
        self._outbox = outbox
        self._views: list[View] = []
        self._shown: ViewState | None = None
        self._loader = PhotoLoader(outbox.send)
        self._open_id = 0
        self._encoding = (0, state.encoder)  # the last request to encode, and the encoder before it
        self.jobs = JobDesk(self.store, outbox.send)
        self.training = TrainingDesk(self.store, outbox.send, self.encode)
        self.keypoints = KeypointsDesk(self.store, outbox.send)
        self.comparison = ComparisonDesk(self.store, outbox.send)
        self.prompts = PromptsDesk(self.store, outbox.send, later, on_found)
        self.geometry = GeometryDesk(self.store, outbox.send, self.open)
        self._desks: list[Desk] = [self.keypoints, self.comparison, self.prompts, self.training, self.jobs]
        self.join(self.geometry)
        self.store.listen(lambda _old, _new: self._refresh())
        self.history = History(self.store, self._ask, self.clear_query, self.prompts.ask)

    @property
    def state(self) -> AppState:
        return self.store.state

    def join(self, desk: Desk) -> None:
        """Another desk takes replies, before the others."""
        self._desks.insert(0, desk)

    def attach(self, view: View) -> None:
        """Show everything on ``view`` once, then what changes."""
        self._views.append(view)
        whole = resolve(self.state)
        self._shown = whole
        for f in fields(whole):
            view.show_part(f.name, getattr(whole, f.name), whole)

    def detach(self) -> None:
        self._views.clear()

    # --- captures and jobs

    def open(self, path: str) -> None:
        request = OpenCapture(path=path)
        self._open_id = request.id
        self._loader.forget()
        self.store.update(opening=path, banner=None)
        self._outbox.send(request)

    def close_capture(self) -> None:
        """Back to the empty window; jobs stop."""
        self.jobs.cancel_all(of_capture=True)
        self._loader.forget()
        self._outbox.forget_match()
        self._outbox.forget_hover()
        self._open_id = 0
        self.store.update(**fresh(self.state))

    def fit(self, *, refit: bool = False) -> None:
        self._start(FitGrid(refit=refit))

    def encode(self, encoder: str | None = None) -> None:
        name = encoder or self.state.encoder
        request = EncodeViews(encoder=name)
        self._encoding = (request.id, self.state.encoder)
        self.store.update(encoder=name)
        self._start(request)

    # --- queries

    def click_pixel(self, view: int, x: float, y: float) -> None:
        """Ask where else pixel (x, y) of a photo is; full-size undistorted pixels."""
        pos_w = self.surface(view, x, y) if self.surface is not None else None
        self._ask(PixelSource(view, x, y), pos_w, selected=view)

    def click_point(self, pos_w: Pos) -> None:
        """Ask where a point of the scene is in the photos."""
        self._ask(PointSource(pos_w), pos_w)

    def hover_pixel(self, view: int, x: float, y: float) -> None:
        """As ``click_pixel``, in passing; a pinned answer comes back when the pointer leaves."""
        if view in self.state.view_features and self.state.annotate.tool is None:
            self._peek(PixelSource(view, x, y), None)

    def hover_point(self, pos_w: Pos) -> None:
        if self.state.view_features and self.state.annotate.tool is None:
            self._peek(PointSource(pos_w), pos_w)

    def end_hover(self) -> None:
        self._outbox.forget_hover()
        self.store.update(hover=None, preview=None)

    def escape(self) -> None:
        """One step back."""
        changes = step_back(self.state)
        if "query" in changes:
            self.clear_query()
        else:
            self.store.update(**changes)

    def clear_query(self) -> None:
        self._outbox.forget_match()
        self._outbox.forget_hover()
        self.store.update(query=None, pinned=None, hover=None, preview=None)

    # --- what is looked at

    def select(self, view: int | None) -> None:
        self.store.update(selected=view)
        if view is not None and self.state.single:
            self._loader.want_large(view)

    def look_through(self, view: int) -> None:
        self._loader.want_large(view)
        self.store.update(through=view, selected=view, placed=None)

    def leave_view(self) -> None:
        self.store.update(through=None, placed=None)

    def toggle_look_through(self) -> None:
        if self.state.through is not None:
            self.leave_view()
        elif (view := self._selected_or_first()) is not None:
            self.look_through(view)

    def set_single(self, on: bool) -> None:
        view = self._selected_or_first()
        if view is None:
            return
        if on:
            self._loader.want_large(view)
        self.store.update(single=on, selected=view)

    def step_view(self, by: int) -> None:
        """Select the next or previous photo, and look through it if one is being looked through."""
        if self._shown is None or not self._shown.images.cells:
            return
        order = [c.info.index for c in self._shown.images.cells]
        now = self.state.selected
        view = order[(order.index(now) + by) % len(order)] if now in order else order[0]
        if self.state.through is not None:
            self.look_through(view)
        else:
            self.select(view)

    def want_thumbnails(self, views: list[int]) -> None:
        """The image panel shows these cells; they load before the rest."""
        self._loader.want_first(views)

    def set_layer(self, name: str, *, visible: bool | None = None, opacity: float | None = None) -> None:
        layer = self.state.layers[name]
        layer = replace(
            layer,
            visible=layer.visible if visible is None else visible,
            opacity=layer.opacity if opacity is None else opacity,
        )
        if layer != self.state.layers[name]:
            self.store.update(layers=with_item(self.state.layers, name, layer))

    def toggle_layer(self, name: str) -> None:
        self.set_layer(name, visible=not self.state.layers[name].visible)

    def set_colouring(self, colouring: Colouring) -> None:
        self.store.update(colouring=colouring, colouring_chosen=True)

    def set_mode(self, mode: PanelMode) -> None:
        self.store.update(panel_mode=mode)

    def set_threshold(self, value: float) -> None:
        """Show heat above this part of its range."""
        self.store.update(threshold=value)

    def set(self, **changes: Any) -> None:
        """Set plain fields of the state (sort, theme, fly, cutaway, banner, notice)."""
        self.store.update(**changes)

    def fail(self, what: str, details: str) -> None:
        """Show an error of the window's own."""
        self.store.update(banner=Banner(what, details, error=True))

    # --- replies

    def receive(self, reply: Reply) -> None:
        """One reply of the engine, on the GUI thread."""
        if any(desk.receive(reply) for desk in self._desks):
            return
        match reply:
            case EngineReady():
                self.store.update(device=reply.device, encoders=reply.encoders)
            case CaptureOpened():
                self._opened(reply)
            case PhotoLoaded():
                self._photo(reply)
            case VolumeUpdated():
                self.store.update(
                    volume=reply.volume, psnr=reply.psnr or self.state.psnr, fit_seconds=reply.seconds,
                )  # fmt: skip
                if self.state.voxel_features is None:
                    self._ask_again()  # otherwise when its features come, which is at once
            case ViewFeatures():
                self.store.update(view_features=with_item(self.state.view_features, reply.view, reply))
            case VoxelFeatures():
                self.store.update(voxel_features=reply)
                self._ask_again()
            case MatchReply():
                self._answered(reply)
            case Failed():
                self._failed(reply)
            case Notice():
                self.store.update(notice=reply.text)
            case _:
                pass

    def _opened(self, reply: CaptureOpened) -> None:
        if reply.id != self._open_id:
            return
        scene = reply.scene
        self._outbox.forget_match()
        self._outbox.forget_hover()
        self._loader.open([v.index for v in scene.views])
        banner = None
        if scene.warnings:
            first, *others = scene.warnings
            more = f" (and {len(others)} more)" if others else ""
            banner = Banner(first + more, "\n".join(scene.warnings), error=False)
        elif not scene.views:
            banner = self.geometry.hint()
        colouring = self.state.colouring if self.state.colouring_chosen else "colour"
        self.store.update(**{**fresh(self.state), "scene": scene, "banner": banner, "colouring": colouring})
        self.prompts.opened()
        if self._on_opened is not None:
            self._on_opened(scene.path)
        if self.auto and scene.views:
            self.fit()
            self.encode()

    def _photo(self, reply: PhotoLoaded) -> None:
        side = self._loader.arrived(reply.id)
        if side is None:
            return
        if side >= PHOTO_SIDE:
            kept = dict(list(self.state.photos.items())[-5:])  # large ones cost megabytes each
            self.store.update(photos=with_item(kept, reply.view, reply))
        else:
            self.store.update(thumbnails=with_item(self.state.thumbnails, reply.view, reply))

    def _answered(self, reply: MatchReply) -> None:
        volume = self.state.volume
        current = volume is not None and volume.version == reply.version
        answer = Answer(reply, colormaps.heat_range(reply), volume if current else None)
        if reply.hover:
            now, before = self.state.hover, self.state.preview
            # while the pointer moves on, an answer to where it just was is better than none
            if now is not None and (before.reply.id if before is not None else 0) < reply.id <= now.id:
                self.store.update(preview=answer)
        elif self.state.query is not None and self.state.query.id == reply.id:
            self.store.update(pinned=answer)
            if not current and reply.voxel_heat is not None:
                self._ask_again()

    def _failed(self, reply: Failed) -> None:
        s = self.state
        if self._loader.failed(reply.id):
            self.store.update(notice=reply.what)
            return
        if s.hover is not None and reply.id == s.hover.id:
            self.store.update(hover=None)
            return
        if reply.id == self._open_id:
            self.store.update(opening=None)
            for job in s.jobs:  # the engine stopped them when it was asked to open another capture
                if job.live and not job.outlives:
                    self.receive(JobCancelled(id=job.id, title=job.title))
        if reply.id == self._encoding[0]:
            self.store.update(encoder=self._encoding[1])
        if s.query is not None and reply.id == s.query.id:
            self.store.update(query=None, pinned=None)
        if any(j.id == reply.id for j in s.jobs):
            self.jobs.change(reply.id, status="failed", eta=None, note=reply.what)
        self.store.update(banner=Banner(reply.what, reply.text, error=True))

    def _start(self, request: FitGrid | EncodeViews) -> None:
        if self.state.scene is None:
            return
        self.jobs.change(request.id, title=request.title)
        self._outbox.send(request)

    def _ask(self, source: PixelSource | PointSource, pos_w: Pos | None, **changes: Any) -> None:
        """Ask; the answer before stays a moment longer, so that the heat does not flicker from click to click."""
        if self.state.scene is None or not self.state.scene.views:
            return
        request = MatchQuery(source=source)
        self._outbox.forget_hover()
        self._outbox.send(request)
        self.store.update(query=Query(request.id, source, False, pos_w), hover=None, preview=None, **changes)
        if self._later is not None:
            self._later(STALE_MS, lambda: self._drop_stale(request.id))

    def _drop_stale(self, query_id: int) -> None:
        """The answer to ``query_id`` takes long: the one before must not be mistaken for it."""
        s = self.state
        if s.query is not None and s.query.id == query_id and s.pinned is not None and not s.answered:
            self.store.update(pinned=None)

    def _ask_again(self) -> None:
        """The pinned answer's heat is of an older volume or of fewer features."""
        query = self.state.query
        if query is not None and self.state.answered:
            request = MatchQuery(source=query.source)
            self.store.update(query=replace(query, id=request.id, again=True))
            self._outbox.send(request)

    def _peek(self, source: PixelSource | PointSource, pos_w: Pos | None) -> None:
        request = HoverQuery(source=source)
        self.store.update(hover=Query(request.id, source, True, pos_w))
        self._outbox.send(request)

    def _selected_or_first(self) -> int | None:
        s = self.state
        if s.selected is not None or s.scene is None or not s.scene.views:
            return s.selected
        return s.scene.views[0].index

    def _refresh(self) -> None:
        new, old = resolve(self.state), self._shown
        self._shown = new
        if old is None:
            return
        for f in fields(new):
            part = getattr(new, f.name)
            if part != getattr(old, f.name):
                for view in self._views:
                    view.show_part(f.name, part, new)
