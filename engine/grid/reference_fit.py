"""The fit with plain torch inside: same model, schedule and data, gradients by autograd. The kernels are held to it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.api.jobs import Job
from engine.grid.environment import Environment
from engine.grid.fit import Fit, OnUpdate
from engine.grid.level import Level
from engine.grid.photos import CaptureLike, PhotoBank
from engine.grid.radiance import RadianceGrid
from engine.grid.settings import FitSettings
from engine.march.reference import DeviceGrid, Rays, composite, environment_colour, sample, span, weigh

Float32 = NDArray[np.float32]


class TorchLevel(Level):
    """A level whose gradient comes from ``engine.march.reference``."""

    device = torch.device("cpu")

    @cached_property
    def _device_grids(self) -> tuple[DeviceGrid, ...]:
        return tuple(
            DeviceGrid.of(lut, skip, len(part.index), self.device)
            for part, (lut, skip) in zip(self.parts, self.tables, strict=True)
        )

    def differentiate(
        self, bank: PhotoBank, rays: NDArray[np.int64], jitter: Float32, environment: Environment
    ) -> float:
        """As ``Level.differentiate``; everything goes into the first thread's buffers."""
        self._see(bank)
        view, pixel, target = targets(bank, rays)
        valid = target[:, 3] > 0
        view, pixel, jitter = view[valid], pixel[valid], jitter[valid]
        truth = torch.from_numpy(target[valid, :3].astype(np.float32) / 255).to(self.device)
        direction = self._directions(view, pixel)
        packed = torch.from_numpy(self.packed).to(self.device, copy=True).requires_grad_()
        env = torch.from_numpy(environment.map).to(self.device, copy=True).requires_grad_()
        colour, left = self._march(packed, view, direction, torch.from_numpy(jitter).to(self.device))
        error = colour + left[:, None] * environment_colour(env, direction) - truth
        loss = error.square().sum() / (3 * len(rays))
        loss.backward()
        assert packed.grad is not None
        assert env.grad is not None
        self.gradient[0] += packed.grad.cpu().numpy()
        environment.gradient[0] += env.grad.cpu().numpy()
        return float(error.detach().square().mean())

    def _directions(self, view: NDArray[np.int64], pixel: NDArray[np.int64]) -> Tensor:
        m = self._cams[view, :9].reshape(-1, 3, 3)
        d = np.einsum("nij,nj->ni", m, np.concatenate([pixel + 0.5, np.ones((len(pixel), 1))], axis=1))
        return torch.from_numpy((d / np.linalg.norm(d, axis=1, keepdims=True)).astype(np.float32)).to(self.device)

    def _march(
        self, packed: Tensor, view: NDArray[np.int64], direction: Tensor, jitter: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Through the nested grids, front to back: ((N, 3) colour, (N,) transmittance)."""
        colour = torch.zeros((len(direction), 3), device=self.device)
        left = torch.ones(len(direction), device=self.device)
        begin = torch.zeros(len(direction), device=self.device)
        for n, part in enumerate(self.parts):
            first, last = int(self.first[n]), int(self.first[n + 1])
            grid = self._device_grids[n]
            rays = Rays(torch.from_numpy(self._origins[view, n]).to(self.device), direction)
            scale = float(self.scales[n])
            with torch.no_grad():
                samples = sample(grid, rays, begin * scale, jitter)
                near, far = span(rays, part.spec.dims)
                begin = torch.where(far > near, far / scale, begin)
            voxels = packed[first:last]
            weights, through = weigh(samples, voxels[:, 3])
            colour = colour + left[:, None] * composite(samples, weights, voxels[:, :3])
            with torch.no_grad():
                share = left[samples.ray] * weights
                rows = torch.where(samples.row < last - first, samples.row + first, self.count)
                most = torch.zeros(self.count + 1, device=self.device)
                most.scatter_reduce_(0, rows.reshape(-1), (samples.weight * share[:, None]).reshape(-1), "amax")
                np.maximum(self.most[0], most.cpu().numpy(), out=self.most[0])
            left = left * through
        return colour, left


def targets(bank: PhotoBank, rays: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """(N,) photo, (N, 2) pixel (column, row) and (N, 4) colour and validity of rays (N, 2)."""
    first, width, height = bank.views[rays[:, 0]].T
    pixel = rays[:, 1] % (width * height)
    return rays[:, 0], np.stack([pixel % width, pixel // width], axis=1), bank.pixels[first + pixel]


def fit_grid_reference(
    capture: CaptureLike,
    settings: FitSettings | None = None,
    device: torch.device | None = None,
    on_update: OnUpdate | None = None,
) -> Job[RadianceGrid]:
    """``engine.grid.fit_grid`` with autograd on ``device`` in place of the fused kernel; arguments are the same."""
    chosen = device or torch.device("cpu")
    level_type = type("TorchLevelOnDevice", (TorchLevel,), {"device": chosen})
    return Fit(capture, settings or FitSettings(), on_update, level_type).run()
