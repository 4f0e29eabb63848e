"""Photos of bare geometry: points become voxels, and voxels a capture with photos and depth.

Then all that needs photos (features, keypoints, prompts, matching, annotation) works on a scan or a model alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engine.api.camera import Camera
from engine.api.errors import CaptureError
from engine.api.jobs import Job, Progress, aside
from engine.api.replies import JobFinished, Notice
from engine.api.requests import PhotographGeometry
from engine.api.scene import PointCloud
from engine.captures.nerfstudio import lens_json
from engine.captures.poses import GL_TO_CV
from engine.captures.whole import refuse_existing, whole_folder
from engine.grid.radiance import RadianceGrid
from engine.grid.spec import MAX_CELLS, GridSpec
from engine.grid.viewpoints import viewpoints
from engine.march import render_colour

if TYPE_CHECKING:
    from engine.captures import Capture
    from engine.scene_state import Replies, SceneState

PHOTOS = 24
SIZE = (640, 480)
FINEST = 512
"""Voxels along the diagonal of a densely sampled scene."""
POINTS_A_VOXEL = 4
"""Voxels grow until they hold so many points each: with fewer, surfaces would have holes."""
LEAST_DIMS = 8
TAU = 8.0
"""Optical thickness of a voxel with points: opaque."""
DEPTH_STEPS = 60_000
NOTE = "photographing"


def voxels_of_points(points: PointCloud) -> Job[RadianceGrid]:
    """Opaque voxels where points are and beside them, of their mean colour.

    Surfaces become three voxels thick: rays take a sample a voxel, and would slip through thinner ones.

    Raises:
        ValueError: all points lie in one place.
    """
    step = Progress(0, 0, "voxels", NOTE)
    pos_w = points.pos_w.astype(np.float64)
    lo, hi = pos_w.min(axis=0), pos_w.max(axis=0)
    edge = float(np.linalg.norm(hi - lo)) / FINEST
    if not edge > 0:
        raise ValueError("all points lie in one place")
    while True:
        dims = np.floor((hi - lo) / edge).astype(np.int64) + 5  # two empty or thickened voxels on every side
        at = np.floor((pos_w - lo) / edge).astype(np.int64) + 2
        count_cells = partial(np.unique, at @ _strides(dims), return_inverse=True, return_counts=True)
        key, inverse, count = yield from aside(count_cells, step)
        if (len(key) * POINTS_A_VOXEL <= len(pos_w) and np.prod(dims) <= MAX_CELLS) or dims.max() <= LEAST_DIMS:
            break
        edge *= 1.25
    rgb = np.stack([np.bincount(inverse, points.rgb[:, c] / 255.0) / count for c in range(3)], axis=1)
    key, rgb = yield from aside(partial(_thickened, key, rgb, _strides(dims)), step)
    index = np.stack(np.unravel_index(key, tuple(dims)), axis=1).astype(np.int32)
    spec = GridSpec(lo - 2 * edge, edge, (int(dims[0]), int(dims[1]), int(dims[2])))
    background = rgb.mean(axis=0).reshape(1, 1, 3)
    return (yield from aside(partial(RadianceGrid.of, spec, index, rgb, np.full(len(key), TAU), background), step))


def _strides(dims: NDArray[np.int64]) -> NDArray[np.int64]:
    """(3,) of the keys of cells."""
    return np.array([dims[1] * dims[2], dims[2], 1])


def _thickened(
    key: NDArray[np.int64], rgb: NDArray[np.float64], strides: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The voxels and those that touch one by a face, which have the mean colour of those they touch."""
    beside = np.setdiff1d(np.concatenate([key + s for stride in strides for s in (-stride, stride)]), key)
    total, count = np.zeros((len(beside), 3)), np.zeros(len(beside))
    for stride in strides:
        for s in (-stride, stride):
            rows = np.minimum(np.searchsorted(key, beside + s), len(key) - 1)
            there = key[rows] == beside + s
            total[there] += rgb[rows[there]]
            count += there
    return np.concatenate([key, beside]), np.concatenate([rgb, total / count[:, None]])


