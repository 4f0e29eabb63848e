"""Ray marching in torch: readable, differentiable, on any device. The kernels' oracle and the path that training takes.

Three steps, each swappable:

    sample(rays)     where along each ray the grid is asked: packed samples (ray, t, 8 corner rows, 8 weights)
    weigh(samples)   w_j = T_j alpha_j from raw densities
    composite(...)   sum_j w_j f(x_j) for any table f

The model is that of ``engine.march.rays``: density is interpolated raw and then activated, alpha = sigmoid(s) for a
step of one voxel, corners outside the active set have s = ``S_EMPTY``, tables are averaged over the active corners.
Interpolation and compositing are both ``embedding_bag``: a weighted sum of table rows, with gradients to rows and
weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.api.camera import Camera
from engine.march.rays import S_EMPTY, STOP

if TYPE_CHECKING:
    from engine.grid.radiance import RadianceGrid


@dataclass(frozen=True, eq=False)
class DeviceGrid:
    """The tables of a grid on a device.

    Attributes:
        lut: dims int32, row of each voxel; the empty voxel's row V where there is none.
        skip: dims uint8, empty-space distances (``engine.march.rays``).
        voxels: V.
    """

    lut: Tensor
    skip: Tensor
    voxels: int

    @staticmethod
    def of(lut: NDArray[np.int32], skip: NDArray[np.uint8], voxels: int, device: torch.device) -> DeviceGrid:
        """Copy the tables of a grid of ``voxels`` voxels to ``device``."""
        rows = torch.from_numpy(np.where(lut < 0, voxels, lut).astype(np.int32))
        return DeviceGrid(rows.to(device), torch.from_numpy(skip.copy()).to(device), voxels)


@dataclass(frozen=True, eq=False)
class Rays:
    """Rays in grid coordinates: ``origin`` (N, 3), ``direction`` (N, 3) unit, float32."""

    origin: Tensor
    direction: Tensor

    @staticmethod
    def of(grid: RadianceGrid, camera: Camera, pos_px: NDArray[np.float64], device: torch.device) -> Rays:
        """The rays through pixels (N, 2) of a camera."""
        origin, direction = camera.rays(pos_px)
        return Rays(
            torch.from_numpy(grid.spec.to_grid(origin)).to(device),
            torch.from_numpy(direction.astype(np.float32)).to(device),
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """M packed samples of N rays, in order along each ray.

    Attributes:
        ray: (M,) int64, ascending.
        t: (M,) float32, grid units from the origin.
        row: (M, 8) int64 corner rows, V where the corner is not active.
        weight: (M, 8) float32 trilinear weights.
        rays: N.
    """

    ray: Tensor
    t: Tensor
    row: Tensor
    weight: Tensor
    rays: int


Sampler = Callable[[DeviceGrid, Rays, Tensor, Tensor], Samples]
"""(grid, rays, (N,) grid units from the origin before which nothing is sampled, (N,) offset in [0, 1] of the first
sample) to packed samples."""


def span(rays: Rays, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """((N,), (N,)) where each ray is between the outermost voxel centres of a grid; empty where the first is larger."""
    low = torch.full((3,), 0.5, device=rays.origin.device)
    high = torch.tensor(dims, dtype=torch.float32, device=rays.origin.device) - 0.501
    parallel = rays.direction.abs() < 1e-9
    d = torch.where(parallel, torch.ones_like(rays.direction), rays.direction)
    a, b = (low - rays.origin) / d, (high - rays.origin) / d
    inside = (rays.origin >= low) & (rays.origin <= high)
    near = torch.where(parallel, torch.where(inside, -torch.inf, torch.inf), torch.minimum(a, b))
    far = torch.where(parallel, torch.where(inside, torch.inf, -torch.inf), torch.maximum(a, b))
    return near.amax(1).clamp(min=0), far.amin(1)


def sample(grid: DeviceGrid, rays: Rays, begin: Tensor, offset: Tensor) -> Samples:
    """Samples one voxel apart, those kept whose dual cell has an active corner. The plain torch ``Sampler``.

    Memory grows with N times the longest ray; march long images in pieces.
    """
    near, far = span(rays, tuple(grid.skip.shape))
    near = torch.maximum(near, begin)
    longest = (far - near).clamp(min=0).nan_to_num(posinf=0).max() if len(near) else near.sum()
    steps = torch.arange(int(torch.ceil(longest).item()) + 1, device=near.device)
    t = near[:, None] + offset[:, None] + steps
    inside = t < far[:, None]
    ray, step = inside.nonzero(as_tuple=True)
    t = t[ray, step]
    dims = torch.tensor(grid.skip.shape, device=t.device)
    pos = rays.origin[ray] + t[:, None] * rays.direction[ray] - 0.5
    cell = torch.minimum(pos.long().clamp(min=0), dims - 2)
    keep = grid.skip[cell[:, 0], cell[:, 1], cell[:, 2]] == 0
    ray, t, pos, cell = ray[keep], t[keep], pos[keep], cell[keep]
    fraction = pos - cell
    corner = torch.tensor([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], device=t.device)
    at = cell[:, None] + corner
    row = grid.lut[at[..., 0], at[..., 1], at[..., 2]].long()
    weight = torch.where(corner.bool(), fraction[:, None], 1 - fraction[:, None]).prod(dim=2)
    return Samples(ray, t, row, weight, len(rays.origin))


def interpolate(samples: Samples, table: Tensor) -> Tensor:
    """(M, C) table rows (V + 1, C) weighted at each sample; the last row is the empty voxel's."""
    return functional.embedding_bag(samples.row, table, per_sample_weights=samples.weight, mode="sum")


