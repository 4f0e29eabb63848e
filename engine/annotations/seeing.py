"""What is made once for a scene that is annotated: regions to select from, what photos show, and places to rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.annotations.select import SelectScene, load_select_nets, select_scene
from engine.annotations.strokes import SLICE_RAYS, ViewHits, view_hits
from engine.api.annotating import Source
from engine.api.errors import AnnotationError
from engine.api.jobs import Job, Progress
from engine.api.requests import PixelSource
from engine.carry import rows_beside
from engine.march import surface_along

if TYPE_CHECKING:
    from engine.api.camera import Camera
    from engine.grid.radiance import RadianceGrid
    from engine.scene_state import SceneState

Rows = NDArray[np.int64]
PHOTO_SIDE = 240
"""Pixels along the long side at which it is found what a photo shows; what is drawn in is marched finer."""
KEPT_VIEWS = 8
AROUND = np.array(sorted(((x, y) for x in range(-3, 4) for y in range(-3, 4)), key=lambda p: p[0] ** 2 + p[1] ** 2))
"""Pixels about a click, the nearest first."""
NOTE = "finding what photos show"


class Seeing:
    """Of one grid.

    Args:
        scene: whose grid and features they are.
        grid: the one that is annotated.
    """

    def __init__(self, scene: SceneState, grid: RadianceGrid) -> None:
        self._scene, self.grid = scene, grid
        self._select: SelectScene | None = None
        self._making: Job[SelectScene] | None = None
        self._hits: OrderedDict[int, ViewHits] = OrderedDict()

    def selectable(self) -> Job[SelectScene]:
        """The scene's tree of regions. What one caller has begun another goes on with: a click does not wait for a job,
        and a job that is cancelled has not worked for nothing.

        Raises:
            AnnotationError: there are no features on the scene.
        """
        while self._select is None:
            if self._making is None:
                self._making = self._made()
            try:
                progress = next(self._making)
            except StopIteration as stop:
                self._select = stop.value
            except BaseException:
                self._making = None
                raise
            else:
                yield progress
        return self._select

    def _made(self) -> Job[SelectScene]:
        scene, grid, lifted = self._scene, self.grid, self._scene.lifted
        if lifted is None:
            raise AnnotationError(
                "there are no features on the scene to select by", mend="wait until the photos are encoded"
            )
        yield Progress(0, 0, "voxels", "reading features")
        image = lifted.features(np.arange(len(lifted.codes)))
        yield Progress(0, 0, "voxels", "reading features")
        on_grid = [lifted.carry(grid, values) for values in (image, lifted.spread, lifted.weight)]
        cameras = [v.camera for v in scene.capture.views]
        return (yield from select_scene(grid, *on_grid, cameras, scene.capture.up_w, load_select_nets()))

    def hits(self, view: int) -> Job[ViewHits]:
        """What a photo sees, for strokes in it.

        Raises:
            QueryError: there is no such photo.
        """
        found = self._hits.get(view)
        if found is None:
            found = yield from view_hits(self.grid, self._scene.capture.views[self._scene.check_view(view)].camera)
            self._hits[view] = found
            while len(self._hits) > KEPT_VIEWS:
                self._hits.popitem(last=False)
        self._hits.move_to_end(view)
        return found

    def shown(self, view: int) -> Iterator[NDArray[np.int32] | None]:
        """(h, w) the voxel that each pixel of a photo shows, after some None to give way."""
        camera = self._scene.capture.views[view].camera.fitted(PHOTO_SIDE)
        pixels = camera.pixel_grid()
        rows = np.empty(len(pixels), np.int32)
        for start in range(0, len(pixels), SLICE_RAYS):
            some = slice(start, start + SLICE_RAYS)
            rows[some] = rows_along(self.grid, camera, pixels[some])
            yield None
        yield rows.reshape(camera.height, camera.width)

    def row(self, source: Source) -> int:
        """The voxel of a place.

        Raises:
            AnnotationError: there is none.
            QueryError: there is no such photo.
        """
        return self._at(source)[0]

    def place_w(self, source: Source) -> tuple[float, float, float]:
        """The place itself, on the surface; raises as ``row``."""
        x, y, z = (float(v) for v in self._at(source)[1])
        return x, y, z

    def _at(self, source: Source) -> tuple[int, NDArray[np.float64]]:
        """Voxel and place (3,)."""
        if isinstance(source, PixelSource):
            camera = self._scene.capture.views[self._scene.check_view(source.view)].camera
            near = np.clip(np.array([[source.x, source.y]]) + AROUND, 0, np.array([camera.width, camera.height]) - 1e-6)
            pos_w, _ = surface_along(self.grid, *camera.rays(near))
            pos_w = pos_w[np.isfinite(pos_w).all(axis=1)]  # thin things are easily missed by a pixel
        else:
            pos_w = np.array([source.pos_w], np.float64)
        rows = rows_beside(self.grid.spec.to_grid(pos_w), self.grid.lut)
        first = next((n for n, row in enumerate(rows) if row >= 0), None)
        if first is None:
            raise AnnotationError("there is nothing of the scene at this place")
        return int(rows[first]), pos_w[first]

    def centre_w(self, row: int) -> tuple[float, float, float]:
        """Middle of a voxel."""
        x, y, z = (float(v) for v in self.grid.spec.to_world(self.grid.index[row] + 0.5))
        return x, y, z


def rows_along(grid: RadianceGrid, camera: Camera, pos_px: NDArray[np.float64]) -> NDArray[np.int32]:
    """(N,) the voxels in which the rays through pixels (N, 2) end, -1 for none."""
    pos_w, _ = surface_along(grid, *camera.rays(pos_px))
    rows = np.full(len(pos_px), -1, np.int32)
    ends = np.flatnonzero(np.isfinite(pos_w).all(axis=1))
    rows[ends] = rows_beside(grid.spec.to_grid(pos_w[ends]), grid.lut)
    return rows
