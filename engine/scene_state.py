"""The open scene: its grid, its features, and the jobs that make them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from engine.api.errors import CacheError, CaptureError, QueryError
from engine.api.jobs import Job, Progress
from engine.api.replies import (
    JobFinished,
    JobProgress,
    Notice,
    Reply,
    SceneKeypoints,
    ViewFeatures,
    ViewRendered,
    VolumeUpdated,
    VoxelFeatures,
)
from engine.api.requests import (
    EncodeViews,
    FindKeypoints,
    FitGrid,
    MatchQuery,
    PixelSource,
    RenderView,
    Request,
    SaveKeypoints,
)
from engine.camera_stack import CameraStack
from engine.results import ResultStore

if TYPE_CHECKING:
    from engine.api.scene import UInt8
    from engine.captures import Capture
    from engine.features import ViewFeatureSet
    from engine.grid import RadianceGrid
    from engine.grid.stored import StoredGrid
    from engine.keypoints.decorated import KeypointSet
    from engine.lifted import LiftedOn
    from engine.naming import NamedScene

T = TypeVar("T")
Replies = Generator[Reply | None, None, T]
"""Replies, or None just to give way; the value returned is T."""
REPORT_EVERY = 0.1  # seconds between progress replies
RELIFT_EVERY = 4.0  # seconds between lifts onto a grid that is still being fitted
GRID_FILE = "grid.safetensors"


class SceneState:
    """One open capture with whatever has been computed for it."""

    def __init__(self, capture: Capture, store: ResultStore, *, device: str, seed: int) -> None:
        self.capture = capture
        self.store = store
        self.device = device
        self.seed = seed
        self._grid: RadianceGrid | None = None
        self._stored: StoredGrid | None = None
        self.version = 0
        self.features: ViewFeatureSet | None = None
        self.lifted: LiftedOn | None = None
        self.keypoints: KeypointSet | None = None
        self.named: NamedScene | None = None
        self.photo_classes: dict[int, UInt8] = {}  # what photos say, see engine.photo_names
        self.cameras = CameraStack([v.camera for v in capture.views])
        self.preview_view = 0
        self.fit_cells: int | None = None
        self.fit_reference = False
        self.ship = False

    @property
    def grid(self) -> RadianceGrid | None:
        """The radiance grid; one that was stored is made on first use, for that takes numba."""
        if self._grid is None and self._stored is not None:
            from engine.grid.radiance import RadianceGrid

            self._grid, self._stored = RadianceGrid.of_stored(self._stored), None
        return self._grid

    def grid_path(self) -> Path:
        """Where the fitted grid is written: the cache, or the capture's own folder when ``ship`` is set."""
        return self.store.write_path(GRID_FILE, self.ship)

    def check_view(self, view: int) -> int:
        """``view`` itself.

        Raises:
            QueryError: there is no such view.
        """
        count = len(self.capture.views)
        if not 0 <= view < count:
            raise QueryError(
                "there is no such view",
                found=f"view {view}",
                expected=f"0 to {count - 1}" if count else "a capture with photos; this one has none",
            )
        return view

    def restore(self, request_id: int) -> Replies[None]:
        """Show what is stored; the voxels go out before numba and torch are loaded."""
        from engine.grid.stored import read_stored

        for path in self.store.candidates(GRID_FILE):
            try:
                stored = read_stored(path)
            except CacheError as e:
                yield Notice(id=request_id, text=f"A stored grid was not used. {e.text()}")
                continue
            if stored.meta.get("capture") != self.capture.fingerprint:
                continue
            self._stored = stored
            self.version += 1
            yield VolumeUpdated(
                id=request_id,
                volume=stored.parts[0].to_volume(self.version),
                psnr=stored.meta.get("psnr"),
                seconds=float(stored.meta.get("seconds", 0.0)),
                stored=True,
            )
            break

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def fit(self, request: FitGrid) -> Replies[None]:
        """Fit the grid, or show the stored one unless ``refit``; features are lifted again afterwards."""
        from engine.grid import FitSettings, fit_grid
        from engine.grid.reference_fit import fit_grid_reference
        from engine.runtime import resolve_device

        if not self.capture.views:
            raise CaptureError(
                "there are no photos to fit a radiance grid to", path=self.capture.path, found=self.capture.format
            )
        start = time.perf_counter()
        if self.grid is None or request.refit:
            pending: list[tuple[RadianceGrid, float | None, float]] = []
            settings = FitSettings(seconds=request.seconds, seed=self.seed)
            if self.fit_cells is not None:
                settings = replace(settings, cells=self.fit_cells)
            run = fit_grid_reference if self.fit_reference else fit_grid
            job = run(self.capture, settings, resolve_device(self.device), on_update=lambda *a: pending.append(a))
            lifted_at = start

            def flush() -> Replies[None]:
                nonlocal lifted_at
                while pending:
                    newest = pending.pop()
                    pending.clear()
                    if self.lifted is not None:  # before it is shown, so that no click has to wait for it
                        yield from self.lifted.follow(newest[0])
                    yield self._show(request.id, *newest)
                    yield from self._show_lifted(request.id)
                    due = self.features is not None and self.features.complete
                    if due and time.perf_counter() - lifted_at > RELIFT_EVERY:
                        yield from self._lift(request.id)
                        lifted_at = time.perf_counter()

            grid = yield from report(request, job, after_step=flush)
            grid.meta["capture"] = self.capture.fingerprint
            yield self._show(request.id, grid, grid.meta.get("psnr"), time.perf_counter() - start)
            grid.save(self.grid_path())
            yield None
        if self.features is not None and self.features.complete:
            yield from self._lift(request.id)
        assert self.grid is not None
        metrics = {"voxels": float(len(self.grid.index))}
        if self.grid.meta.get("psnr") is not None:
            metrics["psnr"] = float(self.grid.meta["psnr"])
        yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=metrics)

    def encode(self, request: EncodeViews) -> Replies[None]:
        """Encode all photos (stored ones are read back), then lift onto the grid."""
        start = time.perf_counter()
        features = yield from self._ready_features(request.encoder)
        for warning in features.warnings:
            yield Notice(id=request.id, text=warning)
        if features.basis is not None:
            for view in features.views():
                yield self._view_colours(request.id, view)
        todo = features.missing()
        if todo:
            try:
                yield from report(request, features.encode(todo), after_step=lambda: self._flush_views(request.id))
            finally:
                features.save(self.ship)
        if features.skipped:
            first = next(iter(features.skipped.values()))
            yield Notice(id=request.id, text=f"{len(features.skipped)} photos were left out. {first}")
        if self.grid is not None:
            yield from self._lift(request.id)
        yield JobFinished(
            id=request.id,
            title=request.title,
            seconds=time.perf_counter() - start,
            metrics={"views": float(len(features.views())), "encoded": float(len(todo)), "dim": float(features.dim)},
        )

    def _ready_features(self, encoder: str) -> Replies[ViewFeatureSet]:
        """The feature set of ``encoder``, made current; another encoder's is dropped."""
        from engine.features import ViewFeatureSet

        if self.features is None or self.features.encoder_name != encoder:
            features = ViewFeatureSet(self.capture, self.store, encoder, self.device)
            yield None
            self.features, self.lifted = features, None
        return self.features

    def _flush_views(self, request_id: int) -> Replies[None]:
        assert self.features is not None
        for view in self.features.take_fresh():
            yield self._view_colours(request_id, view)

    def _view_colours(self, request_id: int, view: int) -> Reply:
        assert self.features is not None
        return ViewFeatures(
            id=request_id, encoder=self.features.encoder_name, view=view, rgb=self.features.colours(view)
        )

    # -- grid and features together -----------------------------------------------------------------------------------

    def _show(
        self, request_id: int, grid: RadianceGrid, psnr: float | None, seconds: float, stored: bool = False
    ) -> Reply:
        self._grid = grid
        self.version += 1
        return VolumeUpdated(
            id=request_id, volume=grid.to_volume(self.version), psnr=psnr, seconds=seconds, stored=stored
        )

    def _lift(self, request_id: int) -> Replies[None]:
        """Lift the features onto the grid shown now; it may be replaced meanwhile by a running fit."""
        from engine.lifted import lift

        assert self.grid is not None
        assert self.features is not None
        grid, features = self.grid, self.features
        self.lifted = yield from without_replies(lift(grid, features, self.capture, self.store))
        yield from self._show_lifted(request_id)

    def _show_lifted(self, request_id: int) -> Replies[None]:
        """PCA colours and spread on the voxels shown now, carried over by position if they were lifted on others."""
        if self.lifted is None or self.features is None or self.grid is None:
            return
        yield VoxelFeatures(
            id=request_id,
            encoder=self.features.encoder_name,
            version=self.version,
            rgb=self.lifted.carry(self.grid, self.lifted.rgb),
            spread=self.lifted.carry(self.grid, self.lifted.spread),
        )

    def find_keypoints(self, request: FindKeypoints) -> Replies[None]:
        """Find the decorated keypoints, or read them back."""
        from engine.keypoints.decorated import stored_or_decorated
        from engine.runtime import resolve_device

        start = time.perf_counter()
        if self.lifted is None or self.features is None or self.features.basis is None:
            raise QueryError("there are no features on the scene yet", mend="wait until the photos are encoded")
        features = self.features
        device = resolve_device(self.device)
        job = stored_or_decorated(self.capture, self.lifted, features.key, self.store, device)
        self.keypoints = found = yield from report(request, job)
        yield SceneKeypoints(
            id=request.id,
            encoder=features.encoder_name,
            pos_w=found.pos_w,
            score=found.score,
            rgb=features.basis.apply(found.features),
            features=found.features,
            seen=found.seen,
        )
        metrics = {"keypoints": float(len(found))}
        yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics=metrics)

    def save_keypoints(self, request: SaveKeypoints) -> Replies[None]:
        """Write the best of the keypoints that were found last."""
        from engine.keypoints.decorated import write_keypoints

        if self.keypoints is None:
            raise QueryError("no keypoints were found yet", mend="show the keypoints first")
        found = self.keypoints.best(request.count)
        write_keypoints(Path(request.path), found)
        yield Notice(id=request.id, text=f"Saved {len(found):,} keypoints to {request.path}")

    # -- queries ------------------------------------------------------------------------------------------------------

    def match(self, request: MatchQuery) -> Replies[None]:
        """Answer a click; encodes the clicked view first if it has to."""
        from engine.matching import answer

        features = yield from self._ready_features(self.features.encoder_name if self.features else "default")
        if isinstance(request.source, PixelSource):
            yield from without_replies(features.encode_view(self.check_view(request.source.view)))
        yield answer(self, features, request)

    def render(self, request: RenderView) -> Replies[None]:
        """Ray-march the grid through the request's camera."""
        from engine.march import render_colour, render_table

        if self.grid is None:
            raise QueryError("there is no radiance grid yet", mend="wait for the fit's first picture")
        if request.layer in ("colour", "depth"):
            rgb, opacity, depth_z = render_colour(self.grid, request.camera)
        else:
            if self.lifted is None:
                raise QueryError("there are no features on the scene yet", mend="wait until the photos are encoded")
            table = self.lifted.carry(self.grid, self.lifted.rgb)
            rgb, opacity, depth_z = render_table(self.grid, table.astype(np.float32) / 255, request.camera)
            rgb = rgb / np.maximum(opacity, 1e-6)[..., None]
        rgba = np.concatenate([rgb, opacity[..., None]], axis=2)
        yield ViewRendered(
            id=request.id,
            layer=request.layer,
            camera=request.camera,
            rgba=np.round(np.clip(rgba, 0, 1) * 255).astype(np.uint8),
            depth_z=depth_z,
        )


