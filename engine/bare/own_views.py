"""What a scene without photos would say of itself if it were photographed: features lifted from rendered views of it.

The 2D encoder knows photos, the 3D encoder alone what colour and shape say; with views rendered from the grid both
speak where there was no photo: f3 = normalise(lift of own views + Delta of the bare voxels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from engine.api.jobs import Job, Progress, told_as
from engine.api.scene import UInt8
from engine.grid.lift import LiftAccumulator, LiftedFeatures
from engine.grid.viewpoints import viewpoints
from engine.march import render_colour

if TYPE_CHECKING:
    from engine.api.camera import Camera
    from engine.encoders.image import ImageEncoder
    from engine.grid import RadianceGrid

NOTE = "looking from within"


def rendered_photo(grid: RadianceGrid, camera: Camera) -> UInt8:
    """(h, w, 3) what a camera would photograph."""
    return np.round(255 * np.clip(render_colour(grid, camera)[0], 0, 1)).astype(np.uint8)


def lift_own_views(grid: RadianceGrid, encoder: ImageEncoder, up_w: ArrayLike, seed: int = 0) -> Job[LiftedFeatures]:
    """Features (V, D) that the 2D encoder finds in views of the grid, on its voxels; zero where no view sees one.

    Args:
        grid: of the scene.
        encoder: the 2D encoder.
        up_w: (3,) which way is up.
        seed: of the choice of views.

    Raises:
        ValueError: the grid has no surface.
    """
    cameras = yield from viewpoints(grid, up_w, seed=seed)
    accumulator = LiftAccumulator(grid, encoder.dim)
    for n, camera in enumerate(cameras):
        done = Progress(n, len(cameras), "views", NOTE)
        yield done
        features = yield from told_as(encoder.encode_slices(rendered_photo(grid, camera)), done)
        yield from told_as(accumulator.add_slices(camera, features), done)
    return accumulator.result()
