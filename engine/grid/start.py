"""How a fit begins: nested grids around the scene, filled from depth where it was measured and with fog elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.grid.fuse import DepthFusion
from engine.grid.level import Voxels
from engine.grid.spec import GridSpec
from engine.march.rays import HALF, jit

Float32 = NDArray[np.float32]
Int32 = NDArray[np.int32]

SHELLS = (3.0, 10.0, 40.0)
"""Boxes of the shells around an unbounded scene, as multiples of its own."""

SHELL_SHARE = 0.02
"""Cells of a shell, as a share of the inner grid's. Each patch of background is in few photos: finer shells learn
those photos by heart and render held-out views worse."""

FOG = np.float32(-4.0)
"""Raw density of a voxel that nothing is known of: it takes 2 % of the light."""

NEAR = 0.6
"""Fog stays away from each camera by this share of the camera's distance to the middle of the box: what is nearer is
in so few photos that it would learn them by heart."""

SLICE_TESTS = 1 << 20
SEEN_BY = 3
"""Fog fills cells that so many training photos see."""


def nested_specs(bounds_w: ArrayLike, bounded: bool, cells: float, share: float) -> list[GridSpec]:
    """The inner grid with ``share`` of ``cells`` and, for an unbounded scene, its shells, innermost first.

    Shells are boxes with the same middle, at least half as wide as they are long, each hollow where the one before it
    lies. Together they reach 40 times as far as the scene; the environment map holds what is beyond.
    """
    bounds = np.asarray(bounds_w, np.float64)
    inner = GridSpec.over(bounds, cells * share)
    if bounded:
        return [inner]
    middle, half = bounds.mean(axis=0), np.ptp(bounds, axis=0) / 2
    half = np.maximum(half, half.max() / 2)
    most = cells * SHELL_SHARE
    return [inner, *(GridSpec.over(np.stack([middle - half * f, middle + half * f]), most) for f in SHELLS)]


def fog_slices(
    spec: GridSpec,
    cameras: Sequence[Camera],
    middle_w: NDArray[np.float64],
    fusion: DepthFusion | None,
    out: list[Voxels],
) -> Iterator[None]:
    """Append to ``out`` the voxels of ``spec`` filled with fog, in slices.

    Fused surfaces, if there are any, are taken over, and cells that were measured to be free are left empty.

    Args:
        spec: a coarse grid.
        cameras: the training views.
        middle_w: (3,) the middle of the scene.
        fusion: depth fused into the same grid.
        out: receives the voxels.
    """
    centres = np.stack([c.centre_w for c in cameras])
    near_w = NEAR * np.linalg.norm(middle_w - centres, axis=1)
    project = np.stack([spec.projection(c) for c in cameras])
    sizes = np.array([[c.width, c.height] for c in cameras], np.float32)
    active = np.zeros(spec.dims, np.bool_)
    slab = max(1, SLICE_TESTS // (spec.dims[1] * spec.dims[2] * len(cameras)))
    for x in range(0, spec.dims[0], slab):
        _foggy(
            project, sizes, spec.to_grid(centres), (near_w / spec.voxel).astype(np.float32),
            min(SEEN_BY, len(cameras)), x, min(x + slab, spec.dims[0]), active,
        )  # fmt: skip
        yield
    values = np.full((*spec.dims, 4), 0.5, np.float32)
    values[..., 3] = FOG
    if fusion is not None:
        active &= ~fusion.free()
        found: list[tuple[Int32, Float32]] = []
        yield from fusion.extract(found)
        index, fused = found[0]
        active[tuple(index.T)] = True
        values[tuple(index.T)] = fused
    out.append(Voxels(spec, np.argwhere(active).astype(np.int32), values[active]))
    yield


@jit
def _foggy(project, sizes, centres, near, seen_by, x0, x1, active):
    """Set ``active`` for x0 <= x < x1: seen by so many cameras (n, 3, 4) of sizes (n, 2), and ``near`` (n,) to none."""
    for x in range(x0, x1):
        for y in range(active.shape[1]):
            for z in range(active.shape[2]):
                px, py, pz = np.float32(x) + HALF, np.float32(y) + HALF, np.float32(z) + HALF
                count = 0
                for i in range(project.shape[0]):
                    dx, dy, dz = px - centres[i, 0], py - centres[i, 1], pz - centres[i, 2]
                    if dx * dx + dy * dy + dz * dz < near[i] * near[i]:
                        count = -1
                        break
                    m = project[i]
                    depth = m[2, 0] * px + m[2, 1] * py + m[2, 2] * pz + m[2, 3]
                    if depth > 0:
                        u = m[0, 0] * px + m[0, 1] * py + m[0, 2] * pz + m[0, 3]
                        v = m[1, 0] * px + m[1, 1] * py + m[1, 2] * pz + m[1, 3]
                        if u >= 0 and v >= 0 and u < sizes[i, 0] * depth and v < sizes[i, 1] * depth:
                            count += 1
                active[x, y, z] = count >= seen_by
