"""How a fit begins: nested grids around the scene, filled from depth where it was measured and with fog elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.api.camera import Camera
from engine.grid.fuse import DepthFusion
from engine.grid.level import Voxels
from engine.grid.spec import GridSpec

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
    corner = np.indices(spec.dims).reshape(3, -1).T
    centres = spec.to_world(corner + 0.5)
    count = np.zeros(len(centres), np.int64)
    near = np.zeros(len(centres), np.bool_)
    for camera in cameras:
        px, z = camera.project(centres)
        count += camera.contains(np.nan_to_num(px, nan=-1.0)) & (z > 0)
        reach = NEAR * np.linalg.norm(middle_w - camera.centre_w)
        near |= np.linalg.norm(centres - camera.centre_w, axis=1) < reach
        yield
    active = ((count >= min(SEEN_BY, len(cameras))) & ~near).reshape(spec.dims)
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