def photograph_geometry(capture: Capture, folder: Path, count: int = PHOTOS, seed: int = 0) -> Job[Path]:
    """Write a nerfstudio capture of rendered views with depth; what shows no surface is transparent.

    Everything is written beside ``folder`` first and renamed, so that a failure leaves nothing.

    Args:
        capture: with points.
        folder: must not exist yet.
        count: of photos.
        seed: of the choice of viewpoints.

    Returns:
        a job: progress in photos, and in the end ``folder``.

    Raises:
        CaptureError: no points, ``folder`` exists, or it cannot be written.
    """
    if capture.points is None or not len(capture.points.pos_w):
        raise CaptureError("has no geometry to photograph", path=capture.path, mend="give a mesh or a point cloud")
    refuse_existing(folder)
    yield Progress(0, count, "photos", NOTE)
    try:
        grid = yield from voxels_of_points(capture.points)
        cameras = yield from viewpoints(grid, capture.up_w, count, seed)
    except ValueError as e:
        raise CaptureError("has no shape to photograph", path=capture.path, found=str(e)) from e
    cameras = [c.scaled(*SIZE) for c in cameras]
    with whole_folder(folder, "the photos") as whole:
        for name in ("images", "depth"):
            (whole / name).mkdir()
        units: list[float] = []
        for n, camera in enumerate(cameras):
            done = Progress(n, len(cameras), "photos", NOTE)
            units.append((yield from _photo(grid, camera, whole, n, done)))
        (whole / "transforms.json").write_text(_transforms(cameras, units), encoding="utf-8")
    return folder


def photograph(scene: SceneState, request: PhotographGeometry) -> Replies[None]:
    """Serve the request.

    Raises:
        CaptureError: as ``photograph_geometry``.
    """
    from engine.scene_state import report

    start = time.perf_counter()
    folder = yield from report(request, photograph_geometry(scene.capture, Path(request.folder), seed=scene.seed))
    yield Notice(id=request.id, text=f"Photographed: {folder}")
    yield JobFinished(id=request.id, title=request.title, seconds=time.perf_counter() - start, metrics={})


def _photo(grid: RadianceGrid, camera: Camera, folder: Path, n: int, done: Progress) -> Job[float]:
    """Write photo and depth; returns the depth's unit. Only what writes nothing runs aside: the folder may go away."""
    image, opacity, depth_z = yield from aside(partial(render_colour, grid, camera), done)
    shown = (depth_z > 0) & (opacity > 0.5)
    rgba = np.concatenate([np.clip(image, 0, 1), shown[..., None]], axis=2)
    Image.fromarray(np.round(255 * rgba).astype(np.uint8)).save(folder / "images" / f"{n:03}.png", compress_level=1)
    yield done
    unit = max(float(depth_z[shown].max(initial=0)), 1e-6) / DEPTH_STEPS
    depth = np.where(shown, np.round(depth_z / unit), 0).astype(np.uint16)
    Image.fromarray(depth).save(folder / "depth" / f"{n:03}.png", compress_level=1)
    return unit


def _transforms(cameras: Sequence[Camera], units: Sequence[float]) -> str:
    """``transforms.json``; each depth image has a unit of its own, so that 16 bits suffice at any scale."""
    frames = [
        {
            "file_path": f"images/{n:03}.png",
            "depth_file_path": f"depth/{n:03}.png",
            "depth_unit_scale_factor": unit,
            "transform_matrix": (camera.c2w @ GL_TO_CV).tolist(),
        }
        for n, (camera, unit) in enumerate(zip(cameras, units, strict=True))
    ]
    return json.dumps({"camera_model": "OPENCV", **lens_json(cameras[0]), "frames": frames}, indent=1)
