"""Where to look at a scene from: the first view and the named ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.canvas.visuals.grid import basis
from engine.api.camera import Camera
from engine.api.scene import SceneInfo

Float64 = NDArray[np.float64]
NamedView = Literal["home", "top", "front", "side"]
FOV_Y = 45.0


@dataclass(frozen=True)
class Orbit:
    """A look at ``target_w`` from ``distance``; yaw and pitch in radians about the scene's up."""

    target_w: tuple[float, float, float]
    yaw: float
    pitch: float
    distance: float


def nearest_to_axes(cameras: list[Camera]) -> Float64 | None:
    """(3,) point nearest in least squares to all optical axes; None when they are (nearly) parallel."""
    a = np.zeros((3, 3))
    b = np.zeros(3)
    for camera in cameras:
        m = np.eye(3) - np.outer(camera.forward_w, camera.forward_w)
        a += m
        b += m @ camera.centre_w
    if len(cameras) < 2 or np.linalg.cond(a) > 1e4:
        return None
    return np.asarray(np.linalg.solve(a, b), np.float64)


def named_view(scene: SceneInfo, name: NamedView, aspect: float) -> Orbit:
    """The orbit for one of the named views, fitted to a viewport of ``aspect`` = width / height."""
    axes = basis(scene.up_w)
    lo, hi = scene.bounds_w
    centre = (lo + hi) / 2
    if name == "home":
        inward = _inward(scene, axes, aspect)
        if inward is not None:
            return inward
        yaw, pitch = _room_yaw(scene, axes), np.deg2rad(42)
    else:
        yaw = _room_yaw(scene, axes)
        pitch = {"top": np.deg2rad(89.9), "front": np.deg2rad(4), "side": np.deg2rad(4)}[name]
        yaw += np.pi / 2 if name == "side" else 0.0
    return _fitted(centre, scene.bounds_w, axes, yaw, float(pitch), aspect)


def _fitted(centre: Float64, bounds_w: Float64, axes: Float64, yaw: float, pitch: float, aspect: float) -> Orbit:
    """As near as shows all corners of the bounds."""
    eye_dir = direction(axes, yaw, pitch)
    right = np.cross(-eye_dir, axes[2])
    right /= max(float(np.linalg.norm(right)), 1e-9)
    down = np.cross(-eye_dir, right)
    corners = np.array(np.meshgrid(*bounds_w.T)).reshape(3, -1).T - centre
    x, y, z = np.abs(corners @ right), np.abs(corners @ down), corners @ eye_dir
    slope = np.tan(np.deg2rad(FOV_Y) / 2) * 0.92
    distance = float((z + np.maximum(x / (slope * aspect), y / slope)).max())
    return Orbit(_triple(centre), yaw, pitch, max(distance, 1e-6))


def _inward(scene: SceneInfo, axes: Float64, aspect: float) -> Orbit | None:
    """For cameras round an object: a little above and behind their middle. None for a room seen from inside."""
    cameras = [v.camera for v in scene.views]
    focus = nearest_to_axes(cameras)
    if focus is None:
        return None
    to_eye = np.array([c.centre_w for c in cameras]) - focus
    distance = np.linalg.norm(to_eye, axis=1)
    toward = np.array([-(c.forward_w @ d) for c, d in zip(cameras, to_eye, strict=True)]) / np.maximum(distance, 1e-9)
    if np.mean(toward > np.cos(np.deg2rad(35))) < 0.85:
        return None
    lo, hi = scene.bounds_w
    beyond = float(np.linalg.norm(hi - lo)) / 2
    if float(np.median(distance)) < 0.55 * beyond and not _all_around_outside(scene, cameras):
        return None
    mean = (to_eye / distance[:, None]).mean(axis=0)
    level: Float64 = np.asarray(axes @ mean, np.float64)
    all_around = bool(np.hypot(level[0], level[1]) < 0.15)
    if all_around:  # any side will do, so take the first camera's
        level = np.asarray(axes @ (to_eye[0] / distance[0]), np.float64)
    elevation = float(np.median(np.arcsin(np.clip(np.asarray(to_eye / distance[:, None]) @ axes[2], -1, 1))))
    yaw = float(np.arctan2(float(level[1]), float(level[0])))
    pitch = float(np.clip(elevation + np.deg2rad(12), np.deg2rad(8), np.deg2rad(55)))
    back = (1.2 if all_around else 1.4) * max(1.0, 1.3 / aspect)  # further back in a narrow viewport
    return Orbit(_triple(focus), yaw, pitch, float(np.median(distance)) * back)


def _all_around_outside(scene: SceneInfo, cameras: list[Camera]) -> bool:
    """Whether most cameras stand outside the bounds."""
    lo, hi = scene.bounds_w
    eyes = np.array([c.centre_w for c in cameras])
    outside: NDArray[np.bool_] = np.logical_or(eyes < lo, eyes > hi).any(axis=1)
    return int(np.count_nonzero(outside)) * 2 > len(eyes)


def _room_yaw(scene: SceneInfo, axes: Float64) -> float:
    """From a corner, across the longer side of the floor."""
    size = np.abs(axes[:2]) @ (scene.bounds_w[1] - scene.bounds_w[0])
    return float(np.deg2rad(-60 if size[0] >= size[1] else -30))


def direction(axes: Float64, yaw: float, pitch: float) -> Float64:
    """(3,) unit direction from the target to the eye."""
    level = np.cos(yaw) * axes[0] + np.sin(yaw) * axes[1]
    return np.cos(pitch) * level + np.sin(pitch) * axes[2]


def _triple(v: Float64) -> tuple[float, float, float]:
    return (float(v[0]), float(v[1]), float(v[2]))