def weigh(samples: Samples, raw: Tensor) -> tuple[Tensor, Tensor]:
    """Raw density (V,) to ((M,) weights w_j = T_j alpha_j, (N,) transmittance behind the last sample).

    With tau = softplus(s): alpha = 1 - exp(-tau), T_j = exp(-sum_{m<j} tau_m). As in the kernels, a ray ends once its
    transmittance falls below ``STOP``.
    """
    s = interpolate(samples, torch.cat([raw, raw.new_full((1,), float(S_EMPTY))])[:, None])[:, 0]
    tau = functional.softplus(s)
    # Transmittance before each sample: the running sum of tau, less its value where the ray began. In double
    # precision, because it runs over all rays.
    total = torch.cumsum(tau.double(), 0)
    first = torch.searchsorted(samples.ray, torch.arange(samples.rays, device=tau.device))
    padded = torch.cat([total.new_zeros(1), total])
    before = (padded[:-1] - padded[first][samples.ray]).to(tau.dtype)
    transmittance = torch.exp(-before)
    alive = transmittance >= float(STOP)
    weights = torch.where(alive, transmittance * -torch.expm1(-tau), 0)
    tau_ray = torch.zeros(samples.rays, dtype=tau.dtype, device=tau.device)
    tau_ray = tau_ray.index_add(0, samples.ray, torch.where(alive, tau, 0))
    return weights, torch.exp(-tau_ray)


def composite(samples: Samples, weights: Tensor, table: Tensor) -> Tensor:
    """(N, C) = sum_j w_j f(x_j), f the table (V, C) averaged over the active corners of each sample."""
    active = (samples.row < len(table)).to(samples.weight.dtype) * samples.weight
    share = active / active.sum(dim=1, keepdim=True).clamp(min=1e-6)
    padded = torch.cat([table, table.new_zeros(1, table.shape[1])])
    starts = torch.searchsorted(samples.ray, torch.arange(samples.rays, device=table.device)) * 8
    return functional.embedding_bag(
        samples.row.reshape(-1), padded, starts, per_sample_weights=(share * weights[:, None]).reshape(-1), mode="sum"
    )


def march(
    grid: DeviceGrid, rays: Rays, raw: Tensor, table: Tensor, *, sampler: Sampler = sample
) -> tuple[Tensor, Tensor]:
    """Rays to ((N, C) composited table, (N,) transmittance left), differentiable in ``raw`` (V,) and ``table`` (V, C).

    Samples lie where the previews have them: half a step into the grid, then one voxel apart.
    """
    begin = torch.zeros(len(rays.origin), device=raw.device)
    with torch.no_grad():
        samples = sampler(grid, rays, begin, torch.full_like(begin, 0.5))
    weights, left = weigh(samples, raw)
    return composite(samples, weights, table), left


def environment_colour(env: Tensor, direction: Tensor) -> Tensor:
    """(N, 3) bilinear colour of an equirectangular map (H, W, 3) in directions (N, 3); columns wrap."""
    rows, columns = env.shape[:2]
    x, y, z = direction.unbind(1)
    u = (torch.atan2(y, x) / (2 * torch.pi) + 0.5) * columns - 0.5
    v = (torch.atan2(torch.hypot(x, y), z) / torch.pi * rows - 0.5).clamp(0, rows - 1)
    u0, v0 = u.floor(), v.floor()
    fu, fv = (u - u0)[:, None], (v - v0)[:, None]
    left, top = u0.long() % columns, v0.long()
    right, low = (left + 1) % columns, (top + 1).clamp(max=rows - 1)
    upper = env[top, left] * (1 - fu) + env[top, right] * fu
    lower = env[low, left] * (1 - fu) + env[low, right] * fu
    return upper * (1 - fv) + lower * fv


def march_image(
    grid: RadianceGrid, table: Tensor, camera: Camera, device: torch.device, rays_at_once: int = 16384
) -> tuple[Tensor, Tensor]:
    """The reference of ``engine.march.render_table``: (image (h, w, C), opacity (h, w)) on ``device``, no gradient."""
    on_device = DeviceGrid.of(grid.lut, grid.skip, len(grid.index), device)
    raw = torch.from_numpy(grid.padded_raw[:-1].copy()).to(device)
    pixels = camera.pixel_grid()
    images, lefts = [], []
    with torch.no_grad():
        for start in range(0, len(pixels), rays_at_once):
            rays = Rays.of(grid, camera, pixels[start : start + rays_at_once], device)
            image, left = march(on_device, rays, raw, table.to(device))
            images.append(image)
            lefts.append(left)
    shape = (camera.height, camera.width)
    return torch.cat(images).reshape(*shape, -1), 1 - torch.cat(lefts).reshape(shape)