def without_replies(job: Job[T]) -> Replies[T]:
    """Run a job as part of another, giving way at its yields; its result is the generator's."""
    while True:
        try:
            next(job)
        except StopIteration as stop:
            return stop.value
        yield None


def report(request: Request, job: Job[T], after_step: Callable[[], Replies[None]] | None = None) -> Replies[T]:
    """Run a job, turning its progress into replies with rate and ETA; its result is the generator's."""
    start = reported = time.perf_counter()
    while True:
        try:
            progress = next(job)
        except StopIteration as stop:
            return stop.value
        if after_step is not None:
            yield from after_step()
        now = time.perf_counter()
        if now - reported >= REPORT_EVERY:
            reported = now
            yield progress_reply(request, progress, now - start)
        else:
            yield None


def progress_reply(request: Request, progress: Progress, seconds: float) -> JobProgress:
    """With rate and ETA, ``seconds`` after the job began."""
    rate = progress.done / seconds if seconds > 0 and progress.done > 0 else None
    known = rate is not None and progress.total > 0
    return JobProgress(
        id=request.id,
        title=request.title,
        done=progress.done,
        total=progress.total,
        unit=progress.unit,
        rate=rate,
        eta=max(0.0, progress.total - progress.done) / rate if known and rate else None,
        note=progress.note,
    )
