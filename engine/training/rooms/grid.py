"""From depth to a radiance grid in a moment: fusion alone, nothing is refined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.api.errors import CaptureError
from engine.api.jobs import Job, Progress
from engine.grid.fuse import DepthFusion
from engine.grid.photos import CaptureLike, over_white
from engine.grid.radiance import RadianceGrid, tau_of_raw
from engine.grid.start import nested_specs


def fused_grid(
    capture: CaptureLike, cells: int = 150_000, *, views: Sequence[int] | None = None, max_side: int | None = None
) -> Job[RadianceGrid]:
    """Fuse the depth of a bounded capture into a radiance grid.

    Args:
        capture: with depth.
        cells: dense cells of the grid over the capture's bounds.
        views: which to fuse; by default all that are not held out.
        max_side: read photos at this long side at most.

    Returns:
        a job: progress in views, and in the end the grid; its ``meta`` is empty.

    Raises:
        CaptureError: none of the views has depth within the bounds, or a photo cannot be read.
    """
    fusion = DepthFusion(nested_specs(capture.bounds_w, True, cells, 1.0)[0])
    chosen = [v.index for v in capture.views if not v.held_out] if views is None else list(views)
    backgrounds: list[np.ndarray] = []
    for done, i in enumerate(chosen):
        yield Progress(done, len(chosen), "views", "fusing depth")
        photo = capture.read(i, max_side=max_side, depth=True)
        if photo.depth_z is None:
            continue
        rgb = over_white(photo)
        # what no view has measured is most likely of the mean colour; beyond what is cut out it is white
        backgrounds.append(np.ones(3) if photo.alpha is not None else rgb[::4, ::4].mean(axis=(0, 1)) / 255)
        known = np.ones(rgb.shape[:2], np.bool_) if photo.valid is None else photo.valid
        rgba = np.dstack([rgb, known.astype(np.uint8)])
        for _ in fusion.add_slices(photo.camera, np.ascontiguousarray(photo.depth_z, np.float32), rgba):
            yield Progress(done, len(chosen), "views", "fusing depth")
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in fusion.extract(found):
        yield Progress(len(chosen), len(chosen), "views", "finding surfaces")
    index, raw = found[0]
    if not len(index):
        raise CaptureError(
            "has no depth to build a grid from",
            path=getattr(capture, "path", None),
            found=f"no surface within the bounds in {len(chosen)} views",
            mend="choose a capture with depth",
        )
    background = np.mean(backgrounds, axis=0).reshape(1, 1, 3)
    return RadianceGrid.of(fusion.spec, index, raw[:, :3], tau_of_raw(raw[:, 3]), background)
