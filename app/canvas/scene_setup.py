"""Puts a scene's fixed parts into a renderer: range of depth, grid, frusta, points."""

from __future__ import annotations

import numpy as np

from app.canvas.renderer import Renderer
from app.canvas.visuals.frusta import frustum_depth
from app.clip import Box
from engine.api.scene import SceneInfo, Volume

MAX_POINTS = 400_000  # sprites that software GL still draws in time


def extent_of(scene: SceneInfo) -> float:
    """Length of the diagonal of the region worth looking at."""
    lo, hi = scene.bounds_w
    return max(float(np.linalg.norm(hi - lo)), 1e-6)


def show_scene(renderer: Renderer, scene: SceneInfo) -> None:
    """Everything that follows from the scene alone."""
    extent = extent_of(scene)
    eyes = np.array([v.camera.centre_w for v in scene.views]).reshape(-1, 3)
    middle = scene.bounds_w.mean(axis=0)
    reach = max([extent, *np.linalg.norm(eyes - middle, axis=1).tolist()])
    renderer.far = 12 * reach
    renderer.set_grid(scene.bounds_w, scene.up_w)
    cameras = [v.camera for v in scene.views]
    renderer.frusta.set_cameras(cameras, frustum_depth(cameras, extent))
    renderer.frusta.set_style(
        renderer.look.frustum, {i: renderer.look.held_out for i, v in enumerate(scene.views) if v.held_out}
    )


def show_points(renderer: Renderer, scene: SceneInfo, volume: Volume | None, clip: Box | None = None) -> None:
    """The capture's own points, or the voxels' centres where it has none; those within ``clip``."""
    extent = extent_of(scene)
    if scene.points is not None and len(scene.points.pos_w):
        pos_w, rgb = scene.points.pos_w, scene.points.rgb
        # points lie on surfaces: their spacing goes with the root of their number
        size_w = float(np.clip(0.6 * extent / np.sqrt(len(pos_w)), extent / 1200, extent / 180))
    elif volume is not None:
        pos_w, rgb = volume.centres_w(), volume.rgba[:, :3]
        size_w = volume.voxel
    else:
        renderer.points.set_data(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8), 1.0)
        return
    if clip is not None:
        within = clip.holds(pos_w)
        pos_w, rgb = pos_w[within], rgb[within]
    step = max(1, -(-len(pos_w) // MAX_POINTS))
    renderer.points.set_data(pos_w[::step], rgb[::step], size_w)
