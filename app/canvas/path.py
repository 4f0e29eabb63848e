"""A smooth flight through kept views. No Qt, no GL."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.canvas.home import FOV_Y, Orbit, direction
from app.canvas.visuals.grid import basis
from engine.api.camera import Camera, look_at

Float64 = NDArray[np.float64]
_interpolate: Any = importlib.import_module("scipy.interpolate")  # it has no types
LEAST_DISTANCE = 1e-3
"""Between eye and target, as a share of the distances of the views: nearer there is no direction to look in."""


def fly_through(
    orbits: Sequence[Orbit], up_w: Float64, frames: int, size: tuple[int, int], *, loop: bool = False
) -> list[Camera]:
    """Cameras along a cubic spline through eyes and targets of two or more views.

    The speed is about even, for the spline's parameter is how far eye and target go between views; unless the flight
    ends where it began, it sets off and arrives gently.

    Args:
        orbits: the views, in order.
        up_w: (3,) the scene's up.
        frames: how many cameras, at least 2.
        size: width and height, pixels.
        loop: back to the first view; the last camera is then one frame before it.

    Raises:
        ValueError: fewer than two different views, or fewer than two frames.
    """
    axes = basis(up_w)
    target = np.array([o.target_w for o in orbits], np.float64).reshape(-1, 3)
    away = np.array([o.distance * direction(axes, o.yaw, o.pitch) for o in orbits], np.float64).reshape(-1, 3)
    keys = np.concatenate([target + away, target], axis=1)
    if loop:
        keys = np.concatenate([keys, keys[:1]])
    step = np.linalg.norm(np.diff(keys, axis=0), axis=1)
    keys = keys[np.concatenate([[True], step > 1e-9 * float(step.max(initial=0))])[: len(keys)]]
    if len(keys) < 2 or frames < 2:
        raise ValueError("a flight needs two different views and two frames")
    if loop:
        keys[-1] = keys[0]  # to the last bit
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(keys, axis=0), axis=1))])
    spline = _interpolate.CubicSpline(along, keys, bc_type="periodic" if loop else "natural")
    share = np.arange(frames) / frames if loop else _gently(np.linspace(0, 1, frames))
    places = np.asarray(spline(share * along[-1]), np.float64)
    least = LEAST_DISTANCE * float(np.linalg.norm(away, axis=1).min())
    return [_camera(p[:3], p[3:], axes, least, size) for p in places]


def _gently(share: Float64) -> Float64:
    """Times to places in [0, 1]: slow at both ends, even between."""
    slow = 0.15
    ramp = share.clip(0, slow) ** 2 / (2 * slow)
    end = (1 - share).clip(0, slow) ** 2 / (2 * slow)
    even = share.clip(slow, 1 - slow) - slow
    total = 1 - slow
    return np.where(share > 1 - slow, total - end, ramp + even) / total


def _camera(eye: Float64, target: Float64, axes: Float64, least: float, size: tuple[int, int]) -> Camera:
    ahead = target - eye
    length = float(np.linalg.norm(ahead))
    if length < least:
        target = eye + (ahead * (least / length) if length > 0 else axes[0] * least)
    return look_at(eye, target, axes[2], fov_y=FOV_Y, width=size[0], height=size[1])
