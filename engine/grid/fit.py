"""Fitting a radiance grid to a capture: fusion of depth, measured or by stereo, then rays, coarse to fine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from engine.api.errors import CaptureError
from engine.api.jobs import Job, Progress
from engine.grid.environment import Environment
from engine.grid.fuse import DepthFusion
from engine.grid.level import Level, Rates, Voxels, draw, lattice
from engine.grid.photos import CaptureLike, PhotoBank, ReadingPlan, plan_reading
from engine.grid.radiance import RadianceGrid
from engine.grid.settings import FitSettings
from engine.grid.spec import GridSpec
from engine.grid.start import fog_slices, nested_specs
from engine.grid.stereo import Stereo
from engine.metrics.psnr import psnr_of_mse

Float32 = NDArray[np.float32]
OnUpdate = Callable[[RadianceGrid, float | None, float], None]

COARSE = 0.02
"""Share of the cells that the first level has where there is no depth."""

STAGES = ((0.12, 0.1), (0.3, 0.3), (0.55, 1.0))
"""Without depth: at this part of the fit, the inner grid gets this share of its cells. With depth by stereo it begins
with the one before the last, and the stages before it are left out."""

PRUNE_AT = 0.8
END = 0.96

FAINT = 1e-3
"""Between levels, voxels that take less than this share of every ray's light are dropped."""

FAINT_AT_END = 2e-3

LEAST_TRAINED = 40
BATCH = 8192
SLICE_RAYS = 2048
RATE_COLOUR = 0.02
RATE_FUSED = 0.0045
"""For colours that depth fusion has given already: at 0.02 they went after noise (0.4 dB on an outdoor capture)."""
RATE_STEREO = 0.01
"""For colours where stereo gave depth: 0.0045 suits 12 photos (by 0.5 dB) and is too slow for 40 (by 0.8)."""
RATE_DENSITY = 0.5

SMOOTH = 0.1
"""Without depth: how far voxels move to their neighbours' mean every ``SMOOTH_EVERY`` steps, at first; it fades.
An explicit step, not a penalty: total variation through Adam's normalised steps ruins the fit."""

SMOOTH_FADE = 0.03
SMOOTH_EVERY = 8

READ_UNTIL = 0.35
"""With depth, photos are read and fused until this part of the time is spent; the rest are read later, for rays."""

COMPARE_FROM, COMPARE_UNTIL = 0.1, 0.2
"""Without depth, photos are read until the first of these parts, and compared with one another until the second."""

FOG_FOR = 0.06
"""With depth by stereo, colours change at the rate of fog for so long: what is no surface has none yet."""

LEAST_KNOWN = 0.01
"""Of the compared photos' pixels; with less depth than this the fit begins in fog alone."""

JUDGE_RAYS = 4096
SCORE_RAYS = 400_000
EPOCHS, FUSED_EPOCHS = 8, 1.25
"""So often is every pixel seen at most: after depth fusion little is left to learn but the photos' noise (an outdoor
capture fell from 17.6 dB after 30 s to 17.2 after 120)."""
EPOCH_PHOTOS = 20
"""With depth by stereo, every pixel is seen at most once for so many photos there are, within the two above: 12 photos
are learnt by heart in a moment (from 21 dB to 18 in a minute), 40 need several."""
LEAST_RAYS = 4_000_000
ENVIRONMENT_ROWS = 64


def fit_grid(
    capture: CaptureLike,
    settings: FitSettings | None = None,
    device: torch.device | None = None,
    on_update: OnUpdate | None = None,
) -> Job[RadianceGrid]:
    """Fit a radiance grid to the training views of a capture.

    With depth, the surfaces are fused first and refined by rays. Without, surfaces come from depth by stereo where
    photos agree; elsewhere a coarse grid of thin fog clears up level by level. Unbounded scenes get shells, see
    ``engine.grid.start``; photos with alpha get a white background. Held-out views are read for the PSNR alone, which
    is that of the grid as it is stored.

    Args:
        capture: photos, poses, bounds.
        settings: budget and sizes.
        device: where torch runs; the fit itself runs on the CPU, on as many threads as numba is set to in this thread.
        on_update: called with (grid, held-out PSNR or None, seconds) as the grid improves.

    Returns:
        a job: progress in seconds, and in the end the pruned grid, its ``meta`` with ``psnr`` (dB or None), ``curve``
        ([[seconds, dB], …] from a sample of the held-out pixels), ``seconds``, ``heldout`` (views), ``skipped``
        (photos that could not be read), ``steps``.

    Raises:
        CaptureError: the capture has no training photo, or none can be read.
    """
    return Fit(capture, settings or FitSettings(), on_update).run()


