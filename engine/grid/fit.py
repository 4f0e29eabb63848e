"""Fitting a radiance grid to a capture: depth fusion where there is depth, then rays, coarse to fine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.api.jobs import Job, Progress
from engine.grid.environment import Environment
from engine.grid.fuse import DepthFusion
from engine.grid.level import Level, Rates, Voxels, draw
from engine.grid.photos import CaptureLike, PhotoBank, ReadingPlan, plan_reading
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import GridSpec
from engine.march.render import render_colour
from engine.metrics.psnr import mse, psnr_of_mse

Float32 = NDArray[np.float32]
SHELLS = (2.5, 6.0, 15.0)
"""Boxes around an unbounded scene, as multiples of its own."""

SHELL_SHARE = 0.4
START_SHARE = 0.02
FOG = np.float32(-4.0)

OnUpdate = Callable[[RadianceGrid, float | None, float], None]


@dataclass(frozen=True)
class FitSettings:
    """How a grid is fitted.

    Attributes:
        seconds: wall-clock budget, reading the photos included.
        seed: of the random rays.
        cells: dense cells of the finest grid.
    """

    seconds: float = 60.0
    seed: int = 0
    cells: int = 4_000_000


def fit_grid(
    capture: CaptureLike,
    settings: FitSettings | None = None,
    device: torch.device | None = None,
    on_update: OnUpdate | None = None,
) -> Job[RadianceGrid]:
    """Fit a radiance grid to the training views of a capture.

    Args:
        capture: photos, poses, bounds.
        settings: budget and sizes.
        device: unused by the CPU kernels.
        on_update: called with (grid, held-out PSNR or None, seconds) as the grid improves.

    Returns:
        a job: progress in seconds, and in the end the pruned grid with ``meta`` psnr, curve, seconds, heldout.

    Raises:
        CaptureError: the capture has no training photo.
    """
    return _Fit(capture, settings or FitSettings(), on_update).run()


class _Fit:
    def __init__(self, capture: CaptureLike, settings: FitSettings, on_update: OnUpdate | None) -> None:
        self.capture, self.settings, self.on_update = capture, settings, on_update
        self.rng = np.random.default_rng(settings.seed)
        self.threads = numba.get_num_threads()
        self.start = time.perf_counter()
        self.plan = plan_reading(capture)
        if not self.plan.order:
            raise CaptureError("has no photo to fit a grid to", mend="open a capture with posed photos")
        self.bank = PhotoBank(capture, self.plan)
        self.unread = list(self.plan.order)
        self.judge_plan = ReadingPlan(tuple(v.index for v in capture.views if v.held_out), self.plan.max_side)
        self.judge = PhotoBank(capture, self.judge_plan)
        self.judge_rays = np.zeros((0, 2), np.int64)
        self.curve: list[list[float]] = []
        self.next_update = 0.0
        self.fusions: list[DepthFusion] = []
        self.environment = Environment(64, self.threads)
        self.note = ""

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    def progress(self) -> Progress:
        return Progress(min(self.elapsed, self.settings.seconds), self.settings.seconds, "s", self.note)

    def ticks(self, slices: Iterator[None]) -> Job[None]:
        for _ in slices:
            yield self.progress()

    def read_one(self) -> None:
        i = self.unread.pop(0)
        has_depth = self.capture.views[i].has_depth and bool(self.fusions)
        photo = self.capture.read(i, max_side=self.plan.max_side, depth=has_depth)
        if photo.alpha is not None and not self.environment.fixed:
            self.environment = Environment(1, self.threads, fixed=np.ones((1, 1, 3), np.float32))
        self.bank.add(photo)
        if has_depth and photo.depth_z is not None:
            h, w = photo.depth_z.shape
            rgba = self.bank.pixels[self.bank.views[-1, 0] :][: h * w].reshape(h, w, 4)
            for fusion in self.fusions:
                fusion.add(photo.camera, np.ascontiguousarray(photo.depth_z, np.float32), rgba)

    def specs(self, share: float) -> list[GridSpec]:
        """The nested grids with this share of the cells."""
        bounds = np.asarray(self.capture.bounds_w, np.float64)
        inner = GridSpec.over(bounds, self.settings.cells * (1 if self.fusions else share))
        if self.capture.bounded:
            return [inner]
        middle, half = bounds.mean(axis=0), (bounds[1] - bounds[0]) / 2
        half = np.maximum(half, half.max() * 0.5)
        shells = [
            GridSpec.over(np.stack([middle - half * f, middle + half * f]), self.settings.cells * share * SHELL_SHARE)
            for f in SHELLS
        ]
        return [inner, *shells]

    def run(self) -> Job[RadianceGrid]:
        s = self.settings
        if any(v.has_depth for v in self.capture.views if not v.held_out):
            self.fusions = [
                DepthFusion(self.specs(1.0 if g == 0 else START_SHARE)[g]) for g in range(len(self.specs(1.0)))
            ]
        yield self.progress()
        first = len(self.unread) if self.fusions else min(12, len(self.unread))
        shown = 8
        while len(self.bank.cameras) < first:
            self.read_one()
            yield self.progress()
            if self.fusions and len(self.bank.cameras) == shown:
                shown *= 3
                level = yield from self.beginning()
                yield from self.show(level)
        for i in self.judge_plan.order:
            self.judge.add(self.capture.read(i, max_side=self.plan.max_side))
            yield self.progress()
        if self.judge.cameras:
            self.judge_rays = draw(self.judge, np.random.default_rng(0), 8192)
        level = yield from self.beginning()
        if self.fusions:
            yield from self.show(level, force=True)
        if self.fusions and self.capture.bounded:
            level = yield from self.optimise(level, s.seconds * 0.85)
        else:
            stages = [(0.1, 0.3), (0.3, 0.6), (1.0, 0.85)]
            level = yield from self.optimise(level, s.seconds * 0.12)
            for share, until in stages:
                level = yield from self.pruned(level, 1e-3)
                out: list[Level] = []
                yield from self.ticks(level.refine(self.specs(share), out))
                level = yield from self.optimise(out[0], s.seconds * until)
        level = yield from self.pruned(level, 1e-2)
        level = yield from self.optimise(level, s.seconds * 0.97)
        grid = level.grid(self.environment, {})
        psnr = yield from self.score(grid)
        if psnr is not None:
            self.curve.append([round(self.elapsed, 2), round(psnr, 2)])
        meta = {
            "psnr": psnr,
            "curve": self.curve,
            "seconds": round(self.elapsed, 2),
            "heldout": len(self.judge.cameras),
        }
        grid.meta.update(meta)
        if self.on_update is not None:
            self.on_update(grid, psnr, self.elapsed)
        return grid

    def beginning(self) -> Job[Level]:
        parts: list[Voxels] = []
        specs = self.specs(START_SHARE)
        for n, spec in enumerate(specs):
            if not self.fusions:
                parts.append(self.fog(spec, None))
                continue
            found: list[tuple[NDArray[np.int32], Float32]] = []
            yield from self.ticks(self.fusions[n].extract(found))
            fused = Voxels(self.fusions[n].spec, *found[0])
            parts.append(fused if n == 0 else self.fog(spec, self.fusions[n], fused))
        out: list[Level] = []
        yield from self.ticks(Level.make(parts, self.threads, out))
        return out[0]

    def fog(self, spec: GridSpec, fusion: DepthFusion | None, fused: Voxels | None = None) -> Voxels:
        active = np.ones(spec.dims, np.bool_)
        if fusion is not None and fused is not None:
            active &= ~fusion.free()
        active &= self.views_of(spec) >= 2
        values = np.full((*spec.dims, 4), 0.5, np.float32)
        values[..., 3] = FOG
        if fused is not None:
            active[tuple(fused.index.T)] = True
            values[tuple(fused.index.T)] = fused.values
        return Voxels(spec, np.argwhere(active).astype(np.int32), values[active])

    def views_of(self, spec: GridSpec) -> NDArray[np.int64]:
        """dims, in how many training photos each cell is."""
        centres = spec.to_world(
            np.stack(np.meshgrid(*(np.arange(n) for n in spec.dims), indexing="ij"), -1).reshape(-1, 3) + 0.5
        )
        count = np.zeros(len(centres), np.int64)
        for i in self.plan.order:
            camera = self.capture.views[i].camera
            px, z = camera.project(centres)
            count += camera.contains(np.nan_to_num(px, nan=-1)) & (z > 0)
        return count.reshape(spec.dims)

    def pruned(self, level: Level, share: float) -> Job[Level]:
        seen: list[Float32] = []
        yield from self.ticks(level.seen(self.bank, 300_000, seen))
        out: list[Level] = []
        yield from self.ticks(level.keep(seen[0] > share, out))
        return out[0]

    def optimise(self, level: Level, until: float) -> Job[Level]:
        begin = self.elapsed
        while self.elapsed < until:
            if self.unread:
                self.read_one()
                yield self.progress()
            done = (self.elapsed - begin) / max(until - begin, 1e-9)
            decay = 0.1**done
            rays = draw(self.bank, self.rng, 8192)
            jitter = self.rng.random(len(rays), np.float32)
            level.train(self.bank, rays, jitter, self.environment, Rates(0.02 * decay, 0.5 * decay, 0.02 * decay))
            yield self.progress()
            yield from self.show(level)
        return level

    def score(self, grid: RadianceGrid) -> Job[float | None]:
        errors: list[float] = []
        for camera, (first, w, h) in zip(self.judge.cameras, self.judge.views, strict=True):
            image, _, _ = render_colour(grid, camera)
            truth = self.judge.pixels[first : first + w * h].reshape(h, w, 4)
            valid = truth[..., 3] > 0
            if valid.any():
                errors.append(mse(np.clip(image, 0, 1), truth[..., :3] / np.float32(255), valid))
            yield self.progress()
        return float(np.mean([psnr_of_mse(e) for e in errors])) if errors else None

    def show(self, level: Level, force: bool = False) -> Job[None]:
        if self.elapsed < self.next_update and not force:
            return
        self.next_update = self.elapsed + (1.0 if self.elapsed < 8 else 2.0)
        psnr = None
        if len(self.judge_rays):
            psnr = psnr_of_mse(level.error(self.judge, self.judge_rays, self.environment))
            self.curve.append([round(self.elapsed, 2), round(psnr, 2)])
            self.note = f"{psnr:.1f} dB"
            yield self.progress()
        if self.on_update is not None:
            self.on_update(level.grid(self.environment, {}), psnr, self.elapsed)
        yield self.progress()