class Fit:
    """One run; ``part`` goes from 0 to 1 with the time spent, the rays seen or the steps taken."""

    def __init__(
        self,
        capture: CaptureLike,
        settings: FitSettings,
        on_update: OnUpdate | None,
        level_type: type[Level] = Level,
    ) -> None:
        self.capture, self.settings, self.on_update, self.level_type = capture, settings, on_update, level_type
        self.rng = np.random.default_rng(settings.seed)
        self.threads = numba.get_num_threads()
        self.start = time.perf_counter()
        self.plan = plan_reading(capture)
        if not self.plan.order:
            raise CaptureError("has no photo to fit a grid to", mend="open a capture with posed photos")
        self.cameras = [capture.views[i].camera for i in self.plan.order]
        self.bank = PhotoBank(capture, self.plan)
        self.unread = list(self.plan.order)
        self.judge_plan = ReadingPlan(tuple(v.index for v in capture.views if v.held_out), self.plan.max_side)
        self.judge = PhotoBank(capture, self.judge_plan)
        self.judge_rays = np.zeros((0, 2), np.int64)
        self.environment = Environment(ENVIRONMENT_ROWS, self.threads)
        self.measured = any(capture.views[i].has_depth for i in self.plan.order)
        self.stereo = None if self.measured else Stereo(capture.bounds_w, capture.bounded)
        self.fusions: list[DepthFusion] = []
        self.curve: list[list[float]] = []
        self.next_update = 0.0
        self.rate_colour, self.epochs = RATE_COLOUR, float(EPOCHS)
        self.note = ""
        self.skipped = 0
        self.steps = 0
        self.rays = 0

    # -- time ---------------------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    @property
    def part(self) -> float:
        if self.settings.steps is not None:
            return self.steps / max(self.settings.steps, 1)
        pixels = int((self.bank.views[:, 1] * self.bank.views[:, 2]).sum()) + len(self.unread)
        return max(self.elapsed / self.settings.seconds, self.rays / max(self.epochs * pixels, LEAST_RAYS))

    def progress(self) -> Progress:
        return Progress(min(self.elapsed, self.settings.seconds), self.settings.seconds, "s", self.note)

    def ticks(self, slices: Iterator[None]) -> Job[None]:
        for _ in slices:
            yield self.progress()

    # -- photos -------------------------------------------------------------------------------------------------------

    def read_one(self) -> Job[None]:
        """Read the next training photo into the bank; fuse its depth while surfaces are still being fused."""
        i = self.unread.pop(0)
        depth = bool(self.fusions) and self.capture.views[i].has_depth
        try:
            photo = self.capture.read(i, max_side=self.plan.max_side, depth=depth)
        except CaptureError:
            self.skipped += 1
            if not self.unread and not self.bank.cameras:
                raise
            return
        if photo.alpha is not None and not self.environment.fixed:
            self.environment = Environment(1, self.threads, fixed=np.ones((1, 1, 3), np.float32))
        yield self.progress()
        self.bank.add(photo)
        if self.stereo is not None:
            self.stereo.add(photo)
        if depth and photo.depth_z is not None:
            h, w = photo.depth_z.shape
            rgba = self.bank.pixels[self.bank.views[-1, 0] :][: h * w].reshape(h, w, 4)
            for fusion in self.fusions:
                yield from self.ticks(
                    fusion.add_slices(photo.camera, np.ascontiguousarray(photo.depth_z, np.float32), rgba)
                )
        yield self.progress()

    def read_held_out(self) -> Job[None]:
        """Read the held-out photos and choose the pixels that the curve is drawn from."""
        for i in self.judge_plan.order:
            try:
                self.judge.add(self.capture.read(i, max_side=self.plan.max_side))
            except CaptureError:
                self.skipped += 1
            yield self.progress()
        if self.judge.cameras:
            self.judge_rays = draw(self.judge, np.random.default_rng(0), JUDGE_RAYS)

    # -- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> Job[RadianceGrid]:
        if self.measured:
            self.fusions = [DepthFusion(spec) for spec in self.specs(1.0)]
        yield self.progress()
        shown = 8
        while self.unread:
            if self.part > (READ_UNTIL if self.measured else COMPARE_FROM) and self.bank.cameras:
                break
            yield from self.read_one()
            if self.measured and len(self.bank.cameras) == shown:
                shown *= 3
                level = yield from self.first_level()
                yield from self.show(level)
        yield from self.read_held_out()
        if self.stereo is not None:
            yield from self.compare(self.stereo)
            self.stereo = None
        level = yield from self.first_level()
        known = bool(self.fusions)
        self.fusions.clear()
        if self.measured:
            level = yield from self.within_budget(level)
            self.rate_colour, self.epochs = RATE_FUSED, FUSED_EPOCHS
            yield from self.show(level, now=True)
            level = yield from self.optimise(level, PRUNE_AT, smooth=False)
        else:
            if known:
                yield from self.show(level, now=True)
                level = yield from self.optimise(level, self.part + FOG_FOR, smooth=True)
                self.rate_colour = RATE_STEREO
                self.epochs = min(max(len(self.plan.order) / EPOCH_PHOTOS, FUSED_EPOCHS), EPOCHS)
            for until, share in STAGES[-1:] if known else STAGES:
                level = yield from self.optimise(level, until, smooth=True)
                level = yield from self.pruned(level, FAINT)
                level = yield from self.finer(level, share)
            level = yield from self.optimise(level, PRUNE_AT, smooth=True)
        level = yield from self.pruned(level, FAINT_AT_END)
        level = yield from self.optimise(level, END, smooth=False)
        return (yield from self.finished(level))

    def specs(self, share: float) -> list[GridSpec]:
        """The inner grid with this share of its cells, and the shells."""
        return nested_specs(self.capture.bounds_w, self.capture.bounded, self.settings.cells, share)

    def compare(self, stereo: Stereo) -> Job[None]:
        """Fuse the depth that photos tell by one another, if it is enough."""
        self.note = "comparing photos"
        yield from self.ticks(stereo.estimate(lambda: self.part < COMPARE_UNTIL))
        self.note = ""
        if stereo.known < LEAST_KNOWN:
            return
        self.fusions = [DepthFusion(spec) for spec in self.specs(STAGES[-2][1])]
        for photo in stereo.found:
            for fusion in self.fusions:
                yield from self.ticks(fusion.add_slices(*photo))

    def first_level(self) -> Job[Level]:
        """Measured surfaces with fog in the shells; or what stereo has found and fog elsewhere; or fog everywhere."""
        parts: list[Voxels] = []
        middle = np.mean(self.capture.bounds_w, axis=0)
        specs = [fusion.spec for fusion in self.fusions] or self.specs(COARSE)
        for n, spec in enumerate(specs):
            fusion = self.fusions[n] if self.fusions else None
            if fusion is not None and self.measured and n == 0:
                found: list[tuple[NDArray[np.int32], Float32]] = []
                yield from self.ticks(fusion.extract(found))
                parts.append(Voxels(spec, *found[0]))
            else:
                yield from self.ticks(fog_slices(spec, self.cameras, middle, fusion, parts))
        out: list[Level] = []
        yield from self.ticks(self.level_type.make(parts, self.threads, out))
        return out[0]

    def within_budget(self, level: Level) -> Job[Level]:
        """The level, or a coarser one when its surfaces need more voxels than allowed (they grow with 1/voxel^2)."""
        inner = len(level.parts[0].index)
        if inner <= self.settings.voxels * 1.15:
            return level
        return (yield from self.resized(level, (self.settings.voxels / inner) ** 1.5))

    def finer(self, level: Level, share: float) -> Job[Level]:
        """The next level, not so fine that its surfaces would need more voxels than allowed."""
        now = level.parts[0].spec.cells / self.settings.cells
        room = 1.5 * self.settings.voxels / max(len(level.parts[0].index), 1)
        share = min(share, now * max(room, 1e-3) ** 1.5)
        if share < 1.3 * now:
            return level
        return (yield from self.resized(level, share))

    def resized(self, level: Level, share: float) -> Job[Level]:
        out: list[Level] = []
        yield from self.ticks(level.refine([self.specs(share)[0], *(p.spec for p in level.parts[1:])], out))
        return out[0]

    def pruned(self, level: Level, share: float) -> Job[Level]:
        """The level without voxels that take less than ``share`` of any ray, nor the faintest beyond the budget.

        A level that was hardly trained stays as it is: what no ray has met yet may be needed.
        """
        if level.trained < LEAST_TRAINED:
            return level
        weight = level.seen
        inner = weight[: level.first[1]]
        if share == FAINT_AT_END and len(inner) > self.settings.voxels:
            share = max(share, float(np.partition(inner, -self.settings.voxels)[-self.settings.voxels]))
        out: list[Level] = []
        yield from self.ticks(level.keep(weight >= share, out))
        return out[0]

    def optimise(self, level: Level, until: float, *, smooth: bool) -> Job[Level]:
        """Take steps until ``part`` reaches ``until``; learning rates fall to a tenth meanwhile."""
        begin = self.part
        while self.part < until:
            if self.unread:
                yield from self.read_one()
            decay = 0.1 ** ((self.part - begin) / (until - begin))
            rays = draw(self.bank, self.rng, BATCH)
            jitter = self.rng.random(len(rays), np.float32)
            rates = Rates(self.rate_colour * decay, RATE_DENSITY * decay, self.rate_colour * decay)
            for start in range(0, len(rays), SLICE_RAYS):
                part = slice(start, start + SLICE_RAYS)
                level.differentiate(self.bank, rays[part], jitter[part], self.environment)
                yield self.progress()
            level.step(self.environment, rates)
            self.steps += 1
            self.rays += len(rays)
            yield self.progress()
            if smooth and self.steps % SMOOTH_EVERY == 0:
                strength = SMOOTH * SMOOTH_FADE**self.part
                level.smooth(strength / 2, strength)
                yield self.progress()
            yield from self.show(level)
        return level

    # -- results ------------------------------------------------------------------------------------------------------

    def show(self, level: Level, now: bool = False) -> Job[None]:
        """Hand the grid as it stands to the caller when it is time: every second at first, then every two."""
        if self.elapsed < self.next_update and not now:
            return
        self.next_update = self.elapsed + (1.0 if self.elapsed < 8 else 2.0)
        psnr = None
        if len(self.judge_rays):
            error, used = level.error(self.judge, self.judge_rays, self.environment)
            psnr = psnr_of_mse(error / max(3 * used, 1))
            self.curve.append([round(self.elapsed, 2), round(psnr, 2)])
            self.note = f"{psnr:.1f} dB"
            yield self.progress()
        if self.on_update is not None:
            self.on_update(level.grid(self.environment, {}), psnr, self.elapsed)
        yield self.progress()

    def finished(self, level: Level) -> Job[RadianceGrid]:
        grid = level.grid(self.environment, {})
        yield self.progress()
        level.round_to(grid, self.environment)
        errors: list[float] = []
        for view in range(len(self.judge.cameras)):
            total, used = 0.0, 0
            for rays in lattice(self.judge, SCORE_RAYS, view):
                error, count = level.error(self.judge, rays, self.environment)
                total += error
                used += count
                yield self.progress()
            if used:
                errors.append(total / (3 * used))
        psnr = round(float(np.mean([psnr_of_mse(e) for e in errors])), 3) if errors else None
        if psnr is not None:
            self.curve.append([round(self.elapsed, 2), round(psnr, 2)])
        grid.meta.update(
            psnr=psnr,
            curve=self.curve,
            seconds=round(self.elapsed, 2),
            heldout=len(self.judge.cameras),
            skipped=self.skipped,
            steps=self.steps,
        )
        if self.on_update is not None:
            self.on_update(grid, psnr, self.elapsed)
        return grid
